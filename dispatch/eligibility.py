"""Who may be sent to an incident, and why somebody may not: one reason a member.

The reasons stand in an order's ``why`` and in ``incident.unfilled``; they are read by people.
"""

from collections.abc import Callable
from enum import StrEnum

from xiaohe.dispatch.policy import Rules
from xiaohe.dispatch.roster import Member
from xiaohe.dispatch.state import AreaState, Incident
from xiaohe.dispatch.world import World


class Excluded(StrEnum):
    """Why a member is passed over."""

    OFF_DUTY = "off_duty"
    BUSY = "busy"
    ON_BREAK = "on_break"
    TRIED = "tried"
    STALE_FIX = "stale_fix"
    SKILLS = "skills"
    FORCE = "force"
    IN_DISTRESS = "in_distress"
    TOO_FAR = "too_far"
    UNREACHABLE = "unreachable"


def is_on_duty(state: AreaState, world: World, member_id: str, at_ms: int) -> bool:
    """Tell whether a member is on duty: by their own word while it holds, else by the roster."""
    word = state.duty.get(member_id)
    if word is not None and (word.until_ms is None or at_ms < word.until_ms):
        return word.on_duty
    return world.roster.on_shift(member_id, at_ms)


def is_on_break(state: AreaState, member_id: str, at_ms: int) -> bool:
    """Tell whether a member is on a break; it ends with their shift at the latest."""
    if member_id not in state.breaks:
        return False
    until_ms = state.breaks[member_id]
    return until_ms is None or at_ms < until_ms


def has_fresh_fix(world: World, member_id: str, rules: Rules, at_ms: int) -> bool:
    """Tell whether the member's last fix still says where they are."""
    track = world.live.track(member_id)
    return track is not None and at_ms - track.fix_ms <= rules.fix_s * 1000


def exclusion(
    state: AreaState, world: World, incident: Incident, member: Member, at_ms: int
) -> Excluded | None:
    """Say why this member may not be sent to this incident, or None where they may.

    Travel is not looked at: whether a way leads there is the search's to say.
    """
    member_id = member.member_id
    rules = world.policy.rules(
        incident.priority, incident.mode, incident.category, incident.area_id
    )
    checks: tuple[tuple[Excluded, Callable[[], bool]], ...] = (
        (Excluded.IN_DISTRESS, lambda: member_id in state.distressed),
        (Excluded.FORCE, lambda: member.force not in (incident.forces or rules.forces)),
        (Excluded.OFF_DUTY, lambda: not is_on_duty(state, world, member_id, at_ms)),
        (Excluded.TRIED, lambda: _was_tried(incident, member_id)),
        (Excluded.BUSY, lambda: member_id in state.holding),
        (Excluded.ON_BREAK, lambda: is_on_break(state, member_id, at_ms)),
        (Excluded.SKILLS, lambda: not member.skills.issuperset(incident.skills)),
        (Excluded.STALE_FIX, lambda: not _can_be_placed(world, member_id, rules, at_ms)),
    )
    return next((reason for reason, holds in checks if holds()), None)


def _can_be_placed(world: World, member_id: str, rules: Rules, at_ms: int) -> bool:
    """A member without a fresh fix stands at their post, if they have one."""
    return has_fresh_fix(world, member_id, rules, at_ms) or world.live.post(member_id) is not None


def _was_tried(incident: Incident, member_id: str) -> bool:
    """Whoever declined, never answered or never came is not asked again, nor whoever a person
    took off; an order that the engine itself took back was no attempt at this member."""
    return any(
        order.member_id == member_id and (order.end != "stood_down" or order.barred)
        for order in incident.orders[incident.tried_from :]
    )
