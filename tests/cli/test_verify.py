"""The audit finds each thing that it is there to find, and nothing where all is well.

``Log`` writes hand-made topics, as the contract has them; each test spoils one thing.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from xiaohe.audit.ledger import FINDINGS_MAX, Ledger
from xiaohe.audit.records import Finding, Record, home_partition
from xiaohe.broker import Broker
from xiaohe.topics import Topics
from xiaohe.verify import Account, account_of, verify, verify_command

PARTITIONS = 4
AREA = "harbour"
HOME = home_partition(AREA, PARTITIONS)
MONDAY_S = datetime(2026, 11, 23, 9, 0, tzinfo=UTC).timestamp()
ACCEPT_S, ARRIVE_S = 60.0, 180.0


def at(after_s: float) -> str:
    """A time, in seconds after Monday, nine o'clock."""
    return datetime.fromtimestamp(MONDAY_S + after_s, UTC).isoformat().replace("+00:00", "Z")


class Log:
    """Topics made by hand: each method writes what the engine would, and may be told to lie."""

    def __init__(self, alerts_topic: str = "alerts") -> None:
        self.alerts_topic = alerts_topic
        self.topics: dict[str, list[Record]] = {
            name: [] for name in ("alerts", "events", "dispatches", "views", "letters")
        }
        self.seqs: dict[str, int] = {}

    def put(
        self,
        topic: str,
        value: object,
        *,
        ce_id: str = "",
        key: str = AREA,
        partition: int = HOME,
        headers: dict[str, bytes] | None = None,
    ) -> Record:
        """Append a record to a topic."""
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        stated = {
            "ce_specversion": b"1.0",
            "ce_id": ce_id.encode(),
            "ce_source": f"/xiaohe/{AREA}/{topic}".encode(),
            "ce_type": b"xiaohe.test.v1",
            "ce_time": at(0).encode(),
        }
        offset = sum(record.partition == partition for record in self.topics[topic])
        record = Record(
            partition, offset, key.encode(), raw, stated if headers is None else headers
        )
        self.topics[topic].append(record)
        return record

    def alert(self, alert_id: str = "a1", partition: int = HOME, **more: object) -> Record:
        """An alert, with whatever else it says."""
        value = {
            "alert_id": alert_id,
            "source": "police-110",
            "category": "dispute",
            "occurred_at": at(0),
            "position": {"lon": 120.13, "lat": 30.31},
        }
        return self.put("alerts", value | more, partition=partition, headers={})

    def event(
        self,
        kind: str,
        after_s: float = 0.0,
        *,
        incident_id: str = "i1",
        seq: int | None = None,
        epoch: int = 3,
        cause: Record | None = None,
        **data: object,
    ) -> Record:
        """An event with the next number of its incident."""
        number = self.seqs.get(incident_id, 0) + 1 if seq is None else seq
        self.seqs[incident_id] = number
        where: dict[str, object] = {"deadline": "some"}
        if cause is not None:
            where = {
                "topic": self.alerts_topic,
                "partition": cause.partition,
                "offset": cause.offset,
            }
        value = {
            "event_id": f"{incident_id}:{number}",
            "incident_id": incident_id,
            "area_id": AREA,
            "seq": number,
            "epoch": epoch,
            "type": kind,
            "at": at(after_s),
            "cause": where,
            "data": data,
        }
        return self.put("events", value, ce_id=f"{incident_id}:{number}")

    def opened(
        self, cause: Record | None, after_s: float = 0.0, incident_id: str = "i1", **more: object
    ) -> Record:
        """The first event of an incident."""
        stated: dict[str, object] = {
            "alert_id": "a1",
            "needed": 1,
            "received_at": at(after_s),
            "accept_by": at(after_s + ACCEPT_S),
            "arrive_by": at(after_s + ARRIVE_S),
        }
        data = stated | more
        return self.event("incident.opened", after_s, incident_id=incident_id, cause=cause, **data)

    def of_order(
        self,
        kind: str,
        dispatch_id: str = "i1-1",
        member_id: str = "m1",
        after_s: float = 0.0,
        *,
        incident_id: str = "i1",
        role: str = "primary",
        **more: object,
    ) -> Record:
        """An event about an order."""
        return self.event(
            kind,
            after_s,
            incident_id=incident_id,
            dispatch_id=dispatch_id,
            member_id=member_id,
            role=role,
            **more,
        )

    def dispatch(
        self,
        state: str = "ordered",
        dispatch_id: str = "i1-1",
        member_id: str = "m1",
        *,
        incident_id: str = "i1",
        epoch: int = 3,
        **more: object,
    ) -> Record:
        """A record of `dispatches`."""
        value: dict[str, object] = {
            "dispatch_id": dispatch_id,
            "incident_id": incident_id,
            "area_id": AREA,
            "member_id": member_id,
            "state": state,
            "epoch": epoch,
        }
        return self.put("dispatches", value | more, ce_id=f"{dispatch_id}:{state}")

    def ordered(self, dispatch_id: str = "i1-1", member_id: str = "m1", **more: Any) -> None:
        """An order as event and as record."""
        data = {"accept_by": at(more.get("after_s", 0.0) + ACCEPT_S)} | more
        self.of_order("member.dispatched", dispatch_id, member_id, **data)
        self.dispatch(
            "ordered", dispatch_id, member_id, incident_id=str(more.get("incident_id", "i1"))
        )

    def view(self, state: str, seq: int | None = None, incident_id: str = "i1") -> Record:
        """The view of an incident, as of its last event."""
        last_seq = self.seqs[incident_id] if seq is None else seq
        value = {
            "incident_id": incident_id,
            "area_id": AREA,
            "state": state,
            "last_seq": last_seq,
            "epoch": 3,
        }
        return self.put("views", value, ce_id=f"{incident_id}@{last_seq}", key=incident_id)

    def letter(self, record: Record, reason: str = "wrong_type") -> Record:
        """The dead letter of a record of `alerts`."""
        value = {
            "topic": self.alerts_topic,
            "partition": record.partition,
            "offset": record.offset,
            "index": None,
            "reason": reason,
        }
        ce_id = f"alerts:{record.partition}:{record.offset}"
        return self.put("letters", value, ce_id=ce_id, key=self.alerts_topic)

    def again(self, topic: str, record: Record, **changed: object) -> None:
        """The same record once more, perhaps with something changed in it."""
        value = json.loads(record.value or b"") | changed
        self.topics[topic].append(record._replace(value=json.dumps(value).encode()))

    def ledger(self) -> Ledger:
        """Books in which everything has been entered."""
        ledger = Ledger(self.alerts_topic, PARTITIONS)
        takes: dict[str, Callable[[Record], None]] = {
            "events": ledger.event,
            "dispatches": ledger.dispatch,
            "views": ledger.view,
            "letters": ledger.dead_letter,
            "alerts": ledger.alert,
        }
        for topic, take in takes.items():
            for record in self.topics[topic]:
                take(record)
        ledger.cut()
        return ledger

    def account(self) -> Account:
        """What they say."""
        return account_of(self.ledger())


