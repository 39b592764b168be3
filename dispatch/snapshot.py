"""The state of areas as bytes and back: what a take-over begins from.

A snapshot is a list of rows, one JSON array a line, in a fixed order: the same state gives the
same bytes. What follows from other rows is not written. What is older than the topics' retention
is dropped before (``pruned``), for nothing can refer to it any more.

A state is never changed in place, so it may be written while decisions go on. Whatever walks
through a whole state here says None now and then: whoever has something else to do does it then.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from heapq import merge
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from rpds import HashTrieMap

from xiaohe.dispatch.alerts import REMEMBERED_MS
from xiaohe.dispatch.evolve import put_incident, served_after
from xiaohe.dispatch.state import AreaState, DutyWord, Incident, SeenAlert

AREA: Final = "area"
INCIDENT: Final = "incident"
ALERT: Final = "alert"
ACTION: Final = "action"
DUTY: Final = "duty"

WALKED_AT_ONCE: Final = 1_000
"""Rows walked through between two moments for something else: some milliseconds."""

Row = tuple[str, str, object]
Stale = tuple[str, str]
"""Kind and identifier of a row that has grown old."""

Value = TypeVar("Value")


class _Head(Struct, frozen=True):
    """What the first row of an area says."""

    mode: str
    closed_roads: tuple[str, ...]
    breaks: dict[str, int | None]


def pruned(state: AreaState, now_ms: int) -> AreaState:
    """Give the state without what is older than the topics' retention."""
    for row in stale(state, now_ms):
        if row is not None:
            state = without(state, row, now_ms)
    return state


def stale(state: AreaState, now_ms: int) -> Iterator[Stale | None]:
    """Name the rows that have grown old; None now and then."""
    since_ms = now_ms - REMEMBERED_MS

    def ended_long_ago(incident: Incident) -> bool:
        return not incident.is_live and _last_ms(incident) < since_ms

    def held_until_then(word: DutyWord) -> bool:
        return word.until_ms is not None and word.until_ms < since_ms

    yield from _old(INCIDENT, state.incidents, ended_long_ago)
    yield from _old(ALERT, state.alerts, lambda seen: seen.received_ms < since_ms)
    yield from _old(ACTION, state.actions, lambda received_ms: received_ms < since_ms)
    yield from _old(DUTY, state.duty, held_until_then)


def _old(
    kind: str, kept: "HashTrieMap[str, Value]", is_old: Callable[[Value], bool]
) -> Iterator[Stale | None]:
    for n, (key, value) in enumerate(kept.items()):
        if n % WALKED_AT_ONCE == WALKED_AT_ONCE - 1:
            yield None
        if is_old(value):
            yield kind, key


def without(state: AreaState, row: Stale, now_ms: int) -> AreaState:
    """Give the state without a row that ``stale`` named, as far as it is still as old."""
    since_ms = now_ms - REMEMBERED_MS
    kind, key = row
    if kind == INCIDENT:
        return _without_incident(state, key, since_ms)
    if kind == ALERT:
        seen = state.alerts.get(key)
        if seen is None or seen.received_ms >= since_ms or seen.incident_id in state.incidents:
            return state
        return replace(state, alerts=state.alerts.remove(key))
    if kind == ACTION:
        received_ms = state.actions.get(key)
        if received_ms is None or received_ms >= since_ms:
            return state
        return replace(state, actions=state.actions.remove(key))
    word = state.duty.get(key)
    if word is None or word.until_ms is None or word.until_ms >= since_ms:
        return state
    return replace(state, duty=state.duty.remove(key))


def _without_incident(state: AreaState, incident_id: str, since_ms: int) -> AreaState:
    incident = state.incidents.get(incident_id)
    if incident is None or incident.is_live or _last_ms(incident) >= since_ms:
        return state
    order_incident, served_ms = state.order_incident, state.served_ms
    for order in incident.orders:
        order_incident = order_incident.remove(order.dispatch_id)
        served_ms = served_after(served_ms, order, None)
    return replace(
        state,
        incidents=state.incidents.remove(incident_id),
        order_incident=order_incident,
        served_ms=served_ms,
    )


def rows(states: Mapping[str, AreaState]) -> Iterator[bytes]:
    """Give the rows of all areas; each is one line without its line feed."""
    yield from heads(states)
    yield from (row for row in bodies(states) if row is not None)


def heads(states: Mapping[str, AreaState]) -> list[bytes]:
    """Give the first row of each area: what is known of it beside its incidents. They are few."""
    return [msgspec.json.encode(_head(states[area_id])) for area_id in sorted(states)]


