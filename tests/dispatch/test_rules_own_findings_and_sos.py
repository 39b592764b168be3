"""Own findings open on scene; a member in distress is helped by the two quickest."""

from tests.dispatch.town import NOON_MS, Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.inputs import Fix
from xiaohe.dispatch.tracking import ALARM_AGE_MAX_MS

BRIGADE = """
    member at team unit rank           owns
    m1     b  red  1/1  member         -
    m2     c  red  1/1  member         -
    m3     f  blue 1/2  member         ab
    m4     e  blue 1/2  member         -
    lead   d  red  1/1  squad_leader   -
    other  d  blue 1/2  squad_leader   -
"""


def test_an_own_finding_opens_on_scene_with_the_member_who_found_it() -> None:
    """No offer, no order; accept and arrive are null and not 0."""
    town = Town(BRIGADE)
    decision = town.alert(at="b", reported_by="m1", source="patrol")
    assert [f.type_of(x) for x in decision.facts] == ["incident.opened", "member.arrived"]
    incident = town.incident()
    assert (incident.state, town.on_scene()) == ("on_scene", ["m1"])
    assert (incident.timeline.accepted_ms, incident.timeline.arrived_ms) == (None, None)
    assert incident.accept_by_ms is None
    town.at("20:00")
    assert [e for e in town.story() if "overdue" in e] == []


def test_the_finder_completes_like_anybody_else() -> None:
    """By the dispatch_id of the event."""
    town = Town(BRIGADE)
    town.alert(at="b", reported_by="m1")
    town.member("m1").completes(outcome="thanked")
    assert town.incident().state == "resolved"
    assert town.state.holding.get("m1") is None


def test_whoever_comes_to_an_own_finding_says_nothing_about_the_first_windows() -> None:
    """Two are needed: the second accepts and arrives, and the figures stay null."""
    town = Town(BRIGADE)
    town.alert(at="b", reported_by="m1", needed=2)
    second = town.asked()[0]
    town.member(second).accepts()
    town.member(second).arrives()
    timeline = town.incident().timeline
    assert (timeline.accepted_ms, timeline.en_route_ms, timeline.arrived_ms) == (None, None, None)


def test_a_finder_may_call_for_backup_which_is_measured() -> None:
    """The third window counts from the alert like any other."""
    town = Town(BRIGADE)
    town.alert(at="b", reported_by="m1")
    town.member("m1").asks_for_backup()
    helper = town.asked(role="backup")[0]
    town.at("01:00")
    town.member(helper).arrives()
    assert town.clock(town.incident().timeline.backup_arrived_ms) == "01:00"


def test_a_correction_of_an_own_finding_gives_it_no_windows() -> None:
    """It was found, and stays found."""
    town = Town(BRIGADE)
    town.alert(at="b", reported_by="m1", priority=3)
    town.desk("update", fields={"priority": 1})
    assert town.incident().accept_by_ms is None
    assert town.incident().due_ms("accept") is None
    assert town.incident().due_ms("arrive") is None


