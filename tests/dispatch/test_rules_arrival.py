"""Arrival: by the member's word or by position; predicted late; given up."""

import pytest

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.inputs import Fix

TWO = """
    member at
    m1     b
    m2     c
"""
NO_BACKUP = "rules: [{set: {backup: never}}]"


def test_the_members_word_is_arrival() -> None:
    """Wherever the tracker says that they are."""
    town = Town(TWO)
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("00:40")
    town.member("m1").arrives()
    assert town.incident().state == "on_scene"
    [arrived] = town.facts(f.MemberArrived)
    assert arrived.by == "member"


def test_forty_metres_held_for_five_seconds_is_arrival() -> None:
    """Two fixes within the radius, five seconds apart."""
    town = Town(TWO)
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("00:25")
    town.member("m1").moves_to("ab@0.13")  # 39 m
    town.at("00:29.999")
    town.member("m1").moves_to("ab@0.12")
    assert town.on_scene() == []
    town.at("00:30")
    assert town.on_scene() == ["m1"]
    assert town.facts(f.MemberArrived)[0].by == "position"


def test_passing_by_is_no_arrival() -> None:
    """Outside the radius in between, the dwell begins anew."""
    town = Town(TWO)
    town.alert(at="a")
    town.member("m1").accepts()
    for clock, place in (("00:21", "ab@0.1"), ("00:24", "ab@0.2"), ("00:27", "ab@0.1")):
        town.at(clock)
        town.member("m1").moves_to(place)
    assert town.on_scene() == []
    town.at("00:40")
    assert town.on_scene() == ["m1"]


def test_who_did_not_accept_does_not_arrive_by_position() -> None:
    """A member who happens to stand there has not said that they will see to it."""
    town = Town("member at\nm1 a")
    town.alert(at="a")
    town.at("00:15")
    assert town.on_scene() == []
    assert town.asked() == ["m1"]


def test_a_place_off_the_road_is_reached_at_its_access_point() -> None:
    """A courtyard 100 m in: who stands where the road comes nearest is there."""
    town = Town(TWO)
    town.alert(at="a+150+100")
    assert town.incident().off_road_m == pytest.approx(100, abs=0.1)
    town.member("m1").accepts()
    town.at("00:21")
    town.member("m1").moves_to("ab@0.5")
    town.at("00:30")
    assert town.on_scene() == ["m1"]


def test_whose_position_says_too_late_is_predicted_late_and_backup_goes_at_once() -> None:
    """The next step is taken when it can be seen, not when the window has passed."""
    town = Town("member at mode\nm1 c walk\nm2 f walk")
    town.alert(at="a")
    town.member("m1").accepts()
    [late] = town.facts(f.ArrivalPredictedLate)
    assert (late.member_id, late.estimate_s, late.reason) == ("m1", 432.0, "too_far")
    assert town.clock(late.due_ms) == "03:00"
    assert town.facts(f.BackupRequired)[0].reason == "predicted_late"
    assert town.asked(role="backup") == ["m2"]


def test_a_detour_on_the_way_is_seen_with_the_next_fix() -> None:
    """Every position of an assigned member re-estimates the arrival."""
    town = Town("member at mode\nm1 ab@0.5 walk\nm2 f ebike", rules=NO_BACKUP)
    town.alert(at="a")
    order = town.orders()[0]
    town.member(order.member_id).accepts()
    assert town.facts(f.ArrivalPredictedLate) == []
    town.at("00:21")
    town.member("m1").moves_to("ab@0.9")
    [late] = town.facts(f.ArrivalPredictedLate)
    assert late.estimate_s == 194.4


def test_a_member_who_falls_silent_counts_as_late() -> None:
    """No fix newer than 60 s: predicted late with `estimate_s` null, at that very moment."""
    town = Town(TWO)
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("00:41")
    town.member("m1").moves_to("ab@0.5")
    town.member("m1").falls_silent()
    town.at("01:40.999")
    assert town.facts(f.ArrivalPredictedLate) == []
    town.at("01:41")
    [late] = town.facts(f.ArrivalPredictedLate)
    assert (late.estimate_s, late.reason) == (None, "silent")
    assert town.asked(role="backup") == ["m2"]


