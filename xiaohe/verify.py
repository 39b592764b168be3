"""``xiaohe verify``: reads only the topics, and says whether they keep what the contract promises.

Alerts in = decided + dead-lettered, no order twice or missing, sequences unbroken, the views up
to date, nothing forgotten; no two records about an order contradict each other, and no input was
decided upon twice. Plain readers without a group; nothing is written anywhere. The
checks are in ``xiaohe.audit`` and share no code with the engine.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from xiaohe.audit.decision_log import DecisionLogs
from xiaohe.audit.ledger import FORGOTTEN_S, Ledger
from xiaohe.audit.records import Finding, Kind, Record
from xiaohe.output import note, say, say_json
from xiaohe.topics import Topic, Topics
from xiaohe.wire.cluster_access import Cluster, client_options

SETTLE_S: Final = 10.0
"""How long to wait for what is owed at the moment of reading: a batch under way takes far less, a
worker that is being started again some seconds."""

POLL_MS: Final = 200
"""How long one look at the ends of the topics waits."""

READ_TIMEOUT_S: Final = 30.0
"""A reading that brings nothing for so long, before the end that was promised, has failed."""

RECORDS_AT_ONCE: Final = 2_000
"""Records held in memory at a time."""

EXIT_HOLDS, EXIT_DOES_NOT_HOLD = 0, 1

Take = Callable[[Record], None]

LABELS: Final[Mapping[Kind, str]] = {
    "lost": "alerts lost",
    "duplicate_orders": "orders twice, or too many",
    "sequence_gaps": "gaps in an incident's events",
    "forgotten": "incidents forgotten",
    "missing_orders": "orders decided and not published",
    "stale_views": "incidents whose view is not up to date",
    "malformed_outputs": "outputs not as the contract says",
    "contradictory": "orders or decisions that contradict each other",
}


class TopicsUnreadableError(Exception):
    """The topics could not be read to their ends; the message says what to do."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. ``findings`` tells what does not hold, up to 100 a kind."""

    alerts_in: int
    decided: int
    dead_lettered: int
    lost: int
    duplicate_orders: int
    sequence_gaps: int
    forgotten: int
    missing_orders: int
    stale_views: int
    malformed_outputs: int
    contradictory: int
    incidents: int
    dead_letters: dict[str, int]
    sent_again: int
    fenced: int
    findings: dict[Kind, list[Finding]]

    @property
    def holds(self) -> bool:
        """Whether everything holds."""
        wrong = any(self.count(kind) for kind in LABELS)
        return not wrong and self.alerts_in == self.decided + self.dead_lettered

    @property
    def exit_status(self) -> int:
        """0 where everything holds, 1 where something does not."""
        return EXIT_HOLDS if self.holds else EXIT_DOES_NOT_HOLD

    def as_json(self) -> dict[str, object]:
        """Give the line that ``--json`` prints."""
        findings = {
            kind: [{"what": each.what, "detail": each.detail} for each in told]
            for kind, told in self.findings.items()
        }
        return {**msgspec.structs.asdict(self), "findings": findings, "holds": self.holds}

    def as_text(self) -> str:
        """Give the account for people."""
        lost = f" + lost {self.lost}" if self.lost else ""
        accounted = f"decided {self.decided} + dead-lettered {self.dead_lettered}{lost}"
        lines = [
            f"alerts in {self.alerts_in} = {accounted}",
            f"incidents {self.incidents}",
            f"records ignored: {self.sent_again} sent again, {self.fenced} fenced off",
        ]
        for reason, count in sorted(self.dead_letters.items()):
            lines.append(f"dead letters of {reason}: {count}")
        for kind, told in self.findings.items():
            lines.append(f"{LABELS[kind]}: {self.count(kind)}")
            lines += [f"  {each.what}: {each.detail}" for each in told]
            if len(told) < self.count(kind):
                lines.append(f"  … and {self.count(kind) - len(told)} more")
        lines.append("everything holds" if self.holds else "NOT everything holds")
        return "\n".join(lines)

    def count(self, kind: Kind) -> int:
        """Count what does not hold of a kind."""
        found: int = getattr(self, kind)
        return found


def account_of(ledger: Ledger) -> Account:
    """Sum a ledger up."""
    counts = ledger.counts()
    return Account(
        alerts_in=ledger.alerts_in,
        decided=ledger.decided,
        dead_lettered=ledger.dead_lettered,
        **{kind: counts[kind] for kind in LABELS},
        incidents=len(ledger.incidents),
        dead_letters=dict(ledger.letters),
        sent_again=ledger.sent_again,
        fenced=ledger.fenced,
        findings=ledger.findings(),
    )


async def verify(
    cluster: Cluster,
    topics: Topics,
    *,
    settle_s: float = SETTLE_S,
    forgotten_s: float = FORGOTTEN_S,
) -> Account:
    """Read the topics and account for everything in them.

    What was there at the start is judged. What is still under way then (an alert that has just
    come in, a view not yet published) is given ``settle_s`` to come.

    Raises
    ------
    TopicsUnreadableError
        where a topic cannot be read to its end.
    """
    reader = AIOKafkaConsumer(
        **client_options(cluster),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=RECORDS_AT_ONCE,
    )
    await reader.start()
    try:
        return await _Reading(reader, topics, settle_s, forgotten_s).account()
    finally:
        await reader.stop()


