"""A partition's log folded from its beginning, and from each snapshot to the next, and compared.

The fold from the beginning and the fold from the newest snapshot go along together. Where a
snapshot begins, both must have the same state, and it must be what the snapshot then says; the
same at the end. As each fold begins where the one before was found equal, every entry is folded
once from the beginning and once from the newest snapshot before it.

Owners forget at a snapshot what is too old to matter, so the folds do, too, and states are compared
without what may have grown old meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

from xiaohe.dispatch.evolve import put_incident
from xiaohe.dispatch.snapshot import from_rows, pruned, states_hash
from xiaohe.dispatch.state import AreaState
from xiaohe.replay.faults import ReplayError
from xiaohe.streams.decision_log import NO_SNAPSHOT, Fence, SnapshotPiece, decode
from xiaohe.streams.engine import AreaEngine
from xiaohe.streams.folding import Folding
from xiaohe.streams.ports import LogRecord

CLOCKS_APART_MS: Final = 60_000
"""An owner's idea of what is old may be ahead of the time in its snapshot by so much at most."""

States = Mapping[str, AreaState]


@dataclass
class Folded:
    """What came of folding. ``hash`` is that of the state folded from the log's beginning,
    ``hash_from_snapshot`` from the newest snapshot; ``faults`` says where two ways led to different
    states."""

    hash: str = ""
    hash_from_snapshot: str | None = None
    decisions: int = 0
    fences: int = 0
    snapshots: int = 0
    ignored: int = 0
    faults: list[str] = field(default_factory=list)


class _Fold:
    """One fold under way."""

    def __init__(self, engine: AreaEngine, partition: int) -> None:
        self.engine = engine
        self.folding = Folding(engine, partition)

    def states(self, at_ms: int) -> States:
        """Give the state as it is compared."""
        return _remembered(self.engine.states(), at_ms)

    def forget(self, at_ms: int) -> None:
        """Forget as the owner does who writes a snapshot."""
        self.engine.adopt({a: pruned(s, at_ms) for a, s in self.engine.states().items()})


def _remembered(states: States, at_ms: int) -> States:
    """Give what is left once all is forgotten that may be: by its age, at a moment, and what an
    incident forgets with its next fact; older snapshots remember more."""
    found = {}
    for area_id, whole in states.items():
        state = pruned(whole, at_ms + CLOCKS_APART_MS)
        found[area_id] = reduce(put_incident, tuple(state.incidents.values()), state)
    return found


class Folds:
    """One partition. ``feed`` takes the decisions log, record by record; ``end`` closes it."""

    def __init__(self, make_engine: Callable[[], AreaEngine], partition: int) -> None:
        self.found = Folded()
        self._make = make_engine
        self._partition = partition
        self._whole = _Fold(make_engine(), partition)
        self._later: _Fold | None = None
        self._begun: list[LogRecord] | None = None
        self._expected: States = {}
        self._first_offset = 0
        self._last_ms = 0

    def feed(self, record: LogRecord) -> None:
        """Take the next record of the decisions log."""
        entry = decode(record.value)
        self._last_ms = max(self._last_ms, getattr(entry, "at_ms", 0))
        if self._whole.folding.records == 0:
            self._first_offset = record.offset
        if isinstance(entry, SnapshotPiece) and entry.index == 0 and self._counts(entry):
            self._meet(record.offset, entry.at_ms)
        elif isinstance(entry, Fence):
            self._begun = None  # a snapshot that was cut short is nobody's
        for fold in self._folds():
            fold.folding.feed(record)
        self.found.fences += isinstance(entry, Fence)
        self.found.decisions += len(self._whole.folding.just_counted)
        if self._begun is not None:
            self._begun.append(record)
            self._begin_at_snapshot(self._begun)

    def end(self) -> None:
        """Close the log: both folds must have come to the same state."""
        folding = self._whole.folding
        if self._first_offset > 0 and folding.snap == NO_SNAPSHOT:
            raise ReplayError(
                f"the decisions log of partition {self._partition} has lost its beginning and "
                "holds no whole snapshot: restore the topic from a backup"
            )
        self._agree("the end of the log", self._last_ms)
        if folding.unfolded:
            self._fault(f"{folding.unfolded} decisions cannot be folded, the first "
                        f"{folding.first_unfolded}")  # fmt: skip
        self.found.ignored = folding.ignored
        self.found.hash = states_hash(self._whole.states(self._last_ms))
        if self._later is not None:
            self.found.hash_from_snapshot = states_hash(self._later.states(self._last_ms))

    def _folds(self) -> Sequence[_Fold]:
        return (self._whole,) if self._later is None else (self._whole, self._later)

    def _counts(self, entry: SnapshotPiece) -> bool:
        """Tell whether a snapshot is its owner's; the log may begin with one."""
        folding = self._whole.folding
        same = entry.epoch == folding.epoch and entry.seq == folding.seq
        return same or folding.records == 0

    def _meet(self, offset: int, at_ms: int) -> None:
        """Compare both folds where a snapshot begins, and keep what it has to say."""
        self._agree(f"offset {offset}", at_ms)
        for fold in self._folds():
            fold.forget(at_ms)
        self._expected = self._whole.states(at_ms)
        self._begun = []

    def _agree(self, where: str, at_ms: int) -> None:
        if self._later is None:
            return
        whole, later = self._whole.states(at_ms), self._later.states(at_ms)
        if whole == later:
            return
        same_rows = states_hash(whole) == states_hash(later)
        what = "what is looked up beside the state" if same_rows else "the state"
        self._fault(f"at {where} {what} folded from the snapshot at {self._later.folding.snap} is "
                    "not what is folded from the beginning")  # fmt: skip

    def _begin_at_snapshot(self, begun: Sequence[LogRecord]) -> None:
        """Fold from a snapshot as soon as it is whole; ``begun`` begins with its first piece."""
        if self._whole.folding.snap != begun[0].offset:
            return
        self._begun = None
        self.found.snapshots += 1
        pieces = [e for r in begun if isinstance(e := decode(r.value), SnapshotPiece)]
        self._check([e for e in pieces if e.epoch == pieces[0].epoch])
        self._later = _Fold(self._make(), self._partition)
        for record in begun:
            self._later.folding.feed(record)

    def _check(self, pieces: Sequence[SnapshotPiece]) -> None:
        """See that a snapshot says what the log before it folds to."""
        if not self._expected:
            return  # the log begins with it
        lines = (line for piece in pieces for line in piece.body.split(b"\n") if line)
        said = _remembered(from_rows(lines), pieces[0].at_ms)
        if said != self._expected and states_hash(said) != states_hash(self._expected):
            self._fault(f"the snapshot at {self._whole.folding.snap} is not what the log before it "
                        "folds to")  # fmt: skip

    def _fault(self, text: str) -> None:
        self.found.faults.append(f"partition {self._partition}: {text}")
