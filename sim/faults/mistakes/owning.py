"""Mistakes in owning a partition: fences, the fold of the log, what is owed, snapshots."""

# ruff: noqa: SLF001 - a mistake is made where nobody else may reach

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from msgspec import Raw, json, structs
from rpds import HashTrieMap

from xiaohe.dispatch import snapshot
from xiaohe.dispatch.evolve import put_incident
from xiaohe.dispatch.state import AreaState, Incident, Incidents, SeenAlerts
from xiaohe.sim.faults.mistakes import Swap, Swaps
from xiaohe.streams import engine, lanes, takeover
from xiaohe.streams.decision_log import Attempt, Decision, Mark, SnapshotPiece, decode
from xiaohe.streams.folding import NO_EPOCH, Folding
from xiaohe.streams.journal import Journal
from xiaohe.streams.ports import Appended, Clock, Core, Log, LogRecord, Publication, SnapshotPart


def others_writes_not_looked_at() -> Swaps:
    """Write on whatever somebody else has written in between."""

    async def look_between(_self: Journal, _start: int, _end: int) -> None:
        """Nothing of it concerns this owner."""

    return (Swap(Journal, "_look_between", look_between),)


class _Fenceless:
    """A log into which a take-over writes nothing."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    async def append_decisions(self, partition: int, _records: object) -> Sequence[Appended]:
        """Give the offset that the fence would have had."""
        _, end = await self._log.decisions_range(partition)
        return [Appended(end, 0)]


def fence_not_written() -> Swaps:
    """Take a partition over and tell nobody."""
    take_over = takeover.take_over

    async def taking_over(log: Log, core: Core, clock: Clock, partition: int) -> takeover.TakenOver:
        quiet: Any = _Fenceless(log)
        taken = await take_over(quiet, core, clock, partition)
        return structs.replace(taken, next_offset=taken.epoch)

    return (Swap(lanes, "take_over", taking_over),)


def late_writes_folded() -> Swaps:
    """Let what a former owner wrote late count as if it were the owner's."""
    feed = Folding.feed

    def feeding(self: Folding, record: LogRecord) -> None:
        entry, epoch = decode(record.value), self.epoch
        ours = isinstance(entry, Decision | Mark | Attempt) and NO_EPOCH < entry.epoch < epoch
        if ours:
            self.epoch = entry.epoch  # type: ignore[union-attr]  # one of the three
        feed(self, record)
        if ours:
            self.epoch = epoch

    return (Swap(Folding, "feed", feeding),)


def owed_not_published() -> Swaps:
    """Publish nothing of what the owner before had decided."""
    return (Swap(Folding, "owed", property(lambda _self: [])),)


def owed_under_new_ids() -> Swaps:
    """Give what is published again ids of its own."""
    owed = Folding.owed.fget
    assert owed is not None, "it is a property"

    def again(publication: Publication) -> Publication:
        headers = tuple(
            (name, value + b":again" if name == "ce_id" else value)
            for name, value in publication.headers
        )
        return structs.replace(publication, headers=headers)

    return (Swap(Folding, "owed", property(lambda self: [again(each) for each in owed(self)])),)


def one_decision_a_record() -> Swaps:
    """Be done with a record after the first of its decisions."""
    feed = Folding._feed_decision

    def feeding(self: Folding, entry: Decision, record: LogRecord) -> None:
        feed(self, structs.replace(entry, more=False), record)

    return (Swap(Folding, "_feed_decision", feeding),)


def attempts_not_folded() -> Swaps:
    """Forget with every take-over how often an input has failed."""
    return (Swap(Folding, "_feed_attempt", lambda _self, _entry: None),)


def positions_not_learned() -> Swaps:
    """Begin without knowing where anybody is."""

    async def learn(_log: Log, _core: Core, _clock: Clock, _partition: int, _epoch: int) -> None:
        """It shows with everybody's next fix."""

    return (Swap(takeover, "_learn_positions", learn),)


# --- snapshots


def _written_of(change: Callable[[AreaState], AreaState]) -> Swaps:
    bodies = engine.bodies

    def written(states: Mapping[str, AreaState]) -> Iterator[bytes | None]:
        return bodies({area_id: change(state) for area_id, state in states.items()})

    return (Swap(engine, "bodies", written),)


def snapshot_without_deadlines() -> Swaps:
    """Leave out of a snapshot what is to fall due."""

    def without(state: AreaState) -> AreaState:
        incidents = state.incidents
        for incident in state.incidents.values():
            incidents = incidents.insert(structs.replace(incident, deadlines=()))
        return replace(state, incidents=incidents)

    return _written_of(without)


def snapshot_without_alerts() -> Swaps:
    """Leave out of a snapshot which alerts were taken."""
    return _written_of(lambda state: replace(state, alerts=SeenAlerts()))


def snapshot_without_holding() -> Swaps:
    """Restore incidents and orders, and not who holds an order."""

    def put(state: AreaState, incident: Incident) -> AreaState:
        return replace(put_incident(state, incident), holding=HashTrieMap())

    return (Swap(snapshot, "put_incident", put),)


def snapshot_of_many_moments() -> Swaps:
    """Write each incident into a snapshot as it is when its piece is written."""

    def snapshotting(self: engine.AreaEngine) -> Iterator[SnapshotPart | None]:
        def rows() -> Iterator[bytes | None]:
            yield from snapshot.heads(self.states())
            for area_id, state in sorted(self.states().items()):
                for incident_id in sorted(state.incidents):
                    now = self.states()[area_id].incidents.json(incident_id)
                    yield json.encode((snapshot.INCIDENT, area_id, Raw(now)))
                without = replace(state, incidents=Incidents())
                yield from snapshot.bodies({area_id: without})

        yield from engine._parts(rows())

    return (Swap(engine.AreaEngine, "snapshotting", snapshotting),)


def snapshot_without_seq() -> Swaps:
    """Number the decisions behind a snapshot from the beginning."""
    feed = Folding._feed_snapshot

    def feeding(self: Folding, entry: SnapshotPiece, record: LogRecord) -> None:
        starting = self.epoch == NO_EPOCH
        feed(self, entry, record)
        if starting and self.epoch != NO_EPOCH:
            self.seq = 0

    return (Swap(Folding, "_feed_snapshot", feeding),)
