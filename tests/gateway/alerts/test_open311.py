"""Open311: the list of services, the same request again, and how far a request is."""

from xml.etree.ElementTree import fromstring

import pytest
from msgspec.structs import replace

from tests.gateway.alerts.bench import TOKEN, desk
from tests.gateway.test_incident_views import view
from xiaohe.gateway.alerts.open311 import ServicesFileError, read_services, request_id
from xiaohe.gateway.incident_views import IncidentView

REQUESTS = "/v1/open311/requests.json?jurisdiction_id=xiaohe"
FORM = "application/x-www-form-urlencoded"
LAMP = b"service_code=lamp&lat=30.325&long=120.14"
HOUR_MS = 3_600_000


async def test_the_services_are_open_to_anybody_in_both_formats() -> None:
    """GeoReport's list needs no name, and says the same in JSON and XML."""
    async with desk() as at:
        as_json = (await at.http.get("/v1/open311/services.json")).json()
        answer = await at.http.get("/v1/open311/services.xml")
    assert answer.headers["content-type"].startswith("text/xml")
    root = fromstring(answer.content)
    codes = [each.findtext("service_code") for each in root.findall("service")]
    assert codes == [each["service_code"] for each in as_json]
    assert "lamp" in codes


async def test_the_same_request_again_is_the_same_alert() -> None:
    """Within the hour, or for good by the client's own key; another sender's is another."""
    async with desk() as at:
        for headers in ({}, {}, {"authorization": "Bearer another"}):
            await at.post(REQUESTS, LAMP, FORM, **headers)
        first, again, other = at.shelf.values()
    assert first == again
    assert first["alert_id"] != other["alert_id"]
    assert request_id("a", None, b"x", 0) == request_id("a", None, b"x", HOUR_MS - 1)
    assert request_id("a", None, b"x", 0) != request_id("a", None, b"x", HOUR_MS)
    assert request_id("a", "k", b"x", 0) == request_id("a", "k", b"y", HOUR_MS)


def incident(alert_id: str, state: str) -> IncidentView:
    """An incident of a dark lamp."""
    made = view(1, alert_id, state=state, timeline={
        "received": "2030-01-31T08:00:00.000Z", "arrived": "2030-01-31T08:09:00.000Z",
        "closed": None}, deadlines={"arrive_by": "2030-01-31T08:15:00.000Z"})  # fmt: skip
    return replace(made, area_id="xiaohe", category="street_lamp")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("open", "open"), ("dispatched", "open"), ("accepted", "open"), ("en_route", "open"),
        ("on_scene", "open"), ("resolved", "closed"), ("closed", "closed"),
        ("cancelled", "closed"), ("merged", "closed"),
    ],
)  # fmt: skip
async def test_every_state_is_one_of_two(state: str, status: str) -> None:
    """The finer state is in the notes."""
    async with desk() as at:
        asked = (await at.post(REQUESTS, LAMP, FORM)).json()[0]["service_request_id"]
        at.parts.incidents.put(incident(asked, state))
        path = f"/v1/open311/requests/{asked}.json?jurisdiction_id=xiaohe"
        (told,) = (await at.http.get(path, headers=TOKEN)).json()
    assert (told["status"], told["status_notes"]) == (status, state)
    assert (told["service_request_id"], told["service_code"]) == (asked, "lamp")
    assert told["updated_datetime"] == "2030-01-31T08:09:00.000Z"
    assert told["expected_datetime"] == "2030-01-31T08:15:00.000Z"


async def test_several_are_told_at_once_and_unknown_ones_are_left_out() -> None:
    """Those that are known are in the list; none at all is a 404."""
    async with desk() as at:
        at.parts.incidents.put(incident("o311:a", "open"))
        many = await at.http.get(f"{REQUESTS}&service_request_id=o311:a,o311:b", headers=TOKEN)
        none = await at.http.get(f"{REQUESTS}&service_request_id=o311:b", headers=TOKEN)
        unasked = await at.http.get(REQUESTS, headers=TOKEN)
        elsewhere = await at.http.get(
            "/v1/open311/requests/o311:a.json?jurisdiction_id=other", headers=TOKEN
        )
        nobody = await at.http.get(f"{REQUESTS}&service_request_id=o311:a")
        as_xml = await at.http.get(
            "/v1/open311/requests/o311:a.xml?jurisdiction_id=xiaohe", headers=TOKEN
        )
    assert [each["service_request_id"] for each in many.json()] == ["o311:a"]
    assert [a.status_code for a in (none, unasked, elsewhere, nobody)] == [404, 400, 404, 401]
    assert fromstring(as_xml.content).findtext("request/status") == "open"


async def test_bytes_that_are_no_text_are_refused() -> None:
    """A form that is not UTF-8, or of too many fields, is told so."""
    async with desk() as at:
        bad = await at.post(REQUESTS, b"service_code=%ff", FORM)
        raw = await at.post(REQUESTS, b"service_code=\xff", FORM)
        many = await at.post(REQUESTS, b"&".join(b"a%d=1" % n for n in range(60)), FORM)
    assert {a.json()["reason"] for a in (bad, raw)} == {"not_utf8"}
    assert many.json()["reason"] == "oversize"


@pytest.mark.parametrize(
    "raw",
    [
        b"services: []", b"services: [{code: a}]", b"[",
        b"services: [{code: a, name: b, category: c, priority: 1}]",
        b"services: [{code: a, name: b, category: c}, {code: a, name: b, category: c}]",
    ],
)  # fmt: skip
def test_a_bad_file_of_services_is_refused(raw: bytes) -> None:
    """Whatever is urgent, unnamed or there twice cannot be offered."""
    with pytest.raises(ServicesFileError, match=r"f\.yaml"):
        read_services(raw, "f.yaml")
