"""One input in, one decision out: ``decide(state, received, now, world)``.

A decision is the facts that follow from an input, or the reason why the input is refused. It
changes nothing: folding its facts (``fold``) gives the state after it, here and at every replay.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from itertools import islice
from typing import Any

from msgspec import Struct

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.alerts import REMEMBERED_MS, Distress, take_alert
from xiaohe.dispatch.answers import take_member_action
from xiaohe.dispatch.aside import Glimpse, close_aside, take_alert_aside, take_glimpse
from xiaohe.dispatch.draft import Draft, Refused
from xiaohe.dispatch.eligibility import exclusion
from xiaohe.dispatch.evolve import Stamp, evolve
from xiaohe.dispatch.falling_due import wake
from xiaohe.dispatch.filling import FILLED_AGAIN_MAX
from xiaohe.dispatch.inputs import Alert, Fix, MemberAction, OperatorAction, Received, WakeUp
from xiaohe.dispatch.operators import take_operator_action
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.swapping import passes_by
from xiaohe.dispatch.together import fill_wanting
from xiaohe.dispatch.tracking import concerns, follow
from xiaohe.dispatch.world import World

FREES_SOMEBODY = (
    f.MemberDeclined
    | f.MemberLapsed
    | f.MemberStoodDown
    | f.MemberCompleted
    | f.DutyDeclared
    | f.BreakDeclared
    | f.RoadOpened
)
"""Facts after which somebody may be free who was not."""


OPERATORS = "operator"
"""Goes before a desk's action_id, with a stroke, which no identifier has."""


