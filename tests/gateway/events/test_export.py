"""An incident in the words of others: CAP 1.2, which our own door takes again, and EIDO."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import orjson
import pytest

from tests.gateway.door_bench import NOON_MS, client_of, parts_for
from tests.gateway.events.published import MembersToo
from tests.streams.station import Station, member
from xiaohe.gateway.events import incident_doors
from xiaohe.gateway.events.export import CAP, as_cap, as_eido
from xiaohe.gateway.incident_views import IncidentView
from xiaohe.gateway.parts import Parts

NAME = "{urn:oasis:names:tc:emergency:cap:1.2}"
ALERT_ORDER = (
    "identifier", "sender", "sent", "status", "msgType", "source", "scope", "restriction",
    "addresses", "code", "note", "references", "incidents", "info",
)  # fmt: skip
INFO_ORDER = (
    "language", "category", "event", "responseType", "urgency", "severity", "certainty",
    "audience", "eventCode", "effective", "onset", "expires", "senderName", "headline",
    "description", "instruction", "web", "contact", "parameter", "resource", "area",
)  # fmt: skip
CAP_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d")
WORDS = {
    "status": {"Actual", "Exercise", "System", "Test", "Draft"},
    "msgType": {"Alert", "Update", "Cancel", "Ack", "Error"},
    "scope": {"Public", "Restricted", "Private"},
    "category": {"Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env",
                 "Transport", "Infra", "CBRNE", "Other"},
    "responseType": {"Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess",
                     "AllClear", "None"},
    "urgency": {"Immediate", "Expected", "Future", "Past", "Unknown"},
    "severity": {"Extreme", "Severe", "Moderate", "Minor", "Unknown"},
    "certainty": {"Observed", "Likely", "Possible", "Unlikely", "Unknown"},
}  # fmt: skip


def views() -> list[IncidentView]:
    """Incidents of an engine: one under way, one done, a drill, one that was cancelled."""
    station = Station(member("m1", post=None), member("m2"), member("m3"))
    for who in ("m1", "m2", "m3"):
        station.fix(who, "b")
    station.alert("a1", at="a", category='a "fight" & <more>')
    station.says("m1", "arrive")
    station.says("m1", "complete", outcome="settled")
    station.alert("a2", at="f", priority=1, drill=True)
    station.alert("a3", at="c", priority=4, category="theft")
    third = sorted(station.engine.states()["town"].incidents)
    station.desk("cancel", incident_id=third[-1])
    found: dict[str, IncidentView] = {}
    for each in station.published:
        if each.topic == "incidents" and each.value is not None:
            view = msgspec.json.decode(each.value, type=IncidentView)
            found[view.incident_id] = view
    return list(found.values())


@pytest.mark.parametrize("view", views(), ids=lambda view: view.state)
def test_cap_is_as_the_standard_has_it(view: IncidentView) -> None:
    """Elements in its order, its own words, its form of a time, latitude first."""
    alert = ET.fromstring(as_cap(view, NOON_MS))
    assert alert.tag == f"{NAME}alert"
    _in_order(alert, ALERT_ORDER)
    (info,) = alert.findall(f"{NAME}info")
    _in_order(info, INFO_ORDER)
    for name, words in WORDS.items():
        for found in alert.iter(f"{NAME}{name}"):
            assert found.text in words, name
    for name in ("sent", "effective"):
        assert CAP_TIME.fullmatch(str(next(alert.iter(f"{NAME}{name}")).text))
    assert next(alert.iter(f"{NAME}event")).text == view.category
    assert next(alert.iter(f"{NAME}status")).text == ("Exercise" if view.drill else "Actual")
    assert view.position is not None
    circle = str(next(alert.iter(f"{NAME}circle")).text)
    assert circle == f"{view.position.lat},{view.position.lon} 0"
    assert "," not in str(next(alert.iter(f"{NAME}identifier")).text)


def _in_order(element: ET.Element, order: tuple[str, ...]) -> None:
    names = [child.tag.removeprefix(NAME) for child in element]
    assert names == sorted(names, key=order.index)


@pytest.mark.parametrize("view", views(), ids=lambda view: view.state)
def test_every_reference_of_an_eido_leads_somewhere(view: IncidentView) -> None:
    """And the engine's own words stand beside the registry's."""
    made = orjson.loads(orjson.dumps(as_eido(view, NOON_MS)))
    ids, refs = set(), set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            ids.update({value["$id"]} if "$id" in value else ())
            refs.update({value["$ref"]} if "$ref" in value else ())
            value = list(value.values())
        for inner in value if isinstance(value, list) else ():
            look(inner)

    look(made)
    assert refs <= ids
    (incident,) = made["incidentComponent"]
    assert incident["incidentStatusInternalText"] == [view.state]
    assert incident["incidentTypeInternalText"] == view.category
    assert len(made["emergencyResourceComponent"]) == len(view.assignments)


def with_incidents() -> Parts:
    """Parts that know some incidents."""
    parts = parts_for(MembersToo())
    for view in views():
        parts.incidents.put(view)
    return parts


async def test_the_door_gives_each_format() -> None:
    """Json as on the topic, EIDO and CAP by name; another is refused."""
    view = views()[0]
    token = {"authorization": "Bearer desk"}
    path = f"/v1/incidents/{view.incident_id}"
    async with client_of(incident_doors.doors, with_incidents()) as client:
        plain = await client.get(path, headers=token)
        assert plain.json() == orjson.loads(msgspec.json.encode(view))
        cap = await client.get(f"{path}?format=cap", headers=token)
        assert cap.headers["content-type"].startswith("application/cap+xml")
        assert CAP in cap.text
        eido = await client.get(f"{path}?format=eido", headers=token)
        assert eido.json()["$id"].startswith("urn:emergency:uid:incidentid:")
        assert (await client.get(f"{path}?format=pdf", headers=token)).status_code == 400
        assert (await client.get("/v1/incidents/none", headers=token)).status_code == 404


async def test_a_member_gets_the_incidents_that_they_are_on() -> None:
    """Of another's there is nothing to be had."""
    view = next(view for view in views() if view.assignments)
    path = f"/v1/incidents/{view.incident_id}"
    own = view.assignments[0].member_id
    parts = with_incidents()
    parts.incidents.put(
        msgspec.structs.replace(
            view,
            last_seq=view.last_seq + 1,
            assignments=(msgspec.structs.replace(view.assignments[0], member_id=f"m-{own}"),),
        )
    )
    async with client_of(incident_doors.doors, parts) as client:
        mine = await client.get(path, headers={"authorization": f"Bearer m-{own}"})
        assert mine.status_code == 200
        other = await client.get(path, headers={"authorization": "Bearer m-nobody"})
        assert other.status_code == 404
