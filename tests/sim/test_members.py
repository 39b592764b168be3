"""What one simulated member does, on a drawn street of 800 m."""

from dataclasses import replace
from itertools import pairwise
from math import hypot
from random import Random
from statistics import fmean, median

import pytest

from tests.geo import maps
from tests.sim.people import START_MS, STREET, SURE, fixes, live, member, order, said
from xiaohe.geo.projection import ground_distance_m
from xiaohe.sim.habits import Delay, Habits
from xiaohe.sim.members import Says


def test_an_order_is_carried_out_from_the_answer_to_the_outcome():
    """Whoever is sure of themselves accepts, sets out, arrives, and completes with an outcome."""
    one = member()
    live(one, 1)
    one.ordered(order(), START_MS + 1000)
    done = live(one, 900, START_MS + 1000)
    assert said(done) == ["accept", "en_route", "arrive", "complete"]
    (last,) = [d for _, d in done if isinstance(d, Says) and d.action == "complete"]
    assert last.outcome is not None
    assert one.is_free


def test_the_way_takes_as_long_as_road_and_pace_say():
    """From the button «on the way» to the button «on scene»: 800 m at 20 km/h, and a thumb."""
    exact = replace(SURE, pace_spread=0.0, arrival_button=Delay(1.0, 0.0))
    one = member(exact)
    live(one, 0)
    one.ordered(order(), START_MS)
    at_s = {d.action: s for s, d in live(one, 600) if isinstance(d, Says)}
    way_s = 800 / (20 / 3.6)
    assert at_s["arrive"] - at_s["en_route"] == pytest.approx(way_s + 1.0, abs=1.5)


@pytest.mark.parametrize(
    ("habits", "expected"),
    [
        (replace(SURE, declines=1.0), ["decline"]),
        (replace(SURE, never_answers=1.0), []),
        (replace(SURE, says_under_way=0.0), ["accept", "arrive", "complete"]),
        (replace(SURE, says_arrived=0.0), ["accept", "en_route", "complete"]),
        (
            replace(SURE, asks_for_backup=1.0, backup_asked=Delay(20.0, 0.0)),
            ["accept", "en_route", "arrive", "request_backup", "complete"],
        ),
    ],
    ids=["declines", "never answers", "sets out in silence", "position alone", "asks for help"],
)
def test_habits_show_in_the_buttons(habits, expected):
    """Each habit changes what is pressed, and nothing else."""
    one = member(replace(habits, handling_spread=0.0))
    live(one, 0)
    one.ordered(order(), START_MS)
    assert said(live(one, 900)) == expected


def test_an_order_that_ended_is_dropped_wherever_it_stands():
    """Stood down on the way: nothing more is said of it, and the patrol goes on."""
    one = member()
    live(one, 0)
    one.ordered(order(), START_MS)
    assert said(live(one, 120))[:2] == ["accept", "en_route"]
    one.over("d1", START_MS + 120_000)
    assert one.is_free
    assert said(live(one, 600, START_MS + 120_000)) == []


def test_a_lapsed_order_is_accepted_all_the_same_and_carried_out_only_if_that_counts():
    """The thumb comes too late: heard that it counts, the member goes; else the patrol goes on."""
    for counts in (True, False):
        one = member(replace(SURE, answer=Delay(30.0, 0.0)))
        live(one, 0)
        one.ordered(order(), START_MS)
        one.over("d1", START_MS + 20_000, lapsed=True)
        assert said(live(one, 12, START_MS + 20_000)) == ["accept"]
        if counts:
            one.confirmed("d1")
        expected = ["en_route", "arrive", "complete"] if counts else []
        assert said(live(one, 900, START_MS + 32_500)) == expected
        assert one.is_free


def test_an_end_of_another_order_changes_nothing():
    """What is told of somebody else's order is no reason to turn back."""
    one = member()
    live(one, 0)
    one.ordered(order(), START_MS)
    one.over("another", START_MS)
    assert one.order is not None
    assert one.doing == "asked"