def test_a_member_who_does_not_set_out_counts_as_late() -> None:
    """Not 50 m nearer 45 s after accepting."""
    town = Town(TWO)
    town.alert(at="a")
    town.at("00:10")
    town.member("m1").accepts()
    town.at("00:54.999")
    assert town.facts(f.ArrivalPredictedLate) == []
    town.at("00:55")
    [late] = town.facts(f.ArrivalPredictedLate)
    assert (late.estimate_s, late.reason) == (None, "no_progress")


def test_a_member_who_came_fifty_metres_nearer_is_on_the_way() -> None:
    """And is looked at again, for they may stop."""
    town = Town(TWO)
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("00:20")
    town.member("m1").moves_to("ab@0.8")  # 60 m nearer
    town.at("02:00")
    assert town.facts(f.ArrivalPredictedLate) == []


def test_who_stands_beside_the_scene_needs_no_progress() -> None:
    """Within the scene's radius there is nowhere nearer to go."""
    town = Town("member at\nm1 ab@0.1\nm2 c", rules="rules: [{set: {dwell_s: 600}}]")
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("02:00")
    assert town.facts(f.ArrivalPredictedLate) == []
    assert town.on_scene() == []


def test_each_order_is_predicted_late_once() -> None:
    """However often the tracker says the same."""
    town = Town("member at mode\nm1 c walk", rules=NO_BACKUP)
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("02:00")
    assert len(town.facts(f.ArrivalPredictedLate)) == 1


def test_who_accepted_and_never_came_is_given_up_and_the_backup_becomes_primary() -> None:
    """At receipt + 2 x arrive_s the order lapses, and the next in line is the backup."""
    town = Town("member at\nm1 b\nm2 c\nm3 f")
    town.alert(at="a", priority=1)
    town.member("m1").accepts()
    town.member("m2").accepts()
    town.at("05:59.999")
    assert town.coming(role="primary") == ["m1"]
    town.at("06:00")
    assert [(x.member_id, x.reason) for x in town.facts(f.MemberLapsed)] == [("m1", "not_arrived")]
    assert town.coming(role="primary") == ["m2"]
    assert town.asked(role="backup") == ["m3"]


def test_a_promoted_backup_speaks_and_is_spoken_of_as_primary() -> None:
    """`member.arrived`, role primary; and `complete` resolves."""
    town = Town("member at\nm1 b\nm2 c\nm3 f")
    town.alert(at="a", priority=1)
    town.member("m1").accepts()
    town.member("m2").accepts()
    town.at("06:00")
    town.member("m2").arrives()
    [arrived] = town.facts(f.MemberArrived)
    assert (arrived.member_id, arrived.role) == ("m2", "primary")
    town.member("m2").completes()
    assert town.incident().state == "resolved"
    assert [o.role for o in town.orders() if o.member_id == "m2"] == ["backup"]


def test_a_promoted_backup_who_never_comes_is_given_up_too() -> None:
    """They have an arrival window of their own, and no more."""
    town = Town("member at\nm1 b\nm2 c\nm3 f")
    town.alert(at="a", priority=1)
    town.member("m1").accepts()
    town.member("m2").accepts()
    town.at("08:59.999")
    assert town.coming(role="primary") == ["m2"]
    town.at("09:00")
    assert town.coming(role="primary") == []
    assert [x.member_id for x in town.facts(f.MemberLapsed) if x.reason == "not_arrived"] == [
        "m1",
        "m2",
    ]


