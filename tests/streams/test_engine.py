"""The engine of one partition: what it takes, sets aside, forwards, remembers and gives again."""

import json
from collections.abc import Mapping
from itertools import islice

import msgspec
import pytest

from tests.streams.station import AREA, NOON_MS, PARTITIONS, Station, headers, member, values
from xiaohe.streams.engine import AreaEngine
from xiaohe.streams.inbox import DUE_HEADER
from xiaohe.streams.ports import Care, Publication
from xiaohe.streams.step_record import FIRST_RECEIPT
from xiaohe.streams.wakeups import publication
from xiaohe.streams.whose_fix import UNKNOWN_DEVICE_MS, RefusedDevices
from xiaohe.wire.murmur2 import partition_of


def station() -> Station:
    """Three members on the street."""
    here = Station(member("m1"), member("m2", device_ids=["cam-2"]), member("m3"))
    for member_id, junction in (("m1", "b"), ("m2", "c"), ("m3", "f")):
        here.fix(member_id, junction)
    return here


def reasons(published: list[Publication]) -> list[str]:
    """Why something was set aside."""
    return [v["reason"] for v in values(published, "dead_letters")]


def eventful() -> Station:
    """A station with a past: orders, answers, deadlines, refusals, a device that nobody knows."""
    here = station()
    here.alert("a1", "a", priority=1)
    here.says("m1", "accept")
    here.says("m1", "on_duty", device_ids=["cam-9"])
    here.says("m3", "break")
    here.send("alerts", b"not json")
    here.send("positions", here.fix_value("m1", "b") | {"member_id": None, "device_id": "lost"})
    here.desk("set_mode", mode="emergency")
    here.desk("sing")
    here.alert("a2", "f", category="noise")
    here.send("alerts", {"alert_id": "x"}, key=b"east")
    here.run_to(200)
    here.fix("m2", "e", alarm="sos")
    return here


# --- a recorded step says everything


def test_folding_the_recorded_steps_publishes_the_same_bytes_and_gives_the_same_state() -> None:
    """What a take-over does: no position, no map, no roster is looked at again."""
    here = eventful()
    again = AreaEngine(here.partition, here.shared)
    for step in here.steps:
        recorded: Mapping[str, object] = msgspec.json.decode(msgspec.json.encode(step.record))
        assert again.fold(recorded, 7) == step.publications
    assert again.snapshot() == here.engine.snapshot()
    assert again.states() == here.engine.states()
    assert again.next_due_ms() == here.engine.next_due_ms()


def test_a_snapshot_restores_state_and_deadlines() -> None:
    """In pieces, and byte for byte the same again."""
    here = eventful()
    again = AreaEngine(here.partition, here.shared)
    again.restore(here.engine.snapshot())
    assert again.snapshot() == here.engine.snapshot()
    assert again.states() == here.engine.states()
    assert again.next_due_ms() == here.engine.next_due_ms()
    assert again.due(NOON_MS + 3_600_000) == here.engine.due(NOON_MS + 3_600_000)


def test_a_large_snapshot_is_cut_into_pieces_between_its_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No piece is larger than a record may be; nothing of an empty engine is something too."""
    monkeypatch.setattr("xiaohe.streams.engine.SNAPSHOT_PIECE_BYTES_MAX", 4096)
    here = eventful()
    pieces = here.engine.snapshot()
    assert len(pieces) > 1
    assert all(len(piece) <= 4096 for piece in pieces)
    again = AreaEngine(here.partition, here.shared)
    again.restore(pieces)
    assert again.states() == here.engine.states()
    empty = AreaEngine(here.partition, here.shared)
    again.restore(empty.snapshot())
    assert again.states() == {}


def test_a_snapshot_is_of_one_moment_though_decisions_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The moment is that of its first piece; before and after it there is time for alerts."""
    monkeypatch.setattr("xiaohe.streams.engine.SNAPSHOT_PIECE_BYTES_MAX", 4096)
    monkeypatch.setattr("xiaohe.dispatch.snapshot.WALKED_AT_ONCE", 1)
    here = eventful()
    going_through = here.engine.snapshotting()
    assert next(going_through) is None
    here.alert("before", "c", category="noise")
    first = next(part for part in going_through if part is not None)
    then = here.engine.states()
    pieces = [first.body]
    for n, part in enumerate(going_through):
        here.alert(f"meanwhile-{n}", "e", category=f"noise-{n}")
        if part is not None:
            pieces.append(part.body)
    assert n > len(pieces) > 2
    assert "before" in then[AREA].alerts
    assert here.engine.states() != then
    again = AreaEngine(here.partition, here.shared)
    again.restore(pieces)
    assert again.states() == then


