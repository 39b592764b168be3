"""Alerts that come close together are decided together, and nothing ever waits for that.

Every alert is decided at once. What makes it joint is that offers just made are not cast in
stone: when a further incident opens, those that are younger than ``joint_s`` and unanswered are
looked at again with it, and where the best assignment of all (``joint.py``) is better, fewer late
or less travel by ``joint_gain_s``, the offers that change are stood down and given anew. Nobody
who has answered is touched, nor an order that a desk gave, nor a member in distress; drills and
real incidents are never decided together, and an incident's offers are changed so at most
``JOINT_CHANGES_MAX`` times. Members who become free go to waiting incidents in the same way.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile
from math import inf
from typing import Final

from msgspec import Struct

from xiaohe.dispatch.choice import EVERYBODY_MAX, chosen
from xiaohe.dispatch.draft import MS_PER_S, Draft, after
from xiaohe.dispatch.eligibility import has_fresh_fix, is_on_duty
from xiaohe.dispatch.filling import FILLED_AGAIN_MAX, fill, lacking, order, stand_down
from xiaohe.dispatch.joint import Assignment, Load, Want, assign, evened, lateness, travel_s
from xiaohe.dispatch.policy import Rules
from xiaohe.dispatch.ranking import Option, Ranking, ranked
from xiaohe.dispatch.state import Incident, Order
from xiaohe.geo.cover import cover
from xiaohe.geo.geometry import Spot
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import Mode

JOINT_CHOICE: Final = "joint_choice"
"""Why an offer was taken back that is given to somebody else, or for something else."""

JOINT_INCIDENTS_MAX: Final = 20
"""Incidents decided together: each costs a search, and a burst in one place is rarely larger."""

JOINT_WANTS_MAX: Final = 24
"""Members wanted by them in all; an incident that wants many is decided alone."""

JOINT_CHANGES_MAX: Final = 2
"""So often an incident's offer is changed: a telephone that rings and stops is trusted less."""

BEHIND_MS: Final = 500
"""A record that waited longer for its decision is decided alone, for others wait behind it: of two
thousand alerts at once the last would otherwise wait for half a minute, at 5 to 17 ms for each
joint decision against half a millisecond."""

RANKED_MIN: Final = 10
"""Members ranked for each incident at least: some are left for what breaks ties."""

WAITED_WINDOWS: Final = 2
"""Left alone for so many arrival windows, an incident waits for no further one."""

COMPETING_MAX: Final = 256
"""Incidents held against a new one at most, of those that wait (the most urgent) and of those
with an offer just made (the newest): more than are open in a bad hour, and fewer than after an
earthquake."""

FILLED_BEHIND_MAX: Final = 4
"""The same while records wait (``BEHIND_MS``): one who is free goes to one incident, and need not
suit the first."""

SHIFT_MS: Final = 8 * 3_600_000
"""Orders that ended longer ago than a usual shift are no burden any more."""

COVER_EDGES_MAX: Final = 50_000
"""On larger maps ties are not broken by cover: it would cost more than a search for everybody."""


class _Row(Struct, frozen=True):
    """One want as it is decided: the ranking that it has, and the offer that it had."""

    incident: Incident
    ranking: Ranking
    offer: Order | None = None


def fill_first(draft: Draft, incident_id: str) -> None:
    """Ask whoever is to be asked for an incident that has just begun.

    One that is decided late is decided alone: others wait behind it.
    """
    if not _is_behind(draft):
        _choose_anew(draft, incident_id)
    fill(draft, incident_id)


def _is_behind(draft: Draft) -> bool:
    """Tell whether records wait so long for their decision that each must be a short one."""
    return draft.at_ms - draft.stamp.received_ms > BEHIND_MS


