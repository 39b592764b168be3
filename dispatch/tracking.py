"""What a member's position says: arrived, going to be late, in distress.

Positions themselves are not recorded: they move the live index, and a decision is recorded only
where one follows. All of it is safe to see twice, for after a take-over the last two minutes of
positions are read again.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from xiaohe.dispatch.alerts import Distress, take_alert
from xiaohe.dispatch.answers import arrive
from xiaohe.dispatch.draft import Draft
from xiaohe.dispatch.eligibility import Excluded, exclusion, is_on_duty
from xiaohe.dispatch.filling import FILLED_AGAIN_MAX, fill
from xiaohe.dispatch.ids import alarm_alert_id_of
from xiaohe.dispatch.inputs import Alert, Fix, Position
from xiaohe.dispatch.prediction import predict_by_position
from xiaohe.dispatch.state import AreaState, Holding, Incident, Order
from xiaohe.dispatch.swapping import Places, follow_start, may_take_over, passing
from xiaohe.dispatch.times import rfc3339
from xiaohe.dispatch.world import World
from xiaohe.geo.projection import ground_distance_m

DISTRESS_ALARMS: Final = frozenset({"sos", "fall"})
"""Alarms of a device that are a call for help."""

ALARM_SOURCE: Final = "member-alarm"
"""The ``source`` of the alert that such an alarm makes."""

DISTRESS_NEEDED: Final = 2
"""The two quickest go to a member in distress, from the contract."""

ALARM_AGE_MAX_MS: Final = 3_600_000
"""An alarm older than an hour comes from a device that was switched on again: history."""


def concerns(state: AreaState, member_id: str, fix: Fix) -> bool:
    """Tell whether anything can follow from a fix, but that its member takes over from somebody
    (``passes_by``): nearly always nothing does."""
    return member_id in state.holding or fix.alarm in DISTRESS_ALARMS or len(state.wanting) > 0


def concerned(
    state: AreaState,
    world: World,
    at_ms: int,
    member_ids: Sequence[str | None],
    alarms: Sequence[str | None] | None,
    since: int,
    places: Places | None = None,
) -> Iterator[int]:
    """Give the places, from ``since`` on and in order, of the fixes that may lead to a decision.

    Of many fixes at once, by whose they are (None: nobody's) and what they alarm of (None: none
    of them of anything). A fix that is passed over has no order to follow and no alarm, and no
    incident waits that its member could be sent to, wherever they are; nor are they near where
    somebody was ordered to who has not set out. ``places`` are all fixes' lon and lat.
    """
    near = None if places is None or not state.starting else passing(state, world, *places)
    numbers = range(since, len(member_ids))
    holders = set(member_ids).intersection(state.holding)
    if alarms is None and not holders and not state.wanting and near is None:
        return iter(())

    def is_concerned(at: int) -> bool:
        member_id = member_ids[at]
        if member_id is None:
            return False
        if member_id in holders or (alarms is not None and alarms[at] in DISTRESS_ALARMS):
            return True
        if near is not None and near[at]:
            return True
        return len(state.wanting) > 0 and _is_wanted(state, world, member_id, at_ms)

    return filter(is_concerned, numbers)


def _is_wanted(state: AreaState, world: World, member_id: str, at_ms: int) -> bool:
    """Tell whether somebody could be sent to a waiting incident, were it known where they are."""
    member = world.roster.get(member_id)
    # Who is busy or off duty is wanted nowhere: not to be asked of each of many that wait.
    if member is None or member_id in state.holding:
        return False
    if not is_on_duty(state, world, member_id, at_ms):
        return False
    return any(
        exclusion(state, world, state.incidents[each.incident_id], member, at_ms)
        in {None, Excluded.STALE_FIX}
        for each in islice(state.waiting, FILLED_AGAIN_MAX)
    )


def follow(draft: Draft, member_id: str, fix: Fix, *, moved: bool) -> None:
    """Decide what a fix says; ``moved``: it is newer than what was known of the member."""
    _call_for_help(draft, member_id, fix)
    held = draft.state.holding.get(member_id)
    if held is not None:
        _follow_order(draft, held, fix, moved=moved)
    elif moved:
        may_take_over(draft, member_id, fix)


def _call_for_help(draft: Draft, member_id: str, fix: Fix) -> None:
    alert = alarm_of(draft.state.area_id, member_id, fix, draft.stamp.received_ms)
    if alert is not None:
        take_alert(draft, alert, Distress(member_id))


def alarm_of(area_id: str, member_id: str, fix: Fix, received_ms: int) -> Alert | None:
    """Give the alert that a fix makes: None where it calls for no help, or did so long ago."""
    if fix.alarm is None or fix.alarm not in DISTRESS_ALARMS:
        return None
    if received_ms - fix.fix_ms > ALARM_AGE_MAX_MS:
        return None
    return Alert(
        alert_id=alarm_alert_id_of(member_id, fix.fix_time, fix.fix_ms),
        area_id=area_id,
        source=ALARM_SOURCE,
        category=fix.alarm,
        occurred_at=rfc3339(fix.fix_ms),
        position=Position(fix.lon, fix.lat),
        priority=1,
        needed=DISTRESS_NEEDED,
    )


def _follow_order(draft: Draft, held: Holding, fix: Fix, *, moved: bool) -> None:
    incident_id, dispatch_id = held.incident_id, held.dispatch_id
    incident = draft.incident(incident_id)
    order = incident.order(dispatch_id)
    assert order is not None, "a held order is in its incident"
    if moved and order.state in {"ordered", "accepted"}:
        follow_start(draft, incident_id, dispatch_id)
    if order.state not in {"accepted", "en_route"}:
        return
    if _has_dwelt(draft, incident, order, fix, moved=moved):
        arrive(draft, incident_id, dispatch_id, by="position")
    elif moved:
        predict_by_position(draft, incident_id, dispatch_id)
    fill(draft, incident_id)


def _has_dwelt(draft: Draft, incident: Incident, order: Order, fix: Fix, *, moved: bool) -> bool:
    """Tell whether the member has been close to the scene for the dwell time.

    A fix from the backlog that a take-over left behind counts too: it was received in time.
    """
    near_ms = draft.world.watch.near_ms
    track = draft.world.live.track(order.member_id)
    since_ms, last_ms = near_ms.get(order.dispatch_id, (fix.fix_ms, fix.fix_ms - 1))
    if fix.fix_ms <= last_ms:
        return False
    doubtful = moved and track is not None and not track.trusted
    if doubtful or not _is_near(draft, incident, fix.lon, fix.lat):
        near_ms.pop(order.dispatch_id, None)
        return False
    draft.world.watch.note(draft.state, order.dispatch_id, since_ms, fix.fix_ms)
    dwelt = fix.fix_ms - since_ms >= draft.rules(incident).dwell_s * 1000
    if dwelt:
        del near_ms[order.dispatch_id]
    return dwelt


def _is_near(draft: Draft, incident: Incident, lon: float, lat: float) -> bool:
    """Tell whether a place is within the scene's radius: of the true place, or of where the
    road comes nearest to it, for the way from there may not be one that a fix can follow."""
    if incident.place is None:
        return False
    radius_m = draft.rules(incident).scene_radius_m
    scene = [(incident.place.lon, incident.place.lat)]
    site = draft.world.roads.site(incident.place, incident.road_id)
    if site is not None:
        scene.append((site.access_lon, site.access_lat))
    return any(ground_distance_m(*spot, lon, lat) <= radius_m for spot in scene)
