"""Seeing to it that enough members are asked, and that no more are than needed.

For each role an incident lacks the people it needs less those who have taken an order less the
offers that are still fresh. While it lacks somebody the next best member is asked; when nobody
can go, the neighbours are asked for aid, then the reasons are written down, and it is decided
again whenever somebody becomes free and at least every ``retry_s``.
"""

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.choice import Chosen, Nobody, choose
from xiaohe.dispatch.deadlines import LAPSE, NO_SHOW, OFFER, RETRY, of_order
from xiaohe.dispatch.draft import Draft, after
from xiaohe.dispatch.ids import aid_alert_id_of, dispatch_id_of
from xiaohe.dispatch.ladder import notify_command
from xiaohe.dispatch.lifecycle import OrderEnd, Role
from xiaohe.dispatch.reinforcement import on_shortfall
from xiaohe.dispatch.state import Incident, Order, Waiting
from xiaohe.dispatch.windows import await_acceptance

AID_SOURCE = "mutual-aid"
"""The ``source`` of an alert by which one area asks another."""

FILLED_AGAIN_MAX = 32
"""Incidents of an area looked at when somebody becomes free, the most urgent first; the rest wait
for their own retry."""

RETRIES_PER_S_MAX = 50
"""Retries of an area's waiting incidents, a second, besides those of the most urgent: a twentieth
of a core. Where more wait than fit into ``retry_s``, some five hundred, they take turns, or trying
what cannot be done would leave no time for what can."""

LATE_WAY_FACTOR = 1.5
"""Of an order given after the arrival window: how much longer than estimated the way may take."""


def fill(draft: Draft, incident_id: str) -> None:
    """Ask whoever is still to be asked for an incident; nothing where nobody is lacking, or where
    a person has to choose."""
    assert draft.incident(incident_id).is_live, "nobody is sent to what is over"
    if draft.incident(incident_id).set_aside:
        return
    await_acceptance(draft, incident_id)
    nobody = _fill_role(draft, incident_id, "primary")
    if nobody is not None:
        on_shortfall(draft, incident_id)
    nobody = _fill_role(draft, incident_id, "backup") or nobody
    if nobody is None:
        draft.set_deadline(incident_id, RETRY, None)
    else:
        _nobody_can_go(draft, incident_id, nobody)


def lacking(incident: Incident, role: Role) -> int:
    """Count the members of a role who are still to be asked."""
    # Who only stands by to replace somebody comes on top of those who are wanted.
    mine = [o for o in incident.open_orders(role) if not incident.is_second(o)]
    if role == "backup":
        # Its offer stays the only one until it is answered or lapses: reinforcement is one at a
        # time unless more are asked for. A first responder is never waited for so long.
        return max(0, wanted(incident, role) - len(mine))
    return max(0, wanted(incident, role) - sum(o.is_taken or not o.asked_on for o in mine))


def wanted(incident: Incident, role: Role) -> int:
    """Count the members of a role who have to be there and have not done their part yet."""
    in_all = incident.needed if role == "primary" else incident.backup_wanted
    return in_all - incident.served(role)


def _fill_role(draft: Draft, incident_id: str, role: Role) -> Nobody | None:
    while lacking(draft.incident(incident_id), role) > 0:
        incident = draft.incident(incident_id)
        rules = draft.rules(incident)
        choice = choose(draft.state, draft.world, incident, rules, draft.at_ms)
        if isinstance(choice, Nobody):
            return choice
        order(draft, incident_id, role, choice)
    return None


def order(
    draft: Draft, incident_id: str, role: Role, chosen: Chosen, instead_of: str | None = None
) -> str:
    """Order a member to go, perhaps to replace another order; give the dispatch_id."""
    incident = draft.incident(incident_id)
    rules = draft.rules(incident)
    dispatch_id = dispatch_id_of(incident_id, incident.attempts + 1)
    offer_by_ms = after(draft.at_ms, rules.offer_s)
    window_ms = incident.accept_by_ms if incident.accept_by_ms is not None else offer_by_ms
    lapse_ms = max(window_ms, offer_by_ms)
    by_role = incident.backup_by_ms if role == "backup" else None
    fact = f.MemberDispatched if role == "primary" else f.BackupDispatched
    draft.emit(
        fact(
            incident_id=incident_id,
            dispatch_id=dispatch_id,
            member_id=chosen.member_id,
            role=role,
            alert_id=incident.alert_id,
            accept_by_ms=lapse_ms,
            arrive_by_ms=by_role if by_role is not None else incident.arrive_by_ms,
            eta_s=chosen.eta_s,
            distance_m=chosen.distance_m,
            route=chosen.route,
            why=chosen.why,
            instead_of=instead_of,
        )
    )
    if role == "primary" and offer_by_ms < lapse_ms:
        draft.set_deadline(incident_id, of_order(OFFER, dispatch_id), offer_by_ms)
    draft.set_deadline(incident_id, of_order(LAPSE, dispatch_id), lapse_ms)
    return dispatch_id


