"""What a member says: to an order (accept … complete), and about being on duty.

An answer may skip states; what it skips is recorded as implied. An answer that says what is
known is nothing; any other answer to an ended order, or to somebody else's, is refused.
"""

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.deadlines import ACCEPT, ARRIVE, BACKUP, LAPSE, OFFER, of_order
from xiaohe.dispatch.draft import Draft, Refused
from xiaohe.dispatch.filling import (
    fill,
    stand_down_all,
    stand_down_surplus,
    wanted,
    watch_for_no_show,
)
from xiaohe.dispatch.inputs import MemberAction
from xiaohe.dispatch.lifecycle import ORDER_PROGRESS
from xiaohe.dispatch.prediction import gap_m, look_at_progress, predict_by_position
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.reinforcement import require_backup
from xiaohe.dispatch.state import Incident, Order
from xiaohe.dispatch.swapping import make_way, withdraw_seconds
from xiaohe.dispatch.windows import settle

TO_AN_ORDER = frozenset({"accept", "decline", "en_route", "arrive", "request_backup", "complete"})
ABOUT_DUTY = frozenset({"on_duty", "off_duty", "break", "resume"})
ABOUT_MATTERS = frozenset({"report", "sighting", "check", "rectified", "note"})
"""The contract has these for work that is no incident."""

COMES_AFTER_ALL = frozenset({"accept", "en_route", "arrive", "complete"})
"""Answers by which a member takes an order that had lapsed."""

SAYS_STATE = {"accept": "accepted", "en_route": "en_route", "arrive": "arrived"}
SAYS_END = {"decline": "declined", "complete": "completed"}


def take_member_action(draft: Draft, action: MemberAction) -> None:
    """Decide one member's word.

    Raises Refused where the sender may not say so.
    """
    if draft.world.roster.get(action.member_id) is None and not _holds(draft, action):
        raise Refused(Reason.UNKNOWN_MEMBER, "the roster has no such member_id")
    if action.action in TO_AN_ORDER:
        _answer(draft, action)
    elif action.action in ABOUT_DUTY:
        _declare(draft, action)
    elif action.action in ABOUT_MATTERS:
        raise Refused(Reason.NOT_SUPPORTED, f"{action.action} concerns matters")
    else:
        raise Refused(Reason.UNKNOWN_ACTION, "see the contract's member-actions")


def _holds(draft: Draft, action: MemberAction) -> bool:
    """Somebody who left the roster with an order in hand may still answer it."""
    return action.member_id in draft.state.holding


def _declare(draft: Draft, action: MemberAction) -> None:
    member_id = action.member_id
    home = draft.world.roster.area_of(member_id)
    if home != draft.state.area_id:
        raise Refused(Reason.WRONG_AREA, f"the member belongs to area {home}: use it as the key")
    until_ms = draft.world.roster.next_boundary_ms(member_id, draft.stamp.received_ms)
    if action.action in {"break", "resume"}:
        on_break = action.action == "break"
        draft.emit(
            f.BreakDeclared(
                member_id=member_id, on_break=on_break, until_ms=until_ms if on_break else None
            )
        )
    else:
        draft.emit(
            f.DutyDeclared(
                member_id=member_id,
                on_duty=action.action == "on_duty",
                until_ms=until_ms,
                device_ids=action.device_ids,
            )
        )


def _answer(draft: Draft, action: MemberAction) -> None:
    incident, order = _ordered(draft, action)
    if order.member_id != action.member_id:
        raise Refused(Reason.NOT_YOURS, f"{order.dispatch_id} is another member's order")
    if _is_known(order, action.action):
        return
    if not order.is_open:
        if action.action not in COMES_AFTER_ALL or not _may_revive(draft, incident, order):
            raise Refused(Reason.ORDER_ENDED, f"{order.dispatch_id} ended: {order.end}")
        if action.action != "accept":
            accept(draft, incident.incident_id, order.dispatch_id, implied=True)
    match action.action:
        case "accept":
            _accept_and_go(draft, incident.incident_id, order.dispatch_id)
        case "en_route":
            set_out(draft, incident.incident_id, order.dispatch_id)
        case "arrive":
            arrive(draft, incident.incident_id, order.dispatch_id, by="member")
        case "complete":
            _complete(draft, incident.incident_id, order.dispatch_id, action.outcome)
        case "decline":
            _decline(draft, incident, order, action.reason)
        case _:
            require_backup(
                draft,
                incident.incident_id,
                action.reason or "asked_for",
                by=action.member_id,
                more=True,
            )
            fill(draft, incident.incident_id)


def _ordered(draft: Draft, action: MemberAction) -> tuple[Incident, Order]:
    if action.dispatch_id is None:
        raise Refused(Reason.ACTION_NEEDS_FIELD, f"{action.action} needs dispatch_id")
    incident = draft.state.incident_of_order(action.dispatch_id)
    order = None if incident is None else incident.order(action.dispatch_id)
    if incident is None or order is None:
        raise Refused(Reason.UNKNOWN_ORDER, f"there is no order {action.dispatch_id} here")
    return incident, order


def _is_known(order: Order, action: str) -> bool:
    if order.end is not None:
        return SAYS_END.get(action) == order.end
    state = SAYS_STATE.get(action)
    if state is None:
        return False
    said = next(i for i, s in enumerate(ORDER_PROGRESS) if s == state)
    return said <= ORDER_PROGRESS.index(order.state)


