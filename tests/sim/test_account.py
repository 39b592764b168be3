"""The account from the topics alone, and the figures."""

import orjson
import pytest

from xiaohe.sim.account import Ledger
from xiaohe.sim.bus import Heard, Place
from xiaohe.sim.figures import intervals, percentile, verdict, windows, within

AREA = b"xiaohe"


def alert(offset, content, key=AREA, heard_s=0.0):
    """A record of alerts."""
    value = content if isinstance(content, bytes) else orjson.dumps(content)
    return Heard("alerts", Place("alerts", 0, offset), key, value, heard_s)


def engine(topic, value, heard_s=0.0):
    """A record of an output topic."""
    return Heard(topic, Place(topic, 0, 0), AREA, orjson.dumps(value), heard_s)


def event(kind, data, cause=None, incident_id="i1", topic="alerts"):
    """An event, of an alert at offset ``cause`` or of a deadline."""
    place = {"deadline": "accept"} if cause is None else {
        "topic": topic, "partition": 0, "offset": cause,
    }  # fmt: skip
    return engine(
        "incident_events",
        {"type": kind, "incident_id": incident_id, "cause": place, "data": data,
         "at": "2030-01-01T00:00:00.000Z"},
    )  # fmt: skip


def letter(offset, topic="alerts"):
    """A dead letter of a record."""
    return engine(
        "dead_letters", {"topic": topic, "partition": 0, "offset": offset, "reason": "not_json"}
    )


def kept(*records):
    """A ledger that took these."""
    ledger = Ledger()
    for record in records:
        ledger.take(record)
    return ledger


def test_every_alert_is_decided_dead_lettered_or_a_repeat():
    """An opening, an attachment, a correction, a dead letter and a repeat come out even."""
    balance = kept(
        alert(0, {"alert_id": "a"}),
        alert(1, {"alert_id": "b"}),
        alert(2, {"alert_id": "a", "text": "more"}),
        alert(3, b"{"),
        alert(4, {"alert_id": "a"}),
        event("incident.opened", {"alert_id": "a"}, 0),
        event("alert.attached", {"alert_id": "b"}, 1),
        event("alert.attached", {"alert_id": "a"}, 2),
        letter(3),
    ).balance()
    assert (balance.alerts, balance.decided, balance.repeats) == (5, 3, 1)
    assert (balance.dead_lettered, balance.lost) == (1, 0)


@pytest.mark.parametrize(
    ("records", "lost"),
    [
        ([alert(0, {"alert_id": "a"})], 1),
        ([alert(0, b"not JSON")], 1),
        ([alert(0, b"not JSON"), letter(0, topic="positions")], 1),
        ([alert(0, {"alert_id": "a"}), alert(1, {"alert_id": "a"})], 2),
        ([alert(0, {"alert_id": "a"}), event("incident.opened", {"alert_id": "b"}, 7)], 1),
        (
            [
                alert(0, {"alert_id": "a"}),
                event("incident.opened", {"alert_id": "a"}, 0),
                alert(1, {"alert_id": "a", "text": "more"}),
                alert(2, {"alert_id": "a"}, key=b"elsewhere"),
            ],
            2,
        ),
    ],
    ids=[
        "nothing came",
        "no dead letter",
        "another topic's dead letter",
        "a repeat of what was lost",
        "another alert's event",
        "a correction, and another area's alert of the same id",
    ],
)
def test_what_nobody_answers_for_is_lost(records, lost):
    """No event and no dead letter names it: it is lost, and its place is told."""
    balance = kept(*records).balance()
    assert balance.lost == lost
    assert len(balance.lost_at) == lost


def test_an_alarm_is_an_alert_that_came_as_a_position():
    """It is decided when an event names the position as its cause, and lost otherwise."""
    ledger = kept(event("incident.opened", {"alert_id": "alarm:m01:t"}, 5, topic="positions"))
    ledger.alarm_sent(Place("positions", 0, 5))
    assert (ledger.balance().alarms, ledger.balance().lost) == (1, 0)
    ledger.alarm_sent(Place("positions", 0, 6))
    assert ledger.balance().lost == 1


def ordered(dispatch_id, alert_id, heard_s):
    """An order."""
    value = {"dispatch_id": dispatch_id, "alert_id": alert_id, "state": "ordered"}
    return engine("dispatches", value, heard_s)