def fill_wanting(draft: Draft) -> None:
    """Decide the incidents that lack somebody again, for whoever is free now.

    A member in distress comes first; the others are decided together, drills after all.
    """
    behind = _is_behind(draft)
    first = islice(draft.state.waiting, FILLED_BEHIND_MAX if behind else FILLED_AGAIN_MAX)
    incidents = [draft.state.incidents[each.incident_id] for each in first]
    for incident in incidents:
        if incident.distress_of is not None and _anybody_is_free(draft):
            fill(draft, incident.incident_id)
    for drill in () if behind else (False, True):
        _fill_together(draft, [i for i in incidents if i.drill == drill])
    for incident in incidents:
        if not _anybody_is_free(draft):
            return
        fill(draft, incident.incident_id)


def _anybody_is_free(draft: Draft) -> bool:
    """Tell whether there is anybody to choose from at all; a large area always has somebody."""
    members = draft.world.members(draft.state.area_id)
    return len(members) > EVERYBODY_MAX or any(
        member_id not in draft.state.holding
        and is_on_duty(draft.state, draft.world, member_id, draft.at_ms)
        for member_id in members
    )


# --- incidents that wait


def _fill_together(draft: Draft, incidents: Sequence[Incident]) -> None:
    waiting = list(_within_bounds([i for i in incidents if _may_be_joined(draft, i)]))
    if len(waiting) < 2 or not _anybody_is_free(draft):  # noqa: PLR2004 - one is decided alone
        return
    rows = [row for incident in waiting for row in _rows_lacking(draft, incident, _count(waiting))]
    rows = [row for row in rows if row.ranking.options]
    if len({row.incident.incident_id for row in rows}) < 2:  # noqa: PLR2004 - the same
        return
    wants = [_want(draft, row) for row in rows]
    rules = draft.rules(waiting[0])
    best = _evened(draft, rules, wants, assign(wants, rules.even_s))
    _give(draft, rows, best, [n for n, option in enumerate(best) if option is not None])


def _may_be_joined(draft: Draft, incident: Incident) -> bool:
    return (
        incident.is_live
        and incident.distress_of is None
        and incident.place is not None
        and 0 < lacking(draft.incident(incident.incident_id), "primary") <= JOINT_WANTS_MAX
    )


def _within_bounds(incidents: Sequence[Incident]) -> Iterator[Incident]:
    wants = 0
    for incident in incidents[:JOINT_INCIDENTS_MAX]:
        wants += max(1, incident.needed)
        if wants > JOINT_WANTS_MAX:
            return
        yield incident


def _count(incidents: Sequence[Incident]) -> int:
    """Give how many to rank: with as many as are wanted in all, nobody else could be better."""
    return max(RANKED_MIN, sum(max(1, i.needed) for i in incidents))


# --- offers just made


def _choose_anew(draft: Draft, incident_id: str) -> None:
    """Give offers just made otherwise where a new incident makes that better, and fill it."""
    incident = draft.incident(incident_id)
    rules = draft.rules(incident)
    if rules.joint_s == 0 or not _may_be_joined(draft, incident):
        return
    others = [i for i in _competing(draft, incident, rules) if i.incident_id != incident_id]
    others = list(_within_bounds([incident, *others]))[1:]
    rows = _rows_anew(draft, incident, others, rules)
    if not rows:
        return
    wants = [_want(draft, row) for row in rows]
    as_it_is = _as_it_is(draft, rows, wants)
    best = _evened(draft, rules, wants, assign(wants, rules.even_s))
    if _is_better(rules, wants, best, as_it_is):
        _give(draft, rows, best, _changed(rows, best))


def _competing(draft: Draft, incident: Incident, rules: Rules) -> list[Incident]:
    """Give the incidents that may want the same members, the nearest first."""
    state = draft.state
    since_ms = after(draft.at_ms, -rules.joint_s)
    just_made = takewhile(lambda each: each.ordered_ms > since_ms, reversed(state.offered))
    looked_at = {each.incident_id for each in islice(just_made, COMPETING_MAX)}
    looked_at |= {each.incident_id for each in islice(state.waiting, COMPETING_MAX)}
    near = [state.incidents[incident_id] for incident_id in looked_at]
    near = [
        other
        for other in near
        if other.drill == incident.drill
        and other.distress_of is None
        and other.place is not None
        and (lacking(other, "primary") > 0 or _young(draft, other, rules))
    ]
    near.sort(key=lambda other: (_between_m(incident, other), other.incident_id))
    return near