def test_what_is_newly_due_is_given_once_and_holds_time_all_the_same() -> None:
    """Who went through some of it finds the rest; `due` still gives all."""
    here = station()
    here.alert("a1", "a", priority=1)
    here.now_ms += 600_000
    every = here.engine.due(here.now_ms)
    again = AreaEngine(here.partition, here.shared)
    again.restore(here.engine.snapshot())
    given = []
    for holds in (True, False):
        begun = list(islice(again.newly_due(here.now_ms, holds=holds), 1))
        in_order = [*begun, *again.newly_due(here.now_ms, holds=holds)]
        assert in_order == [call for call in every if call.holds == holds]
        assert list(again.newly_due(here.now_ms, holds=holds)) == []
        assert list(again.newly_due(here.now_ms, holds=holds, again=True)) == in_order
        given += in_order
    assert sorted(given, key=lambda call: call.due_ms) == every
    assert again.next_due_ms() == every[0].due_ms
    assert again.due(here.now_ms) == every
    wake_up = here.raw("wakeups", every[0].value, key=every[0].key)
    assert again.still_due(wake_up)
    again.take(wake_up, here.now_ms, 7)
    assert not again.still_due(wake_up)
    assert not again.still_due(here.raw("wakeups", b"foreign"))
    assert again.next_due_ms() == every[1].due_ms


def test_every_deciding_input_gives_exactly_one_step() -> None:
    """Also «nothing to do», a refusal, a forwarding; a position gives one only if it decides."""
    here = station()
    before = len(here.steps)
    assert before == 0
    alert = here.raw("alerts", b"{}")
    here.take(alert)
    here.alert()
    here.alert()
    here.says("m1", "accept")
    here.says("m1", "accept")
    here.says("m2", "accept", dispatch_id="nothing")
    here.send("wakeups", {"incident_id": "gone", "deadline": "accept", "due_ms": 1})
    assert len(here.steps) == 7
    here.fix("m3", "f")
    assert len(here.steps) == 7


def test_the_same_inputs_give_the_same_steps() -> None:
    """No clock, no chance."""
    first, second = eventful(), eventful()
    assert [s.record for s in first.steps] == [s.record for s in second.steps]
    assert first.published == second.published


# --- time


def test_time_never_runs_backwards() -> None:
    """A worker's clock that is set back does not decide in the past."""
    here = station()
    here.alert("a1", "a")
    here.now_ms -= 60_000
    [view] = values(here.alert("a2", "f", category="noise"), "incidents")
    assert view["timeline"]["dispatched"] >= "2030-01-07T04:00:00.003Z"


def test_a_deadline_is_called_until_it_is_decided_and_then_no_more() -> None:
    """`due` may be asked twice before the wake-up comes back through the log."""
    here = station()
    here.alert()
    due_ms = here.engine.next_due_ms()
    assert due_ms == NOON_MS + 20_003  # the first offer is old enough
    assert here.engine.due(NOON_MS + 20_002) == []
    [call] = here.engine.due(NOON_MS + 20_003)
    assert here.engine.due(NOON_MS + 20_003) == [call]
    here.now_ms += 20_003
    here.send("wakeups", call.value, key=call.key)
    assert here.engine.due(NOON_MS + 20_003) == []
    assert here.engine.next_due_ms() == NOON_MS + 40_006