def stand_down(
    draft: Draft,
    incident_id: str,
    order: Order,
    reason: str,
    by: str | None = None,
    *,
    end: OrderEnd = "stood_down",
    barred: bool = False,
) -> None:
    """Take an order back; ``barred``: the engine does not give this member another here."""
    draft.emit(
        f.MemberStoodDown(
            incident_id=incident_id,
            dispatch_id=order.dispatch_id,
            member_id=order.member_id,
            role=order.acting,
            reason=reason,
            by=by,
            end=end,
            barred=barred,
        )
    )


def stand_down_surplus(draft: Draft, incident_id: str, role: Role) -> None:
    """Stand down the offers that nobody needs any more: enough members of the role accepted."""
    incident = draft.incident(incident_id)
    mine = incident.open_orders(role)
    if sum(o.is_taken for o in mine) >= wanted(incident, role):
        for surplus in mine:
            if not surplus.is_taken and not incident.is_second(surplus):
                stand_down(draft, incident_id, surplus, "accepted_by_another")


def stand_down_all(
    draft: Draft,
    incident_id: str,
    reason: str,
    by: str | None = None,
    *,
    end: OrderEnd = "stood_down",
) -> None:
    """Take back every order of an incident."""
    for each in draft.incident(incident_id).open_orders():
        stand_down(draft, incident_id, each, reason, by, end=end)


def no_show_ms(draft: Draft, incident: Incident, order: Order) -> int:
    """Say until when a member who accepted is waited for: receipt + 2 x arrive_s.

    An order that was given late has at least one arrival window of its own; and where that window
    had passed already, time for the whole way, so that somebody far off is not given up and
    replaced by somebody farther.
    """
    rules = draft.rules(incident)
    own_s = rules.arrive_s
    if order.ordered_ms >= incident.arrive_by_ms and order.eta_s is not None:
        own_s = max(own_s, rules.turnout_s + order.eta_s * LATE_WAY_FACTOR)
    return max(after(incident.received_ms, 2 * rules.arrive_s), after(order.ordered_ms, own_s))


def watch_for_no_show(draft: Draft, incident_id: str, dispatch_id: str) -> None:
    """Set the moment at which a member who accepted is given up."""
    incident = draft.incident(incident_id)
    order = incident.order(dispatch_id)
    assert order is not None, f"no order {dispatch_id} in {incident_id}"
    due_ms = no_show_ms(draft, incident, order)
    draft.set_deadline(incident_id, of_order(NO_SHOW, dispatch_id), due_ms)


def _nobody_can_go(draft: Draft, incident_id: str, nobody: Nobody) -> None:
    incident = draft.incident(incident_id)
    role: Role = "primary" if lacking(incident, "primary") > 0 else "backup"
    if role == "primary" and _ask_a_neighbour(draft, incident):
        pass
    elif (incident.unfilled, incident.unfilled_role) != (nobody.reasons, role):
        draft.emit(f.IncidentUnfilled(incident_id=incident_id, reasons=nobody.reasons, role=role))
        notify_command(draft, incident_id, "unfilled")
    # A retry that is set stays: whoever looks in between does not put it off.
    if incident.due_ms(RETRY) is None:
        draft.set_deadline(incident_id, RETRY, after(draft.at_ms, _retry_s(draft, incident)))


def _retry_s(draft: Draft, incident: Incident) -> float:
    """Say after how long it is decided again, if nobody becomes free before."""
    waiting = draft.state.waiting
    retry_s = draft.rules(incident).retry_s
    mine = Waiting(incident.priority, incident.received_ms, incident.incident_id)
    if len(waiting) < FILLED_AGAIN_MAX or mine < waiting[FILLED_AGAIN_MAX - 1]:
        return retry_s
    return max(retry_s, len(waiting) / RETRIES_PER_S_MAX)


def _ask_a_neighbour(draft: Draft, incident: Incident) -> bool:
    """Ask the next neighbour that was not asked; an area that is itself asked asks nobody."""
    if incident.source == AID_SOURCE or incident.place is None:
        return False
    neighbours = draft.world.policy.neighbours(incident.area_id)
    left = [area_id for area_id in neighbours if area_id not in incident.aid_asked]
    if not left:
        return False
    draft.emit(
        f.AidRequested(
            incident_id=incident.incident_id,
            alert_id=aid_alert_id_of(incident.incident_id, incident.aid_requests + 1),
            to_area_id=left[0],
            needed=lacking(incident, "primary"),
        )
    )
    return True
