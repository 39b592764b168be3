"""Who goes: the owner of the road, else their squad, else whoever is there soonest.

One search grows outwards from the scene over the road network, per travel mode, and meets the
members in the order of their travel time. The owner and the squad come first, but only while
they can still be there within the arrival window; beyond it the quickest goes.
"""

from collections.abc import Iterator
from heapq import merge
from math import inf

from msgspec import Struct

from xiaohe.dispatch.eligibility import Excluded, exclusion, has_fresh_fix, is_on_duty
from xiaohe.dispatch.facts import Candidate, Responsible, Why
from xiaohe.dispatch.policy import Rules
from xiaohe.dispatch.roster import Member
from xiaohe.dispatch.state import AreaState, Incident
from xiaohe.dispatch.world import World
from xiaohe.geo.search import Reached, TravelField

CANDIDATES_MAX = 20
"""Candidates named in an order's ``why``, from the contract."""

EVERYBODY_MAX = 2000
"""Up to so many members of an area, everybody's reason is told when nobody can go."""

ETA_DECIMALS = 1
"""Digits after the point of published seconds and metres."""


class Chosen(Struct, frozen=True):
    """The member to order, and what the order says about the way and the choice."""

    member_id: str
    eta_s: float | None
    distance_m: float | None
    route: tuple[str, ...]
    why: Why


class Nobody(Struct, frozen=True):
    """Nobody can go, for these reasons."""

    reasons: tuple[str, ...]


def responsible_for(state: AreaState, world: World, road_id: str | None, at_ms: int) -> Responsible:
    """Say who answers for a road at this moment: owners on duty, else all owners' squad."""
    if road_id is None:
        return Responsible()
    owners = world.roster.owners(road_id, state.area_id)
    on_duty = tuple(m for m in owners if is_on_duty(state, world, m.member_id, at_ms))
    named = on_duty or owners
    return Responsible(
        team=named[0].team if named else None,
        members=tuple(m.member_id for m in on_duty),
    )


def choose(
    state: AreaState, world: World, incident: Incident, rules: Rules, at_ms: int
) -> Chosen | Nobody:
    """Choose the next member for an incident."""
    if incident.place is None:
        return Nobody(("no_place",))
    return _Choice(state, world, incident, rules, at_ms).made()


_Found = tuple[Reached, TravelField]


