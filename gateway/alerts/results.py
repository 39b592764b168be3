"""What goes back to the system that an alert came from: received, on the way, on scene, outcome.

Pure: an event of an incident, the alerts that the incident holds, and the feed's own rules give
the JSON that its system reads. Who delivers it is not said here.
"""

from collections.abc import Iterable, Mapping

from xiaohe.gateway.alerts.fields import Fields
from xiaohe.gateway.alerts.mapping import Feed, written_fields


def results_of(
    feed: Feed, event: Mapping[str, object], alert_ids: Iterable[str]
) -> list[tuple[str, Fields]]:
    """Give (alert_id, body) for every alert of this feed that an event is about.

    ``event`` is a record of ``incident-events``; ``alert_ids`` are those of its incident. Empty
    where the feed has no word for such an event, wants no results, or none of the alerts is its
    own. A drill goes back to nobody.
    """
    rules = feed.results
    if rules is None or event.get("drill") is True:
        return []
    status = rules.statuses.get(str(event.get("type")))
    if status is None:
        return []
    prefix = feed.rules[("alert_id",)].prefix
    return [
        (alert_id, written_fields(rules.fields, _document(event, alert_id, status), feed.timezone))
        for alert_id in alert_ids
        if alert_id.startswith(prefix)
    ]


def _document(event: Mapping[str, object], alert_id: str, status: object) -> Fields:
    """Lay out what the rules of a result may look at."""
    return {
        "alert_id": alert_id,
        "status": status,
        "at": event.get("at"),
        "incident_id": event.get("incident_id"),
        "event": event,
    }