class Refusal(Struct, frozen=True):
    """Why an input became a dead letter: a code of the closed list, and what to do."""

    reason: str
    detail: str


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one input led to. ``roster``, ``policy`` and ``roads`` name what was read.

    ``deadline`` and ``due_ms`` say which deadline a wake-up was for, ``set_ms`` when that was set
    where it was due before that.
    """

    area_id: str
    at_ms: int
    received_ms: int
    action_id: str | None = None
    deadline: str | None = None
    due_ms: int | None = None
    set_ms: int | None = None
    facts: tuple[f.Fact, ...] = ()
    refusal: Refusal | None = None
    roster: str = ""
    policy: str = ""
    roads: str = ""


def decide(state: AreaState, received: Received, at_ms: int, world: World) -> Decision:
    """Decide one input at the time ``at_ms``.

    The same state, input, time and world give the same decision.
    """
    body = received.body
    action_id = _action_id(received)
    if action_id is not None and _was_taken(state, action_id, received.received_ms):
        return _decision(state, received, at_ms, world)

    def rule(draft: Draft) -> None:
        match body:
            case Alert():
                take_alert(draft, body)
            case MemberAction():
                take_member_action(draft, body)
            case OperatorAction():
                take_operator_action(draft, body)
            case WakeUp():
                wake(draft, body)
            case Fix():
                raise AssertionError("a fix is decided by decide_fix")

    return _drafted(state, received, at_ms, world, rule)


def decide_aside(
    state: AreaState,
    received: Received,
    alarms: Sequence[tuple[str, Alert]],
    at_ms: int,
    world: World,
    *,
    bare: bool,
) -> Decision:
    """Put an input that failed repeatedly into the hands of a person (``aside.py``).

    ``alarms`` are the members' own calls for help that a record of positions holds.
    """
    draft = Draft(state, world, Stamp(at_ms, received.received_ms))
    if isinstance(received.body, Alert):
        take_alert_aside(draft, received.body, bare=bare)
    elif isinstance(received.body, WakeUp):
        close_aside(draft, received.body, bare=bare)
    for member_id, alarm in alarms:
        take_alert_aside(draft, alarm, Distress(member_id), bare=bare)
    return _decision(state, received, at_ms, world, facts=tuple(draft.facts))


def decide_glimpse(state: AreaState, seen: Glimpse, received_ms: int, at_ms: int) -> Decision:
    """Open the incident of an alert that no rule may be asked about; nothing else was read."""
    world: Any = None  # whoever asked it would fail
    draft = Draft(state, world, Stamp(at_ms, received_ms))
    take_glimpse(draft, seen)
    return Decision(
        area_id=state.area_id, at_ms=at_ms, received_ms=received_ms, facts=tuple(draft.facts)
    )


def decide_fix(
    state: AreaState,
    received: Received,
    member_id: str,
    at_ms: int,
    world: World,
    *,
    moved: bool,
) -> Decision | None:
    """Decide what one fix says, once the live index knows it; None where nothing follows.

    ``moved``: the fix is newer than what was known of the member.
    """
    fix = received.body
    assert isinstance(fix, Fix), "only a fix is decided here"
    if not concerns(state, member_id, fix) and not passes_by(state, world, member_id, fix):
        return None

    def rule(draft: Draft) -> None:
        follow(draft, member_id, fix, moved=moved)
        if moved and _may_help(draft, member_id):
            fill_wanting(draft)

    decision = _drafted(state, received, at_ms, world, rule)
    return decision if decision.facts else None


def _may_help(draft: Draft, member_id: str) -> bool:
    """Tell whether a waiting incident may have waited for this member's fix: a fleet that merely
    moves must not have every incident decided again with every fix."""
    member = draft.world.roster.get(member_id)
    state, world, at_ms = draft.state, draft.world, draft.at_ms
    if member is None or member_id in state.holding:
        return False  # busy everywhere: not to be asked of each of many that wait
    return any(
        exclusion(state, world, state.incidents[each.incident_id], member, at_ms) is None
        for each in islice(state.waiting, FILLED_AGAIN_MAX)
    )


def fold(state: AreaState, decision: Decision) -> AreaState:
    """Give the state after a recorded decision."""
    stamp = Stamp(decision.at_ms, decision.received_ms)
    state = reduce(lambda s, fact: evolve(s, fact, stamp), decision.facts, state)
    if decision.action_id is None:
        return state
    # The same word sent twice is heard once.
    actions = state.actions.insert(decision.action_id, decision.received_ms)
    return replace(state, actions=actions)


def _action_id(received: Received) -> str | None:
    """Name an action among all of the area: members and desks number theirs independently."""
    body = received.body
    if isinstance(body, OperatorAction):
        return f"{OPERATORS}/{body.action_id}"
    return body.action_id if isinstance(body, MemberAction) else None


def _was_taken(state: AreaState, action_id: str, received_ms: int) -> bool:
    taken_ms = state.actions.get(action_id)
    return taken_ms is not None and received_ms - taken_ms <= REMEMBERED_MS


def _drafted(
    state: AreaState,
    received: Received,
    at_ms: int,
    world: World,
    rule: Callable[[Draft], None],
) -> Decision:
    draft = Draft(state, world, Stamp(at_ms, received.received_ms))
    try:
        rule(draft)
    except Refused as refused:
        refusal = Refusal(refused.reason.value, refused.detail)
        return _decision(state, received, at_ms, world, refusal=refusal)
    if draft.state.wanting and any(isinstance(fact, FREES_SOMEBODY) for fact in draft.facts):
        fill_wanting(draft)
    return _decision(state, received, at_ms, world, facts=tuple(draft.facts))


def _decision(
    state: AreaState,
    received: Received,
    at_ms: int,
    world: World,
    *,
    facts: tuple[f.Fact, ...] = (),
    refusal: Refusal | None = None,
) -> Decision:
    body = received.body
    return Decision(
        area_id=state.area_id,
        at_ms=at_ms,
        received_ms=received.received_ms,
        action_id=_action_id(received),
        deadline=body.deadline if isinstance(body, WakeUp) else None,
        due_ms=body.due_ms if isinstance(body, WakeUp) else None,
        set_ms=_set_late_ms(state, body) if isinstance(body, WakeUp) else None,
        facts=facts,
        refusal=refusal,
        roster=world.roster.version,
        policy=world.policy.version,
        roads=world.roads.version,
    )


def _set_late_ms(state: AreaState, wake_up: WakeUp) -> int | None:
    incident = state.incidents.get(wake_up.incident_id)
    if incident is None or incident.due_ms(wake_up.deadline) != wake_up.due_ms:
        return None
    return incident.set_late_ms(wake_up.deadline)