def test_a_finder_who_is_busy_is_not_put_on_two_orders() -> None:
    """It opens like any other, and says so."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", category="noise", reported_by="m1")
    town.alert("a2", at="b", reported_by="m1")
    assert town.facts(f.IncidentOpened)[-1].odd == ("reporter_not_free",)
    assert town.asked() != []


def test_a_finder_nobody_here_knows_is_not_believed_to_be_on_scene() -> None:
    """Not on the roster, or of another area: somebody is sent."""
    town = Town(BRIGADE)
    town.hire("guest", None, area="elsewhere")
    for alert_id, who in (("a1", "ghost"), ("a2", "guest")):
        town.alert(alert_id, at="a", reported_by=who)
        assert town.facts(f.IncidentOpened)[-1].odd == ("reporter_unknown",)
        assert town.asked() != []


# --- distress


def test_sos_orders_the_two_quickest_irrespective_of_road_and_never_the_caller() -> None:
    """Priority 1; the owner of the road has no precedence; the squad leader is told at once."""
    town = Town(BRIGADE)
    town.at("00:03")
    town.member("m1").alarms("sos")
    incident = town.incident()
    assert (incident.priority, incident.category, incident.distress_of) == (1, "sos", "m1")
    assert town.asked(role="primary") == ["m4", "m2"]
    assert {town.why(m).rule for m in ("m4", "m2")} == {"nearest"}
    [told] = town.facts(f.CommandNotified)
    assert (told.rung, told.who, told.reason) == ("squad_leader", ("lead",), "sos")


def test_a_fall_is_a_call_for_help_and_a_low_battery_is_none() -> None:
    """`sos` and `fall` open an incident; other alarms do not."""
    town = Town(BRIGADE)
    town.at("00:03")
    town.member("m1").alarms("fall")
    assert town.incident().category == "fall"
    town.at("00:04")
    assert town.member("m2").alarms("low_battery") is None
    assert len(town.opened) == 1


def test_the_alert_id_names_the_member_and_the_time_as_the_sender_wrote_it() -> None:
    """`alarm:<member_id>:<fix_time>`; where an identifier cannot hold that, in UTC."""
    for written, said in (
        ("2030-01-07T04:00:03Z", "2030-01-07T04:00:03Z"),
        ("2030-01-07T04:00:03.000000Z", "2030-01-07T04:00:03.000000Z"),
        ("2030-01-07T12:00:03+08:00", "2030-01-07T04:00:03.000Z"),
        ("2030-01-07 04:00:03Z", "2030-01-07T04:00:03.000Z"),
        ("", "2030-01-07T04:00:03.000Z"),
    ):
        town = Town(BRIGADE)
        town.at("00:03")
        town.member("m1").alarms("sos", fix_time=written)
        assert town.incident().alert_id == f"alarm:m1:{said}"


def test_a_device_that_repeats_its_alarm_is_one_call() -> None:
    """The same fix again says nothing; a later one is attached as `same`."""
    town = Town(BRIGADE)
    town.at("00:03")
    town.member("m1").alarms("sos")
    orders = town.orders()
    assert town.member("m1").alarms("sos") is None
    town.at("00:13")
    town.member("m1").alarms("sos")
    assert [x.relation for x in town.facts(f.AlertAttached)] == ["same"]
    assert (len(town.opened), town.orders()) == (1, orders)


def test_an_alarm_of_long_ago_is_history() -> None:
    """A device that was switched on again sends what it had stored."""
    town = Town(BRIGADE)
    here = town.position("b")
    town.jump("90:00")
    old = Fix(
        member_id="m1",
        lon=here.lon,
        lat=here.lat,
        fix_ms=town.now_ms - ALARM_AGE_MAX_MS - 1,
        alarm="sos",
    )
    assert town.take_fix("m1", old) is None
    assert town.opened == []


def test_an_alarm_counts_though_a_newer_fix_is_known() -> None:
    """Records come out of order; a call for help is never too old by a second."""
    town = Town(BRIGADE)
    town.at("00:20")
    here = town.position("b")
    late = Fix(member_id="m1", lon=here.lon, lat=here.lat, fix_ms=NOON_MS + 15_000, alarm="sos")
    town.take_fix("m1", late)
    assert town.incident().distress_of == "m1"


def test_somebody_else_goes_where_the_member_in_distress_was_going() -> None:
    """Their own order is taken back, and they go nowhere while the call is open."""
    town = Town(BRIGADE)
    town.alert("a1", at="c", category="noise")
    first = town.opened[0]
    assert town.asked(first) == ["m2"]
    town.at("00:03")
    town.member("m2").alarms("sos")
    assert town.orders(first)[0].end == "stood_down"
    assert "m2" not in town.asked(first)
    assert town.asked(first) != []
    assert "m2" not in [o.member_id for o in town.orders()]
    town.alert("a3", at="c", category="theft")
    assert dict(town.excluded(town.decisions[-1]))["m2"] == "in_distress"


def test_a_call_for_help_stays_open_until_a_person_closes_it() -> None:
    """Both helpers complete: still open, and nobody else is sent in their place."""
    town = Town(BRIGADE)
    town.at("00:03")
    town.member("m1").alarms("sos")
    for helper in town.asked():
        town.member(helper).completes()
    town.at("30:00")
    incident = town.incident()
    assert incident.is_live
    assert [o.member_id for o in incident.orders if o.role == "primary"] == ["m4", "m2"]
    assert "m1" in town.state.distressed
    town.desk("close", reason="taken home")
    assert incident.incident_id not in town.state.wanting
    assert town.state.distressed == frozenset()


def test_two_calls_of_one_member_are_two_and_each_holds_them() -> None:
    """A fall and an SOS: closing one does not send the member back to work."""
    town = Town(BRIGADE)
    town.at("00:03")
    town.member("m1").alarms("sos")
    town.at("00:04")
    town.member("m1").alarms("fall")
    one, two = town.opened
    town.desk("close", incident_id=one)
    assert "m1" in town.state.distressed
    town.desk("close", incident_id=two)
    assert town.state.distressed == frozenset()


def test_a_leader_in_distress_is_not_the_one_who_is_told() -> None:
    """The squad's leader called for help: the leaders of the area are told instead."""
    town = Town(BRIGADE)
    town.at("00:03")
    town.member("lead").alarms("sos")
    assert town.facts(f.CommandNotified)[0].who == ("other",)


def test_reopening_a_call_for_help_calls_again() -> None:
    """The member goes nowhere, what they had in hand is another's, and the leader is told."""
    town = Town(BRIGADE)
    town.at("00:03")
    town.member("m1").alarms("sos")
    sos = town.opened[-1]
    town.desk("close", incident_id=sos)
    town.alert("a1", at="be@0.1", category="noise")
    assert town.asked() == ["m1"]
    town.desk("reopen", incident_id=sos)
    assert "m1" not in town.asked(town.opened[-1])
    assert len(town.asked(sos)) == 2
    assert len(town.facts(f.CommandNotified)) == 2
