"""What an alert does: opens an incident, corrects one, joins one, or says nothing new."""

import msgspec
from msgspec import Struct

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.choice import Chosen, choose, responsible_for
from xiaohe.dispatch.deadlines import NO_SHOW, of_order
from xiaohe.dispatch.draft import Draft, after
from xiaohe.dispatch.filling import (
    AID_SOURCE,
    fill,
    stand_down,
    stand_down_surplus,
    watch_for_no_show,
)
from xiaohe.dispatch.fingerprint import fingerprint
from xiaohe.dispatch.ids import dispatch_id_of, incident_id_of
from xiaohe.dispatch.inputs import Alert, Position
from xiaohe.dispatch.ladder import notify_command
from xiaohe.dispatch.place import CANDIDATES_MAX, Place, locate
from xiaohe.dispatch.policy import Rules
from xiaohe.dispatch.reinforcement import backup_by_ms, require_if_always
from xiaohe.dispatch.state import Incident, SeenAlert
from xiaohe.dispatch.times import BadTime, parse_rfc3339
from xiaohe.dispatch.together import fill_first
from xiaohe.dispatch.windows import begin
from xiaohe.geo.projection import ground_distance_m

REMEMBERED_MS = 30 * 86_400_000
"""How long an alert_id is known: the retention of the alerts topic."""

OCCURRED_AHEAD_MAX_MS = 60_000
"""A sender's clock may be ahead by so much before its date counts as odd."""

OCCURRED_AGO_MAX_MS = 86_400_000
"""An alert about something longer ago than a day has an odd date."""


class Distress(Struct, frozen=True):
    """The alert is a member's own alarm."""

    member_id: str


def take_alert(draft: Draft, alert: Alert, distress: Distress | None = None) -> None:
    """Decide one alert; an alert that says what is known changes nothing."""
    mark = fingerprint(alert)
    seen = seen_alert(draft, alert.alert_id)
    if seen is not None and seen.fingerprint == mark:
        return
    superseded = seen_alert(draft, alert.supersedes) if alert.supersedes is not None else None
    target = seen or superseded
    if target is not None and target.incident_id in draft.state.incidents:
        _correct(draft, target.incident_id, alert, mark)
        return
    if distress is not None and (same := _open_distress(draft, alert, distress)) is not None:
        attach(draft, same, alert.alert_id, mark, "same")
        return
    place = _locate(draft, alert)
    same = _same_matter(draft, alert, place)
    if same is not None:
        attach(draft, same, alert.alert_id, mark, "same")
        return
    _open(draft, alert, mark, place, distress)


def seen_alert(draft: Draft, alert_id: str) -> SeenAlert | None:
    """Give what is remembered of an alert_id."""
    seen = draft.state.alerts.get(alert_id)
    if seen is None or draft.stamp.received_ms - seen.received_ms <= REMEMBERED_MS:
        return seen
    incident = draft.state.incidents.get(seen.incident_id)
    return seen if incident is not None and incident.is_live else None


def _rules(draft: Draft, alert: Alert) -> Rules:
    mode = draft.mode_for(alert.priority)
    return draft.world.policy.rules(alert.priority, mode, alert.category, draft.state.area_id)


def _locate(draft: Draft, alert: Alert) -> Place:
    return locate(
        draft.world.roads,
        area_id=draft.state.area_id,
        position=alert.position,
        road_id=alert.road_id,
        address=alert.address,
        off_road_max_m=_rules(draft, alert).off_road_max_m,
    )


def _open_distress(draft: Draft, alert: Alert, distress: Distress) -> str | None:
    """A device repeats its alarm until it is heard: one open incident a member and kind."""
    if distress.member_id not in draft.state.distressed:
        return None
    return next(
        (
            i.incident_id
            for i in draft.state.incidents.under_way()
            if i.is_live and i.distress_of == distress.member_id and i.category == alert.category
        ),
        None,
    )


def _same_matter(draft: Draft, alert: Alert, place: Place) -> str | None:
    """Find the open incident that this alert is surely about; anything less sure is its own."""
    if place.road_id is None or alert.position is None or _stands_alone(alert):
        return None
    rules = _rules(draft, alert)
    on_road = [draft.state.incidents[i] for i in draft.state.live_by_road.get(place.road_id, ())]
    near = [
        (distance_m, incident)
        for incident in on_road
        if incident.category == alert.category
        and incident.drill == alert.drill
        and incident.distress_of is None
        and draft.stamp.received_ms - incident.received_ms <= rules.duplicate_s * 1000
        and (distance_m := _distance_m(incident, alert.position)) <= rules.duplicate_m
    ]
    near.sort(key=lambda found: (found[0], found[1].received_ms, found[1].incident_id))
    return near[0][1].incident_id if near else None