def _head(state: AreaState) -> Row:
    closed_roads = tuple(sorted(state.closed_roads))
    known = _Head(state.mode, closed_roads, dict(sorted(state.breaks.items())))
    return AREA, state.area_id, known


def bodies(states: Mapping[str, AreaState]) -> Iterator[bytes | None]:
    """Give all further rows of all areas; None now and then."""
    for area_id in sorted(states):
        state = states[area_id]
        yield from _body(INCIDENT, area_id, state.incidents)
        yield from _body(ALERT, area_id, state.alerts)
        yield from _body(ACTION, area_id, state.actions)
        yield from _body(DUTY, area_id, state.duty)


def _body(kind: str, area_id: str, kept: "HashTrieMap[str, Any]") -> Iterator[bytes | None]:
    for key in _sorted(kept):
        if key is None:
            yield None
        elif kind == INCIDENT:  # which names itself
            yield msgspec.json.encode((kind, area_id, kept[key]))
        else:
            yield msgspec.json.encode((kind, area_id, (key, kept[key])))


def _sorted(kept: "HashTrieMap[str, Any]") -> Iterator[str | None]:
    """Give the keys in order, with a None after each lot that was sorted: sorting all of them at
    once would keep everybody waiting."""
    lots: list[list[str]] = []
    lot: list[str] = []
    for key in kept:
        lot.append(key)
        if len(lot) == WALKED_AT_ONCE:
            lots.append(sorted(lot))
            lot = []
            yield None
    yield from merge(*lots, sorted(lot))


def _last_ms(incident: Incident) -> int:
    """Give when something last happened to an incident."""
    timeline = incident.timeline
    named = (timeline.received_ms, timeline.resolved_ms, timeline.closed_ms)
    ended = (order.ended_ms for order in incident.orders)
    return max(t for t in (*named, *ended) if t is not None)


def from_rows(lines: Iterable[bytes]) -> dict[str, AreaState]:
    """Give the areas that ``rows`` wrote.

    Raises msgspec.MsgspecError where the bytes are none of ours.
    """
    states: dict[str, AreaState] = {}
    remembered: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        kind, area_id, value = _read(line)
        if (kind == AREA) == (area_id in states):
            raise msgspec.ValidationError("an area's first row is its own, and there is one")
        if kind in {ALERT, ACTION}:
            key, kept = value
            remembered.setdefault((area_id, kind), {})[key] = kept
        else:
            states[area_id] = _with_row(states.get(area_id), kind, area_id, value)
    for (area_id, kind), by_id in remembered.items():
        state = states[area_id]
        if kind == ALERT:
            states[area_id] = replace(state, alerts=HashTrieMap(by_id))
        else:
            states[area_id] = replace(state, actions=HashTrieMap(by_id))
    return states


_DECODERS: Final[Mapping[bytes, msgspec.json.Decoder[Any]]] = {
    kind.encode(): msgspec.json.Decoder(tuple[str, str, form])  # type: ignore[valid-type]
    for kind, form in (
        (AREA, _Head),
        (INCIDENT, Incident),
        (ALERT, tuple[str, SeenAlert]),
        (ACTION, tuple[str, int]),
        (DUTY, tuple[str, DutyWord]),
    )
}
"""Rows of a kind straight into what they hold: most of a take-over is this."""


def _read(line: bytes) -> tuple[str, str, Any]:
    kind, *_ = line.removeprefix(b'["').split(b'"', 1)
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise msgspec.ValidationError("a row of a kind that nobody knows")
    try:
        row: tuple[str, str, Any] = decoder.decode(line)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(f"a row that cannot be read: {error}") from None
    return row


def _with_row(
    state: AreaState | None,
    kind: str,
    area_id: str,
    value: Any,  # noqa: ANN401 - as its decoder gives it
) -> AreaState:
    if state is None:
        return AreaState(
            area_id=area_id,
            mode=value.mode,
            closed_roads=frozenset(value.closed_roads),
            breaks=HashTrieMap(value.breaks),
        )
    if kind == INCIDENT:
        _check_bound(state, value)
        return put_incident(state, value)
    member_id, word = value
    devices: HashTrieMap[str, str] = state.devices
    for device_id in word.device_ids:
        devices = devices.insert(device_id, member_id)
    return replace(state, duty=state.duty.insert(member_id, word), devices=devices)


def _check_bound(state: AreaState, incident: Incident) -> None:
    bound = [order.member_id for order in incident.orders if order.is_open]
    if incident.incident_id in state.incidents:
        raise msgspec.ValidationError("an incident is there twice")
    if len(set(bound)) < len(bound) or any(member_id in state.holding for member_id in bound):
        raise msgspec.ValidationError("a member has one open order at most")