def test_nothing_waits_for_what_is_only_tried_again() -> None:
    """A retry that is due, or thousands, holds no alert up; every other deadline does."""
    here = Station(member("m1", shifts=[]))
    here.alert("a1", "a")
    retry_ms = here.engine.next_due_ms()
    here.now_ms = NOON_MS + 11_000
    [call] = here.engine.due(here.now_ms)
    assert (call.due_ms, call.holds) == (retry_ms, False)
    assert publication(call, here.partition).headers == ()
    hold_ms = here.engine.next_hold_ms()
    assert hold_ms is not None
    assert hold_ms > here.now_ms
    [accept, *_] = [c for c in here.engine.due(hold_ms) if c.holds]
    assert publication(accept, here.partition).headers == ((DUE_HEADER, b"%d" % hold_ms),)


def test_deadlines_come_earliest_first() -> None:
    """However they were set."""
    here = station()
    here.alert("a1", "a", priority=1)
    calls = here.engine.due(NOON_MS + 600_000)
    assert [c.due_ms for c in calls] == sorted(c.due_ms for c in calls)
    assert len(calls) > 4


# --- whose record it is


def test_a_record_in_the_wrong_partition_is_forwarded_once_with_its_first_receipt() -> None:
    """Clients with another partitioner exist: ids and first receipt are kept."""
    here = station()
    value = {"alert_id": "a1", "source": "app", "category": "x", "occurred_at": "now"}
    raw = here.raw(
        "alerts",
        {**value, "position": here.place("a")},
        partition=(here.partition + 1) % PARTITIONS,
        headers=(("ce_id", b"abc"),),
    )
    [forwarded] = here.take(raw)
    assert (forwarded.topic, forwarded.partition) == ("alerts", here.partition)
    assert (forwarded.key, forwarded.value) == (raw.key, raw.value)
    said = headers(forwarded)
    assert said == {"ce_id": "abc", FIRST_RECEIPT: str(NOON_MS)}
    here.now_ms += 5_000
    found = here.take(
        here.raw("alerts", forwarded.value, headers=forwarded.headers, timestamp_ms=here.now_ms)
    )
    [view] = values(found, "incidents")
    assert view["timeline"]["received"] == "2030-01-07T04:00:00.000Z"


def test_a_misrouted_position_is_forwarded_too_but_not_when_it_is_read_again() -> None:
    """At a take-over positions are only learned from."""
    here = station()
    wrong = (here.partition + 1) % PARTITIONS
    raw = here.raw("positions", here.fix_value("m1", "c"), partition=wrong)
    [forwarded] = here.take(raw)
    assert forwarded.topic == "positions"
    assert here.take(msgspec.structs.replace(raw, replayed=True)) == []


def test_a_first_receipt_in_the_future_or_in_words_is_not_believed() -> None:
    """Anybody could have written the header."""
    here = station()
    for said in (str(NOON_MS + 99_999).encode(), b"soon"):
        raw = here.raw(
            "alerts",
            {"alert_id": "a1", "source": "x", "category": "x", "occurred_at": "x", "road_id": "ab"},
            headers=((FIRST_RECEIPT, said),),
        )
        for event in values(here.take(raw), "incidents"):
            assert event["timeline"]["received"] == "2030-01-07T04:00:00.000Z"


def test_an_area_is_known_from_policy_roads_or_roster() -> None:
    """Another is `unknown_area`, of an alert as of a position."""
    here = station()
    here.hire(member("n1", area_id="north"))
    body = {"alert_id": "a", "source": "x", "category": "x", "occurred_at": "x", "road_id": "ab"}
    for area, expected in (("east", []), ("north", []), ("moon", ["unknown_area"])):
        key = area.encode()
        home = partition_of(key, PARTITIONS)
        assert reasons(here.send("alerts", body, key=key, partition=home)) == expected
        fix = here.fix_value("m1", "b")
        found = reasons(here.send("positions", fix, key=key, partition=home))
        assert found == (expected or ["wrong_area"])


# --- positions


