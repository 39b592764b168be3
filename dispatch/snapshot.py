"""The state of areas as bytes and back: what a take-over begins from.

A snapshot is a list of rows, one JSON array a line, in a fixed order: the same state gives the
same bytes. What follows from other rows is not written. What is older than the topics' retention
is dropped before (``pruned``), for nothing can refer to it any more. Alerts and actions are many
to a row, as they are in memory (``remembered.py``); rows of one each, as version 2 wrote them, are
read as well.

A state is never changed in place, so it may be written while decisions go on. Whatever walks
through a whole state here says None now and then: whoever has something else to do does it then.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from heapq import merge
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct
from rpds import HashTrieMap

from xiaohe.dispatch.alerts import REMEMBERED_MS
from xiaohe.dispatch.evolve import put_incident, served_after
from xiaohe.dispatch.ids import incident_id_of_order
from xiaohe.dispatch.remembered import ActionTimes, Remembered
from xiaohe.dispatch.state import AreaState, DutyWord, Incident, Incidents, SeenAlert, SeenAlerts

AREA: Final = "area"
INCIDENT: Final = "incident"
ALERTS: Final = "alerts"
ACTIONS: Final = "actions"
DUTY: Final = "duty"

ALERT: Final = "alert"
ACTION: Final = "action"
"""One of them a row: so it was until version 2."""

RECORDS_OF_A_ROW: Final = 64
"""Alerts, or actions, of one row: some kilobytes."""

WALKED_AT_ONCE: Final = 1_000
"""Rows walked through between two moments for something else: some milliseconds."""

Row = tuple[str, str, object]
Stale = tuple[str, str | bytes]
"""What has grown old: kind and identifier, of an alert or an action the identifier's digest."""

Key = TypeVar("Key", str, bytes)
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

    def held_until_then(word: DutyWord) -> bool:
        return word.until_ms is not None and word.until_ms < since_ms

    yield from _old(INCIDENT, state.incidents.over_since(), lambda last_ms: last_ms < since_ms)
    yield from _old(ALERTS, state.alerts.items(), lambda seen: seen.received_ms < since_ms)
    yield from _old(ACTIONS, state.actions.items(), lambda received_ms: received_ms < since_ms)
    yield from _old(DUTY, state.duty.items(), held_until_then)


def _old(
    kind: str, kept: Iterable[tuple[Key, Value]], is_old: Callable[[Value], bool]
) -> Iterator[Stale | None]:
    for n, (key, value) in enumerate(kept):
        if n % WALKED_AT_ONCE == WALKED_AT_ONCE - 1:
            yield None
        if is_old(value):
            yield kind, key


def without(state: AreaState, row: Stale, now_ms: int) -> AreaState:
    """Give the state without a row that ``stale`` named, as far as it is still as old."""
    since_ms = now_ms - REMEMBERED_MS
    match row:
        case (_, bytes(digest)) if row[0] == ALERTS:
            seen = state.alerts.at(digest)
            if seen is None or seen.received_ms >= since_ms or seen.incident_id in state.incidents:
                return state
            return replace(state, alerts=state.alerts.remove(digest))
        case (_, bytes(digest)):
            received_ms = state.actions.at(digest)
            if received_ms is None or received_ms >= since_ms:
                return state
            return replace(state, actions=state.actions.remove(digest))
        case (kind, str(key)) if kind == INCIDENT:
            return _without_incident(state, key, since_ms)
        case (_, str(member_id)):
            return _without_word(state, member_id, since_ms)
    raise AssertionError("a row is named by a string or by a digest")


def _without_word(state: AreaState, member_id: str, since_ms: int) -> AreaState:
    word = state.duty.get(member_id)
    if word is None or word.until_ms is None or word.until_ms >= since_ms:
        return state
    devices = state.devices
    for device_id in word.device_ids:
        if devices.get(device_id) == member_id:
            devices = devices.remove(device_id)
    return replace(state, duty=state.duty.remove(member_id), devices=devices)


def _without_incident(state: AreaState, incident_id: str, since_ms: int) -> AreaState:
    incident = state.incidents.get(incident_id)
    if incident is None or not incident.is_over or incident.last_ms >= since_ms:
        return state
    served_ms = state.served_ms
    for order in incident.orders:
        served_ms = served_after(served_ms, order, None)
    return replace(state, incidents=state.incidents.remove(incident_id), served_ms=served_ms)


def rows(states: Mapping[str, AreaState]) -> Iterator[bytes]:
    """Give the rows of all areas; each is one line without its line feed."""
    yield from heads(states)
    yield from (row for row in bodies(states) if row is not None)


