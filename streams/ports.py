"""What a lane needs from its two neighbours: the core that decides and the log that keeps.

A lane (``streams/lane.py``) owns one partition. It knows neither Faust nor the rules of dispatch:
it moves raw records to the core, the core's decisions to the log, and their publications to the
topics, in the order that makes a crash at any point harmless. Both neighbours have a second
implementation: a toy core in the tests, and a log in memory for tests, simulation and the
embedded stand-in.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Protocol

from msgspec import Struct

Headers = Sequence[tuple[str, bytes | None]]
"""Names and values; Kafka has headers without a value, and two of one name."""

ALERTS = "alerts"
"""Key in topics.yaml of the alerts."""

POSITIONS = "positions"
"""Key in topics.yaml of the positions: the one input topic that need not give a decision."""

WAKEUPS = "wakeups"
"""Key in topics.yaml of the wake-ups, which the lanes write to themselves."""

INPUTS = (ALERTS, POSITIONS, "member_actions", "operator_actions", WAKEUPS)
"""Keys in topics.yaml of the area topics that a lane reads."""


class Raw(Struct, frozen=True):
    """One record as it lies in an input topic; ``topic`` is the key used in topics.yaml.

    ``timestamp_ms`` is the broker's receipt (LogAppendTime). ``replayed`` is true for a position
    that is only to be learned from: at a take-over the last minutes of positions
    (``Core.replay_s``) are shown to the core first, so that it knows where everybody is. Those
    that no recorded decision has seen come again afterwards as live ones, older than what is known
    by then; they may still decide (an alarm, an arrival).
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    replayed: bool = False


class Publication(Struct, frozen=True):
    """One record to be published; ``topic`` is the key used in topics.yaml.

    ``partition`` None leaves the choice to the partitioner (murmur2 over the key). Publications of
    a lower ``stage`` are acknowledged before any of a higher one is sent. With ``original`` the
    record is a copy of the one at this topic (its key in topics.yaml), partition and offset, and is
    still to be made of it: key and value are None then.
    """

    topic: str
    stage: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    original: tuple[str, int, int] | None = None


class Step(Struct, frozen=True):
    """One decision: ``record`` goes to the log as it is, ``publications`` follow from it."""

    record: Mapping[str, object]
    publications: tuple[Publication, ...]


class WakeUpCall(Struct, frozen=True):
    """A deadline that is due: ``value`` and ``key`` are written to the wake-ups topic.

    ``holds``: what was received after it is decided after it. Nothing waits for one that only
    tries again what could not be done.
    """

    due_ms: int
    key: bytes
    value: bytes
    holds: bool = True


class SnapshotPart(Struct, frozen=True):
    """A piece of the folded state; ``last`` says that the snapshot is whole with it."""

    body: bytes
    last: bool


class Care(Enum):
    """How an input that failed repeatedly is set aside: each looks at less of it, for what looked
    at more has ended workers as well."""

    ASIDE = "aside"
    """By rules of its own: an alert opens an incident for a person, a wake-up closes its
    deadline."""
    BARELY = "barely"
    """No rule is asked: an alert opens an incident by what its bytes say at first sight. Any other
    input as with BLIND."""
    BLIND = "blind"
    """Nobody looks into it: a dead letter that names its place."""