def test_a_batch_counts_but_for_what_is_bad_in_it() -> None:
    """Each bad object is a dead letter of its own, with its index; the rest moves members."""
    here = station()
    here.now_ms += 10_000
    batch = [
        here.fix_value("m1", "e"),
        {"member_id": "m2"},
        here.fix_value("ghost", "a"),
        here.fix_value("m3", "e"),
    ]
    found = here.send("positions", {"area_id": AREA, "batch": batch})
    assert [(v["reason"], v["index"]) for v in values(found, "dead_letters")] == [
        ("missing_field", 1),
        ("unknown_member", 2),
    ]
    assert [headers(p)["ce_id"].rsplit(":", 1)[1] for p in found] == ["1", "2"]
    shown = {v["member_id"]: v for v in values(here.engine.tick(here.now_ms, 7), "members")}
    assert shown["m1"]["position"] == shown["m3"]["position"] == here.place("e")


def test_an_unknown_device_is_one_dead_letter_an_hour() -> None:
    """Also after a take-over that folded the first one."""
    here = station()
    fix = {**here.fix_value("m1", "b"), "member_id": None, "device_id": "lost"}
    assert reasons(here.send("positions", fix)) == ["unknown_device"]
    assert reasons(here.send("positions", fix)) == []
    again = AreaEngine(here.partition, here.shared)
    for step in here.steps:
        again.fold(step.record, 8)
    here.engine = again
    assert reasons(here.send("positions", fix)) == []
    here.now_ms += UNKNOWN_DEVICE_MS + 1000
    assert reasons(here.send("positions", fix)) == ["unknown_device"]
    in_batch = {**fix, "device_id": "lost-too"}
    found = here.send("positions", {"batch": [in_batch, here.fix_value("m1", "b")]})
    assert [v["index"] for v in values(found, "dead_letters")] == [0]


def test_a_device_moves_whoever_has_it() -> None:
    """The roster's owner, and before them whoever took it for the shift, while that lasts."""
    here = station()

    def moved() -> str | None:
        here.now_ms += 60_000
        here.engine.tick(here.now_ms, 7)
        here.now_ms += 6_000
        fix = {**here.fix_value("x", "e"), "member_id": None, "device_id": "cam-2"}
        here.send("positions", fix)
        for view in values(here.engine.tick(here.now_ms, 7), "members"):
            if view["fix_age_s"] == 0.0:
                return str(view["member_id"])
        return None

    assert moved() == "m2"
    here.says("m1", "on_duty", device_ids=["cam-2"])
    assert moved() == "m1"
    here.says("m1", "off_duty")
    assert moved() == "m2"


def test_a_replayed_position_teaches_and_decides_nothing() -> None:
    """Also an alarm: it comes again as a live one where no decision has seen it."""
    here = station()
    here.now_ms += 1000
    raw = here.raw("positions", here.fix_value("m1", "b", alarm="sos"), replayed=True)
    assert here.engine.take(raw, here.now_ms, 7) == ()
    bad = here.raw("positions", b"{", replayed=True)
    assert here.engine.take(bad, here.now_ms, 7) == ()
    live = msgspec.structs.replace(raw, replayed=False)
    assert values(here.take(live), "incidents")[0]["category"] == "sos"


def test_the_place_that_comes_with_a_members_word_is_a_fix() -> None:
    """A telephone without a tracker: the answer says where the member is."""
    here = Station(member("m1"), member("m2"))
    here.says("m1", "on_duty", position=here.place("b"))
    [order] = values(here.alert(), "dispatches")
    assert (order["member_id"], order["eta_s"]) == ("m1", 54.0)
    assert order["why"]["fix_age_s"] == 0.0


@pytest.mark.parametrize(
    ("who", "action", "said"),
    [
        ("m1", "note", {}),
        ("m1", "on_duty", {"at": "just now"}),
        ("m1", "on_duty", {"position": None}),
        ("ghost", "on_duty", {}),
    ],
)
def test_a_place_that_is_not_where_the_member_is_now_is_no_fix(
    who: str, action: str, said: dict
) -> None:
    """Of another thing, of an unknown time, of nobody: it moves nobody."""
    here = Station(member("m1"))
    here.says(who, action, **{"position": here.place("b"), **said})
    assert values(here.alert(), "dispatches") == []


