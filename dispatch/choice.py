"""Who goes: the owner of the road, else their squad, else whoever is there soonest; and why.

``ranking`` finds them in this order; here the first is taken, or another one whom a joint choice
wants, and the order's ``why`` is written.
"""

from collections import Counter

from msgspec import Struct

from xiaohe.dispatch.eligibility import Eligibility, Excluded, is_on_duty
from xiaohe.dispatch.facts import Candidate, Responsible, Why
from xiaohe.dispatch.inputs import Position
from xiaohe.dispatch.policy import Rules
from xiaohe.dispatch.ranking import OWNER, LookedAt, Option, Ranking, ranked
from xiaohe.dispatch.state import AreaState, Incident
from xiaohe.dispatch.world import World

CONSIDERED = 5
"""Members who may go that a choice looks at: the one who goes, and who would have gone else."""

CANDIDATES_MAX = 20
"""Candidates named in an order's ``why``, from the contract."""

EVERYBODY_MAX = 2000
"""Up to so many members of an area, everybody's reason is told when nobody can go."""

ETA_DECIMALS = 1
"""Digits after the point of published seconds and metres."""

PLACE_DECIMALS = 6
"""Digits of published degrees: 0.1 m."""

FARTHER = "farther"
"""In ``left_out``: they could have gone, and are farther away than those named."""


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
    ranking = ranked(state, world, incident, rules, at_ms, CONSIDERED)
    if not ranking.options:
        return nobody(state, world, incident, ranking)
    return chosen(world, ranking, ranking.options[0])


def nobody(state: AreaState, world: World, incident: Incident, ranking: Ranking) -> Nobody:
    """Say why nobody can go: each reason once, in alphabetical order."""
    assert not ranking.options, "somebody can go"
    members = world.members(state.area_id)
    if not members:
        return Nobody(("no_members",))
    if len(members) <= EVERYBODY_MAX:
        eligibility = Eligibility(state, world, incident, ranking.rules, ranking.at_ms)
        reasons = {eligibility.exclusion(member) for member in members.values()}
    else:
        # Who was not even met stands where no road leads from; nobody is left without a reason.
        reasons = {seen.excluded for seen in ranking.looked_at} or {Excluded.UNREACHABLE}
    return Nobody(tuple(sorted(str(reason or Excluded.UNREACHABLE) for reason in reasons)))


def chosen(
    world: World,
    ranking: Ranking,
    option: Option,
    *,
    together: tuple[str, ...] = (),
    given: frozenset[str] = frozenset(),
    instead_of: str | None = None,
) -> Chosen:
    """Write the order for one of the ranking's options.

    ``together`` names incidents that were decided jointly with this one, ``given`` the members who
    have an order by that joint choice, ``instead_of`` an order that this one is to replace.
    """
    site = ranking.site
    assert site is not None, "where there is an option there is a way to somewhere"
    travel_field = world.roads.travel_field(site, ranking.modes, ranking.closed_roads)
    told = [_as_given(seen, given - {option.member_id}) for seen in _told(ranking, option)]
    rules = {each.member_id: each.rule for each in ranking.options}
    candidates = tuple(
        [_candidate(seen, rules.get(seen.member_id), ranking.at_ms) for seen in told]
    )
    why = Why(
        rule=option.rule,
        candidates=candidates,
        fix_age_s=next(c.fix_age_s for c in candidates if c.member_id == option.member_id),
        roads_version=world.roads.version,
        policy_version=world.policy.version,
        roster_version=world.roster.version,
        from_place=Position(
            round(site.access_lon, PLACE_DECIMALS), round(site.access_lat, PLACE_DECIMALS)
        ),
        off_road_m=_rounded(site.off_road_m),
        in_time_s=_rounded(ranking.in_time_s),
        searched_s=_rounded(ranking.searched_s),
        left_out=_left_out(ranking, told),
        closed_roads=tuple(sorted(ranking.closed_roads)),
        together=together,
        instead_of=instead_of,
    )
    return Chosen(
        member_id=option.member_id,
        eta_s=_rounded(option.eta_s),
        distance_m=_rounded(option.distance_m),
        route=travel_field.route(option.reached.spot, option.mode),
        why=why,
    )


def _told(ranking: Ranking, option: Option) -> list[LookedAt]:
    """Give those whom the order names: the first looked at, and in any case who could go."""
    told = ranking.looked_at
    if option.rule != OWNER and ranking.owners:
        met = {seen.member_id for seen in told}
        unmet = sorted(ranking.owners - met)
        told = [_as_owner(seen, ranking, option) for seen in told]
        told += [LookedAt(owner, Excluded.TOO_FAR, None, option.mode) for owner in unmet]
    if len(told) <= CANDIDATES_MAX:
        return told
    # Who could have gone tells more than one more who is not on duty.
    could = sorted(
        told, key=lambda seen: (seen.member_id != option.member_id, seen.excluded is not None)
    )
    named = {seen.member_id for seen in could[:CANDIDATES_MAX]}
    return [seen for seen in told if seen.member_id in named]


def _as_owner(seen: LookedAt, ranking: Ranking, option: Option) -> LookedAt:
    """Say of an owner who comes too late that this is why somebody else goes."""
    late = seen.reached is not None and seen.reached.eta_s > ranking.in_time_s
    if late and seen.member_id in ranking.owners and seen.member_id != option.member_id:
        return seen._replace(excluded=seen.excluded or Excluded.TOO_FAR)
    return seen


def _as_given(seen: LookedAt, given: frozenset[str]) -> LookedAt:
    """Say of who goes elsewhere by the same joint choice that they could not go here as well."""
    if seen.member_id not in given:
        return seen
    return seen._replace(excluded=seen.excluded or Excluded.SENT_JOINTLY)


def _left_out(ranking: Ranking, told: list[LookedAt]) -> dict[str, int]:
    if len(told) >= len(ranking.looked_at):
        return {}
    named = {seen.member_id for seen in told}
    others = (seen for seen in ranking.looked_at if seen.member_id not in named)
    counted = Counter(str(seen.excluded or FARTHER) for seen in others)
    return dict(sorted(counted.items()))


def _candidate(seen: LookedAt, rule: str | None, at_ms: int) -> Candidate:
    reached, excluded = seen.reached, seen.excluded
    if reached is None:
        return Candidate(seen.member_id, None, excluded, None, rule, seen.mode)
    eta_s = round(reached.eta_s, ETA_DECIMALS)
    distance_m = round(reached.distance_m, ETA_DECIMALS)
    if excluded is Excluded.STALE_FIX:
        # How long the way was from where somebody was long ago says nothing.
        age_s = _age_s(reached.fix_ms, at_ms)
        return Candidate(seen.member_id, None, excluded, mode=seen.mode, fix_age_s=age_s)
    if excluded is not None:
        return Candidate(seen.member_id, eta_s, excluded, distance_m, None, seen.mode)
    place = Position(round(reached.lon, PLACE_DECIMALS), round(reached.lat, PLACE_DECIMALS))
    if reached.from_post:
        return Candidate(
            seen.member_id, eta_s, None, distance_m, rule, seen.mode, place, at_post=True
        )
    age_s = _age_s(reached.fix_ms, at_ms)
    return Candidate(
        seen.member_id, eta_s, None, distance_m, rule, seen.mode, place, False, age_s,
        reached.accuracy_m, reached.trusted,
    )  # fmt: skip


def _age_s(fix_ms: int | None, at_ms: int) -> float | None:
    return None if fix_ms is None else max(0.0, round((at_ms - fix_ms) / 1000, ETA_DECIMALS))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, ETA_DECIMALS)