def _between_m(one: Incident, other: Incident) -> float:
    assert one.place is not None
    assert other.place is not None
    return ground_distance_m(one.place.lon, one.place.lat, other.place.lon, other.place.lat)


def _young(draft: Draft, incident: Incident, rules: Rules) -> list[Order]:
    """Give the offers of an incident that may still be given otherwise."""
    changed = sum(o.end_reason == JOINT_CHOICE for o in incident.orders[incident.tried_from :])
    if changed >= JOINT_CHANGES_MAX:
        return []
    since_ms = after(draft.at_ms, -rules.joint_s)
    return [
        o
        for o in incident.open_orders("primary")
        if o.state == "ordered"
        and o.ordered_ms > since_ms
        and not o.is_by_hand
        and not o.asked_on
        and o.instead_of is None
    ]


def _would_gain(draft: Draft, freed: Draft, incident: Incident) -> bool:
    """Tell whether the new incident would rather have somebody whom another was just offered.

    Where it gets its first choice anyway, what was best without it is best with it.
    """
    count = incident.needed
    now = _ranked(draft, incident, count).options[:count]
    then = _ranked(freed, incident, count).options[:count]
    return [o.member_id for o in now] != [o.member_id for o in then]


def _rows_lacking(draft: Draft, incident: Incident, count: int) -> list[_Row]:
    now = draft.incident(incident.incident_id)
    return [_Row(now, _ranked(draft, now, count))] * lacking(now, "primary")


def _ranked(draft: Draft, incident: Incident, count: int) -> Ranking:
    rules = draft.rules(incident)
    # However far away: who is ranked for all must be enough for all.
    return ranked(draft.state, draft.world, incident, rules, draft.at_ms, count, reach=inf)


def _rows_anew(
    draft: Draft, incident: Incident, others: Sequence[Incident], rules: Rules
) -> list[_Row]:
    """Give what the new incident wants, and what the others lack or were offered just now.

    An incident whose offered members are not among those who would be asked now (they are too far
    away to be ranked, or went off duty) is left alone. Empty where nothing could be gained.
    """
    while any(_young(draft, other, rules) for other in others):
        freed = Draft(draft.state, draft.world, draft.stamp)
        for other in others:
            for offer in _young(draft, other, rules):
                stand_down(freed, other.incident_id, offer, JOINT_CHOICE)
        if not _would_gain(draft, freed, incident):
            return []
        count = _count([incident, *others])
        of_others = [_rows_of(draft, freed, other, rules, count) for other in others]
        if all(rows is not None for rows in of_others):
            mine = _rows_lacking(freed, incident, count)
            return [*mine, *(row for rows in of_others for row in rows or ())]
        others = [o for o, rows in zip(others, of_others, strict=True) if rows is not None]
    return []


def _rows_of(
    draft: Draft, freed: Draft, incident: Incident, rules: Rules, count: int
) -> list[_Row] | None:
    now = freed.incident(incident.incident_id)
    ranking = _ranked(freed, now, count)
    offers = _young(draft, incident, rules)
    known = {option.member_id for option in ranking.options}
    if not all(offer.member_id in known for offer in offers):
        return None
    lacks = [_Row(now, ranking)] * lacking(incident, "primary")
    return [*lacks, *(_Row(now, ranking, offer) for offer in offers)]


def _want(draft: Draft, row: _Row) -> Want:
    incident, offer = row.incident, row.offer
    waited_s = draft.rules(incident).arrive_s * WAITED_WINDOWS
    had = next(
        (o for o in row.ranking.options if offer is not None and o.member_id == offer.member_id),
        None,
    )
    return Want(
        incident_id=incident.incident_id,
        priority=incident.priority,
        limit_s=(incident.arrive_by_ms - draft.at_ms) / MS_PER_S,
        options=row.ranking.options,
        had=had,
        waited=draft.at_ms >= after(incident.received_ms, waited_s),
    )