async def verify_command(cluster: Cluster, topics: Topics, *, json: bool) -> int:
    """Verify and print: the account as one JSON object a line, or for people.

    Gives the exit status: 0 where everything holds, 1 where something does not or where the
    topics could not be read.
    """
    try:
        account = await verify(cluster, topics)
    except (TopicsUnreadableError, KafkaError) as fault:
        note(f"xiaohe verify: {fault}")
        return EXIT_DOES_NOT_HOLD
    if json:
        say_json(account.as_json())
    else:
        say(account.as_text())
    return account.exit_status


class _Reading:
    """One reading of the topics with one reader."""

    def __init__(
        self, reader: AIOKafkaConsumer, topics: Topics, settle_s: float, forgotten_s: float
    ) -> None:
        self._reader = reader
        self._topics = topics
        self._settle_s = settle_s
        self._forgotten_s = forgotten_s
        self._positions: dict[TopicPartition, int] = {}

    async def account(self) -> Account:
        """Read up to the ends as of now; wait a little for what is owed; sum up."""
        topics = self._topics
        # The ends are asked for in the reverse order of writing, so that what a record follows
        # from has been read wherever the record has.
        alert_ends = await self._ends(topics.alerts)
        view_ends = await self._ends(topics.incidents)
        order_ends = await self._ends(topics.dispatches)
        event_ends = await self._ends(topics.incident_events)
        letter_ends = await self._ends(topics.dead_letters)
        decision_ends = await self._ends(topics.decisions)
        ledger = Ledger(
            topics.alerts.name,
            topics.area_partitions,
            trimmed_before=await self._trimmed_before(order_ends),
            forgotten_s=self._forgotten_s,
        )
        takes = {
            topics.incident_events.name: ledger.event,
            topics.dispatches.name: ledger.dispatch,
            topics.incidents.name: ledger.view,
            topics.dead_letters.name: ledger.dead_letter,
        }
        for ends in (event_ends, order_ends, view_ends, letter_ends):
            await self._read(ends, takes)
        await self._read(alert_ends, {topics.alerts.name: ledger.alert})
        trimmed = await self._trimmed_before(decision_ends)
        logs = DecisionLogs(ledger.report, trimmed)
        await self._read(decision_ends, {topics.decisions.name: logs.take})
        ledger.cut()
        await self._settle(ledger, takes)
        return account_of(ledger)

    async def _settle(self, ledger: Ledger, takes: Mapping[str, Take]) -> None:
        """Read on while something is owed, as far as the time allows."""
        deadline = time.monotonic() + self._settle_s
        outputs = [at for at in self._positions if at.topic in takes]
        if ledger.is_settled:
            return
        self._reader.assign(outputs)
        for at in outputs:
            self._reader.seek(at, self._positions[at])
        while not ledger.is_settled and time.monotonic() < deadline:
            fetched = await self._reader.getmany(timeout_ms=POLL_MS)
            for at, records in fetched.items():
                for record in records:
                    takes[at.topic](_record(record))

    async def _ends(self, topic: Topic) -> dict[TopicPartition, int]:
        at = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
        ends: dict[TopicPartition, int] = await self._reader.end_offsets(at)
        return ends

    async def _trimmed_before(self, ends: Mapping[TopicPartition, int]) -> dict[int, float]:
        """When what is left of each partition begins, where retention has removed some."""
        begins = await self._reader.beginning_offsets(list(ends))
        found: dict[int, float] = {}
        for at, begin in begins.items():
            if begin > 0:
                first = (await self._reader.offsets_for_times({at: 0}))[at]
                found[at.partition] = time.time() if first is None else first.timestamp / 1000
        return found

    async def _read(self, ends: Mapping[TopicPartition, int], takes: Mapping[str, Take]) -> None:
        """Read some topics from their beginning up to these ends."""
        begins = await self._reader.beginning_offsets(list(ends))
        self._positions |= ends
        left = {at: end for at, end in ends.items() if begins[at] < end}
        self._reader.assign(list(left))
        for at in left:
            self._reader.seek(at, begins[at])
        deadline = time.monotonic() + READ_TIMEOUT_S
        while left:
            fetched = await self._reader.getmany(timeout_ms=POLL_MS)
            for at, records in fetched.items():
                for record in records:
                    if record.offset < ends[at]:
                        takes[at.topic](_record(record))
            if fetched:
                deadline = time.monotonic() + READ_TIMEOUT_S
            elif time.monotonic() > deadline:
                raise TopicsUnreadableError(
                    f"Nothing came of {sorted({at.topic for at in left})} for "
                    f"{READ_TIMEOUT_S:.0f} s: see that the broker is well, and try again."
                )
            for at in [at for at in left if await self._reader.position(at) >= ends[at]]:
                self._reader.pause(at)
                del left[at]


def _record(record: ConsumerRecord) -> Record:
    headers = {name: bytes(value or b"") for name, value in record.headers}
    return Record(record.partition, record.offset, record.key, record.value, headers)