# --- set aside


def test_a_bad_record_is_one_dead_letter_and_nothing_else() -> None:
    """The next record is decided as if nothing had been."""
    here = station()
    for bad in (b"{", b"[]", b'{"alert_id": 5}', None):
        found = here.send("alerts", bad)
        assert [p.topic for p in found] == ["dead_letters"]
    found = here.send("alerts", b"{}", key=None)
    assert reasons(found) == ["null_key"]
    assert headers(found[0])["ce_source"] == "/xiaohe/-/dead-letters"
    assert values(here.alert(), "dispatches") != []


def test_a_refused_word_is_a_dead_letter_of_its_area() -> None:
    """With the reason of the rule that refused it."""
    here = station()
    here.alert()
    [letter] = here.says("m1", "accept", dispatch_id="nothing")
    [value] = values([letter], "dead_letters")
    assert (value["reason"], value["topic"]) == ("unknown_order", "member-actions")
    assert headers(letter)["ce_source"] == f"/xiaohe/{AREA}/dead-letters"


def test_heads_are_kept_only_where_policy_says_so_and_nobody_is_named() -> None:
    """Never of a topic with personal fields."""
    overlay = "dead_letters: {keep_heads: true}\nareas: [{area_id: town, name: Town}]"
    here = Station(member("m1"), overlay=overlay, personal=["alerts"])
    [kept] = values(here.send("operator_actions", b"{half" + b"x" * 400), "dead_letters")
    assert kept["payload_head"].startswith("{halfxxx")
    assert len(kept["payload_head"]) == 256
    [withheld] = values(here.send("alerts", b"{half"), "dead_letters")
    assert withheld["payload_head"] is None


def test_an_input_that_failed_repeatedly_is_set_aside() -> None:
    """A recorded failure and a dead letter, which folds like any other step."""
    here = station()
    raw = here.raw("alerts", {"alert_id": "x"})
    step = here.engine.refuse(raw, here.now_ms, 7, "it broke three times", Care.ASIDE)
    [value] = values(step.publications, "dead_letters")
    assert (value["reason"], value["detail"]) == ("failed_repeatedly", "it broke three times")
    again = AreaEngine(here.partition, here.shared)
    assert again.fold(step.record, 7) == step.publications


def test_a_wake_up_that_failed_repeatedly_closes_its_deadline() -> None:
    """Else it would be called for ever."""
    here = station()
    here.alert()
    [call] = here.engine.due(NOON_MS + 20_003)
    here.now_ms += 20_003
    raw = here.raw("wakeups", call.value, key=call.key)
    here.engine.refuse(raw, here.now_ms, 7, "it broke", Care.ASIDE)
    assert here.engine.due(NOON_MS + 20_003) == []
    once_more = here.engine.refuse(raw, here.now_ms, 7, "it broke again", Care.ASIDE)
    assert values(once_more.publications, "dead_letters")[0]["reason"] == "failed_repeatedly"


@pytest.mark.parametrize(("due_later_ms", "gave_up"), [(0, True), (None, True), (1, False)])
def test_a_deadline_is_given_up_as_it_stood(due_later_ms: int | None, gave_up: bool) -> None:
    """Not the one of its name that was set since; older logs do not say when it was due."""
    here = station()
    here.alert()
    [incident] = here.engine.states()[AREA].incidents.values()
    [offer] = [d for d in incident.deadlines if d.name.startswith("offer:")]
    record: dict[str, object] = {
        "cause": {"topic": "wakeups", "partition": here.partition, "offset": 0},
        "given_up": (AREA, incident.incident_id, offer.name),
    }
    if due_later_ms is not None:
        record["given_up_ms"] = offer.due_ms + due_later_ms
    here.engine.fold(record, 7)
    assert here.engine.states()[AREA].incidents[incident.incident_id].gave_up(offer.name) is gave_up
    assert (here.engine.due(offer.due_ms) == []) is gave_up


