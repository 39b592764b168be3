"""The verdict on a slice, from the topics alone: `xiaohe verify`, and what else can be told."""

import asyncio
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from xiaohe.audit.decision_log import DecisionLogs
from xiaohe.audit.records import Record
from xiaohe.topics import Topic, Topics
from xiaohe.wire.cluster_access import Cluster, access_to, client_options, shown_servers

VERIFY_S: Final = 300.0
"""How long `xiaohe verify` may take."""

DECIDED_S: Final = 20.0
"""How long is waited for decisions upon inputs that lie there."""

READ_S: Final = 60.0

POLL_MS: Final = 200

TOLD_MAX: Final = 20
"""Findings that are told one by one."""

Places = dict[TopicPartition, int]


class Verdict(NamedTuple):
    """What is wrong, in three figures, and whatever else the account holds against the slice."""

    lost: int
    duplicate: int
    contradictory: int
    other: int
    account: dict[str, Any]
    told: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.duplicate or self.contradictory or self.other)


async def judge(
    cluster: Cluster, topics: Topics, alerts_taken: Collection[tuple[str, str]]
) -> Verdict:
    """Judge the topics of a slice that has come to rest.

    ``alerts_taken`` are the area and id of the alerts that the broker has acknowledged: all of
    them well-formed, so that none may be missing, and none a dead letter.
    """
    account = await _verified(cluster)
    if "alerts_in" not in account:
        return Verdict(0, 0, 0, 1, account, (f"verify failed: {account}",))
    reading = _Reading(cluster, topics)
    async with reading.reader:
        lost = await reading.not_decided() + await reading.not_there(alerts_taken)
    lettered = {k: n for k, n in account["dead_letters"].items() if k.startswith("alerts: ")}
    lost += [f"{n} alerts are dead letters ({k})" for k, n in lettered.items()]
    told = [f"lost: {each}" for each in lost]
    told += [
        f"{kind}: {each['what']}: {each['detail']}"
        for kind, findings in account["findings"].items()
        for each in findings
    ]
    rest = ("sequence_gaps", "forgotten", "stale_views", "malformed_outputs")
    return Verdict(
        lost=account["lost"] + account["missing_orders"] + len(lost),
        duplicate=account["duplicate_orders"],
        contradictory=account["contradictory"],
        other=sum(account[name] for name in rest),
        account={k: v for k, v in account.items() if k != "findings"},
        told=tuple(told[:TOLD_MAX]),
    )


async def _verified(cluster: Cluster) -> dict[str, Any]:
    """Run the program's own `verify`, as anybody would; its last line, or what it complained of."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "xiaohe"),
        *("verify", "--bootstrap-servers", shown_servers(cluster), "--json"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=access_to(cluster).environment_of_child(),
    )  # fmt: skip
    try:
        said, complained = await asyncio.wait_for(child.communicate(), VERIFY_S)
    except TimeoutError:
        child.kill()
        await child.wait()
        return {"error": f"took longer than {VERIFY_S:.0f} s"}
    lines = said.splitlines()
    found: dict[str, Any] = orjson.loads(lines[-1]) if lines else {"error": complained.decode()}
    return found


class _Reading:
    """One reading of inputs and decisions."""

    def __init__(self, cluster: Cluster, topics: Topics) -> None:
        self._topics = topics
        self._contradictions: list[str] = []
        self.reader = AIOKafkaConsumer(
            **client_options(cluster),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def not_decided(self) -> list[str]:
        """Give the inputs that lie there now, and upon which nothing was decided in time.

        Wake-ups are none of them: one that was passed over is written again.
        """
        inputs = [topic for topic in self._topics.deciding_inputs if topic.kind == "input"]
        ends = {topic.id: await self.reader.end_offsets(_partitions(topic)) for topic in inputs}
        logs = DecisionLogs(lambda *_: None)  # `verify` has told what contradicts itself
        self.reader.assign(_partitions(self._topics.decisions))
        deadline = time.monotonic() + DECIDED_S
        while True:
            fetched = await self.reader.getmany(timeout_ms=POLL_MS)
            for records in fetched.values():
                for record in records:
                    logs.take(Record(record.partition, record.offset, None, record.value, {}))
            owed = _owed(logs, ends)
            if not owed or time.monotonic() > deadline:
                skipped = [
                    f"{each.topic}:{each.partition}:{each.first}-{each.last} was passed over"
                    for each in logs.skipped
                ]
                return owed + skipped

    async def not_there(self, alerts_taken: Collection[tuple[str, str]]) -> list[str]:
        """Give the alerts that the broker acknowledged, and that are not in their topic."""
        there: set[tuple[str, str]] = set()
        ends = await self.reader.end_offsets(_partitions(self._topics.alerts))
        left = {at: end for at, end in ends.items() if end > 0}
        if not left:  # a reader without partitions would wait for some
            return [f"{area}: alert {alert} is gone" for area, alert in alerts_taken]
        self.reader.assign(list(left))
        await self.reader.seek_to_beginning(*left)
        async with asyncio.timeout(READ_S):
            while left:
                for at, records in (await self.reader.getmany(timeout_ms=POLL_MS)).items():
                    for record in records:
                        there.add((record.key.decode(), orjson.loads(record.value)["alert_id"]))
                    if await self.reader.position(at) >= ends[at]:
                        left.pop(at, None)
        return [f"{area}: alert {alert} is gone" for area, alert in set(alerts_taken) - there]


def _owed(logs: DecisionLogs, ends: dict[str, Places]) -> list[str]:
    return [
        f"{topic}:{at.partition}: decided to {logs.next_undecided(topic, at.partition)} of {end}"
        for topic, places in ends.items()
        for at, end in places.items()
        if logs.next_undecided(topic, at.partition) < end
    ]


def _partitions(topic: Topic) -> list[TopicPartition]:
    return [TopicPartition(topic.name, n) for n in range(topic.partitions)]


async def keep_evidence(cluster: Cluster, topics: Topics, folder: Path) -> None:
    """Write the topics that tell the story into files, one record a line, for whoever looks."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    reader = _Reading(cluster, topics).reader
    async with reader:
        for topic in (*topics.deciding_inputs, topics.decisions, topics.incident_events,
                      topics.dispatches, topics.incidents, topics.dead_letters):  # fmt: skip
            ends = await reader.end_offsets(_partitions(topic))
            left = {at for at, end in ends.items() if end > 0}
            if not left:
                continue  # a reader without partitions would wait for some
            reader.assign(list(left))
            await reader.seek_to_beginning(*left)
            lines: list[bytes] = []
            async with asyncio.timeout(READ_S):
                while left:
                    for at, records in (await reader.getmany(timeout_ms=POLL_MS)).items():
                        lines += [_line(record) for record in records]
                        if await reader.position(at) >= ends[at]:
                            left.discard(at)
            await asyncio.to_thread((folder / f"{topic.name}.jsonl").write_bytes, b"".join(lines))


def _line(record: Any) -> bytes:  # noqa: ANN401 - aiokafka's ConsumerRecord has no types
    value = (record.value or b"null").partition(b"\n")[0]
    where = {"partition": record.partition, "offset": record.offset, "at_ms": record.timestamp}
    return orjson.dumps({**where, "value": orjson.Fragment(value)}) + b"\n"