def _may_revive(draft: Draft, incident: Incident, order: Order) -> bool:
    """A lapsed order may still be accepted while too few have and the member is free."""
    taken = sum(o.is_taken for o in incident.open_orders(order.acting))
    return (
        incident.is_live
        and order.end == "lapsed"
        and order.accepted_ms is None
        and order.member_id not in draft.state.holding
        and taken < wanted(incident, order.acting)
        and order in incident.orders[incident.tried_from :]
    )


def _of(draft: Draft, incident_id: str, dispatch_id: str) -> Order:
    order = draft.incident(incident_id).order(dispatch_id)
    assert order is not None, f"no order {dispatch_id} in {incident_id}"
    return order


def _accept_and_go(draft: Draft, incident_id: str, dispatch_id: str) -> None:
    accept(draft, incident_id, dispatch_id)
    _watch(draft, incident_id, dispatch_id)


def accept(draft: Draft, incident_id: str, dispatch_id: str, *, implied: bool = False) -> None:
    """Record that the member takes the order; the others who were asked are stood down."""
    order = _of(draft, incident_id, dispatch_id)
    incident = draft.incident(incident_id)
    if order.acting == "primary":
        settle(draft, incident_id, ACCEPT)
        make_way(draft, incident_id, order)
    draft.emit(
        f.MemberAccepted(
            incident_id=incident_id,
            dispatch_id=dispatch_id,
            member_id=order.member_id,
            role=order.acting,
            implied=implied,
            gap_m=gap_m(draft, incident, order.member_id),
        )
    )
    for name in (OFFER, LAPSE):
        draft.set_deadline(incident_id, of_order(name, dispatch_id), None)
    stand_down_surplus(draft, incident_id, order.acting)


def _watch(draft: Draft, incident_id: str, dispatch_id: str) -> None:
    """See to it that somebody who is coming does come."""
    if _of(draft, incident_id, dispatch_id).acting == "primary":
        watch_for_no_show(draft, incident_id, dispatch_id)
    turnout_s = draft.rules(draft.incident(incident_id)).turnout_s
    look_at_progress(draft, incident_id, dispatch_id, turnout_s)
    predict_by_position(draft, incident_id, dispatch_id)
    fill(draft, incident_id)


def set_out(draft: Draft, incident_id: str, dispatch_id: str, *, implied: bool = False) -> None:
    """Record that the member is under way, and what that implies."""
    order = _of(draft, incident_id, dispatch_id)
    if order.state == "ordered":
        accept(draft, incident_id, dispatch_id, implied=True)
    draft.emit(
        f.MemberEnRoute(
            incident_id=incident_id,
            dispatch_id=dispatch_id,
            member_id=order.member_id,
            role=order.acting,
            implied=implied,
        )
    )
    withdraw_seconds(draft, incident_id, dispatch_id)
    if order.state == "ordered" and not implied:
        _watch(draft, incident_id, dispatch_id)


def arrive(draft: Draft, incident_id: str, dispatch_id: str, *, by: str) -> None:
    """Record that the member is on scene, and what that implies."""
    order = _of(draft, incident_id, dispatch_id)
    if order.state in {"ordered", "accepted"}:
        set_out(draft, incident_id, dispatch_id, implied=True)
    fact = f.MemberArrived if order.acting == "primary" else f.BackupArrived
    settle(draft, incident_id, ARRIVE)
    if order.acting == "backup":
        settle(draft, incident_id, BACKUP)
    draft.emit(
        fact(
            incident_id=incident_id,
            dispatch_id=dispatch_id,
            member_id=order.member_id,
            role=order.acting,
            by=by,
        )
    )
    for deadline in draft.incident(incident_id).deadlines:
        if deadline.name.endswith(f":{dispatch_id}"):
            draft.set_deadline(incident_id, deadline.name, None)


def _complete(draft: Draft, incident_id: str, dispatch_id: str, outcome: str | None) -> None:
    if _of(draft, incident_id, dispatch_id).state != "arrived":
        arrive(draft, incident_id, dispatch_id, by="member")
    order = _of(draft, incident_id, dispatch_id)
    draft.emit(
        f.MemberCompleted(
            incident_id=incident_id,
            dispatch_id=dispatch_id,
            member_id=order.member_id,
            role=order.acting,
            outcome=outcome,
        )
    )
    incident = draft.incident(incident_id)
    # A member in distress is looked after until a person says that it is over.
    if order.acting == "primary" and incident.distress_of is None:
        draft.emit(f.IncidentResolved(incident_id=incident_id, by=order.member_id, outcome=outcome))
        stand_down_all(draft, incident_id, "resolved")


def _decline(draft: Draft, incident: Incident, order: Order, reason: str | None) -> None:
    if order.state == "arrived":
        raise Refused(
            Reason.NOT_POSSIBLE, "a member on scene cannot decline: complete or ask for backup"
        )
    draft.emit(
        f.MemberDeclined(
            incident_id=incident.incident_id,
            dispatch_id=order.dispatch_id,
            member_id=order.member_id,
            role=order.acting,
            reason=reason,
        )
    )
    fill(draft, incident.incident_id)