def _stands_alone(alert: Alert) -> bool:
    """An own finding opens on scene, and a neighbour's call for aid has its own account."""
    return alert.reported_by is not None or alert.source == AID_SOURCE


def _distance_m(incident: Incident, position: Position) -> float:
    if incident.position is None:
        return float("inf")
    here = incident.position
    return ground_distance_m(here.lon, here.lat, position.lon, position.lat)


def attach(draft: Draft, incident_id: str, alert_id: str, mark: str, relation: str) -> None:
    """Record that an alert belongs to an incident, and from now on to no other."""
    draft.emit(
        f.AlertAttached(
            incident_id=incident_id,
            alert_id=alert_id,
            fingerprint=mark,
            relation=relation,
        )
    )


def _open(draft: Draft, alert: Alert, mark: str, place: Place, distress: Distress | None) -> None:
    incident_id = incident_id_of(draft.state.area_id, alert.alert_id)
    rules = _rules(draft, alert)
    received_ms = draft.stamp.received_ms
    finder = _finder(draft, alert)
    odd = (*place.odd, *_odd_date(alert, received_ms))
    if alert.reported_by is not None and finder is None:
        known = alert.reported_by in draft.world.members(draft.state.area_id)
        odd = (*odd, "reporter_not_free" if known else "reporter_unknown")
    if alert.supersedes is not None:
        odd = (*odd, "supersedes_unknown")
    draft.emit(
        f.IncidentOpened(
            incident_id=incident_id,
            alert_id=alert.alert_id,
            fingerprint=mark,
            source=alert.source,
            category=alert.category,
            priority=alert.priority,
            mode=draft.mode_for(alert.priority),
            position=alert.position,
            road_id=place.road_id,
            responsible=responsible_for(draft.state, draft.world, place.road_id, draft.at_ms),
            place=place.place,
            off_road_m=place.off_road_m,
            odd=odd,
            received_ms=received_ms,
            accept_by_ms=after(received_ms, rules.accept_s) if finder is None else None,
            arrive_by_ms=after(received_ms, rules.arrive_s),
            needed=alert.needed or rules.needed,
            skills=alert.skills,
            forces=alert.forces,
            drill=alert.drill,
            reported_by=alert.reported_by,
            distress_of=distress.member_id if distress is not None else None,
            origin=alert.origin,
            candidates=_candidates(alert, place),
        )
    )
    if finder is not None:
        _on_scene_already(draft, incident_id, finder)
    start(draft, incident_id)


def _candidates(alert: Alert, place: Place) -> tuple[str, ...]:
    """Give the roads that a person may choose from where nobody can say where it is."""
    if place.place is not None:
        return ()
    return alert.road_candidates[:CANDIDATES_MAX] or place.candidates


def start(draft: Draft, incident_id: str) -> None:
    """Let an incident begin, or begin anew: its windows, its ladder, its orders."""
    incident = draft.incident(incident_id)
    begin(draft, incident_id)
    if incident.distress_of is not None:
        _relieve(draft, incident.distress_of)
        notify_command(draft, incident_id, incident.category)
    require_if_always(draft, incident_id)
    fill_first(draft, incident_id)


def _finder(draft: Draft, alert: Alert) -> str | None:
    """Give the member on the spot who reported it, if they can take it."""
    member_id = alert.reported_by
    # Whether a member of another area is free is that area's to know.
    if member_id is None or member_id not in draft.world.members(draft.state.area_id):
        return None
    return member_id if member_id not in draft.state.holding else None


def _on_scene_already(draft: Draft, incident_id: str, member_id: str) -> None:
    incident = draft.incident(incident_id)
    draft.emit(
        f.MemberArrived(
            incident_id=incident_id,
            dispatch_id=dispatch_id_of(incident_id, incident.attempts + 1),
            member_id=member_id,
            role="primary",
            by="own_finding",
        )
    )


def _relieve(draft: Draft, member_id: str) -> None:
    """Send somebody else to where the member in distress was going."""
    held = draft.state.holding.get(member_id)
    if held is None:
        return
    order = draft.incident(held.incident_id).order(held.dispatch_id)
    assert order is not None, "a held order is in its incident"
    stand_down(draft, held.incident_id, order, "member_in_distress")
    fill(draft, held.incident_id)


