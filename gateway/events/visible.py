"""Who sees which event: a desk all of its areas, a member what is about themselves."""

from xiaohe.gateway.access.principal import MEMBER_ROLES, Principal
from xiaohe.gateway.events.entry import Entry
from xiaohe.gateway.incident_views import IncidentViews


def sees_their_own(principal: Principal) -> bool:
    """Tell whether somebody sees no more than their own orders and the incidents of these."""
    return principal.role in MEMBER_ROLES or principal.role == "device"


def may_see(principal: Principal, entry: Entry, incidents: IncidentViews) -> bool:
    """Tell whether somebody who may read an area's events may read this one."""
    if not sees_their_own(principal) or entry.topic_id == "area_events":
        return True
    own = principal.principal_id
    data = entry.value.get("data")
    if own in (entry.value.get("member_id"), data.get("member_id") if data else None):
        return True
    if entry.topic_id != "incident_events" or entry.incident_id is None:
        return False
    view = incidents.get(entry.incident_id)
    return view is not None and any(own == each.member_id for each in view.assignments)