# --- the roster


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"{}"])
def test_a_wake_up_that_cannot_be_read_is_set_aside_like_any_other(value: bytes | None) -> None:
    """It closes no deadline; setting it aside must not fail on what it has failed on."""
    here = station()
    raw = here.raw("wakeups", value)
    step = here.engine.refuse(raw, here.now_ms, 7, "it broke", Care.ASIDE)
    assert values(step.publications, "dead_letters")[0]["reason"] == "failed_repeatedly"


def test_a_roster_change_fills_at_once_what_nobody_could_go_to() -> None:
    """Not ten seconds later."""
    here = Station(member("m1", shifts=[]))
    here.alert()
    assert here.engine.next_due_ms() != here.now_ms
    here.now_ms += 2_000
    here.hire(member("m2", post=here.place("c")), notice=True)
    due_ms = here.engine.next_due_ms()
    assert due_ms is not None
    assert due_ms <= here.now_ms
    [call] = here.engine.due(here.now_ms)
    [order] = values(here.send("wakeups", call.value, key=call.key), "dispatches")
    assert order["member_id"] == "m2"
    assert order["why"]["fix_age_s"] is None


def test_a_roster_change_is_told_on_area_events_and_moves_the_post() -> None:
    """`roster.changed`, by the worker that owns the member's area."""
    here = station()
    here.engine.tick(here.now_ms, 7)
    here.hire(member("m1", post=here.place("d"), team="blue"), notice=True)
    [event] = values(here.engine.tick(here.now_ms, 7), "area_events")
    assert (event["type"], event["data"]) == ("roster.changed", {"member_id": "m1"})
    assert event["event_id"] == "roster:0:0"
    here.hire(member("x1", area_id="moon"), notice=True)
    assert values(here.engine.tick(here.now_ms, 7), "area_events") == []


def test_a_member_who_is_gone_or_gone_elsewhere_is_forgotten() -> None:
    """Neither fix nor post is left behind, and the members topic lets go of the gone."""
    here = station()
    here.alert()
    here.engine.tick(here.now_ms, 7)
    here.roster_record("m3", None, notice=True)
    found = list(here.engine.tick(here.now_ms, 7))
    [tombstone] = [p for p in found if p.topic == "members"]
    assert (tombstone.key, tombstone.value) == (b"m3", None)
    [event] = values(found, "area_events")
    assert (event["type"], event["data"]) == ("roster.changed", {"member_id": "m3"})
    here.hire(member("m2", area_id="east"), notice=True)
    found = here.alert("a2", "f", category="noise")
    assert values(found, "dispatches") == []


def test_a_member_nobody_was_shown_needs_no_farewell() -> None:
    """Struck off before the first tick, or of another area: nothing is published."""
    here = Station()
    here.hire(member("m9", area_id="moon"))
    here.roster_record("m9", None, notice=True)
    assert list(here.engine.tick(here.now_ms, 7)) == []
    here.hire(member("m8"), notice=True)
    assert values(here.engine.tick(here.now_ms, 7), "members") == []


