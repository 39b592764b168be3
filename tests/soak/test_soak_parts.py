"""What a soak is made of: its city, its endless calls, its unrest, its lag and its verdict."""

from collections import Counter
from random import Random

import orjson
import pytest

from xiaohe.places import PACKAGE, ROADS
from xiaohe.sim.brigade import Outgoing
from xiaohe.sim.bus import Place
from xiaohe.sim.calls import load_landmarks
from xiaohe.sim.streets import Streets
from xiaohe.soak.city import area_ids, map_version, roster_of
from xiaohe.soak.gauges import Part, Sample
from xiaohe.soak.lag import EARLY_MAX, WAITED_S, Lag
from xiaohe.soak.stories import ROUND_S, Stories
from xiaohe.soak.unrest import BACK_AFTER_S, Unrest
from xiaohe.soak.verdict import failures, memory, spread, use
from xiaohe.wire.murmur2 import partition_of

LANDMARKS = load_landmarks(PACKAGE / "data" / "places.geojson")


@pytest.fixture(scope="module")
def xiaohe() -> Streets:
    """The project's own map."""
    return Streets.load(ROADS)


# --- the city


def test_every_partition_has_an_area() -> None:
    """So every lane of every worker has its share of the load."""
    found = [partition_of(area.encode(), 16) for area in area_ids(16)]
    assert found == list(range(16))


def test_every_area_has_the_same_number_of_members_with_roads_of_their_own(xiaohe) -> None:
    """Nobody is in two areas, and whoever answers for a road stands on the map."""
    areas = area_ids(4)
    entries = roster_of(areas, 40, xiaohe, Random(1))
    assert Counter(entry["area_id"] for entry in entries) == dict.fromkeys(areas, 10)
    assert len({entry["member_id"] for entry in entries}) == len(entries)
    for entry in entries:
        assert {road["road_id"] for road in entry["roads"]} <= set(xiaohe.road_ids)
        assert xiaohe.is_here((entry["post"]["lon"], entry["post"]["lat"]))


def test_a_version_of_the_map_differs_from_every_other_and_has_the_same_streets() -> None:
    """What changes is a name."""
    one, two = (orjson.loads(map_version(number)) for number in (1, 2))
    assert one != two
    shapes = [[each["geometry"] for each in roads["features"]] for roads in (one, two)]
    assert shapes[0] == shapes[1]


# --- calls without end


def taken(streets, until_s, *, rate_per_s=0.05, shift_s=0.0):
    """All calls up to then."""
    return list(Stories(streets, LANDMARKS, 1, rate_per_s, shift_s).due(until_s))


def test_each_round_has_one_of_everything_again(xiaohe) -> None:
    """Three rounds: three calls for help, three own findings, three repeats."""
    calls = taken(xiaohe, 3 * ROUND_S - 1)
    sorts = Counter(call.sort for call in calls)
    assert (sorts["sos"], sorts["own_finding"], sorts["repeat"]) == (3, 3, 3)
    numbers = [call.number for call in calls]
    assert len(set(numbers)) == len(numbers)
    times = [call.at_s for call in calls]
    assert times == sorted(times)
    for call in calls:
        if call.repeats is not None:
            assert numbers.index(call.repeats) < numbers.index(call.number)


def test_the_rate_counts_the_stories_alerts_too(xiaohe) -> None:
    """Over ten rounds, within four standard deviations."""
    calls = taken(xiaohe, 10 * ROUND_S - 1)
    alerts = sum(call.topic == "alerts" and call.sort in {"alert", "bad"} for call in calls)
    expected = 0.05 * 10 * ROUND_S
    assert abs(alerts - expected) < 4 * expected**0.5


def test_who_begins_in_the_middle_of_a_round_repeats_nothing_that_was_not_sent(xiaohe) -> None:
    """Areas begin at different places of the story, so that it does not come at once everywhere."""
    for shift_s in (100.0, 115.0, 130.0, 0.9 * ROUND_S):
        calls = taken(xiaohe, ROUND_S, shift_s=shift_s)
        assert all(call.at_s >= 0 for call in calls)
        numbers = {call.number for call in calls}
        assert {call.repeats for call in calls if call.repeats is not None} <= numbers


# --- unrest


def unrest(streets, seed=1):
    """What happens besides, among forty members."""
    entries = roster_of(area_ids(4), 40, streets, Random(1))
    made = Unrest(entries, streets.road_ids, start_ms=0, seed=seed, run_id="r")
    for n in range(20):
        made.opened(entries[0]["area_id"], f"i{n}")
    return made


def test_within_the_hour_every_kind_of_unrest_has_come(xiaohe) -> None:
    """Rosters that change, that lose and get a member, that are wrong; desks, duty, devices."""
    made = unrest(xiaohe)
    sent = [out for s in range(3600) for out in made.step(float(s))]
    by_topic = Counter(out.topic for out in sent)
    assert by_topic.keys() == {"roster", "positions", "member_actions", "operator_actions"}
    gone = [out for out in sent if out.topic == "roster" and not out.value]
    said = {
        orjson.loads(out.value)["action"]
        for out in sent
        if out.topic in {"member_actions", "operator_actions"}
    }
    assert gone
    assert said >= {
        "break", "resume", "off_duty", "on_duty", "accept", "message", "update", "stand_down",
        "cancel", "reopen", "return_visit", "refer", "dispatch", "merge", "unmerge",
        "acknowledge", "close_road", "open_road", "set_mode", "close",
    }  # fmt: skip
    devices = {orjson.loads(out.value)["device_id"] for out in sent if out.topic == "positions"}
    assert {device.partition("-")[0] for device in devices} >= {"stranger", "r", "soak"}