@pytest.fixture
def log() -> Log:
    """One alert, answered and done with: all is well."""
    log = Log()
    log.opened(log.alert())
    log.ordered()
    log.of_order("member.accepted", after_s=5)
    log.of_order("member.arrived", after_s=20)
    log.of_order("member.completed", after_s=40)
    log.dispatch("ended")
    log.event("incident.resolved", 40)
    log.view("resolved")
    return log


def only(account: Account) -> Finding:
    """The one thing that does not hold."""
    told = [each for group in account.findings.values() for each in group]
    assert len(told) == 1, told
    assert sum(getattr(account, kind) for kind in account.findings) == 1
    assert not account.holds
    assert account.exit_status == 1
    return told[0]


def test_where_all_is_well_nothing_is_found(log: Log):
    """An alert that was ordered, answered and resolved leaves nothing to say."""
    account = log.account()
    assert account.findings == {}
    assert (account.alerts_in, account.decided, account.dead_lettered) == (1, 1, 0)
    assert account.holds
    assert account.exit_status == 0


class TestAlerts:
    """Alerts in = decided + dead-lettered."""

    def test_an_alert_without_a_decision_is_lost(self, log: Log):
        """No event names it and no dead letter: that is what the audit is there for."""
        lost = log.alert("a2")
        account = log.account()
        assert only(account).what == f"alerts:{HOME}:{lost.offset} (alert a2)"
        assert (account.alerts_in, account.decided, account.lost) == (2, 1, 1)

    def test_an_attached_alert_is_decided(self, log: Log):
        """A duplicate that was attached to an open incident is not lost."""
        log.topics["views"].clear()
        log.event("alert.attached", cause=log.alert("a2"), alert_id="a2", relation="same")
        log.view("resolved")
        assert log.account().findings == {}
        assert log.account().decided == 2

    def test_the_same_alert_again_counts_once(self, log: Log):
        """Equal content, unknown fields, order and stated defaults apart, is nothing new."""
        log.alert(priority=2, drill=False, whatever="else", skills=[], text=None)
        account = log.account()
        assert account.findings == {}
        assert account.alerts_in == 1

    def test_a_correction_that_was_not_attached_is_lost(self, log: Log):
        """The same alert_id with other content must be attached by an event of its own."""
        log.alert(priority=1)
        assert "correction" in only(log.account()).detail

    def test_an_attached_correction_is_decided(self, log: Log):
        """… and is no finding where it was."""
        log.topics["views"].clear()
        cause = log.alert(priority=1)
        log.event("alert.attached", cause=cause, alert_id="a1", relation="correction")
        log.view("resolved")
        assert log.account().findings == {}

    @pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"[]", b"null", b'{"alert_id": 7}'])
    def test_a_bad_record_is_dead_lettered_or_lost(self, log: Log, raw: bytes):
        """A record that nobody can read is accounted for by its dead letter alone."""
        bad = log.put("alerts", raw, headers={})
        assert only(log.account()).kind == "lost"
        log.letter(bad)
        account = log.account()
        assert account.findings == {}
        assert (account.alerts_in, account.decided, account.dead_lettered) == (2, 1, 1)
        assert account.dead_letters == {"alerts: wrong_type": 1}

    def test_a_dead_letter_does_not_excuse_another_record(self, log: Log):
        """Of two records with one alert_id, the dead letter of the first says nothing of the
        second."""
        log.letter(log.alert("a2"))
        log.alert("a2", priority=3)
        assert only(log.account()).kind == "lost"

    def test_an_alert_both_decided_and_dead_lettered_is_a_contradiction(self, log: Log):
        """A well-formed alert of a known area is never a dead letter."""
        log.letter(log.topics["alerts"][0])
        assert log.account().malformed_outputs == 1

    def test_a_stray_record_must_have_been_forwarded(self, log: Log):
        """An alert in a partition not its key's counts by its copy in the right one."""
        other = (HOME + 1) % PARTITIONS
        log.alert("a2", partition=other)
        assert only(log.account()).kind == "lost"
        log.opened(log.alert("a2"), incident_id="i2", alert_id="a2")
        log.event("incident.cancelled", incident_id="i2")
        log.view("cancelled", incident_id="i2")
        account = log.account()
        assert account.findings == {}
        assert account.alerts_in == 2

    def test_a_cloudevent_in_structured_mode_is_an_alert_like_any_other(self, log: Log):
        """The envelope is opened; what it holds must be decided."""
        event = {"specversion": "1.0", "id": "x", "data": {"alert_id": "a9", "source": "app"}}
        log.put("alerts", event, headers={})
        assert "a9" in only(log.account()).what

    def test_what_a_member_reported_with_an_alarm_is_not_an_alert_in(self, log: Log):
        """An incident that a position opened has no record on alerts."""
        log.opened(None, incident_id="i2", alert_id="alarm:m1:t")
        log.event("incident.closed", incident_id="i2")
        log.view("closed", incident_id="i2")
        account = log.account()
        assert account.holds
        assert account.alerts_in == 1

    def test_what_comes_later_settles_the_account(self, log: Log):
        """An alert that had just come in is owed, and its decision pays."""
        cause = log.alert("a2")
        ledger = log.ledger()
        assert not ledger.is_settled
        ledger.event(log.opened(cause, incident_id="i2", alert_id="a2"))
        assert ledger.is_settled


