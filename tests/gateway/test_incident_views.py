"""What the gateway remembers of incidents: the latest of each, and within its bound."""

from types import SimpleNamespace

import orjson

from tests.dispatch.town import Town
from xiaohe.gateway.incident_views import IncidentView, IncidentViews
from xiaohe.streams.outputs import incident_view


def view(
    number: int, *alerts: str, state: str = "open", seq: int = 1, **more: object
) -> IncidentView:
    """A view of an incident of area ``a``."""
    return IncidentView(
        incident_id=f"inc-{number}", area_id="a", state=state, priority=2, category="dispute",
        last_seq=seq, alerts=alerts, **more,
    )  # fmt: skip


def record(value: bytes | None, key: bytes = b"inc-1") -> SimpleNamespace:
    """A record of the topic, as far as it is looked at."""
    return SimpleNamespace(key=key, value=value, offset=0)


def test_what_the_engine_publishes_is_understood() -> None:
    """The engine's own rendering of a real incident is read."""
    town = Town("""
        member at
        m1     b
    """)
    town.alert(at="a")
    (incident,) = town.state.incidents.values()
    views = IncidentViews()
    views.take_record(record(orjson.dumps(incident_view(incident, 3))))
    (alert_id,) = incident.alerts
    found = views.of_alert(incident.area_id, alert_id)
    assert found is not None
    assert (found.state, found.epoch) == ("dispatched", 3)
    assert found.assignments[0].member_id == "m1"


def test_an_older_view_changes_nothing() -> None:
    """A record of a lower epoch, or of an earlier step, is passed over."""
    views = IncidentViews()
    views.put(view(1, "x", state="accepted", seq=5, epoch=2))
    views.put(view(1, "x", state="open", seq=9, epoch=1))
    views.put(view(1, "x", state="open", seq=4, epoch=2))
    assert views.get("inc-1").state == "accepted"


def test_an_alert_is_followed_into_what_its_incident_was_merged_into() -> None:
    """Whoever asks by an alert is told of what holds it now, in any order of records."""
    merged = view(1, "x", state="merged", seq=3, merged_into="inc-2")
    into = view(2, "y", "x", state="accepted", seq=4)
    for order in ((merged, into), (into, merged)):
        views = IncidentViews()
        for each in order:
            views.put(each)
        assert views.of_alert("a", "x").incident_id == "inc-2"


def test_a_ring_of_merges_ends() -> None:
    """Records that contradict each other cannot hold an answer up."""
    views = IncidentViews()
    views.put(view(1, "x", state="merged", merged_into="inc-2"))
    views.put(view(2, "y", state="merged", merged_into="inc-1"))
    assert views.of_alert("a", "x") is not None


def test_memory_is_bounded_and_the_finished_go_first() -> None:
    """Beyond the bound an incident that ended is forgotten, with its alerts, before a live one."""
    views = IncidentViews(kept_max=3)
    views.put(view(1, "a-1"))
    for number in range(2, 9):
        views.put(view(number, f"a-{number}", state="closed"))
    assert len(views) == 3
    assert views.of_alert("a", "a-1") is not None
    assert views.of_alert("a", "a-2") is None
    assert views.of_alert("a", "a-8") is not None


def test_tombstones_and_bad_records_do_no_harm() -> None:
    """A null value forgets the incident; what cannot be read is passed over."""
    views = IncidentViews()
    views.put(view(1, "x"))
    views.take_record(record(b"{"))
    views.take_record(record(b'{"incident_id":7}'))
    assert views.get("inc-1") is not None
    views.take_record(record(None))
    assert views.get("inc-1") is None
    views.take_record(record(None, key=b"\xff"))