def test_no_more_roster_events_wait_than_a_large_city_has_members(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The queue has an end; the roster itself is read whatever happens."""
    monkeypatch.setattr("xiaohe.streams.member_views.EVENTS_WAITING_MAX", 2)
    here = Station()
    for n in range(3):
        here.hire(member(f"m{n}"), notice=True)
    assert len(values(here.engine.tick(here.now_ms, 7), "area_events")) == 2


def test_views_of_members_are_published_a_few_at_a_time() -> None:
    """A fleet that moves does not crowd out decisions; and everybody gets a turn."""
    here = Station(*[member(f"n{n:03}") for n in range(250)])
    here.fix("n000", "a")
    first = values(here.engine.tick(here.now_ms, 7), "members")
    second = values(here.engine.tick(here.now_ms, 7), "members")
    assert (len(first), len(second)) == (200, 50)


def test_a_member_who_only_moves_is_shown_every_five_seconds() -> None:
    """The state at once, the place in its turn."""
    here = station()
    here.engine.tick(here.now_ms, 7)
    here.now_ms += 4000
    here.fix("m1", "e")
    assert values(here.engine.tick(here.now_ms, 7), "members") == []
    here.now_ms += 1000
    [view] = values(here.engine.tick(here.now_ms, 7), "members")
    assert view["position"] == here.place("e")


def test_json_of_every_publication_can_be_read() -> None:
    """Whatever happened."""
    for published in eventful().published:
        assert isinstance(json.loads(published.value or b"null"), dict)


# --- what strangers may send


@pytest.mark.parametrize("said", [b"9" * 5_000, None, b"1000"])
def test_a_forged_first_receipt_neither_breaks_the_engine_nor_moves_a_window(
    said: bytes | None,
) -> None:
    """The header is believed as far as a forwarding takes, and no farther."""
    here = station()
    value = {"alert_id": "a1", "source": "x", "category": "x", "occurred_at": "x", "road_id": "ab"}
    raw = here.raw("alerts", value, headers=((FIRST_RECEIPT, said),))
    [view] = values(here.take(raw), "incidents")
    assert view["timeline"]["received"] in {
        "2030-01-07T04:00:00.000Z",
        "2030-01-07T03:59:00.000Z",
    }


def test_a_misrouted_record_keeps_only_the_headers_that_mean_something() -> None:
    """A null header or a huge one is left behind, not stumbled over."""
    here = station()
    raw = here.raw(
        "alerts",
        {"alert_id": "a1", "source": "x", "category": "x", "occurred_at": "x", "road_id": "ab"},
        partition=(here.partition + 1) % PARTITIONS,
        headers=(("ce_id", None), ("ce_source", b"x" * 5_000), ("other", b"y"), ("ce_type", b"t")),
    )
    [forwarded] = here.take(raw)
    assert headers(forwarded) == {"ce_type": "t", FIRST_RECEIPT: str(NOON_MS)}


def test_an_answer_that_is_refused_moves_nobody() -> None:
    """A word about somebody else's order says nothing of where its speaker is."""
    here = station()
    before = here.engine.tick(here.now_ms + 60_000, 7)
    said = here.says("m1", "arrive", dispatch_id="nope", position=here.place("f"))
    assert reasons(said) == ["unknown_order"]
    moved = [json.loads(p.value or b"") for p in here.engine.tick(here.now_ms + 120_000, 7)]
    assert before
    assert [x for x in moved if x.get("position") and x["member_id"] == "m1"] == []


def test_a_change_of_the_roster_is_not_forgotten_by_looking_at_what_is_due() -> None:
    """Who looks at the deadlines takes nothing from them."""
    here = Station(member("m1", skills=[]))
    here.alert(skills=["diving"])
    here.hire(member("m2", skills=["diving"], post=here.place("c")), notice=True)
    here.now_ms += 10
    first, second = here.engine.due(here.now_ms), here.engine.due(here.now_ms)
    assert first == second
    assert len(first) == 1
    ordered = here.take(here.raw("wakeups", first[0].value, key=first[0].key))
    assert [o["member_id"] for o in values(ordered, "dispatches")] == ["m2"]
    assert here.engine.due(here.now_ms) == []


def test_an_incident_that_is_corrected_without_end_names_the_first_and_the_newest() -> None:
    """Its view stays a record that a topic takes."""
    here = station()
    here.alert("a0")
    for n in range(1, 300):
        published = here.alert(f"a{n}", supersedes="a0")
    [view] = values(published, "incidents")
    assert view["alerts"][0] == "a0"
    assert view["alerts"][-1] == "a299"
    assert len(view["alerts"]) <= 102


# --- what is kept in memory


def test_unknown_devices_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more, those refused longest ago are told again; what is kept does not grow."""
    monkeypatch.setattr("xiaohe.streams.whose_fix.DEVICES_KEPT_MAX", 10)
    refused = RefusedDevices()
    assert all(refused.refuse(f"d{n}", NOON_MS + n) for n in range(25))
    assert len(refused) == 10
    assert not refused.refuse("d24", NOON_MS + 30)
    assert refused.refuse("d3", NOON_MS + 30)
    refused.note("noted", NOON_MS)
    assert len(refused) == 10