class TestOrders:
    """No order twice, none missing, no member with two."""

    def test_a_member_with_two_open_orders_is_found(self, log: Log):
        """In the order of the events, and of the orders: each tells it by itself."""
        log.opened(log.alert("a2"), 41, "i2", alert_id="a2")
        log.opened(log.alert("a3"), 41, "i3", alert_id="a3")
        log.ordered("i2-1", "m9", after_s=41, incident_id="i2")
        log.ordered("i3-1", "m9", after_s=41, incident_id="i3")
        log.view("dispatched", incident_id="i2")
        log.view("dispatched", incident_id="i3")
        account = log.account()
        assert account.duplicate_orders == 2
        assert {each.what for each in account.findings["duplicate_orders"]} == {"i3-1"}

    def test_an_end_shown_before_the_next_order_frees_the_member(self, log: Log):
        """A member whose order ended may have the next one."""
        log.opened(log.alert("a2"), 41, "i2", alert_id="a2")
        log.ordered("i2-1", "m1", after_s=41, incident_id="i2")
        log.view("dispatched", incident_id="i2")
        assert log.account().findings == {}

    def test_a_revived_order_is_held_again(self, log: Log):
        """Whoever accepts a lapsed order has it open, though no record shows it anew."""
        log.opened(log.alert("a2"), 41, "i2", alert_id="a2")
        log.ordered("i2-1", "m9", after_s=41, incident_id="i2")
        log.of_order("member.lapsed", "i2-1", "m9", 51, incident_id="i2")
        log.dispatch("ended", "i2-1", "m9", incident_id="i2")
        log.of_order("member.accepted", "i2-1", "m9", 52, incident_id="i2")
        log.view("accepted", incident_id="i2")
        assert log.account().findings == {}
        log.opened(log.alert("a3"), 53, "i3", alert_id="a3")
        log.ordered("i3-1", "m9", after_s=53, incident_id="i3")
        log.view("dispatched", incident_id="i3")
        assert only(log.account()).kind == "duplicate_orders"

    def test_the_same_order_with_other_content_is_found(self, log: Log):
        """A replay gives the same order; another member under the same id is two orders, and a
        contradiction."""
        log.again("dispatches", log.topics["dispatches"][0], member_id="m2")
        account = log.account()
        assert list(account.findings) == ["contradictory", "duplicate_orders"]
        assert (account.contradictory, account.duplicate_orders) == (1, 1)

    def test_a_replaced_worker_may_not_contradict_its_successor(self, log: Log):
        """A phone may have acted upon the late record before it saw the new owner's."""
        log.again("dispatches", log.topics["dispatches"][0], epoch=2, member_id="m9")
        assert only(log.account()).kind == "contradictory"

    def test_an_end_that_does_not_repeat_its_order_is_found(self, log: Log):
        """Whoever hears only the end knows all that the order said."""
        log.ordered("i1-2", "m2")
        log.of_order("member.declined", "i1-2", "m2")
        log.dispatch("ended", "i1-2", "m2", end="declined", ended_at=at(9), eta_s=4)
        log.view("resolved")
        assert only(log.account()) == Finding(
            "contradictory", "i1-2", "its end does not repeat its order"
        )

    def test_records_sent_twice_are_ignored(self, log: Log):
        """At a take-over the last decisions are published again, with the same ids."""
        for topic in ("events", "dispatches", "views"):
            for record in list(log.topics[topic]):
                log.again(topic, record)
        account = log.account()
        assert account.findings == {}
        assert account.sent_again == 8

    def test_a_zombies_records_are_ignored(self, log: Log):
        """What a lower epoch writes counts for nobody."""
        log.again("events", log.topics["events"][-1], epoch=9)
        log.dispatch("ordered", "i1-2", "m7", epoch=2)
        log.dispatch("ended", "i1-1", "m1", epoch=9)
        log.dispatch("ordered", "i1-3", "m7", epoch=8)
        log.event("member.dispatched", seq=99, epoch=8, dispatch_id="i1-2", member_id="m7")
        account = log.account()
        assert account.findings == {}
        assert account.fenced == 3

    def test_more_accepted_primaries_than_needed_are_found(self, log: Log):
        """The first acceptance wins; a second with nobody stood down is one too many."""
        log.opened(log.alert("a2"), incident_id="i2", alert_id="a2")
        for n in (1, 2):
            log.ordered(f"i2-{n}", f"m2{n}", incident_id="i2")
            log.of_order("member.accepted", f"i2-{n}", f"m2{n}", incident_id="i2")
        log.view("accepted", incident_id="i2")
        assert only(log.account()).what == "i2"

    def test_as_many_as_are_needed_may_accept(self, log: Log):
        """Two are needed, two accept, and a backup beside them."""
        log.opened(log.alert("a2"), incident_id="i2", alert_id="a2", needed=2)
        for n, role in ((1, "primary"), (2, "primary"), (3, "backup")):
            log.ordered(f"i2-{n}", f"m2{n}", incident_id="i2", role=role)
            log.of_order("member.accepted", f"i2-{n}", f"m2{n}", incident_id="i2", role=role)
        log.view("accepted", incident_id="i2")
        assert log.account().findings == {}

    @pytest.mark.parametrize("state", ["ordered", "ended"])
    def test_a_decided_order_that_was_not_published_is_found(self, log: Log, state: str):
        """The member never heard of it."""
        kept = [
            r for r in log.topics["dispatches"] if r.headers["ce_id"] != f"i1-1:{state}".encode()
        ]
        log.topics["dispatches"] = kept
        assert only(log.account()).kind == "missing_orders"

    def test_orders_that_retention_removed_are_not_missed(self, log: Log):
        """Orders are kept for a week, events for ever."""
        log.topics["dispatches"].clear()
        ledger = Ledger("alerts", PARTITIONS, trimmed_before={HOME: MONDAY_S + 7 * 86_400})
        for record in log.topics["events"]:
            ledger.event(record)
        ledger.view(log.topics["views"][0])
        ledger.cut()
        assert account_of(ledger).findings == {}

    def test_an_order_that_nobody_decided_is_found(self, log: Log):
        """A record on dispatches follows from an event."""
        log.dispatch("ordered", "i1-7", "m7")
        assert only(log.account()).what == "i1-7:ordered"


