"""The calls: repeatable, at the stated rate, with one of everything."""

import orjson
import pytest

from xiaohe.places import PACKAGE, ROADS
from xiaohe.sim.calls import Calls, load_landmarks, times_real
from xiaohe.sim.streets import Streets


@pytest.fixture(scope="module")
def xiaohe() -> Streets:
    """The project's own map."""
    return Streets.load(ROADS)


LANDMARKS = load_landmarks(PACKAGE / "data" / "places.geojson")


def taken(streets, seed=1, rate=20.0, until_s=600.0, span_s=600.0):
    """All calls up to then."""
    return list(Calls(streets, LANDMARKS, seed, rate, span_s).due(until_s))


def test_the_same_seed_gives_the_same_calls_and_another_one_others(xiaohe):
    """Calls are a function of the seed."""
    assert taken(xiaohe) == taken(xiaohe)
    assert taken(xiaohe) != taken(xiaohe, seed=2)


def test_it_does_not_matter_how_often_one_looks(xiaohe):
    """Looked at every second or once at the end: the same calls in the same order."""
    often = Calls(xiaohe, LANDMARKS, 1, 20.0, 600.0)
    assert [call for s in range(601) for call in often.due(s)] == taken(xiaohe)


def test_the_rate_is_as_stated(xiaohe):
    """Over fifty hours the ordinary calls come to the rate, within four standard deviations."""
    story = len(taken(xiaohe, rate=0.0, until_s=180_000))
    ordinary = len(taken(xiaohe, rate=20.0, until_s=180_000)) - story
    assert ordinary == pytest.approx(1000, abs=4 * 1000**0.5)


def test_the_rate_is_told_beside_a_real_days():
    """Fourteen alerts a day, an hour apart from them 24 times as many."""
    assert times_real(14.0) == pytest.approx(24.0)


def test_the_story_has_one_of_everything(xiaohe):
    """Road or address alone, an odd place, an own finding, an SOS, a repeat, a burst, bad ones."""
    story = taken(xiaohe, rate=0.0)
    fields = [call.alert.keys() for call in story if call.sort == "alert"]
    assert sum("road_id" in f and "position" not in f for f in fields) == 1
    assert sum("address" in f and not {"road_id", "position"} & f for f in fields) == 1
    sorts = [call.sort for call in story]
    assert [sorts.count(s) for s in ("own_finding", "sos", "repeat")] == [1, 1, 1]
    assert sum("sea" in call.note for call in story) == 1
    burst = [call for call in story if call.note.startswith("burst")]
    assert len(burst) == 4
    assert burst[-1].at_s - burst[0].at_s < 1.0
    assert sum("another caller" in call.note for call in burst) == 1


def test_the_story_fits_into_a_short_run(xiaohe):
    """In a run of a minute all of the story happens within the minute."""
    assert len(taken(xiaohe, rate=0.0, until_s=60.0, span_s=60.0)) == len(taken(xiaohe, rate=0.0))


def test_nothing_is_repeated_before_it_was_said(xiaohe):
    """Even in a run of a second the record that comes twice comes first as itself."""
    for span_s in (0.0, 1.0, 30.0, 600.0):
        story = taken(xiaohe, rate=0.0, span_s=span_s)
        (repeat,) = [n for n, call in enumerate(story) if call.sort == "repeat"]
        assert story[repeat].repeats in {call.number for call in story[:repeat]}


def test_the_bad_records_are_bad_and_the_others_are_json(xiaohe):
    """Six bad alerts, one bad position, one bad answer; whatever else is sent is well-formed."""
    story = taken(xiaohe, rate=60.0)
    bad = [call.topic for call in story if call.sort == "bad"]
    assert (bad.count("alerts"), bad.count("positions"), bad.count("member_actions")) == (6, 1, 1)
    for call in story:
        assert call.sort == "bad" or orjson.loads(orjson.dumps(call.alert)) == call.alert


def test_without_places_calls_come_along_the_roads(xiaohe):
    """On a map without a places file everything happens on some road."""
    calls = list(Calls(xiaohe, (), 1, 60.0, 600.0).due(600.0))
    assert any(call.sort == "alert" for call in calls)
    assert load_landmarks(PACKAGE / "no-such-file.geojson") == ()
