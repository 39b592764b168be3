"""Earlier than the window: a member who has become much nearer takes over before anybody has
set out.

An unanswered offer is stood down and the nearer member is ordered instead. Who has accepted is
never dropped for somebody who has not answered: the nearer member is ordered *as well*, standing
by, and the first is stood down only in the moment in which the other accepts. When the first sets
out, or comes nearer by ``min_progress_m``, the offer that stands by is taken back; when it is
declined or lapses, nothing is lost. Who would take over is whom the rules of choice name now, so
an owner who is in time stays; it must be nearer by ``swap_gain_s`` and by a third of the way, not
again within ``swap_again_s``, and at most ``swap_max`` times an incident.

Only fixes that are fresh and trusted count. A moving fleet is met with a straight line first.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from math import cos, radians
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.choice import Chosen, choose
from xiaohe.dispatch.draft import Draft, after
from xiaohe.dispatch.filling import fill, order, stand_down
from xiaohe.dispatch.inputs import Fix
from xiaohe.dispatch.policy import Rules
from xiaohe.dispatch.prediction import gap_m, travel
from xiaohe.dispatch.state import AreaState, Incident, Order, Starting
from xiaohe.dispatch.world import World
from xiaohe.geo.modes import EBIKE_KMH, KMH_PER_MPS, WALK_KMH
from xiaohe.geo.roads import MAXSPEED_KMH_MAX, Mode

NEARER_MEMBER: Final = "nearer_member"
"""Why an order was stood down whose place a nearer member takes."""

FIRST_SET_OUT: Final = "first_set_out"
"""Why an offer that stood by was taken back."""

Degrees = NDArray[np.float64]
Places = tuple[Degrees, Degrees]
"""Longitudes and latitudes of many fixes."""

GAIN_SHARE: Final = 1 / 3
"""Whoever takes over saves so much of the way at least: estimates are no better than that."""

LOOKED_AT_MAX: Final = 32
"""Incidents that a free member's fix is held against; at the others it is the first one's turn."""

TOP_SPEED_KMH: Final[Mapping[Mode, float]] = {
    "walk": WALK_KMH,
    "ebike": EBIKE_KMH,
    "car": MAXSPEED_KMH_MAX,
}
"""Faster than this nobody comes, whatever the road."""

METRES_PER_DEGREE_MIN: Final = 110_500.0
"""The least that a degree of latitude has anywhere: what is farther by it is farther."""

SNAP_MAX_M: Final = 300.0
"""A member may be so far beside the road on which they count."""


def follow_start(draft: Draft, incident_id: str, dispatch_id: str) -> None:
    """Look at a member who was ordered and has not set out, by a fix of theirs or their time."""
    incident = draft.incident(incident_id)
    first = incident.order(dispatch_id)
    assert first is not None, f"no order {dispatch_id} in {incident_id}"
    if _is_coming(draft, incident, first):
        withdraw_seconds(draft, incident_id, dispatch_id)
    elif _is_believed(draft, first.member_id):
        _take_over(draft, incident, first)
        _ask_on_if_late(draft, incident_id, dispatch_id)


def passes_by(state: AreaState, world: World, member_id: str, fix: Fix) -> bool:
    """Tell whether a free member may be near enough to take over, by a straight line alone."""
    if not state.starting:
        return False
    return next(_nearby(state, world, member_id, fix.lon, fix.lat), None) is not None


def passing(state: AreaState, world: World, lon: Degrees, lat: Degrees) -> NDArray[np.bool_]:
    """Tell of many fixes at once which may be near enough, as if all had the fastest mode."""
    modes = world.roster.modes(state.area_id)
    top_mps = max((_top_mps(world, mode) for mode in modes), default=0.0)
    east_m = METRES_PER_DEGREE_MIN * np.cos(np.radians(lat))
    near = np.zeros(len(lon), dtype=np.bool_)
    for start in islice(state.starting, LOOKED_AT_MAX):
        x_m, y_m = (start.lon - lon) * east_m, (start.lat - lat) * METRES_PER_DEGREE_MIN
        near |= x_m * x_m + y_m * y_m <= _reach_m(start, top_mps) ** 2
    return near


def _top_mps(world: World, mode: Mode) -> float:
    return TOP_SPEED_KMH[mode] / KMH_PER_MPS * world.roads.network.speed_factor


def _reach_m(start: Starting, top_mps: float) -> float:
    return top_mps * start.eta_s * (1.0 - GAIN_SHARE) + start.off_road_m + SNAP_MAX_M


def may_take_over(draft: Draft, member_id: str, fix: Fix) -> None:
    """See whether a free member, by their new fix, is much nearer than somebody ordered."""
    if not _is_believed(draft, member_id):
        return
    for start in _nearby(draft.state, draft.world, member_id, fix.lon, fix.lat):
        incident = draft.incident(start.incident_id)
        for first in incident.open_orders("primary"):
            enough_s = _enough_s(draft.rules(incident), first.eta_s)
            if enough_s <= 0.0 or not _may_be_replaced(draft, incident, first):
                continue
            way = travel(draft, incident, member_id)
            if way is not None and way.eta_s <= enough_s:
                _take_over(draft, incident, first)
                return


def _nearby(
    state: AreaState, world: World, member_id: str, lon: float, lat: float
) -> Iterator[Starting]:
    member = world.roster.get(member_id)
    if member is None or not state.starting:
        return
    top_mps = _top_mps(world, member.travel_mode)
    east_m = METRES_PER_DEGREE_MIN * cos(radians(lat))
    for start in islice(state.starting, LOOKED_AT_MAX):
        reach_m = _reach_m(start, top_mps)
        x_m, y_m = (start.lon - lon) * east_m, (start.lat - lat) * METRES_PER_DEGREE_MIN
        if x_m * x_m + y_m * y_m <= reach_m * reach_m:
            yield start


def withdraw_seconds(draft: Draft, incident_id: str, dispatch_id: str) -> None:
    """Take back what stands by for an order whose member is on the way."""
    for second in draft.incident(incident_id).seconds_of(dispatch_id):
        stand_down(draft, incident_id, second, FIRST_SET_OUT)


def make_way(draft: Draft, incident_id: str, second: Order) -> None:
    """Stand down the first in the moment in which the nearer one accepts."""
    incident = draft.incident(incident_id)
    if second.instead_of is not None and incident.is_second(second):
        first = incident.order(second.instead_of)
        assert first is not None, "an offer stands by for an order of its own incident"
        stand_down(draft, incident_id, first, NEARER_MEMBER)


def _take_over(draft: Draft, incident: Incident, first: Order) -> None:
    rules = draft.rules(incident)
    way = travel(draft, incident, first.member_id)
    if way is None or not _is_believed(draft, first.member_id):
        return
    enough_s = _enough_s(rules, way.eta_s)
    if enough_s <= 0.0 or not _may_be_replaced(draft, incident, first):
        return
    freed = Draft(draft.state, draft.world, draft.stamp)
    stand_down(freed, incident.incident_id, first, NEARER_MEMBER)
    again = freed.incident(incident.incident_id)
    choice = choose(freed.state, draft.world, again, rules, draft.at_ms)
    if not isinstance(choice, Chosen) or not _gains(draft, choice, enough_s):
        return
    if first.state == "ordered":
        stand_down(draft, incident.incident_id, first, NEARER_MEMBER)
    nearer = replace(choice, why=replace(choice.why, instead_of=first.dispatch_id))
    order(draft, incident.incident_id, "primary", nearer, instead_of=first.dispatch_id)


def _gains(draft: Draft, choice: Chosen, enough_s: float) -> bool:
    by_fix = choice.why.fix_age_s is not None and _is_believed(draft, choice.member_id)
    return by_fix and choice.eta_s is not None and choice.eta_s <= enough_s


def _enough_s(rules: Rules, first_s: float | None) -> float:
    """Give how near somebody has to be to take over from somebody so far away."""
    if first_s is None:
        return -1.0
    return min(first_s - rules.swap_gain_s, first_s * (1.0 - GAIN_SHARE))


def _may_be_replaced(draft: Draft, incident: Incident, first: Order) -> bool:
    rules = draft.rules(incident)
    swaps = [o for o in incident.orders[incident.tried_from :] if o.instead_of is not None]
    resting = any(draft.at_ms < after(o.ordered_ms, rules.swap_again_s) for o in swaps)
    return (
        first.acting == "primary"
        and (first.state == "accepted" or (first.state == "ordered" and not first.asked_on))
        and not first.is_by_hand
        and not incident.is_second(first)
        and not incident.seconds_of(first.dispatch_id)
        and len(swaps) < rules.swap_max
        and not resting
        and not _is_coming(draft, incident, first)
    )


def _is_coming(draft: Draft, incident: Incident, first: Order) -> bool:
    """Tell whether somebody who accepted has set out, whatever they said: they are nearer."""
    if first.state != "accepted" or first.gap_m is None:
        return False
    now_m = gap_m(draft, incident, first.member_id)
    return now_m is not None and first.gap_m - now_m >= draft.rules(incident).min_progress_m


def _is_believed(draft: Draft, member_id: str) -> bool:
    track = draft.world.live.track(member_id)
    return track is not None and track.trusted


def _ask_on_if_late(draft: Draft, incident_id: str, dispatch_id: str) -> None:
    """Ask the next at once where an unanswered offer could not be met in time any more, and the
    next would be there sooner."""
    incident = draft.incident(incident_id)
    first = incident.order(dispatch_id)
    assert first is not None, f"no order {dispatch_id} in {incident_id}"
    if first.state != "ordered" or first.acting != "primary" or first.asked_on:
        return
    way = travel(draft, incident, first.member_id)
    if way is None or after(draft.at_ms, way.eta_s) <= incident.arrive_by_ms:
        return
    following = choose(draft.state, draft.world, incident, draft.rules(incident), draft.at_ms)
    if isinstance(following, Chosen) and (following.eta_s or 0.0) < way.eta_s:
        draft.emit(f.OfferAged(incident_id=incident_id, dispatch_id=dispatch_id))
        fill(draft, incident_id)
