"""CAP messages: cancelling what holds them, and XML that means harm."""

import contextlib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.gateway.alerts.bench import desk
from tests.gateway.test_incident_views import view
from xiaohe.dispatch.ids import incident_id_of
from xiaohe.gateway.alerts.cap import Reference, priority_of, read_message
from xiaohe.gateway.alerts.xml_text import ELEMENTS_MAX, read_xml
from xiaohe.gateway.door import Refusal
from xiaohe.gateway.incident_views import IncidentView
from xiaohe.wire.bad_input import BadInput

GAS = (Path(__file__).parents[2] / "data" / "alerts" / "gas.xml").read_bytes()
HELD = Reference("duty@gas.example", "GAS-2030-0131-7").alert_id
CANCEL = (
    GAS.replace(b"<msgType>Alert", b"<msgType>Cancel")
    .replace(b"GAS-2030-0131-7", b"GAS-2030-0131-9")
    .replace(
        b"</scope>",
        b"</scope><references>duty@gas.example,GAS-2030-0131-7,2030-01-31T08:00:00+08:00"
        b"</references>",
    )
)
PATH = "/v1/alerts/cap?area_id=xiaohe"
XML = "application/cap+xml"
FLAT_BYTES = 4 * 1024 * 1024
"""What refusing a document may take at most: far less than an expanded bomb."""


def held(*alerts: str, state: str = "dispatched") -> IncidentView:
    """An incident of the area that holds these alerts."""
    return replace(view(1, *alerts, state=state), area_id="xiaohe")


async def test_a_cancel_names_the_incident_that_holds_the_alert() -> None:
    """An alert that was attached to another's incident is found there, by what was published."""
    mine = Reference("duty@gas.example", "another").alert_id
    async with desk() as at:
        at.parts.incidents.put(held(mine, HELD))
        answer = await at.post(PATH, CANCEL, XML)
        (action,) = at.shelf.values()
        (permit,) = at.shelf.permits
    assert answer.status_code == 202, answer.text
    assert (action["action"], action["incident_id"]) == ("cancel", "inc-1")
    assert answer.json()["cancels"] == "inc-1"
    assert (permit.change, permit.about.action) == ("desk.decide", "cancel")


async def test_a_cancel_that_overtakes_the_view_names_the_incident_that_the_alert_opens() -> None:
    """The incident is a function of the alert: nobody has to wait for it to be seen."""
    async with desk() as at:
        await at.post(PATH, CANCEL, XML)
        (action,) = at.shelf.values()
    assert action["incident_id"] == incident_id_of("xiaohe", HELD)


async def test_the_same_cancel_again_is_the_same_action() -> None:
    """Its action_id follows from the message, so that the engine sees one."""
    async with desk() as at:
        for _ in range(2):
            await at.post(PATH, CANCEL, XML)
        first, second = at.shelf.values()
    assert first == second


async def test_what_others_reported_too_is_not_cancelled_by_one_of_them() -> None:
    """A second caller's incident goes on; a person has to decide."""
    async with desk() as at:
        at.parts.incidents.put(held(HELD, "110-7"))
        answer = await at.post(PATH, CANCEL, XML)
        assert not at.shelf.records
    assert (answer.status_code, answer.json()["reason"]) == (409, "held_by_others")


async def test_what_is_over_is_not_cancelled() -> None:
    """Nothing is written about an incident that has ended."""
    async with desk() as at:
        at.parts.incidents.put(held(HELD, state="closed"))
        answer = await at.post(PATH, CANCEL, XML)
        assert not at.shelf.records
    assert answer.json()["published"] is False


async def test_who_may_not_decide_cancels_nothing() -> None:
    """Withdrawing needs the right of a desk."""
    async with desk() as at:
        answer = await at.post(PATH, CANCEL, XML, authorization="Bearer denied")
        assert not at.shelf.records
    assert answer.status_code == 403


async def test_an_update_corrects_what_an_incident_holds() -> None:
    """Of several messages that it names it takes the one that was taken."""
    other = b"duty@gas.example,unknown,2030-01-31T08:05:00+08:00"
    update = CANCEL.replace(b"Cancel", b"Update").replace(
        b"</references>", b" " + other + b"</references>"
    )
    async with desk() as at:
        at.parts.incidents.put(held(HELD))
        await at.post(PATH, update, XML)
        assert at.shelf.values()[0]["supersedes"] == HELD


@pytest.mark.parametrize(
    "certainty", ["Observed", "Likely", "Possible", "Unlikely", "Unknown", "?"]
)
@pytest.mark.parametrize("urgency", ["Immediate", "Expected", "Future", "Past", "Unknown", ""])
def test_more_severe_is_never_later(urgency: str, certainty: str) -> None:
    """Whatever else is said, a higher severity has no lower priority, and all are 1 to 4."""
    got = [priority_of(s, urgency, certainty) for s in ("Extreme", "Severe", "Moderate", "Minor")]
    assert got == sorted(got)
    assert set(got) <= {1, 2, 3, 4}


def laughs() -> bytes:
    """Ten entities, each of ten of the one before."""
    lines = [b'<!ENTITY l0 "ha">']
    lines += [b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10)]
    return b"<!DOCTYPE alert [" + b"".join(lines) + b"]><alert>&l9;</alert>"


def blow_up() -> bytes:
    """One long entity, named often."""
    return b'<!DOCTYPE a [<!ENTITY x "' + b"x" * 50_000 + b'">]><a>' + b"&x;" * 50_000 + b"</a>"


HARMFUL = {
    "billion laughs": laughs(),
    "quadratic blow-up": blow_up(),
    "external entity": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "external DTD": b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>',
    "parameter entity": b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:1/"> %p;]><a/>',
    "unknown entity": b"<a>&nowhere;</a>",
    "deep nesting": b"<a>" * 100_000,
    "many elements": b"<a>" + b"<b/>" * (ELEMENTS_MAX + 1) + b"</a>",
    "many attributes": b"<a " + b" ".join(b'a%d=""' % n for n in range(10_000)) + b"/>",
    "bad UTF-8": b"<a>\xff\xfe</a>",
    "unknown encoding": b'<?xml version="1.0" encoding="no-such"?><a/>',
    "empty": b"",
    "null bytes": b"\x00" * 1_000,
}


@pytest.mark.parametrize("document", HARMFUL.values(), ids=HARMFUL)
def test_harmful_xml_is_refused_and_takes_no_memory(document: bytes) -> None:
    """A bomb is refused before it goes off."""
    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as refusal:
            read_xml(document)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refusal.value.status == 400
    assert peak < FLAT_BYTES


async def test_a_document_of_ten_mebibytes_is_not_read() -> None:
    """The door's limit comes first."""
    async with desk() as at:
        answer = await at.post(PATH, b"<alert>" + b" " * 10 * 1024 * 1024, XML)
    assert answer.status_code == 413


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    """Nothing but the two refusals comes out of the reader."""
    with contextlib.suppress(BadInput, Refusal):
        read_message(read_xml(body))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(GAS) - 1), st.binary(min_size=1, max_size=6)), max_size=6)
)
def test_a_message_with_bytes_changed_is_a_message_or_refused(
    changes: list[tuple[int, bytes]],
) -> None:
    """A damaged message never fails the gateway."""
    body = bytearray(GAS)
    for at, new in changes:
        body[at : at + len(new)] = new
    with contextlib.suppress(BadInput, Refusal):
        read_message(read_xml(bytes(body)))
