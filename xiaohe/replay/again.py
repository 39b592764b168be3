"""Every recorded decision of a partition decided again, from the same inputs in the same order.

It goes along the decisions log. At each fence there is a new engine, folded up to there as its
owner's was, with the positions that the owner learned from. Then each decision says which input it
was, and how far the positions had been taken before it; what the log says nothing of gave no
decision. A *basis* says where roster and map changed. After a difference the engine goes on from
what was recorded, so that one difference is counted once.

What comes out equal is equal, however little was known for certain. What differs counts as a
difference only where nothing stands in doubt; else the doubt is the reason why it cannot be
compared.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
from msgspec import structs

from xiaohe.dispatch.snapshot import pruned
from xiaohe.replay.differences import NOTHING, Place, first_difference
from xiaohe.replay.recording import Recording
from xiaohe.replay.tape import Tape
from xiaohe.replay.world import AtHand, RosterTape
from xiaohe.streams.decision_log import (
    NO_SNAPSHOT,
    Basis,
    Decision,
    Entry,
    Fence,
    Learned,
    Mark,
    SnapshotPiece,
    decode,
)
from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.folding import Folding
from xiaohe.streams.lane import ATTEMPTS_MAX, care_after
from xiaohe.streams.ports import INPUTS, POSITIONS, LogRecord, Publication, Raw, Step
from xiaohe.streams.step_record import Record

LEARNED_MS_OF_V1: Final = 120_000
"""How far back a new owner learned from positions when the log did not say so (version 1)."""

KEPT_MS: Final = 900_000
"""How long positions are held after they were taken: a take-over learns from the last minutes."""

SHOWN_MAX: Final = 20
"""Differences that are told of a partition; all are counted."""

INPUT_BYTES: Final = 1_000
"""Of an input whose decision differs: enough to know it by."""

MEMBERS_WORDS: Final = "member_actions"
"""Key in topics.yaml of the answers, which may say where somebody is."""


class Doubt(StrEnum):
    """Why a decision cannot be compared; the first that holds is told."""

    INPUT_GONE = "its input is no longer in the topic"
    OTHER_POLICY = "it was decided on another policy than is at hand"
    OTHER_SPEED = "it was decided at another speed"
    OTHER_MAP = "it was decided on a map that is not at hand"
    LOG_BEGINS_LATER = "the beginning of its owner's log is gone"
    POSITIONS_GONE = "positions from before it are no longer in the topic"
    PLACE_GONE = "an input from before it that said where somebody was is no longer in the topic"
    ROSTER_COMPACTED = "the roster that was read then has been compacted away"
    ROSTER_WHILE_LEARNING = "the roster changed while its owner learned the positions"
    MAP_BEFORE = "the map from before it is not at hand"
    NOT_SAID = "the log is older than what says which positions, roster and map it was based on"


class Difference(NamedTuple):
    """One decision that came out otherwise. ``offset`` is that of its record in the log; -1 where
    the log has none: an input from which nothing followed then."""

    partition: int
    offset: int
    seq: int
    at_ms: int
    topic: str
    input_offset: int
    input: str
    place: Place


@dataclass
class Compared:
    """What came of deciding again. ``unrecorded`` counts decisions that the log does not have."""

    equal: int = 0
    differing: int = 0
    unrecorded: int = 0
    not_comparable: Counter[Doubt] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


class _NoCore:
    """Folds nothing: for whoever wants to know which entries count."""

    def fold(self, _record: Mapping[str, object], _epoch: int) -> tuple[Publication, ...]:
        """Nothing follows."""
        return ()

    def restore(self, pieces: Sequence[bytes]) -> None:
        """Nothing is kept."""


class _Owner(NamedTuple):
    """An engine of one epoch."""

    epoch: int
    engine: AreaEngine


class Again:
    """One partition. ``feed`` takes the decisions log, record by record."""

    def __init__(self, partition: int, recording: Recording, at_hand: AtHand) -> None:
        self.found = Compared()
        self._partition = partition
        self._contents = recording.contents
        self._at_hand = at_hand
        self._tapes = {topic: Tape(recording, topic, partition) for topic in INPUTS}
        self._roster = RosterTape(recording)
        self._counting = Folding(_NoCore(), partition)  # type: ignore[arg-type]  # all that it asks for
        self._since: list[LogRecord] = []
        self._named = NO_SNAPSHOT
        self._before: list[LogRecord] = []
        self._fence: Fence | None = None
        self._owner: _Owner | None = None
        self._versions: Mapping[str, str] = {}
        self._failed: Mapping[tuple[str, int], int] = {}
        self._is_said = False
        self._doubts: set[Doubt] = set()
        self._next = 0
        self._group: list[tuple[LogRecord, Decision]] = []

    def feed(self, record: LogRecord) -> None:
        """Take the next record of the decisions log."""
        entry = decode(record.value)
        self._counting.feed(record)
        if isinstance(entry, Fence):
            self._hand_over(entry)
        elif entry is not None and entry.epoch == self._counting.epoch:
            self._go_along(entry)
        for decision, logged in self._counting.just_counted:
            self._decided(decision, logged)
        self._keep(entry, record)

    # --- along the log --------------------------------------------------------------------

    def _keep(self, entry: Entry | None, record: LogRecord) -> None:
        """Keep what the next owner will fold: from the newest snapshot that an entry names."""
        self._since.append(record)
        named = getattr(entry, "snap", None)
        if named is not None and named > self._named:
            self._named = named
            self._since = [each for each in self._since if each.offset >= named]

    def _hand_over(self, fence: Fence) -> None:
        self._fence, self._owner = fence, None
        self._before = list(self._since)
        self._failed = dict(self._counting.attempts)
        self._is_said = False
        self._doubts = set()

    def _go_along(self, entry: Entry) -> None:
        if self._fence is None:
            return
        if isinstance(entry, Basis):
            self._take_basis(entry)
        elif isinstance(entry, Mark) and self._owner is not None:
            self._take_positions(entry.positions_next)
        elif isinstance(entry, SnapshotPiece) and entry.index == 0 and self._owner is not None:
            engine = self._owner.engine
            engine.adopt({a: pruned(s, entry.at_ms) for a, s in engine.states().items()})

    def _decided(self, entry: Decision, logged: LogRecord) -> None:
        """Take the next decision that counts: those of one input count together."""
        if self._fence is None:  # the log's beginning is gone, and with it how this owner began
            self.found.not_comparable[Doubt.LOG_BEGINS_LATER] += 1
            return
        self._group.append((logged, entry))
        if not entry.more:
            self._decide_group()

    def _take_basis(self, entry: Basis) -> None:
        self._is_said = True
        if self._owner is None and entry.learned is not None:
            self._begin(entry.learned)
            if entry.learned.versions.get("roster") != entry.versions.get("roster"):
                self._doubts.add(Doubt.ROSTER_WHILE_LEARNING)
        if self._owner is not None:
            self._take_positions(entry.positions_next)
            self._turn(entry.versions)

    # --- an owner -------------------------------------------------------------------------

    def _begin(self, learned: Learned) -> None:
        """Come to what an owner was when it had taken the partition over."""
        self._versions = dict(learned.versions)
        roads = self._at_hand.road_map(self._versions.get("roads", ""))
        self._change_roster(self._versions.get("roster", ""), None)
        shared = Shared(
            policy=self._at_hand.policy,
            roster=self._roster.roster,
            roads=roads or self._at_hand.any_map(),
            topic_names=self._contents.topic_names,
            personal=self._at_hand.personal,
            partitions=self._contents.partitions,
        )
        engine = AreaEngine(self._partition, shared)
        folding = Folding(engine, self._partition)
        for record in self._before:
            folding.feed(record)
        self._owner = _Owner(self._counting.epoch, engine)
        self._next = folding.next_offsets.get(POSITIONS, 0)
        self._learn(learned)

    def _learn(self, learned: Learned) -> None:
        assert self._owner is not None
        if self._blocked() is not None:
            return
        tape = self._tapes[POSITIONS]
        if learned.start < tape.start:
            self._doubts.add(Doubt.POSITIONS_GONE)
        for raw in tape.span(learned.start, learned.end):
            shown = structs.replace(raw, replayed=True)
            self._take(shown, learned.at_ms)

    def _begin_unsaid(self, entry: Decision) -> None:
        """The same for an owner whose log does not say what it learned: as well as can be told."""
        assert self._fence is not None
        at_ms = self._fence.at_ms
        versions = {**self._at_hand.versions(), **self._versions, **_versions_of(entry)}
        tape = self._tapes[POSITIONS]
        start = max(tape.start, tape.first_since(at_ms - LEARNED_MS_OF_V1))
        end = tape.first_since(at_ms + 1)
        self._begin(Learned(start, end, at_ms, versions))
        if end > start or entry.positions_next > end:
            self._doubts.add(Doubt.NOT_SAID)

    def _turn(self, versions: Mapping[str, str]) -> None:
        """Go on with another roster, or on another map."""
        assert self._owner is not None
        engine, was = self._owner.engine, self._versions
        self._versions = dict(versions)
        if versions.get("roster", "") != was.get("roster", ""):
            self._change_roster(versions.get("roster", ""), engine)
        if versions.get("roads") != was.get("roads"):
            roads = self._at_hand.road_map(versions.get("roads", ""))
            if roads is None or self._at_hand.road_map(was.get("roads", "")) is None:
                self._doubts.add(Doubt.MAP_BEFORE)
            if roads is not None:
                engine.take_roads(roads)

    def _change_roster(self, version: str, engine: AreaEngine | None) -> None:
        def tell(member_id: str, raw: Raw) -> None:
            if engine is not None:
                engine.roster_changed(member_id, raw, tell=False)

        self._roster.to(version, tell)
        if not self._roster.is_whole(version):
            self._doubts.add(Doubt.ROSTER_COMPACTED)

    def _blocked(self) -> Doubt | None:
        """Say why nothing can be decided now as it was then."""
        versions, at_hand = self._versions, self._at_hand
        if versions.get("policy") != at_hand.policy.version:
            return Doubt.OTHER_POLICY
        if versions.get("speed", at_hand.speed) != at_hand.speed:
            return Doubt.OTHER_SPEED
        if at_hand.road_map(versions.get("roads", "")) is None:
            return Doubt.OTHER_MAP
        return None

    # --- inputs ---------------------------------------------------------------------------

    def _take_positions(self, end: int) -> None:
        """Take the positions before ``end``, from which nothing followed."""
        assert self._owner is not None
        if end <= self._next:
            return
        tape = self._tapes[POSITIONS]
        if self._next < tape.start:
            self._doubts.add(Doubt.POSITIONS_GONE)
        if self._blocked() is not None:
            self._doubts.add(Doubt.MAP_BEFORE)
        else:
            for raw in tape.span(self._next, end):
                prior = self._owner.engine.states()
                steps = self._take(raw, raw.timestamp_ms)
                if steps:
                    self._owner.engine.adopt(prior)
                    self._note_unrecorded(raw, steps)
        self._next = end

    def _take(self, raw: Raw, at_ms: int) -> Sequence[Step] | Exception:
        """Let the engine take an input; what it raises is a fault of the present program."""
        assert self._owner is not None
        try:
            return self._owner.engine.take(raw, at_ms, self._owner.epoch)
        except Exception as fault:  # noqa: BLE001 - told as the difference that it is
            return fault

    def _decide_group(self) -> None:
        """Decide the input again that the decisions read last are about."""
        group, self._group = self._group, []
        if not group:
            return
        _, first = group[0]
        if self._owner is None:
            self._begin_unsaid(first)
        assert self._owner is not None
        is_position = first.topic == POSITIONS
        self._take_positions(first.offset if is_position else first.positions_next)
        self._follow_versions(first)
        tape = self._tapes[first.topic]
        raw = tape.look(first.offset) if is_position else tape.take(first.offset)
        doubt = self._blocked() or (Doubt.INPUT_GONE if raw is None else None)
        if raw is None or doubt is not None:
            assert doubt is not None
            self._pass_over(group, doubt)
        else:
            self._compare(group, raw)
        if is_position:
            self._next = max(self._next, first.offset + 1)
        self._tapes[POSITIONS].forget_before(first.received_ms - KEPT_MS)

    def _follow_versions(self, entry: Decision) -> None:
        """Where a decision names other versions than the last basis, they are what was read."""
        named = {**self._versions, **_versions_of(entry)}
        if named == self._versions:
            return
        if not self._is_said:  # somewhere among the positions taken since the last decision
            self._doubts.add(Doubt.NOT_SAID)
        self._turn(named)

    def _pass_over(self, group: Sequence[tuple[LogRecord, Decision]], doubt: Doubt) -> None:
        assert self._owner is not None
        for _, entry in group:
            self.found.not_comparable[doubt] += 1
            self._owner.engine.fold(entry.record, self._owner.epoch)
        if doubt is Doubt.INPUT_GONE and group[0][1].topic in {POSITIONS, MEMBERS_WORDS}:
            self._doubts.add(Doubt.PLACE_GONE)

    def _compare(self, group: Sequence[tuple[LogRecord, Decision]], raw: Raw) -> None:
        assert self._owner is not None
        epoch, engine = self._owner
        prior = engine.states()
        steps = self._steps(raw, _at_ms(group[0][1].record))
        again = [] if isinstance(steps, Exception) else [_as_logged(step) for step in steps]
        places = [_place(entry.record, again, n) for n, (_, entry) in enumerate(group)]
        if isinstance(steps, Exception):
            places = [Place("", "decided", f"cannot be decided: {steps!r}") for _ in group]
        for (logged, entry), place in zip(group, places, strict=True):
            self._note(logged.offset, entry, raw, place)
        if any(place is not None for place in places) or len(again) != len(group):
            engine.adopt(prior)
            for _, entry in group:
                engine.fold(entry.record, epoch)
        if len(again) > len(group) and not isinstance(steps, Exception):
            self._note_unrecorded(raw, steps[len(group) :])

    def _steps(self, raw: Raw, at_ms: int) -> Sequence[Step] | Exception:
        """Decide an input, or set it aside as its owner did who found how often it had failed."""
        assert self._owner is not None
        failed = self._failed.get((raw.topic, raw.offset), 0)
        if failed < ATTEMPTS_MAX:
            return self._take(raw, at_ms)
        epoch, engine = self._owner
        care = care_after(failed)
        return (engine.refuse(raw, at_ms, epoch, f"failed {failed} times", care),)

    # --- what came of it ------------------------------------------------------------------

    def _note(self, offset: int, entry: Decision, raw: Raw, place: Place | None) -> None:
        if place is None:
            self.found.equal += 1
        elif self._doubts:
            self.found.not_comparable[self._worst()] += 1
        else:
            self.found.differing += 1
            self._tell(offset, entry.seq, _at_ms(entry.record), raw, place)

    def _note_unrecorded(self, raw: Raw, steps: Sequence[Step] | Exception) -> None:
        """Count decisions on an input from which nothing followed then."""
        if self._doubts:
            return
        what = repr(steps) if isinstance(steps, Exception) else _told(steps[0])
        self.found.unrecorded += 1
        self._tell(-1, -1, raw.timestamp_ms, raw, Place("", NOTHING, what))

    def _worst(self) -> Doubt:
        return next(doubt for doubt in Doubt if doubt in self._doubts)

    def _tell(self, offset: int, seq: int, at_ms: int, raw: Raw, place: Place) -> None:
        if len(self.found.differences) < SHOWN_MAX:
            value = (raw.value or b"")[:INPUT_BYTES].decode(errors="replace")
            told = Difference(
                self._partition, offset, seq, at_ms, raw.topic, raw.offset, value, place
            )
            self.found.differences.append(told)


def _versions_of(entry: Decision) -> dict[str, str]:
    """Give the versions that a decision names: none where nothing was decided (a forwarding)."""
    decision = entry.record.get("decision")
    if not isinstance(decision, Mapping):
        return {}
    return {name: str(decision[name]) for name in ("roster", "policy", "roads") if name in decision}


def _at_ms(record: Mapping[str, object]) -> int:
    at_ms = record.get("at_ms", 0)
    assert isinstance(at_ms, int), "a record's at_ms is a number"
    return at_ms


def _as_logged(step: Step) -> object:
    """Give a decision as it would be read back from the log."""
    return msgspec.json.decode(msgspec.json.encode(step.record))


def _place(recorded: Mapping[str, object], again: Sequence[object], n: int) -> Place | None:
    """Give the first difference of the n-th decision on an input."""
    if n >= len(again):
        return Place("", "decided", NOTHING)
    if recorded == again[n]:
        return None
    # A record of an older version may lack what is now written with its default.
    as_now = msgspec.to_builtins(msgspec.convert(recorded, Record))
    return first_difference(msgspec.json.decode(msgspec.json.encode(as_now)), again[n])


def _told(step: Step) -> str:
    decision = step.record.get("decision")
    facts = decision.get("facts", ()) if isinstance(decision, Mapping) else ()
    return ", ".join(str(fact["type"]) for fact in facts) or "a dead letter"
