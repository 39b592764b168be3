"""A whole recording replayed, and what came of it: for people, and for programs."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

import msgspec
import structlog

from xiaohe.dispatch.roster import Roster
from xiaohe.geo.progress import Watch, unwatched
from xiaohe.replay.again import Again, Compared, Difference, Doubt
from xiaohe.replay.faults import ReplayError
from xiaohe.replay.folds import Folded, Folds
from xiaohe.replay.recording import Recording
from xiaohe.replay.world import AtHand
from xiaohe.streams.decision_log import NewerLogError
from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.memory_log import DECISIONS
from xiaohe.streams.ports import LogRecord

EXIT_SAME, EXIT_DIFFERS = 0, 1


class Partition(msgspec.Struct, frozen=True):
    """What came of one partition that holds a log; ``compared`` None: only folded."""

    partition: int
    folded: Folded
    compared: Compared | None


class Account(msgspec.Struct, frozen=True):
    """What came of a replay."""

    partitions: list[Partition]

    @property
    def hash(self) -> str:
        """Give one hash of all partitions' states."""
        lines = (f"{each.partition} {each.folded.hash}\n" for each in self.partitions)
        return sha256("".join(lines).encode()).hexdigest()

    @property
    def faults(self) -> list[str]:
        """Say where two ways of folding led to different states."""
        return [fault for each in self.partitions for fault in each.folded.faults]

    @property
    def compared(self) -> list[Compared]:
        """Give what came of deciding again; nothing where only folding was asked for."""
        return [each.compared for each in self.partitions if each.compared is not None]

    @property
    def differences(self) -> list[Difference]:
        """Give the differences that are told."""
        return [each for compared in self.compared for each in compared.differences]

    @property
    def not_comparable(self) -> Counter[Doubt]:
        """Count what could not be compared, by reason."""
        return sum((each.not_comparable for each in self.compared), Counter[Doubt]())

    def count(self, what: str) -> int:
        """Sum a count of ``Compared`` up."""
        return sum(getattr(each, what) for each in self.compared)

    @property
    def exit_status(self) -> int:
        """Give 1 where anything differs, else 0."""
        wrong = self.faults or self.count("differing") or self.count("unrecorded")
        return EXIT_DIFFERS if wrong else EXIT_SAME

    def as_json(self) -> dict[str, object]:
        """Give the line of ``--json``. ``decisions`` = equal + differing + not comparable, unless
        the log was only folded."""
        return {
            "partitions": len(self.partitions),
            "decisions": sum(each.folded.decisions for each in self.partitions),
            "equal": self.count("equal"),
            "differing": self.count("differing"),
            "unrecorded": self.count("unrecorded"),
            "not_comparable": self.not_comparable.total(),
            "reasons": {doubt.name.lower(): n for doubt, n in self.not_comparable.items()},
            "snapshots": sum(each.folded.snapshots for each in self.partitions),
            "take_overs": sum(each.folded.fences for each in self.partitions),
            "hash": self.hash,
            "hashes": {str(each.partition): each.folded.hash for each in self.partitions},
            "faults": self.faults,
            "differences": [_difference_json(each) for each in self.differences],
            "same": self.exit_status == EXIT_SAME,
        }


def _difference_json(told: Difference) -> dict[str, object]:
    return {**told._asdict(), "place": told.place._asdict()}


def replay(
    recording: Recording, at_hand: AtHand, watch: Watch = unwatched, *, fold_only: bool = False
) -> Account:
    """Fold every partition's log, and decide everything in it again unless ``fold_only``.

    Raises ReplayError (also where a log is of a newer program), RoadsFileError.
    """
    contents = recording.contents
    total = sum(recording.extent(DECISIONS, p).records for p in range(contents.partitions))
    done = 0
    found = []
    with _quiet():
        for partition in range(contents.partitions):
            if recording.extent(DECISIONS, partition).records:
                each = _Replay(recording, at_hand, partition, fold_only=fold_only)
                found.append(each.run(lambda n, before=done: watch("replay", before + n, total)))
                done += recording.extent(DECISIONS, partition).records
    if not found:
        raise ReplayError("the decisions log holds nothing: nothing has been decided yet")
    return Account(found)


class _Replay:
    """One partition."""

    def __init__(
        self, recording: Recording, at_hand: AtHand, partition: int, *, fold_only: bool
    ) -> None:
        self._recording = recording
        self._at_hand = at_hand
        self._partition = partition
        self._folds = Folds(self._engine, partition)
        self._again = None if fold_only else Again(partition, recording, at_hand)

    def _engine(self) -> AreaEngine:
        """Make an engine to fold with: it asks neither map nor roster anything."""
        contents = self._recording.contents
        shared = Shared(
            policy=self._at_hand.policy,
            roster=Roster(),
            roads=self._at_hand.any_map(),
            topic_names=contents.topic_names,
            personal=self._at_hand.personal,
            partitions=contents.partitions,
        )
        return AreaEngine(self._partition, shared)

    def run(self, tell: Callable[[int], None]) -> Partition:
        """Go through the log once."""
        try:
            for n, raw in enumerate(self._recording.read(DECISIONS, self._partition)):
                record = LogRecord(raw.offset, raw.timestamp_ms, raw.value or b"")
                self._folds.feed(record)
                if self._again is not None:
                    self._again.feed(record)
                tell(n + 1)
        except NewerLogError as fault:
            raise ReplayError(str(fault)) from None
        self._folds.end()
        compared = None if self._again is None else self._again.found
        return Partition(self._partition, self._folds.found, compared)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the lanes' words about what they ignore from standard output: they are counted."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_dropped])
    try:
        yield
    finally:
        structlog.configure(**before)


def _dropped(_logger: object, _name: str, _event: structlog.typing.EventDict) -> str:
    raise structlog.DropEvent
