"""The state of areas as bytes and back: what a take-over begins from.

A snapshot is a list of rows, one JSON array a line, in a fixed order: the same state gives the
same bytes. What follows from other rows is not written. What is older than the topics' retention
is dropped before (``pruned``), for nothing can refer to it any more.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import msgspec
from rpds import HashTrieMap

from xiaohe.dispatch.alerts import REMEMBERED_MS
from xiaohe.dispatch.evolve import put_incident, served_after
from xiaohe.dispatch.state import AreaState, DutyWord, Incident, SeenAlert

AREA: Final = "area"
INCIDENT: Final = "incident"
ALERT: Final = "alert"
ACTION: Final = "action"
DUTY: Final = "duty"

Row = tuple[str, str, object]


def pruned(state: AreaState, now_ms: int) -> AreaState:
    """Give the state without what is older than the topics' retention."""
    since_ms = now_ms - REMEMBERED_MS
    incidents, order_incident = state.incidents, state.order_incident
    served_ms = state.served_ms
    for incident_id, incident in state.incidents.items():
        if not incident.is_live and _last_ms(incident) < since_ms:
            incidents = incidents.remove(incident_id)
            for order in incident.orders:
                order_incident = order_incident.remove(order.dispatch_id)
                served_ms = served_after(served_ms, order, None)
    alerts = state.alerts
    for alert_id, seen in state.alerts.items():
        if seen.received_ms < since_ms and seen.incident_id not in incidents:
            alerts = alerts.remove(alert_id)
    actions = state.actions
    for action_id, received_ms in state.actions.items():
        if received_ms < since_ms:
            actions = actions.remove(action_id)
    duty = state.duty
    for member_id, word in state.duty.items():
        if word.until_ms is not None and word.until_ms < since_ms:
            duty = duty.remove(member_id)
    return replace(
        state,
        incidents=incidents,
        order_incident=order_incident,
        alerts=alerts,
        actions=actions,
        duty=duty,
        served_ms=served_ms,
    )


def rows(states: Mapping[str, AreaState]) -> Iterator[bytes]:
    """Give the rows of all areas; each is one line without its line feed."""
    for area_id in sorted(states):
        for row in _rows(states[area_id]):
            yield msgspec.json.encode(row)


def _rows(state: AreaState) -> Iterator[Row]:
    area_id = state.area_id
    head = {
        "mode": state.mode,
        "closed_roads": sorted(state.closed_roads),
        "breaks": dict(sorted(state.breaks.items())),
    }
    yield AREA, area_id, head
    for _, incident in sorted(state.incidents.items()):
        yield INCIDENT, area_id, incident
    for alert in sorted(state.alerts.items()):
        yield ALERT, area_id, alert
    for action in sorted(state.actions.items()):
        yield ACTION, area_id, action
    for word in sorted(state.duty.items()):
        yield DUTY, area_id, word


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
    for line in lines:
        kind, area_id, value = msgspec.json.decode(line, type=Row)
        states[area_id] = _with_row(states.get(area_id), kind, area_id, value)
    return states


def _with_row(state: AreaState | None, kind: str, area_id: str, value: object) -> AreaState:
    if kind == AREA:
        head = msgspec.convert(value, dict[str, object])
        return AreaState(
            area_id=area_id,
            mode=str(head["mode"]),
            closed_roads=frozenset(msgspec.convert(head["closed_roads"], list[str])),
            breaks=HashTrieMap(msgspec.convert(head["breaks"], dict[str, int | None])),
        )
    assert state is not None, "an area's first row is its own"
    match kind:
        case "incident":
            return put_incident(state, msgspec.convert(value, Incident))
        case "alert":
            alert_id, seen = msgspec.convert(value, tuple[str, SeenAlert])
            return replace(state, alerts=state.alerts.insert(alert_id, seen))
        case "action":
            action_id, received_ms = msgspec.convert(value, tuple[str, int])
            return replace(state, actions=state.actions.insert(action_id, received_ms))
        case _:
            member_id, word = msgspec.convert(value, tuple[str, DutyWord])
            devices: HashTrieMap[str, str] = state.devices
            for device_id in word.device_ids:
                devices = devices.insert(device_id, member_id)
            return replace(state, duty=state.duty.insert(member_id, word), devices=devices)