def test_alert_to_order_counts_what_followed_from_the_alert_itself():
    """The quicker of two orders counts; one given when somebody became free does not."""
    ledger = kept(
        alert(0, {"alert_id": "a"}),
        alert(1, {"alert_id": "b"}),
        event("member.dispatched", {"dispatch_id": "d1"}, 0),
        event("backup.dispatched", {"dispatch_id": "d2"}, 0),
        event("member.dispatched", {"dispatch_id": "d3"}, None, "i2"),
        ordered("d1", "a", 10.010),
        ordered("d2", "a", 10.030),
        ordered("d3", "b", 25.0),
    )
    ledger.sending("a", 10.0)
    ledger.sending("b", 10.0)
    assert ledger.alert_to_order_ms() == [pytest.approx(10.0)]


def test_an_older_view_never_replaces_a_newer_one():
    """Views are kept by their last_seq, for those of a take-over come again."""

    def view(seq):
        return engine("incidents", {"incident_id": "i1", "last_seq": seq})

    ledger = kept(view(3), event("incident.opened", {"alert_id": "a"}, 0), view(2))
    assert ledger.incidents["i1"]["last_seq"] == 3


def test_incidents_from_before_the_run_are_none_of_ours():
    """A view of an incident that was not opened in the run is left out."""
    assert kept(engine("incidents", {"incident_id": "old", "last_seq": 9})).incidents == {}


# --- figures


def incident(state="on_scene", priority=2, deadlines=None, **timeline):
    """An incident with milestones at these seconds."""
    milestones = ("received", "dispatched", "accepted", "en_route", "arrived",
                  "backup_required", "backup_arrived", "resolved")  # fmt: skip
    at = dict.fromkeys(milestones) | {k: stamp(s) for k, s in timeline.items()}
    by = {"accept_by": stamp(60), "arrive_by": stamp(180), "backup_by": stamp(300)}
    return {"incident_id": "i1", "last_seq": 1, "state": state, "priority": priority,
            "timeline": at, "deadlines": by | (deadlines or {})}  # fmt: skip


def stamp(seconds):
    """So many seconds after midnight."""
    return f"2030-01-01T00:{seconds // 60:02}:{seconds % 60:02}.000Z"


@pytest.mark.parametrize(
    ("view", "window", "overdue", "expected"),
    [
        (incident(received=0, dispatched=0, accepted=60), "accept", False, "met"),
        (incident(received=0, dispatched=0, accepted=61), "accept", False, "missed"),
        (incident("dispatched", received=0, dispatched=0), "accept", True, "missed"),
        (incident("dispatched", received=0, dispatched=0), "accept", False, "running"),
        (incident("cancelled", received=0, dispatched=0), "accept", False, "void"),
        (incident(received=0, arrived=0), "accept", False, None),
        (incident(received=0, arrived=0), "arrive", False, None),
        (incident(received=0, dispatched=0, arrived=170), "arrive", False, "met"),
        (incident(received=0, dispatched=0, arrived=170), "backup", False, None),
        (incident(received=0, backup_required=5, backup_arrived=200), "backup", False, "met"),
        (incident("resolved", received=0, backup_required=5, resolved=90), "backup", False, "void"),
        (incident(received=0, backup_required=5, deadlines={"backup_by": None}), "backup", False,
         None),
    ],
)  # fmt: skip
def test_a_window_ends_met_missed_or_void_or_never_was(view, window, overdue, expected):
    """Each end of each window, by the timeline and the overdue event."""
    assert verdict(view, window, overdue=overdue) == expected


def test_shares_are_null_where_nothing_ended():
    """Void and running windows are in no figure; without any other there is no share."""
    ledger = kept(
        event("incident.opened", {"alert_id": "a"}, 0),
        engine("incidents", incident(received=0, dispatched=0, accepted=10)),
    )
    counts = windows(ledger)
    assert within(counts) == {"accept": 1.0, "arrive": None, "backup": None}
    assert counts["arrive"]["running"] == 1
    assert within(windows(ledger, (3, 4)))["accept"] is None


def test_missing_milestones_give_null_and_never_nought():
    """Turnout and travel of somebody who pressed no button are unknown; the total is known."""
    ledger = kept(
        event("incident.opened", {"alert_id": "a"}, 0),
        engine("incidents", incident(received=0, dispatched=1, accepted=10, arrived=100)),
    )
    found = intervals(ledger, speed=10.0)
    assert found["turnout_s"] == {"n": 0, "p50": None, "p90": None, "mean": None}
    assert found["total_response_s"] == {"n": 1, "p50": 1000.0, "p90": 1000.0, "mean": 1000.0}


def test_percentiles_are_interpolated():
    """Between 10 and 20 the ninetieth percentile is 19."""
    assert percentile([20.0, 10.0], 0.9) == pytest.approx(19.0)
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.99) == 3.0
