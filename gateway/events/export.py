"""An incident as other systems read it: CAP 1.2 and EIDO, beside the plain view.

Pure: a view in, a document out. CAP is the OASIS standard (XML, latitude before longitude, times
with a numeric offset and no fraction). EIDO is NENA-STA-021.1 (JSON): what each of its registries
calls a thing stands beside the engine's own word for it. NENA's schema and its registries are not
freely to be had, so that the names of EIDO's fields and values here are those that are published in
examples: docs/subscribers.md says which could not be checked.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from xml.etree import ElementTree as ET

from xiaohe.gateway.incident_views import Assignment, IncidentView

CAP: Final = "urn:oasis:names:tc:emergency:cap:1.2"
SENDER: Final = "xiaohe"

Json = dict[str, Any]

URGENCY: Final[Mapping[int, str]] = {1: "Immediate", 2: "Immediate", 3: "Expected", 4: "Future"}
SEVERITY: Final[Mapping[int, str]] = {1: "Extreme", 2: "Severe", 3: "Moderate", 4: "Minor"}
"""By priority, 1 the most urgent: CAP's own words."""

OVER: Final = frozenset({"closed", "cancelled", "merged"})

POINT_RADIUS_KM: Final = 0
"""CAP has circles and no points: a circle without extent is one."""

EIDO_VERSION: Final = "1.0"
EIDO_STATUS: Final[Mapping[str, str]] = {
    "open": "Active", "dispatched": "Active", "accepted": "Active", "en_route": "Active",
    "on_scene": "Active", "resolved": "Active", "closed": "Closed", "cancelled": "Cancelled",
    "merged": "Closed",
}  # fmt: skip
EIDO_UNIT_STATUS: Final[Mapping[str, str]] = {
    "ordered": "Dispatched", "accepted": "Acknowledged", "en_route": "En Route",
    "arrived": "On Scene", "ended": "Available",
}  # fmt: skip


def as_cap(view: IncidentView, at_ms: int) -> bytes:
    """Give an incident as a CAP 1.2 alert; a drill is an exercise, one that is over a cancel."""
    alert = ET.Element("alert", {"xmlns": CAP})
    told = "Cancel" if view.state == "cancelled" else "Update" if view.last_seq > 1 else "Alert"
    received = _cap_time(view.timeline.get("received")) or _cap_time_ms(at_ms)
    for name, text in (
        ("identifier", f"{view.incident_id}@{view.last_seq}"),
        ("sender", SENDER),
        ("sent", _cap_time_ms(at_ms)),
        ("status", "Exercise" if view.drill else "Actual"),
        ("msgType", told),
        ("scope", "Restricted"),
        ("restriction", "For those who handle the incident."),
    ):
        ET.SubElement(alert, name).text = text
    if told != "Alert":
        first = f"{SENDER},{view.incident_id}@1,{received}"
        ET.SubElement(alert, "references").text = first
    ET.SubElement(alert, "incidents").text = view.incident_id
    _cap_info(ET.SubElement(alert, "info"), view, received)
    return ET.tostring(alert, encoding="utf-8", xml_declaration=True)


def _cap_info(info: ET.Element, view: IncidentView, received: str) -> None:
    for name, text in (
        ("language", "zh-CN"),
        ("category", "Safety"),
        ("event", view.category),
        ("responseType", "None" if view.state in OVER else "Monitor"),
        ("urgency", "Past" if view.is_finished else URGENCY[view.priority]),
        ("severity", SEVERITY[view.priority]),
        ("certainty", "Observed"),
        ("effective", received),
    ):
        ET.SubElement(info, name).text = text
    for name, value in (
        ("state", view.state),
        ("mode", view.mode),
        ("priority", str(view.priority)),
        ("alerts", " ".join(view.alerts)),
    ):
        parameter = ET.SubElement(info, "parameter")
        ET.SubElement(parameter, "valueName").text = f"xiaohe:{name}"
        ET.SubElement(parameter, "value").text = value
    area = ET.SubElement(info, "area")
    ET.SubElement(area, "areaDesc").text = view.road_id or view.area_id
    if view.position is not None:
        place = f"{view.position.lat},{view.position.lon} {POINT_RADIUS_KM}"
        ET.SubElement(area, "circle").text = place
    geocode = ET.SubElement(area, "geocode")
    ET.SubElement(geocode, "valueName").text = "xiaohe:area_id"
    ET.SubElement(geocode, "value").text = view.area_id


def _cap_time(text: str | None) -> str | None:
    """CAP wants ``+00:00`` and whole seconds."""
    if text is None:
        return None
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")


def _cap_time_ms(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat(timespec="seconds")


def as_eido(view: IncidentView, at_ms: int) -> Json:
    """Give an incident as an EIDO; every part has an ``$id`` that the others refer to."""
    incident_id = f"urn:emergency:uid:incidentid:{view.incident_id}:{SENDER}"
    agency, place = f"agency:{view.area_id}", f"location:{view.incident_id}"
    units = [_unit(each) for each in view.assignments]
    made: Json = {
        "$id": incident_id,
        "eidoVersion": EIDO_VERSION,
        "lastUpdateTimeStamp": _cap_time_ms(at_ms),
        "updatedByAgencyReference": {"$ref": agency},
        "issuingElementIdentification": SENDER,
        "agencyComponent": [{"$id": agency, "agencyName": view.area_id}],
        "incidentComponent": [_incident(view, place)],
        "callComponent": [
            {
                "$id": f"call:{alert_id}",
                "standardPrimaryCallType": "emergency",
                "callStartTimestamp": _cap_time(view.timeline.get("received")),
                "internalCallId": alert_id,
            }
            for alert_id in view.alerts
        ],
        "dispatchComponent": [
            {
                "$id": f"dispatch:{each.dispatch_id}",
                "emergencyResourceReference": [{"$ref": f"unit:{each.dispatch_id}"}],
                "dispatchRoleText": each.role,
            }
            for each in view.assignments
        ],
        "emergencyResourceComponent": units,
    }
    if view.position is not None:
        made["locationComponent"] = [
            {
                "$id": place,
                "locationByValue": {
                    "type": "Point",
                    "coordinates": [view.position.lon, view.position.lat],
                },
                "locationNotesText": view.road_id,
            }
        ]
    if view.merged_into is not None:
        made["mergeComponent"] = [
            {"$id": f"merge:{view.incident_id}", "mergedIntoIncidentId": view.merged_into}
        ]
    return made


def _incident(view: IncidentView, place: str) -> Json:
    """The registry's word and the engine's, side by side."""
    return {
        "$id": f"incident:{view.incident_id}",
        "internalIncidentId": view.incident_id,
        "incidentTypeCommonRegistryText": "Other",
        "incidentTypeInternalText": view.category,
        "incidentStatusCommonRegistryText": [EIDO_STATUS.get(view.state, "Active")],
        "incidentStatusInternalText": [view.state],
        "incidentCommonPriorityNumber": view.priority,
        "beatOrDispatchGroupText": view.area_id,
        "locationReference": [] if view.position is None else [{"$ref": place}],
        "testIncidentIndicator": view.drill,
    }


def _unit(each: Assignment) -> Json:
    return {
        "$id": f"unit:{each.dispatch_id}",
        "unitIdentifier": each.member_id,
        "primaryUnitStatusRegistryText": EIDO_UNIT_STATUS.get(each.state, "Unavailable"),
        "unitStatusInternal": [each.state if each.end is None else f"{each.state}:{each.end}"],
    }
