"""What must hold of an area, whatever has happened in it: for stories of every kind."""

from collections import Counter
from functools import reduce

from xiaohe.dispatch.deadlines import RETRY
from xiaohe.dispatch.evolve import put_incident
from xiaohe.dispatch.filling import lacking
from xiaohe.dispatch.lifecycle import LIVE
from xiaohe.dispatch.state import AreaState, Incident, Order


def check_state(state: AreaState) -> None:
    """All of them."""
    nobody_has_two_open_orders(state)
    for incident in state.incidents.values():
        no_more_primaries_have_accepted_than_are_needed(incident)
        nothing_open_is_forgotten(incident)
        what_is_over_binds_nobody_and_waits_for_nothing(state, incident)
        each_deadline_has_something_to_look_at(incident)
        no_milestone_comes_before_the_one_that_it_follows(incident)


def nobody_has_two_open_orders(state: AreaState) -> None:
    """And `holding` says exactly who has one."""
    held = Counter(o.member_id for i in state.incidents.values() for o in i.open_orders())
    assert all(count == 1 for count in held.values())
    assert set(held) == set(state.holding)


def no_more_primaries_have_accepted_than_are_needed(incident: Incident) -> None:
    """However they came to accept."""
    taken = sum(o.is_taken for o in incident.open_orders("primary"))
    assert taken <= incident.needed


def nothing_open_is_forgotten(incident: Incident) -> None:
    """While it lacks somebody it is decided again; else somebody is asked, coming or there,
    or a member in distress was helped and a person knows of it."""
    if not incident.is_live:
        return
    waits = incident.due_ms(RETRY) is not None
    for role in ("primary", "backup"):
        assert waits or lacking(incident, role) == 0, incident
    helped = incident.distress_of is not None and incident.rung > 0
    assert waits or incident.open_orders() or helped, incident


def what_is_over_binds_nobody_and_waits_for_nothing(state: AreaState, incident: Incident) -> None:
    """No open order, no deadline."""
    if incident.state not in LIVE:
        assert incident.open_orders() == ()
        assert incident.deadlines == ()
        assert incident.incident_id not in state.wanting


def each_deadline_has_something_to_look_at(incident: Incident) -> None:
    """One row a name; an order's deadlines only while the order is open."""
    names = [d.name for d in incident.deadlines]
    assert len(names) == len(set(names))
    for name in names:
        _, _, dispatch_id = name.partition(":")
        if dispatch_id:
            order = incident.order(dispatch_id)
            assert order is not None
            assert order.is_open


def no_milestone_comes_before_the_one_that_it_follows(incident: Incident) -> None:
    """Time runs forward in an incident."""
    line = incident.timeline
    for early, late in (
        (line.received_ms, line.dispatched_ms),
        (line.received_ms, line.accepted_ms),
        (line.accepted_ms, line.en_route_ms),
        (line.en_route_ms, line.resolved_ms),
        (line.arrived_ms, line.resolved_ms),
        (line.backup_required_ms, line.backup_arrived_ms),
        (line.resolved_ms, line.closed_ms),
    ):
        assert early is None or late is None or early <= late, line


def looked_up_anew(state: AreaState) -> AreaState:
    """Give the state with every look-up made again: each follows from the incidents alone."""
    bare = AreaState(
        state.area_id,
        state.mode,
        alerts=state.alerts,
        actions=state.actions,
        closed_roads=state.closed_roads,
        breaks=state.breaks,
        duty=state.duty,
        devices=state.devices,
    )
    return reduce(put_incident, (i for _, i in sorted(state.incidents.items())), bare)


PROGRESS = {"ordered": 0, "accepted": 1, "en_route": 2, "arrived": 3}

MAY_BECOME = {
    "resolved": {"closed", "merged", *LIVE},
    "closed": set(LIVE),
    "cancelled": set(LIVE),
    "merged": {"resolved", *LIVE},
}
"""Where an incident may go that is over; while it is live it may go anywhere."""


def check_step(before: AreaState, after: AreaState) -> None:
    """Tell that one fact led every incident and order along its life cycle, and none away."""
    assert set(before.incidents) <= set(after.incidents)
    for incident_id, old in before.incidents.items():
        new = after.incidents[incident_id]
        if new is old:
            continue
        assert new.state == old.state or old.is_live or new.state in MAY_BECOME[old.state]
        assert len(new.orders) >= len(old.orders)
        for earlier, later in zip(old.orders, new.orders, strict=False):
            an_order_goes_forward(earlier, later)


def an_order_goes_forward(before: Order, after: Order) -> None:
    """It stays the same order; it ends once, and only one that lapsed may begin again."""
    for name in ("dispatch_id", "alert_id", "member_id", "role", "ordered_ms"):
        assert getattr(after, name) == getattr(before, name)
    if before.state == "ended":
        begins_again = before.end == "lapsed" and after.state == "accepted" and after.revived
        assert begins_again or (after.state, after.end) == ("ended", before.end)
    elif after.state == "ended":
        assert after.end is not None
        assert after.ended_ms is not None
    else:
        assert 0 <= PROGRESS[after.state] - PROGRESS[before.state] <= 1
    line = [m for m in (after.accepted_ms, after.en_route_ms, after.arrived_ms) if m is not None]
    assert line == sorted(line)