def states_hash(states: Mapping[str, AreaState]) -> str:
    """Hash the state of areas: the SHA-256, in hex, of their rows, each with its line feed."""
    whole = sha256()
    for row in rows(states):
        whole.update(row + b"\n")
    return whole.hexdigest()


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
        yield from _incidents(area_id, state.incidents)
        yield from _packed(ALERTS, area_id, state.alerts)
        yield from _packed(ACTIONS, area_id, state.actions)
        yield from _words(area_id, state.duty)


def _incidents(area_id: str, incidents: Incidents) -> Iterator[bytes | None]:
    for incident_id in _sorted(incidents):
        if incident_id is None:
            yield None
        else:
            yield msgspec.json.encode((INCIDENT, area_id, Raw(incidents.json(incident_id))))


def _packed(kind: str, area_id: str, kept: Remembered[Any]) -> Iterator[bytes | None]:
    records, walked = kept.records(), 0
    while row := tuple(islice(records, RECORDS_OF_A_ROW)):
        yield msgspec.json.encode((kind, area_id, b64encode(b"".join(row)).decode()))
        walked += len(row)
        if walked >= WALKED_AT_ONCE:
            yield None
            walked = 0


def _words(area_id: str, duty: "HashTrieMap[str, DutyWord]") -> Iterator[bytes | None]:
    for member_id in _sorted(duty):
        if member_id is None:
            yield None
        else:
            yield msgspec.json.encode((DUTY, area_id, (member_id, duty[member_id])))


def _sorted(kept: Iterable[str]) -> Iterator[str | None]:
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


def from_rows(lines: Iterable[bytes]) -> dict[str, AreaState]:
    """Give the areas that ``rows`` wrote.

    Raises msgspec.MsgspecError where the bytes are none of ours.
    """
    states: dict[str, AreaState] = {}
    alerts: dict[str, list[bytes]] = {}
    actions: dict[str, list[bytes]] = {}
    for line in lines:
        kind, area_id, value = _read(line)
        if (kind == AREA) == (area_id in states):
            raise msgspec.ValidationError("an area's first row is its own, and there is one")
        if kind in {ALERTS, ALERT}:
            alerts.setdefault(area_id, []).extend(_records(SeenAlerts, kind, value))
        elif kind in {ACTIONS, ACTION}:
            actions.setdefault(area_id, []).extend(_records(ActionTimes, kind, value))
        else:
            states[area_id] = _with_row(states.get(area_id), kind, area_id, value)
    for area_id, records in alerts.items():
        states[area_id] = replace(states[area_id], alerts=SeenAlerts.of(records))
    for area_id, records in actions.items():
        states[area_id] = replace(states[area_id], actions=ActionTimes.of(records))
    return states


def _records(
    of: type[Remembered[Any]],
    kind: str,
    value: Any,  # noqa: ANN401 - as its decoder gives it
) -> Iterable[bytes]:
    """Give the records of a row, of this version or an older one."""
    try:
        if kind in {ALERT, ACTION}:
            return (of.record_of(*value),)
        packed, width = b64decode(value, validate=True), of.record_bytes()
    except (ValueError, UnicodeEncodeError) as error:
        raise msgspec.ValidationError(
            f"a row that says nothing that is remembered: {error}"
        ) from None
    if len(packed) % width:
        raise msgspec.ValidationError(f"the records of a row have {width} bytes each")
    return (packed[start : start + width] for start in range(0, len(packed), width))


_DECODERS: Final[Mapping[bytes, msgspec.json.Decoder[Any]]] = {
    kind.encode(): msgspec.json.Decoder(tuple[str, str, form])  # type: ignore[valid-type]
    for kind, form in (
        (AREA, _Head),
        (INCIDENT, Incident),
        (ALERTS, str),
        (ALERT, tuple[str, SeenAlert]),
        (ACTIONS, str),
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
        try:
            return put_incident(state, value)
        except (ValueError, OverflowError) as error:  # a time of nowhere
            raise msgspec.ValidationError(f"an incident that cannot be kept: {error}") from None
    member_id, word = value
    devices: HashTrieMap[str, str] = state.devices
    for device_id in word.device_ids:
        devices = devices.insert(device_id, member_id)
    return replace(state, duty=state.duty.insert(member_id, word), devices=devices)


def _check_bound(state: AreaState, incident: Incident) -> None:
    bound = [order.member_id for order in incident.orders if order.is_open]
    orders = {order.dispatch_id for order in incident.orders}
    if incident.incident_id in state.incidents or len(orders) < len(incident.orders):
        raise msgspec.ValidationError("an incident or an order is there twice")
    if any(incident_id_of_order(order) != incident.incident_id for order in orders):
        raise msgspec.ValidationError("an order is named after its incident")
    if len(set(bound)) < len(bound) or any(member_id in state.holding for member_id in bound):
        raise msgspec.ValidationError("a member has one open order at most")