class TestEvents:
    """Sequences without gaps, each event once."""

    def test_a_gap_is_found(self, log: Log):
        """An event that is missing leaves a hole in the numbers."""
        del log.topics["events"][2]
        found = only(log.account())
        assert (found.kind, found.detail) == ("sequence_gaps", "event 4 follows event 2")

    def test_a_missing_beginning_is_found(self, log: Log):
        """Numbers begin with 1."""
        log.event("incident.cancelled", incident_id="i5", seq=2)
        log.view("cancelled", incident_id="i5")
        assert only(log.account()).kind == "sequence_gaps"

    def test_two_events_of_one_number_are_found(self, log: Log):
        """The same id with other content is two decisions where one was made."""
        log.again("events", log.topics["events"][-1], type="incident.cancelled")
        assert only(log.account()).kind == "malformed_outputs"

    def test_an_output_without_its_headers_is_found(self, log: Log):
        """Outputs always carry the CloudEvents headers."""
        record = log.topics["dispatches"][0]
        headers = {name: value for name, value in record.headers.items() if name != "ce_type"}
        log.topics["dispatches"][0] = record._replace(headers=headers)
        assert "ce_type" in only(log.account()).detail

    @pytest.mark.parametrize("raw", [None, b"", b"[]", b"{nonsense"])
    def test_an_output_that_is_no_object_is_found(self, log: Log, raw: bytes | None):
        """… and does not stop the reading."""
        log.topics["dispatches"].append(log.topics["dispatches"][0]._replace(value=raw))
        assert only(log.account()).kind == "malformed_outputs"

    def test_many_findings_are_counted_and_the_first_are_told(self, log: Log):
        """A flood of one kind does not fill memory."""
        for n in range(2 * FINDINGS_MAX):
            log.alert(f"x{n}")
        account = log.account()
        assert account.lost == 2 * FINDINGS_MAX
        assert len(account.findings["lost"]) == FINDINGS_MAX
        assert f"and {FINDINGS_MAX} more" in account.as_text()


