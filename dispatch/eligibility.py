"""Who may be sent to an incident, and why somebody may not: one reason a member.

The reasons stand in an order's ``why`` and in ``incident.unfilled``; they are read by people.
"""

from enum import StrEnum

from xiaohe.dispatch.policy import Rules
from xiaohe.dispatch.roster import Member
from xiaohe.dispatch.state import AreaState, Incident
from xiaohe.dispatch.world import World


class Excluded(StrEnum):
    """Why a member is passed over."""

    OFF_DUTY = "off_duty"
    BUSY = "busy"
    SENT_JOINTLY = "sent_jointly"
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


def oldest_fix_ms(rules: Rules, at_ms: int) -> int:
    """Give the time since when a fix still says where somebody is."""
    return at_ms - round(rules.fix_s * 1000)


def has_fresh_fix(world: World, member_id: str, rules: Rules, at_ms: int) -> bool:
    """Tell whether the member's last fix still says where they are."""
    fixed_ms = world.live.fixed_ms(member_id)
    return fixed_ms is not None and fixed_ms >= oldest_fix_ms(rules, at_ms)


class Eligibility:
    """Who may be sent to one incident at one moment: what holds for everybody is looked up once.

    Travel is not looked at: whether a way leads there is the search's to say.
    """

    def __init__(
        self, state: AreaState, world: World, incident: Incident, rules: Rules, at_ms: int
    ) -> None:
        self._state, self._world, self._at_ms = state, world, at_ms
        self._distressed, self._duty, self._holding = state.distressed, state.duty, state.holding
        self._breaks = state.breaks
        self.oldest_ms = oldest_fix_ms(rules, at_ms)
        self._forces = incident.forces or rules.forces
        self._skills = incident.skills
        self._tried = _tried(incident)

    def exclusion(self, member: Member, *, placed: bool | None = None) -> Excluded | None:
        """Say why this member may not be sent, or None where they may.

        ``placed`` says whether it is known where they are, for a caller who has looked.
        """
        member_id = member.member_id
        if member_id in self._distressed:
            return Excluded.IN_DISTRESS
        if member.force not in self._forces:
            return Excluded.FORCE
        if not self._is_on_duty(member):
            return Excluded.OFF_DUTY
        if member_id in self._tried:
            return Excluded.TRIED
        if member_id in self._holding:
            return Excluded.BUSY
        if member_id in self._breaks and is_on_break(self._state, member_id, self._at_ms):
            return Excluded.ON_BREAK
        if self._skills and not member.skills.issuperset(self._skills):
            return Excluded.SKILLS
        if placed is None:
            placed = self._can_be_placed(member_id)
        return None if placed else Excluded.STALE_FIX

    def _is_on_duty(self, member: Member) -> bool:
        """As ``is_on_duty``: most members have said nothing, and their shifts tell."""
        if member.member_id in self._duty:
            return is_on_duty(self._state, self._world, member.member_id, self._at_ms)
        return member.schedule.duty_at(self._at_ms).on_duty

    def _can_be_placed(self, member_id: str) -> bool:
        """A member without a fresh fix stands at their post, if they have one."""
        live = self._world.live
        fixed_ms = live.fixed_ms(member_id)
        if fixed_ms is not None and fixed_ms >= self.oldest_ms:
            return True
        return live.post(member_id) is not None


def exclusion(
    state: AreaState, world: World, incident: Incident, member: Member, at_ms: int
) -> Excluded | None:
    """Say why this member may not be sent to this incident, or None where they may."""
    rules = world.policy.rules(
        incident.priority, incident.mode, incident.category, incident.area_id
    )
    return Eligibility(state, world, incident, rules, at_ms).exclusion(member)


def _tried(incident: Incident) -> frozenset[str]:
    """Whoever declined, never answered or never came is not asked again, nor whoever a person
    took off; an order that the engine itself took back was no attempt at this member."""
    return frozenset(
        order.member_id
        for order in incident.orders[incident.tried_from :]
        if order.end != "stood_down" or order.barred
    )