class _Choice:
    """One choice: what is looked at once, and what was found so far."""

    def __init__(
        self, state: AreaState, world: World, incident: Incident, rules: Rules, at_ms: int
    ) -> None:
        self.state, self.world, self.incident = state, world, incident
        self.rules, self.at_ms = rules, at_ms
        self.nearest_rule = "nearest" if incident.origin is None else "mutual_aid"
        self.limit_s = (incident.arrive_by_ms - at_ms) / 1000
        self.candidates: list[Candidate] = []
        self.seen: set[str] = set()
        # A call for help and a neighbour's call for aid go by time alone.
        by_road = incident.distress_of is None and incident.origin is None
        road_id = incident.road_id if by_road else None
        area_id = state.area_id
        owners = world.roster.owners(road_id, area_id) if road_id is not None else ()
        team = world.roster.team_members(road_id, area_id) if road_id is not None else ()
        self.owners = self._may_go(owners)
        self.team = self._may_go(team)

    def _may_go(self, members: tuple[Member, ...]) -> set[str]:
        """Keep those who may be sent; an owner who may not is told first of all."""
        fit = set()
        for member in members:
            reason = self._exclusion(member)
            if reason is None:
                fit.add(member.member_id)
            elif member in self.world.roster.owners(
                self.incident.road_id or "", self.state.area_id
            ):
                self._tell(member.member_id, None, reason)
        return fit

    def _exclusion(self, member: Member) -> Excluded | None:
        return exclusion(self.state, self.world, self.incident, member, self.at_ms)

    def _tell(self, member_id: str, eta_s: float | None, reason: str | None) -> None:
        if member_id in self.seen:
            return
        self.seen.add(member_id)
        if len(self.candidates) < CANDIDATES_MAX:
            self.candidates.append(Candidate(member_id, _rounded(eta_s), reason))

    def made(self) -> Chosen | Nobody:
        """Search within the window first: most often nobody farther away is asked for."""
        best: dict[str, _Found] = {}
        within_s = max(0.0, self.limit_s)
        self._search(best, 0.0, within_s)
        if not best:
            self._search(best, within_s, inf)
        for rule in ("owner", "team"):
            if rule in best:
                return self._chosen(rule, *best[rule])
        if "nearest" in best:
            return self._chosen(self.nearest_rule, *best["nearest"])
        return Nobody(self._reasons())

    def _search(self, best: dict[str, _Found], from_s: float, to_s: float) -> None:
        """Find the first who may go of each rule, among those so many seconds away."""
        owners, team = set(self.owners), set(self.team)
        for reached, travel_field in self._in_order_of_time(from_s, to_s):
            in_time = reached.eta_s <= self.limit_s
            if best and not (in_time and (owners or ("team" not in best and team))):
                # Nobody who is still to come would be preferred to who was found.
                return
            member = self.world.roster.get(reached.member_id)
            if member is None or reached.member_id in self.seen:
                continue
            reason = self._exclusion(member)
            eta_s = None if reason is Excluded.STALE_FIX else reached.eta_s
            self._tell(member.member_id, eta_s, reason)
            if reason is not None:
                continue
            found = (reached, travel_field)
            best.setdefault("nearest", found)
            if in_time and member.member_id in team:
                best.setdefault("team", found)
            if in_time and member.member_id in owners:
                best["owner"] = found
                return
            owners.discard(member.member_id)
            team.discard(member.member_id)

    def _in_order_of_time(self, from_s: float, to_s: float) -> Iterator[_Found]:
        """Merge the searches of all travel modes, each member by where they are now."""
        assert self.incident.place is not None
        site = self.world.roads.site(self.incident.place, self.incident.road_id)
        if site is None:
            return
        searches = []
        for mode in self.world.roster.modes(self.state.area_id):
            travel_field = self.world.roads.travel_field(site, mode, self.state.closed_roads)
            searches.append(self._of_mode(travel_field, to_s))
        for found in merge(*searches, key=lambda found: (found[0].eta_s, found[0].member_id)):
            if found[0].eta_s > from_s or from_s == 0.0:
                yield found

    def _of_mode(self, travel_field: TravelField, to_s: float) -> Iterator[_Found]:
        for reached in travel_field.members(self.world.live, to_s):
            member = self.world.roster.get(reached.member_id)
            if member is None or member.travel_mode != travel_field.mode:
                continue
            fresh = has_fresh_fix(self.world, reached.member_id, self.rules, self.at_ms)
            # A fresh fix says where they are; without one they stand at their post. Who has
            # neither is met where they were last, to be told that this is why they do not go.
            lost = not fresh and self.world.live.post(reached.member_id) is None
            if fresh != reached.from_post or lost:
                yield reached, travel_field

    def _chosen(self, rule: str, reached: Reached, travel_field: TravelField) -> Chosen:
        track = self.world.live.track(reached.member_id)
        age_s = None
        if not reached.from_post:
            assert track is not None
            age_s = max(0.0, round((self.at_ms - track.fix_ms) / 1000, ETA_DECIMALS))
        if rule != "owner":
            for owner in sorted(self.owners):
                self._tell(owner, None, Excluded.TOO_FAR)
        candidates = self.candidates
        if all(c.member_id != reached.member_id for c in candidates):
            last = Candidate(reached.member_id, _rounded(reached.eta_s), None)
            candidates = [*candidates[: CANDIDATES_MAX - 1], last]
        return Chosen(
            member_id=reached.member_id,
            eta_s=_rounded(reached.eta_s),
            distance_m=_rounded(reached.distance_m),
            route=travel_field.route(reached.spot),
            why=Why(
                rule=rule,
                candidates=tuple(candidates),
                fix_age_s=age_s,
                roads_version=self.world.roads.version,
                policy_version=self.world.policy.version,
            ),
        )

    def _reasons(self) -> tuple[str, ...]:
        """Say why nobody can go: each reason once, in alphabetical order."""
        members = self.world.members(self.state.area_id)
        if not members:
            return ("no_members",)
        reasons = {c.excluded or Excluded.UNREACHABLE for c in self.candidates}
        if len(members) <= EVERYBODY_MAX:
            reasons = {self._exclusion(m) or Excluded.UNREACHABLE for m in members.values()}
        return tuple(sorted(str(reason) for reason in reasons))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, ETA_DECIMALS)