def test_reinforcement_on_scene_takes_over_at_once() -> None:
    """Who is there already becomes primary before who is still on the way."""
    town = Town("member at\nm1 b\nm2 c\nm3 f\nm4 e")
    town.alert(at="a", priority=1)
    town.member("m1").accepts()
    town.member("m1").asks_for_backup()
    first, second = town.asked(role="backup")
    town.member(first).accepts()
    town.member(second).arrives()
    town.at("06:00")
    assert town.on_scene(role="primary") == [second]
    assert town.coming(role="backup") == [first]


def test_without_a_backup_the_next_member_is_asked() -> None:
    """The one who never came is not asked again."""
    town = Town(TWO, rules=NO_BACKUP)
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("06:00")
    assert town.asked() == ["m2"]
    assert town.orders()[0].end == "lapsed"


def test_an_order_given_late_has_an_arrival_window_of_its_own() -> None:
    """Who was asked at 05:50 is not given up at 06:00."""
    town = Town("member at shift\nm1 b 5-60", rules=NO_BACKUP)
    town.alert(at="a")
    town.at("05:10")
    town.member("m1").accepts()
    given_ms = town.orders()[0].ordered_ms
    town.run_to(given_ms + 179_999)
    assert town.coming() == ["m1"]
    town.run_to(given_ms + 180_000)
    assert town.coming() == []


def test_a_member_without_any_fix_is_given_the_turnout_before_they_count_as_late() -> None:
    """From a post with no tracker: predicted late 45 s after accepting, not at once."""
    town = Town("member post\nm1 b\nm2 c", rules=NO_BACKUP)
    town.alert(at="a")
    town.member("m1").accepts()
    assert town.facts(f.ArrivalPredictedLate) == []
    town.at("00:45")
    [late] = town.facts(f.ArrivalPredictedLate)
    assert (late.estimate_s, late.reason) == (None, "silent")


def test_a_fix_that_comes_late_or_is_doubted_proves_no_dwell() -> None:
    """Out of order it is skipped; a leap of the tracker breaks the dwell."""
    town = Town("member at\nm1 ab@0.5", rules=NO_BACKUP)
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("00:21")
    town.member("m1").moves_to("a")
    here, wild = town.position("a"), town.position("f+20000+0")
    town.at("00:25")
    for place, fix_ms in ((here, town.now_ms - 5_000), (wild, town.now_ms)):
        fix = Fix(member_id="m1", lon=place.lon, lat=place.lat, fix_ms=fix_ms)
        town.take_fix("m1", fix)
    town.at("00:30")
    assert town.on_scene() == []
    town.at("00:40")
    assert town.on_scene() == ["m1"]


def test_where_nobody_knows_the_place_nobody_arrives_by_position() -> None:
    """Sent by hand to a place that was not found: the member's word is all there is."""
    town = Town("member at\nm1 b")
    town.alert(at=None, address="on the moon")
    town.desk("dispatch", member_id="m1")
    town.member("m1").accepts()
    town.at("00:50")
    assert town.coming() == ["m1"]
    assert town.facts(f.ArrivalPredictedLate) == []
    town.member("m1").arrives()
    assert town.on_scene() == ["m1"]


def test_on_ground_without_a_road_for_anybody_the_scene_is_the_place_itself() -> None:
    """No access point, no travel time; forty metres are forty metres."""
    town = Town("member at\nm1 a", streets="a---b", changes={"ab": {"access": "private"}})
    town.alert(at="a")
    town.desk("dispatch", member_id="m1")
    town.member("m1").accepts()
    assert town.orders()[0].eta_s is None
    town.at("00:20")
    assert town.on_scene() == ["m1"]


def test_a_member_heard_of_again_before_the_turnout_is_over_is_not_late_yet() -> None:
    """Looked at when they would have been silent; the tracker had come back."""
    town = Town(TWO)
    town.member("m1").falls_silent()
    town.at("00:30")
    town.alert(at="a")
    town.member("m1").accepts()  # silent from 01:00 on
    town.at("00:59")
    town.member("m1").moves_to("ab@0.9")
    town.at("01:05")
    assert town.facts(f.ArrivalPredictedLate) == []