def test_a_finding_of_ones_own_is_handled_without_an_order():
    """The finder is on scene already: the one thing left to say is that it is done."""
    one = member()
    live(one, 0)
    one.found(order(at="a"), START_MS)
    assert one.doing == "on_scene"
    assert said(live(one, 900)) == ["complete"]


def test_off_duty_nothing_is_sent():
    """Outside a shift the device is silent: nobody is followed home."""
    one = member()
    done = [one.step(START_MS + 1000 * n, on_duty=False) for n in range(100)]
    assert done == [[]] * 100
    assert one.doing == "off_duty"


def test_a_shift_that_ends_does_not_end_an_order():
    """Who is under way at the end of the shift carries it through, and then goes."""
    one = member()
    live(one, 0)
    one.ordered(order(), START_MS)
    done = []
    for n in range(1200):
        done += [(n, d) for d in one.step(START_MS + 1000 * n, on_duty=False)]
    assert said(done)[-1] == "complete"
    assert one.doing == "off_duty"


def test_positions_come_more_often_with_an_order_than_on_patrol():
    """Every 5 s with an order, every 10 to 15 s without."""
    one = member()
    patrol = [at_s for at_s, _ in fixes(live(one, 300))]
    assert all(9.5 <= b - a <= 15.5 for a, b in pairwise(patrol))
    one.ordered(order(), START_MS + 300_000)
    assigned = [at_s for at_s, _ in fixes(live(one, 60, START_MS + 300_500))]
    assert all(4.5 <= b - a <= 5.5 for a, b in pairwise(assigned))


def test_the_error_of_a_position_is_as_stated():
    """Over a long stand the positions scatter about the true place by the stated sigma."""
    still = replace(SURE, patrol_stop=Delay(1e9, 0.0, most_s=1e9))
    one = member(still)
    a = maps.place(STREET, "a")
    errors_m = [ground_distance_m(*fix.place, *a) for _, fix in fixes(live(one, 40_000, tick_s=5))]
    rms_m = hypot(*errors_m) / len(errors_m) ** 0.5
    assert rms_m == pytest.approx(SURE.gps_sigma_m * 2**0.5, rel=0.1)


def test_the_device_falls_silent_now_and_then():
    """With losses there are gaps in the positions as long as stated, and they end."""
    lossy = replace(SURE, gps_losses_per_h=20.0, gps_lost=Delay(100.0, 0.0))
    times_s = [at_s for at_s, _ in fixes(live(member(lossy), 3600, tick_s=1))]
    gaps = [b - a for a, b in pairwise(times_s) if b - a > 20]
    assert len(gaps) > 5
    assert all(95 <= gap <= 120 for gap in gaps)


def test_the_red_button_sends_the_alarm_and_waits():
    """An alarm goes out with two positions, at once; the member stays until relieved."""
    one = member()
    live(one, 60)
    one.call_for_help("sos", START_MS + 60_000)
    place = one.place(START_MS + 60_000)
    sent = fixes(live(one, 120, START_MS + 60_000))
    assert [fix.alarm for _, fix in sent][:3] == ["sos", "sos", None]
    assert sent[0][0] == 60.0
    assert one.place(START_MS + 180_000) == place
    assert one.doing == "distress"
    one.relieved(START_MS + 180_000)
    assert one.is_free


def test_the_same_seed_lives_the_same_day_and_another_one_another():
    """What a member does is a function of the seed, the times and what is told."""

    def day(seed: int) -> list:
        one = member(Habits(), seed=seed)
        live(one, 30)
        one.ordered(order(), START_MS + 30_000)
        return live(one, 600, START_MS + 30_000)

    assert day(7) == day(7)
    assert day(7) != day(8)


def test_delays_are_lognormal_within_their_bounds():
    """Half are below the median; none is below the least or above the most."""
    delay = Delay(9.0, 0.55, least_s=2.0, most_s=55.0)
    chance = Random(3)
    drawn = [delay.draw_s(chance) for _ in range(4000)]
    assert median(drawn) == pytest.approx(9.0, rel=0.05)
    assert fmean(drawn) > 9.5
    assert (min(drawn) >= 2.0, max(drawn) <= 55.0) == (True, True)