class Core(Protocol):
    """All areas of one partition: decides, folds, and knows what falls due next. No I/O."""

    def take(self, raw: Raw, now_ms: int, epoch: int) -> Sequence[Step]:
        """Decide one input and fold it at once: exactly one step for a deciding input (also
        «nothing to do», a refusal, a forwarding), none or some for positions, none for a
        replayed one. A wake-up closes the deadline that it was written for, so that ``due`` no
        longer gives it; one whose deadline is not open, or not due yet, changes nothing. Raises
        only where the engine itself is wrong; the worker then leaves."""
        ...

    def refuse(self, raw: Raw, now_ms: int, epoch: int, detail: str, care: Care) -> Step:
        """Set aside an input that failed repeatedly: a recorded failure and a dead letter, or an
        incident for a person to decide. A refused wake-up closes its deadline too."""
        ...

    def fold(self, record: Mapping[str, object], epoch: int) -> tuple[Publication, ...]:
        """Fold a recorded decision and render again what it owed."""
        ...

    def basis(self) -> Mapping[str, str]:
        """What decisions are based on now besides the inputs: versions, by what they are of."""
        ...

    def next_due_ms(self) -> int | None:
        """When the earliest open deadline of the partition is due."""
        ...

    def next_hold_ms(self) -> int | None:
        """The same of those that later records wait for (``WakeUpCall.holds``)."""
        ...

    def due(self, now_ms: int) -> Sequence[WakeUpCall]:
        """Every open deadline with ``due_ms <= now_ms``, earliest first."""
        ...

    def newly_due(self, now_ms: int, *, holds: bool, again: bool = False) -> Iterator[WakeUpCall]:
        """Those of ``due`` that hold what comes later, or the others, as far as they were not given
        before and it is gone through; ``again`` begins anew with all of them."""
        ...

    def still_due(self, wake_up: Raw) -> bool:
        """Whether ``due`` would give the deadline that a wake-up was written for again."""
        ...

    def tick(self, now_ms: int, epoch: int) -> Sequence[Publication]:
        """What is published now and then without a decision (the members' states)."""
        ...

    def snapshot(self) -> Sequence[bytes]:
        """The folded state in pieces of at most SNAPSHOT_PIECE_BYTES_MAX."""
        ...

    def snapshotting(self) -> Iterator[SnapshotPart | None]:
        """The same bit by bit, to be gone through between decisions: the state is that of the
        moment at which the first piece is given. None: a good moment for something else."""
        ...

    def replay_s(self) -> float:
        """How far back a position may still be of use, seconds."""
        ...

    def restore(self, pieces: Sequence[bytes]) -> None:
        """Become what ``snapshot`` gave."""
        ...


class Appended(Struct, frozen=True):
    """Where a record was written."""

    offset: int
    timestamp_ms: int


class LogRecord(Struct, frozen=True):
    """One record read back from the decisions log."""

    offset: int
    timestamp_ms: int
    value: bytes


class Log(Protocol):
    """The topics, seen from a lane. Every append is acknowledged by all replicas on return."""

    async def append_decisions(
        self, partition: int, records: Sequence[bytes]
    ) -> Sequence[Appended]:
        """Append in order to the decisions log; return when all are acknowledged."""
        ...

    def read_decisions(self, partition: int, start: int, end: int) -> AsyncIterator[LogRecord]:
        """Records of the decisions log with ``start <= offset < end``."""
        ...

    async def decisions_range(self, partition: int) -> tuple[int, int]:
        """First offset and end offset of the decisions log."""
        ...

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Send in order within a stage, acknowledge stage after stage."""
        ...

    async def input_ends(self, partition: int) -> Mapping[str, int]:
        """End offset of each input topic of the partition, by topic key, as of now."""
        ...

    async def input_starts(self, partition: int) -> Mapping[str, int]:
        """First offset that each input topic of the partition still holds, by topic key."""
        ...

    async def input_offset_at(self, topic: str, partition: int, at_ms: int) -> int:
        """Offset of the first record received at or after ``at_ms``; the end where none was."""
        ...

    def read_input(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Raw]:
        """Records of an input topic with ``start <= offset < end``."""
        ...


class Alarm(Protocol):
    """A call that can still be taken back."""

    def cancel(self) -> None:
        """Do not call."""
        ...


class Clock(Protocol):
    """What time it is, for a lane and for the log in memory; may run faster than the day."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...

    def call_at(self, at_ms: int, callback: Callable[[], object]) -> Alarm:
        """Call once, not before ``at_ms``."""
        ...

    async def sleep_until(self, at_ms: int) -> None:
        """Return not before ``at_ms``."""
        ...