class TestViews:
    """The view of an incident says what its events come to."""

    def test_a_view_that_lags_behind_is_found(self, log: Log):
        """Its last_seq is the last event's."""
        log.topics["views"].clear()
        log.view("resolved", seq=5)
        assert only(log.account()).kind == "stale_views"

    def test_a_missing_view_is_found(self, log: Log):
        """Every incident has one."""
        log.topics["views"].clear()
        assert only(log.account()).kind == "stale_views"

    def test_a_view_of_another_state_is_found(self, log: Log):
        """The state follows from the events."""
        log.topics["views"].clear()
        log.view("on_scene")
        assert only(log.account()).detail == "the view says on_scene, the events come to resolved"

    def test_a_view_ahead_of_its_events_is_found(self, log: Log):
        """Events are acknowledged before views are written."""
        log.view("resolved", seq=17)
        assert only(log.account()).kind == "stale_views"


class TestForgotten:
    """Every window of a live incident ends met or told as missed."""

    @pytest.fixture
    def live(self) -> Log:
        """One open incident with one open order."""
        log = Log()
        log.opened(log.alert())
        log.ordered()
        return log

    def later(self, log: Log, after_s: float) -> Account:
        """The account when the engine is known to have been at work at that time."""
        for incident_id in tuple(log.seqs):
            log.view(log.ledger().incidents.get(incident_id).state, incident_id=incident_id)
        if "tick" not in log.seqs:
            log.opened(None, after_s, "tick", alert_id="alarm:t")
            log.event("incident.closed", after_s, incident_id="tick")
            log.view("closed", incident_id="tick")
        return log.account()

    def test_within_its_windows_nothing_is_forgotten(self, live: Log):
        """An order that may still be answered is not forgotten."""
        assert self.later(live, 100).findings == {}

    def test_an_acceptance_that_nobody_missed_aloud_is_found(self, live: Log):
        """The first window passed, and no acceptance.overdue."""
        assert "accept window" in only(self.later(live, 130)).detail

    def test_an_offer_that_never_lapsed_is_found(self, live: Log):
        """The window was told as missed, and the order still stands."""
        live.event("acceptance.overdue", 60)
        assert "has been ordered" in only(self.later(live, 130)).detail

    def test_an_arrival_that_nobody_missed_aloud_is_found(self, live: Log):
        """The second window passed, and no arrival.overdue."""
        live.of_order("member.accepted", after_s=5)
        assert self.later(live, 200).findings == {}
        live.seqs.pop("tick")
        live.topics["views"].clear()
        live.event("member.en_route", 300, dispatch_id="i1-1", member_id="m1", role="primary")
        account = self.later(live, 300)
        assert "arrive window" in account.findings["forgotten"][0].detail

    def test_a_member_who_never_came_and_was_not_given_up_is_found(self, live: Log):
        """At twice the arrival window the order ends."""
        live.of_order("member.accepted", after_s=5)
        live.event("arrival.overdue", 180)
        assert "has been accepted" in only(self.later(live, 2 * ARRIVE_S + 61)).detail

    def test_a_backup_that_nobody_missed_aloud_is_found(self, live: Log):
        """The third window exists from the moment backup is required."""
        live.of_order("member.accepted", after_s=5)
        live.of_order("member.arrived", after_s=50)
        live.event("backup.required", 60, reason="asked_for", due_at=at(300))
        assert "backup window" in only(self.later(live, 400)).detail

    def test_somebody_on_scene_may_take_their_time(self, live: Log):
        """What goes on at the scene is not the engine's to hurry."""
        live.of_order("member.accepted", after_s=5)
        live.of_order("member.arrived", after_s=50)
        assert self.later(live, 7200).findings == {}

    def test_an_incident_that_nobody_was_asked_to_go_to_is_found(self):
        """Either somebody is ordered, or the reasons why nobody can go are told."""
        log = Log()
        log.opened(log.alert(), accept_by=None, arrive_by=at(9000))
        assert "nothing says why" in only(self.later(log, 100)).detail

    def test_an_incident_that_nobody_can_go_to_is_not_forgotten(self):
        """Its reasons were told once; it is decided again in silence."""
        log = Log()
        log.opened(log.alert(), accept_by=None, arrive_by=at(9000))
        log.event("incident.unfilled", reasons=["off_duty"])
        assert self.later(log, 100).findings == {}


