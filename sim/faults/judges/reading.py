"""All that a run left, read once for all rules: the log, the outputs as a consumer takes them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import orjson

from xiaohe.sim.faults.evidence import Evidence, Place
from xiaohe.sim.faults.judges.folding import Folded, fold_log
from xiaohe.sim.faults.judges.log_reading import LogReading, read_log
from xiaohe.streams.memory_log import DECISIONS
from xiaohe.streams.ports import WAKEUPS, Raw

DECIDING: Final = ("alerts", "member_actions", "operator_actions")
"""Input topics of which every record has one decision, whatever happens."""

GRACE_MS: Final = 60_000
"""What is due may be late by so much once everything is healed: the promise of liveness."""


class Output(NamedTuple):
    """One record of an output topic. ``ce`` is its ce_source and ce_id, ``value`` its object."""

    raw: Raw
    ce: tuple[bytes, bytes]
    value: Mapping[str, Any]

    @property
    def ce_id(self) -> str:
        """The id by which copies are known."""
        return self.ce[1].decode(errors="replace")

    @property
    def where(self) -> str:
        """Where it lies, for a sentence."""
        return f"{self.raw.topic}[{self.raw.partition}]@{self.raw.offset}"


@dataclass
class Reading:
    """The evidence, and what several rules want to know of it."""

    evidence: Evidence

    @property
    def partitions(self) -> range:
        """All partitions of the area topics."""
        return range(self.evidence.topics.partitions)

    @cached_property
    def logs(self) -> Mapping[int, LogReading]:
        """What counts in each partition's log."""
        topics = self.evidence.topics
        return {p: read_log(p, topics.read(DECISIONS, p)) for p in self.partitions}

    @cached_property
    def folded(self) -> Mapping[int, Folded]:
        """What a fresh engine makes of each partition's log."""
        shared = self.evidence.shared
        return {p: fold_log(log, shared) for p, log in self.logs.items()}

    @cached_property
    def decided(self) -> Counter[Place]:
        """How many decisions count for each input."""
        return Counter(
            Place(each.topic, partition, each.offset)
            for partition, log in self.logs.items()
            for each in log.counted
        )

    def outputs(self, topic: str) -> list[Output]:
        """All records of an output topic, partition after partition, each in its order."""
        found = self._outputs.get(topic)
        if found is None:
            found = self._outputs[topic] = [
                output_of(raw) for raw in self.evidence.topics.read_all(topic)
            ]
        return found

    @cached_property
    def _outputs(self) -> dict[str, list[Output]]:
        return {}

    def consumed(self, topic: str) -> list[Output]:
        """An output topic as a consumer takes it who keeps to the contract.

        Whoever has seen a higher epoch of an area ignores lower ones; what was seen under the
        same ``ce_source`` and ``ce_id`` is dropped.
        """
        found = self._consumed.get(topic)
        if found is None:
            found = self._consumed[topic] = list(_consumed(self.outputs(topic)))
        return found

    @cached_property
    def _consumed(self) -> dict[str, list[Output]]:
        return {}

    def input(self, topic: str, partition: int, offset: int) -> Raw | None:
        """Give a record of an input topic; None where there is none."""
        found = self.evidence.topics.read(topic, partition, offset, offset + 1)
        return found[0] if found else None

    def deciding_topics(self) -> tuple[str, ...]:
        """Give the topics of which no record is decided twice."""
        return (*DECIDING, WAKEUPS)

    @property
    def settled_ms(self) -> int:
        """What was due before this moment must have been done by the end of the run."""
        return self.evidence.ended_ms - GRACE_MS


def output_of(raw: Raw) -> Output:
    """Read one record of an output topic; of one that is no JSON object the value is empty."""
    headers = {name: value for name, value in raw.headers if name in {"ce_source", "ce_id"}}
    try:
        value = orjson.loads(raw.value or b"null")
    except orjson.JSONDecodeError:
        value = None
    ce = (headers.get("ce_source", b""), headers.get("ce_id", b""))
    return Output(raw, ce, value if isinstance(value, dict) else {})


def _consumed(outputs: list[Output]) -> Iterator[Output]:
    highest: dict[tuple[int, str], int] = {}
    seen: set[tuple[bytes, bytes]] = set()
    for each in outputs:
        area = (each.raw.partition, str(each.value.get("area_id")))
        epoch = each.value.get("epoch")
        if isinstance(epoch, int):
            if epoch < highest.get(area, epoch):
                continue
            highest[area] = epoch
        if each.ce not in seen:
            seen.add(each.ce)
            yield each