def _odd_date(alert: Alert, received_ms: int) -> tuple[str, ...]:
    try:
        occurred_ms = parse_rfc3339(alert.occurred_at)
    except BadTime:
        return ("occurred_at_unreadable",)
    if occurred_ms - received_ms > OCCURRED_AHEAD_MAX_MS:
        return ("occurred_in_the_future",)
    if received_ms - occurred_ms > OCCURRED_AGO_MAX_MS:
        return ("occurred_long_ago",)
    return ()


def _correct(draft: Draft, incident_id: str, alert: Alert, mark: str) -> None:
    """Take a correction; it decides again only while somebody may still have to be chosen."""
    attach(draft, incident_id, alert.alert_id, mark, "correction")
    incident = draft.incident(incident_id)
    if not incident.is_live:
        return
    place = _locate(draft, alert)
    # One that does not know where, or knows no more than the road, takes no better place away.
    known = incident.place is not None and alert.position is None
    moves = place.place is not None and not (known and place.road_id == incident.road_id)
    needed = enough_for(incident, alert.needed or _rules(draft, alert).needed)
    update = f.IncidentUpdated(
        incident_id=incident_id,
        by="alert",
        reason="correction",
        category=alert.category,
        priority=alert.priority,
        # What became an emergency stays one: nobody is put at ease by a correction.
        mode=draft.mode_for(alert.priority) if incident.mode != "emergency" else None,
        # Whoever is on scene sees for themselves how many it takes, and asks for backup.
        needed=None if incident.is_attended else needed,
        skills=alert.skills,
        forces=alert.forces,
    )
    draft.emit(relocated(draft, update, place, alert.position) if moves else update)
    if not incident.is_attended:
        decide_again(draft, incident_id)


def relocated(
    draft: Draft, update: f.IncidentUpdated, place: Place, position: Position | None
) -> f.IncidentUpdated:
    """Let an update say that the incident is at another place, and who answers for that."""
    return msgspec.structs.replace(
        update,
        relocated=True,
        position=position,
        place=place.place,
        road_id=place.road_id,
        off_road_m=place.off_road_m,
        responsible=responsible_for(draft.state, draft.world, place.road_id, draft.at_ms),
    )


def enough_for(incident: Incident, needed: int) -> int:
    """Give how many are needed from now on: a smaller number calls nobody back."""
    return max(needed, sum(o.is_taken for o in incident.open_orders("primary")))


def decide_again(draft: Draft, incident_id: str) -> None:
    """Choose anew after what is known has changed.

    Windows keep counting from the first receipt. Whoever has accepted goes on; an offer that
    would not be made any more is taken back, and the member may be asked again later.
    """
    incident = draft.incident(incident_id)
    if incident.set_aside:
        return
    rules = draft.rules(incident)
    _move_windows(draft, incident, rules)
    stand_down_surplus(draft, incident_id, "primary")
    incident = draft.incident(incident_id)
    for offer in incident.open_orders("primary"):
        if offer.is_taken:
            continue
        probe = Draft(draft.state, draft.world, draft.stamp)
        stand_down(probe, incident_id, offer, "corrected")
        again = choose(probe.state, draft.world, probe.incident(incident_id), rules, draft.at_ms)
        if not (isinstance(again, Chosen) and again.member_id == offer.member_id):
            stand_down(draft, incident_id, offer, "corrected")
    require_if_always(draft, incident_id)
    fill(draft, incident_id)


def _move_windows(draft: Draft, incident: Incident, rules: Rules) -> None:
    accept_by_ms = after(incident.received_ms, rules.accept_s) if incident.is_measured else None
    arrive_by_ms = after(incident.received_ms, rules.arrive_s)
    backup_ms = backup_by_ms(draft, incident) if incident.backup_wanted else None
    before = (incident.accept_by_ms, incident.arrive_by_ms, incident.backup_by_ms)
    if (accept_by_ms, arrive_by_ms, backup_ms) == before:
        return
    draft.emit(
        f.IncidentUpdated(
            incident_id=incident.incident_id,
            by="engine",
            reason="windows",
            accept_by_ms=accept_by_ms,
            arrive_by_ms=arrive_by_ms,
            backup_by_ms=backup_ms,
        )
    )
    begin(draft, incident.incident_id)
    for each in incident.open_orders("primary"):
        if incident.due_ms(of_order(NO_SHOW, each.dispatch_id)) is not None:
            watch_for_no_show(draft, incident.incident_id, each.dispatch_id)