def test_what_was_taken_away_comes_back_though_it_is_quiet(xiaohe) -> None:
    """Nobody stays off duty because the soak ended meanwhile."""
    made = unrest(xiaohe)
    sent = [out for s in range(600) for out in made.step(float(s))]
    made.restless = False
    after = [out for s in range(600, 601 + int(BACK_AFTER_S)) for out in made.step(float(s))]
    words = Counter(
        orjson.loads(out.value)["action"] for out in sent + after if out.topic == "member_actions"
    )
    assert words["break"] == words["resume"] > 0
    assert made.step(10_000.0) == []


def test_some_alerts_and_words_are_sent_again_and_positions_never(xiaohe) -> None:
    """As by a sender who saw no acknowledgement."""
    made = unrest(xiaohe)
    made.restless = False
    for n in range(2000):
        made.after(Outgoing("alerts", b"a", b'{"alert_id":"%d"}' % n, alert_id=str(n)))
        made.after(Outgoing("positions", b"a", b"{}"))
    again = made.step(60.0)
    assert {out.topic for out in again} == {"alerts"}
    corrected = [out for out in again if b"corrected" in out.value]
    assert 10 < len(corrected) < 80
    assert 10 < len(again) - len(corrected) < 80


# --- lag


def at(offset: int) -> Place:
    """A place in a topic."""
    return Place("alerts", 0, offset)


def test_a_delay_is_from_the_sending_to_the_first_that_names_the_record() -> None:
    """Also where that is heard before the record's own acknowledgement."""
    lag = Lag()
    lag.sent(at(0), 10.0)
    lag.heard(at(0), 10.5)
    lag.heard(at(0), 99.0)
    lag.heard(at(1), 12.0)
    lag.sent(at(1), 11.0)
    assert lag.by_topic == {"alerts": [0.5, 1.0]}


def test_the_oldest_record_is_the_first_that_the_group_has_not_taken() -> None:
    """A partition of which the group says nothing yet does not count."""
    lag = Lag()
    lag.sent(at(0), 10.0)
    lag.sent(at(1), 11.0)
    assert lag.oldest_s(20.0) == 0.0
    lag.taken("alerts", 0, 1)
    assert (lag.oldest_s(20.0), lag.behind()) == (9.0, 1)
    lag.taken("alerts", 0, 2)
    assert (lag.oldest_s(20.0), lag.behind()) == (0.0, 0)


def test_what_leads_to_nothing_is_forgotten() -> None:
    """A soak of a day must not itself be what grows."""
    lag = Lag()
    lag.sent(at(0), 0.0)
    lag.prune(WAITED_S + 1)
    lag.heard(at(0), WAITED_S + 2)
    assert lag.by_topic == {}
    for offset in range(2 * EARLY_MAX):
        lag.heard(at(offset), 0.0)
    lag.sent(at(0), 0.0)  # long forgotten
    assert lag.by_topic == {}


# --- the verdict


def samples(mib_at, minutes=60.0, pid_at=lambda _: 1):
    """A look every ten seconds at one worker, whose memory is a function of the minute."""
    return [
        Sample(
            at_s=10.0 * n,
            parts={"worker-0": Part(pid_at(n / 6), mib_at(n / 6), 0.08 * 10 * n, 20, 5)},
            disk_mib=1.0,
            oldest_s=0.1,
            behind=0,
        )
        for n in range(int(minutes * 6) + 1)
    ]


def test_growth_is_of_the_last_five_minutes_over_those_after_the_first_ten() -> None:
    """What is taken in the first ten minutes is no growth, and one look does not decide."""
    settled = memory(samples(lambda minute: min(100 + 20 * minute, 300)))["worker-0"]
    assert settled["growth"] == 0.0
    leaky = memory(samples(lambda minute: 300 + minute))["worker-0"]
    assert leaky["growth"] == pytest.approx((357.5 - 312.5) / 312.5, abs=0.002)
    peak = memory(samples(lambda minute: 900 if minute == 58 else 300))["worker-0"]
    assert (peak["growth"], peak["most_mib"]) == (0.0, 900)


def test_no_growth_is_told_where_there_is_none_to_tell() -> None:
    """A run too short for two windows, and a worker that was started again."""
    short = memory(samples(lambda _: 300, minutes=14))["worker-0"]
    assert short["growth"] is None
    again = memory(samples(lambda _: 300, pid_at=lambda minute: 1 + (minute > 30)))["worker-0"]
    assert again["growth"] is None


def test_the_share_of_a_core_is_what_was_used_of_the_time() -> None:
    """And files and threads at the beginning, at the end, and at most."""
    assert use(samples(lambda _: 300))["worker-0"] == {
        "cpu_share": 0.08, "files": [20, 20, 20], "threads": [5, 5, 5],
    }  # fmt: skip


def good() -> dict:
    """A result in which everything holds."""
    return {
        "memory": {"worker-0": {"growth": 0.05}, "broker": {"growth": 0.5}},
        "lag_s": spread([0.01] * 100),
        "verify": {"holds": True},
        "restarted": [],
        "unsent": 0,
        "left_out": 0,
    }


def test_what_does_not_hold_is_said() -> None:
    """Each limit by itself; the broker's memory is shown and not judged."""
    assert failures(good()) == []
    for change, said in (
        ({"memory": {"worker-1": {"growth": 0.051}}}, "worker-1 has grown by 5.1%"),
        ({"lag_s": spread([0.01] * 98 + [1.1] * 2)}, "99th percentile is 1.1 s"),
        ({"lag_s": spread([])}, "99th percentile is None"),
        ({"verify": {"holds": False}}, "account does not hold"),
        ({"restarted": ["worker (1)"]}, "started again"),
        ({"unsent": 1}, "1 records not sent"),
        ({"left_out": 2}, "2 left out"),
    ):
        (found,) = failures(good() | change)
        assert said in found
