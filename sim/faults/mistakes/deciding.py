"""Mistakes in the rules: who may answer, who is free, what a deadline still means."""

# ruff: noqa: SLF001 - a mistake is made where nobody else may reach

from dataclasses import replace
from typing import Any

from msgspec.structs import replace as revise
from rpds import HashTrieMap

from xiaohe.dispatch import alerts, answers, eligibility, evolve, filling, ranking
from xiaohe.dispatch import decide as decision
from xiaohe.dispatch.choice import Nobody
from xiaohe.dispatch.deadlines import RETRY
from xiaohe.dispatch.draft import Draft
from xiaohe.dispatch.eligibility import Eligibility
from xiaohe.dispatch.inputs import MemberAction, WakeUp
from xiaohe.dispatch.lifecycle import OrderEnd, OrderState
from xiaohe.dispatch.ranking import Option
from xiaohe.dispatch.state import AreaState, Holding, Incident, Order
from xiaohe.sim.faults.mistakes import Swap, Swaps


def wake_up_always_heeded() -> Swaps:
    """Let a wake-up have effect whether its deadline is still open or not."""
    wake = decision.wake

    def waking(draft: Draft, wake_up: WakeUp) -> None:
        incident = draft.state.incidents.get(wake_up.incident_id)
        if incident is not None and incident.is_live:
            draft.set_deadline(wake_up.incident_id, wake_up.deadline, wake_up.due_ms)
        wake(draft, wake_up)

    return (Swap(decision, "wake", waking),)


def anybody_answers() -> Swaps:
    """Take an answer for the ordered member's, whoever gives it."""
    ordered = answers._ordered

    def found(draft: Draft, action: MemberAction) -> tuple[Incident, Order]:
        incident, order = ordered(draft, action)
        return incident, revise(order, member_id=action.member_id)

    return (Swap(answers, "_ordered", found),)


def stood_down_revived() -> Swaps:
    """Let who was stood down accept after all."""
    following = evolve.next_order_state

    def may_revive(draft: Draft, incident: Incident, order: Order) -> bool:
        return incident.is_live and order.member_id not in draft.state.holding

    def after(state: OrderState, end: OrderEnd | None, fact: str) -> OrderState:
        revived = state == "ended" and fact == "member.accepted"
        return "accepted" if revived else following(state, end, fact)

    return (Swap(answers, "_may_revive", may_revive), Swap(evolve, "next_order_state", after))


def surplus_kept() -> Swaps:
    """Stand nobody down when enough have accepted."""
    return (Swap(answers, "stand_down_surplus", lambda _draft, _incident_id, _role: None),)


def busy_counted_free() -> Swaps:
    """Ask who has an open order elsewhere, and let the later order be the one that is known."""
    begin, put = Eligibility.__init__, evolve.put_incident

    def beginning(self: Eligibility, *said: Any) -> None:  # noqa: ANN401 - as they come
        begin(self, *said)
        self._holding = HashTrieMap()

    def putting(state: AreaState, incident: Incident) -> AreaState:
        before = state.incidents.get(incident.incident_id)
        known = {o.dispatch_id: o for o in before.orders} if before is not None else {}
        holding = state.holding
        for order in incident.orders:
            old = known.get(order.dispatch_id)
            was_open = old is not None and old.is_open
            if order.is_open and not was_open:
                holding = holding.discard(order.member_id)
            elif was_open and not order.is_open:
                held = Holding(incident.incident_id, order.dispatch_id)
                holding = holding.insert(order.member_id, held)
        return put(replace(state, holding=holding), incident)

    return (Swap(Eligibility, "__init__", beginning), Swap(evolve, "put_incident", putting))


def retry_forgotten() -> Swaps:
    """Say that nobody can go, and do not look again."""
    nobody_can_go = filling._nobody_can_go

    def told(draft: Draft, incident_id: str, nobody: Nobody) -> None:
        nobody_can_go(draft, incident_id, nobody)
        draft.set_deadline(incident_id, RETRY, None)

    return (Swap(filling, "_nobody_can_go", told),)


def alert_not_known_again() -> Swaps:
    """Open the incident of an alert each time that the alert comes."""
    return (Swap(alerts, "seen_alert", lambda _draft, _alert_id: None),)


def owner_not_first() -> Swaps:
    """Ask the nearest, whoever answers for the road."""

    def by_time(option: Option) -> tuple[float, str]:
        return option.eta_s, option.member_id

    return (Swap(ranking, "_by_rule", by_time),)


def old_fixes_believed() -> Swaps:
    """Take somebody to be where they were long ago."""
    return (
        Swap(eligibility, "oldest_fix_ms", lambda _rules, _at_ms: 0),
        Swap(ranking, "oldest_fix_ms", lambda _rules, _at_ms: 0),
    )