def test_the_account_has_the_contracts_keys(log: Log):
    """The last JSON line's keys are those of the contract, and more."""
    line = json.loads(json.dumps(log.account().as_json()))
    assert line["alerts_in"] == line["decided"] == 1
    keys = ["dead_lettered", "lost", "duplicate_orders", "sequence_gaps", "forgotten"]
    assert [line[key] for key in keys] == [0] * 5
    assert line["holds"] is True


def test_people_are_told_what_is_wrong(log: Log):
    """The text names the kind, the thing, and what about it."""
    log.alert("a2")
    text = log.account().as_text()
    assert "alerts in 2 = decided 1 + dead-lettered 0 + lost 1" in text
    assert "alert a2" in text
    assert text.endswith("NOT everything holds")


@pytest.mark.kafka
class TestOnKafka:
    """The same from real topics."""

    async def written(self, broker: Broker, topics: Topics, spoil: Callable[[Log], None]) -> None:
        """Write a day to the real topics, spoilt in one way."""
        log = Log(topics.alerts.name)
        log.opened(log.alert())
        log.ordered()
        log.view("dispatched")
        log.letter(log.put("alerts", b"{", headers={}))
        spoil(log)
        names = {
            "events": topics.incident_events,
            "dispatches": topics.dispatches,
            "views": topics.incidents,
            "letters": topics.dead_letters,
            "alerts": topics.alerts,
        }
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
            for topic, records in log.topics.items():
                for record in records:
                    await producer.send_and_wait(
                        names[topic].name,
                        key=record.key,
                        value=record.value,
                        headers=list(record.headers.items()),
                        partition=record.partition if names[topic].is_area else None,
                    )

    async def test_topics_in_order_hold(self, broker: Broker, topics: Topics, capsys):
        """Read from the beginning to the end, all is well, and the command says so."""
        await self.written(broker, topics, lambda log: None)
        account = await verify(broker.bootstrap_servers, topics)
        assert account.findings == {}
        assert (account.alerts_in, account.decided, account.dead_lettered) == (2, 1, 1)
        assert await verify_command(broker.bootstrap_servers, topics, json=False) == 0
        assert "everything holds" in capsys.readouterr().out

    async def test_a_lost_alert_is_found_after_some_patience(self, broker: Broker, topics: Topics):
        """What does not come while it is waited for is lost."""
        await self.written(broker, topics, lambda log: log.alert("a2"))
        account = await verify(broker.bootstrap_servers, topics, settle_s=0.5)
        assert only(account).kind == "lost"

    async def test_empty_topics_hold(self, broker: Broker, topics: Topics):
        """Where nothing came in, nothing is wrong."""
        account = await verify(broker.bootstrap_servers, topics)
        assert account.holds
        assert account.alerts_in == 0