def _as_it_is(draft: Draft, rows: Sequence[_Row], wants: Sequence[Want]) -> Assignment:
    """Give what comes of it where no offer is changed: the rest is filled one by one."""
    taken: set[str] = set()
    found: list[Option | None] = []
    for row, want in zip(rows, wants, strict=True):
        option = want.had
        if row.offer is None:
            option = next(
                (
                    o
                    for o in want.options
                    if o.member_id not in draft.state.holding and o.member_id not in taken
                ),
                None,
            )
            taken |= {option.member_id} if option is not None else set()
        found.append(option)
    return tuple(found)


def _is_better(rules: Rules, wants: Sequence[Want], new: Assignment, old: Assignment) -> bool:
    before, now = lateness(wants, old), lateness(wants, new)
    if now != before:
        return now < before
    return travel_s(old) - travel_s(new) >= rules.joint_gain_s


def _changed(rows: Sequence[_Row], best: Assignment) -> list[int]:
    return [
        n
        for n, (row, option) in enumerate(zip(rows, best, strict=True))
        if (row.offer.member_id if row.offer is not None else None)
        != (option.member_id if option is not None else None)
    ]


# --- carrying it out


def _give(draft: Draft, rows: Sequence[_Row], best: Assignment, changed: Sequence[int]) -> None:
    """Take back the offers that change, then give the new ones, the most urgent first."""
    # Those that come away with nothing, or with what they had, were weighed as well.
    together = sorted({row.incident.incident_id for row in rows})
    for n in changed:
        offer = rows[n].offer
        if offer is not None:
            stand_down(draft, rows[n].incident.incident_id, offer, JOINT_CHOICE)
    given = frozenset(option.member_id for option in best if option is not None)
    by_urgency = sorted(
        changed, key=lambda n: (rows[n].incident.priority, rows[n].incident.received_ms, n)
    )
    for n in by_urgency:
        row, option = rows[n], best[n]
        incident_id = row.incident.incident_id
        if option is not None:
            others = tuple(i for i in together if i != incident_id)
            choice = chosen(draft.world, row.ranking, option, together=others, given=given)
            order(draft, incident_id, "primary", choice)
    for incident_id in dict.fromkeys(rows[n].incident.incident_id for n in by_urgency):
        fill(draft, incident_id)


def _evened(draft: Draft, rules: Rules, wants: Sequence[Want], best: Assignment) -> Assignment:
    return evened(wants, best, rules.even_s, _load(draft), _cover_without(draft, rules))


def _load(draft: Draft) -> Callable[[str], Load]:
    since_ms = draft.at_ms - SHIFT_MS

    def load(member_id: str) -> Load:
        ends = [ms for ms in draft.state.served_ms.get(member_id, ()) if ms > since_ms]
        rest_ms = draft.at_ms - ends[-1] if ends else SHIFT_MS
        return Load(orders=len(ends), unrest_ms=-rest_ms)

    return load


def _cover_without(draft: Draft, rules: Rules) -> Callable[[frozenset[str]], float]:
    """Tell what is covered by those who stay free; closed roads are not heeded by it."""
    network = draft.world.roads.network
    members = draft.world.members(draft.state.area_id)
    if network.edge_count > COVER_EDGES_MAX or len(members) > EVERYBODY_MAX:
        return lambda _: 0.0

    def left(gone: frozenset[str]) -> float:
        staying = (i for i in members if i not in gone and i not in draft.state.holding)
        spots = (_where(draft, rules, i) for i in staying)
        return cover(network, [spot for spot in spots if spot is not None], rules.arrive_s)

    return left


def _where(draft: Draft, rules: Rules, member_id: str) -> tuple[Spot, Mode] | None:
    member = draft.world.roster.get(member_id)
    if member is None or not is_on_duty(draft.state, draft.world, member_id, draft.at_ms):
        return None
    live = draft.world.live
    track, post = live.track(member_id), live.post(member_id)
    if has_fresh_fix(draft.world, member_id, rules, draft.at_ms):
        spot = track.spot if track is not None else None
    else:
        spot = post.spot if post is not None else None
    return None if spot is None else (spot, member.travel_mode)
