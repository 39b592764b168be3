"""Who could go to an incident, best first: one search outwards from the scene, for all modes.

It meets the members in the order of their travel time. Owners of the road and their squad come
before others, but only while they can still be there within the arrival window.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from xiaohe.dispatch.eligibility import Eligibility, Excluded, oldest_fix_ms
from xiaohe.dispatch.policy import Rules
from xiaohe.dispatch.state import AreaState, Incident
from xiaohe.dispatch.world import Walk, World
from xiaohe.geo.roads import Mode
from xiaohe.geo.snap import Site
from xiaohe.geo.ways import Reached

OWNER: Final = "owner"
TEAM: Final = "team"
NEAREST: Final = "nearest"
MUTUAL_AID: Final = "mutual_aid"

ORDER_OF_RULES: Final = {OWNER: 0, TEAM: 1, NEAREST: 2, MUTUAL_AID: 2}
"""Which rule comes before which."""

MET_AT_ONCE: Final = 12
"""Members looked for at first: five who may go are mostly among the first twelve."""

NEXT_LIMIT: Final = 4.0
"""Where the window is not far enough, so many times as far is looked next, and then everywhere."""

RUNNERS_UP_REACH: Final = 2.0
"""Once somebody is found, others are looked for this many times as far, or as far as the window
lasts: beyond it they would tell a reader nothing, and the search might take in half a province."""


class Option(NamedTuple):
    """One member who may go. ``in_time``: within the arrival window, from this moment."""

    member_id: str
    eta_s: float
    distance_m: float
    rule: str
    in_time: bool
    reached: Reached
    mode: Mode


class LookedAt(NamedTuple):
    """One member whom the search met, or who answers for the road, and why they may not go."""

    member_id: str
    excluded: Excluded | None
    reached: Reached | None
    mode: Mode


@dataclass(slots=True)
class Ranking:
    """The members who may go, best first, and what was found out on the way to that.

    ``searched_s``: everybody within so much travel was looked at; None: everybody there is.
    """

    at_ms: int
    rules: Rules
    site: Site | None
    in_time_s: float
    closed_roads: frozenset[str]
    modes: tuple[Mode, ...]
    options: tuple[Option, ...] = ()
    looked_at: list[LookedAt] = field(default_factory=list)
    owners: frozenset[str] = frozenset()
    searched_s: float | None = 0.0


def ranked(
    state: AreaState,
    world: World,
    incident: Incident,
    rules: Rules,
    at_ms: int,
    count: int,
    *,
    reach: float = RUNNERS_UP_REACH,
) -> Ranking:
    """Rank the members who may go to an incident: at least ``count`` of them, if there are so
    many within the window, or within ``reach`` times the way of the nearest.

    Those of the road who are in time come first, owners before the squad, then all others; each by
    (travel time, member_id).
    """
    assert count > 0, "a ranking of nobody answers nothing"
    return _Search(state, world, incident, rules, at_ms, count, reach).ranking()


class _Search:
    """One search: what is looked up once, and what was found so far."""

    def __init__(
        self,
        state: AreaState,
        world: World,
        incident: Incident,
        rules: Rules,
        at_ms: int,
        count: int,
        reach: float,
    ) -> None:
        self.state, self.world, self.incident, self.rules = state, world, incident, rules
        self.count, self.reach = count, reach
        self.eligibility = Eligibility(state, world, incident, rules, at_ms)
        self.nearest_rule = NEAREST if incident.origin is None else MUTUAL_AID
        # A call for help and a neighbour's call for aid go by time alone.
        by_road = incident.distress_of is None and incident.origin is None
        self.road_id = incident.road_id if by_road else None
        site = None
        if incident.place is not None:
            site = world.roads.site(incident.place, incident.road_id)
        self.found = Ranking(
            at_ms=at_ms,
            rules=rules,
            site=site,
            in_time_s=(incident.arrive_by_ms - at_ms) / 1000,
            closed_roads=state.closed_roads,
            modes=world.roster.modes(state.area_id),
        )
        self.options: list[Option] = []
        self.bound_s = inf
        self.has_of_road = False
        self.seen: set[str] = set()
        self.owners = self._fit_owners()
        self.owners_left = set(self.owners)
        self._team: frozenset[str] | None = None
        self._fit_team: frozenset[str] | None = None

    def ranking(self) -> Ranking:
        """Search within the window first: most often nobody farther away is asked for."""
        found, walk = self.found, self._walk()
        if walk is not None:
            for limit_s in self._limits():
                self._follow(walk, limit_s)
                if self.bound_s <= limit_s:
                    break
        found.searched_s = self.bound_s if self.bound_s < inf else None
        found.options = tuple(sorted(self.options, key=_by_rule))
        found.owners = self.owners
        return found

    def _limits(self) -> tuple[float, float, float]:
        """Give how far to look at first, then, and last."""
        in_time_s = self.found.in_time_s
        first_s = in_time_s if in_time_s > 0.0 else self.rules.arrive_s
        return first_s, NEXT_LIMIT * first_s, inf

    def _fit_owners(self) -> frozenset[str]:
        """Give the owners who may be sent; one who may not is told first of all."""
        if self.road_id is None:
            return frozenset()
        fit = set()
        for owner in self.world.roster.owners(self.road_id, self.state.area_id):
            reason = self.eligibility.exclusion(owner)
            if reason is None:
                fit.add(owner.member_id)
            else:
                self.seen.add(owner.member_id)
                told = LookedAt(owner.member_id, reason, None, owner.travel_mode)
                self.found.looked_at.append(told)
        return frozenset(fit)

    @property
    def team(self) -> frozenset[str]:
        """The squad that answers for the road: looked up only where it is asked for."""
        if self._team is None:
            self._team = frozenset()
            if self.road_id is not None:
                self._team = self.world.roster.team_ids(self.road_id, self.state.area_id)
        return self._team

    @property
    def fit_team(self) -> frozenset[str]:
        """Those of the squad who may be sent."""
        if self._fit_team is None:
            members = map(self.world.roster.get, self.team)
            self._fit_team = frozenset(
                m.member_id
                for m in members
                if m is not None and self.eligibility.exclusion(m) is None
            )
        return self._fit_team

    def _follow(self, walk: Walk, limit_s: float) -> None:
        """Look at those who are next, up to the limit or to what is enough."""
        for reached in walk.until(min(limit_s, self.bound_s)):
            if reached.eta_s > self.bound_s:
                return
            self._look_at(reached)

    def _bound(self) -> float:
        """Say beyond which travel time nobody need be looked at any more."""
        in_time_s, options = self.found.in_time_s, self.options
        if len(options) >= self.count:
            bound_s = options[self.count - 1].eta_s
        elif self.reach == inf:
            return inf
        else:
            bound_s = max(in_time_s, self.reach * options[0].eta_s)
        return in_time_s if bound_s < in_time_s and self._road_is_waited_for() else bound_s

    def _road_is_waited_for(self) -> bool:
        """Tell whether somebody of the road may still come in time who goes before others."""
        if self.owners_left or self.road_id is None:
            return bool(self.owners_left)
        return not self.has_of_road and not self.fit_team <= self.seen

    def _look_at(self, reached: Reached) -> None:
        member_id = reached.member_id
        member = self.world.roster.get(member_id)
        if member is None or member_id in self.seen:
            return
        self.seen.add(member_id)
        placed = reached.from_post or (
            reached.fix_ms is not None and reached.fix_ms >= self.eligibility.oldest_ms
        )
        reason = self.eligibility.exclusion(member, placed=placed)
        self.found.looked_at.append(LookedAt(member_id, reason, reached, member.travel_mode))
        if reason is None:
            self._may_go(reached, member.travel_mode)

    def _may_go(self, reached: Reached, mode: Mode) -> None:
        """Note one more who may go; they come in the order of their travel time."""
        member_id, eta_s = reached.member_id, reached.eta_s
        in_time = eta_s <= self.found.in_time_s
        rule = self._rule(member_id) if in_time else self.nearest_rule
        option = Option(member_id, eta_s, reached.distance_m, rule, in_time, reached, mode)
        self.options.append(option)
        self.owners_left.discard(member_id)
        self.has_of_road = self.has_of_road or rule != self.nearest_rule
        if len(self.options) == 1 or len(self.options) >= self.count:
            self.bound_s = self._bound()

    def _rule(self, member_id: str) -> str:
        if member_id in self.owners:
            return OWNER
        return TEAM if member_id in self.team else self.nearest_rule

    def _walk(self) -> Walk | None:
        """Begin a walk through the members of all travel modes, each by where they are now."""
        site, modes = self.found.site, self.found.modes
        if site is None or not modes:
            return None
        field = self.world.roads.travel_field(site, modes, self.state.closed_roads)
        since_ms = oldest_fix_ms(self.rules, self.found.at_ms)
        return field.walk(self.world.live, since_ms, MET_AT_ONCE)


def _by_rule(option: Option) -> tuple[int, float, str]:
    return ORDER_OF_RULES[option.rule], option.eta_s, option.member_id
