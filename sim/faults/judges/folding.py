"""S7: the state of the owner is what its log folds to, from the beginning and from a snapshot.

A fresh engine folds what counts (``log_reading``). It says as well what each decision publishes,
so that what lies in the output topics can be held against the log (``publishing``).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xiaohe.dispatch.state import AreaState
from xiaohe.sim.faults.evidence import Violation
from xiaohe.sim.faults.judges.log_reading import Counted, LogReading, Snapshot
from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.ports import WAKEUPS, Publication

if TYPE_CHECKING:
    from xiaohe.sim.faults.judges.reading import Reading

RULE = "S7"


@dataclass
class Folded:
    """What a fresh engine made of a log.

    Attributes
    ----------
    engine : the engine after the last decision that counts.
    published : what each decision publishes, with the decision.
    fault : why the log could not be folded to its end, or None.
    hasty : decisions of inputs that were received after a deadline that was still open.
    """

    engine: AreaEngine
    published: list[tuple[Counted, tuple[Publication, ...]]] = field(default_factory=list)
    fault: str | None = None
    hasty: list[tuple[Counted, int]] = field(default_factory=list)


def fold_log(log: LogReading, shared: Shared) -> Folded:
    """Fold all that counts, from the beginning."""
    folded = Folded(AreaEngine(log.partition, shared))
    for each in log.counted:
        due_ms = folded.engine.next_hold_ms()
        if each.topic != WAKEUPS and due_ms is not None and each.received_ms > due_ms:
            folded.hasty.append((each, due_ms))
        try:
            folded.published.append((each, folded.engine.fold(each.record, each.epoch)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the log cannot be folded
            folded.fault = f"decision {each.seq} (log offset {each.at}) cannot be folded: {error!r}"
            break
    return folded


def folds_from_the_beginning(reading: "Reading") -> Iterator[Violation]:
    """The owner's engine stands where a fresh one stands that folds the whole log."""
    for partition, folded in reading.folded.items():
        if folded.fault is not None:
            yield Violation(RULE, f"partition {partition}: {folded.fault}")
            continue
        owner = reading.evidence.engines.get(partition)
        if owner is not None:
            for what in differences(folded.engine.states(), owner.states()):
                told = f"partition {partition}: {what[0]} is {what[2]} with the owner of the area"
                yield Violation(RULE, f"{told}, and its log folds to {what[1]}")


def folds_from_the_snapshots(reading: "Reading") -> Iterator[Violation]:
    """A fresh engine that begins at any of the snapshots comes to the same."""
    for partition, log in reading.logs.items():
        if reading.folded[partition].fault is None:
            for snapshot in log.snapshots:
                yield from _folds_from(reading, partition, snapshot)


def _folds_from(reading: "Reading", partition: int, snapshot: Snapshot) -> Iterator[Violation]:
    where = f"partition {partition}, snapshot at log offset {snapshot.at}"
    later = [each for each in reading.logs[partition].counted if each.seq > snapshot.seq]
    engine = AreaEngine(partition, reading.evidence.shared)
    try:
        engine.restore(snapshot.pieces)
        for each in later:
            engine.fold(each.record, each.epoch)
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody could take over
        yield Violation(RULE, f"{where}: nobody can go on from it: {error!r}")
        return
    for what in differences(reading.folded[partition].engine.states(), engine.states()):
        told = f"{where}: {what[0]} is {what[2]} after it"
        yield Violation(RULE, f"{told}, and {what[1]} by the whole log")


def no_decision_is_missing(reading: "Reading") -> Iterator[Violation]:
    """Decisions are numbered through."""
    for partition, log in reading.logs.items():
        if log.missing:
            told = f"decision {log.missing[0]} is not in the log, and later batches are"
            yield Violation(RULE, f"partition {partition}: {told}")


Difference = tuple[str, str, str]
"""What differs, how it is in the first, and how in the second."""


def differences(
    first: Mapping[str, AreaState], second: Mapping[str, AreaState]
) -> Iterator[Difference]:
    """Say what differs between two foldings: one thing an area, the most telling first."""
    for area_id in sorted(first.keys() | second.keys()):
        one, two = first.get(area_id), second.get(area_id)
        if one == two:
            continue
        known = one or two
        assert known is not None, "one of them knows the area"
        # An area about which nothing was decided need not be known.
        untouched = AreaState(area_id, known.mode)
        found = _difference(one or untouched, two or untouched)
        if found is not None:
            yield (f"{area_id}: {found[0]}", found[1], found[2])


def _difference(one: AreaState, two: AreaState) -> Difference | None:
    for incident_id in sorted(set(one.incidents) | set(two.incidents)):
        found = _of_struct(one.incidents.get(incident_id), two.incidents.get(incident_id))
        if found is not None:
            return f"{incident_id} {found[0]}".strip(), found[1], found[2]
    for name in AreaState.__dataclass_fields__:
        mine, other = getattr(one, name), getattr(two, name)
        if not mine == other:  # noqa: SIM201 - rpds maps that are equal are unequal as well
            return name, _short(mine), _short(other)
    return None


def _of_struct(one: object, two: object) -> Difference | None:
    if one == two:
        return None
    if one is None or two is None:
        return "", *("unknown" if each is None else "known" for each in (one, two))
    for name in _fields(one):
        mine, other = getattr(one, name), getattr(two, name)
        if mine != other:
            return name, _short(mine), _short(other)
    return None


def _fields(struct: object) -> Iterable[str]:
    names: Iterable[str] = struct.__struct_fields__  # type: ignore[attr-defined]  # a msgspec Struct
    return names


SHORT = 160
"""Characters of a value that a sentence quotes."""


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHORT else f"{shown[:SHORT]}…"


RULES: tuple[Callable[["Reading"], Iterator[Violation]], ...] = (
    folds_from_the_beginning,
    folds_from_the_snapshots,
    no_decision_is_missing,
)
