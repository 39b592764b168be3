"""What-if runs: the arithmetic by hand, repeatability, pairing, and that nobody is lost."""

from collections import Counter
from dataclasses import replace

import msgspec
import pytest

from tests.sim.brigades import (
    CLOCKWORK,
    POLICY,
    START_MS,
    busy_town,
    call,
    days,
    member,
    play,
    setting,
)
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import Decision
from xiaohe.dispatch.lifecycle import LIVE
from xiaohe.dispatch.policy import load_policy
from xiaohe.sim.habits import HABITS, Delay
from xiaohe.sim.whatif.clock import Clock
from xiaohe.sim.whatif.figures import between_s, verdict
from xiaohe.sim.whatif.people import Beats, plan_of
from xiaohe.sim.whatif.run import Result, Run

EBIKE_MPS = 20 / 3.6


def only(result: Result):
    """The one incident of a run."""
    (incident,) = result.incidents.values()
    return incident


def after_s(at_ms: int | None) -> float | None:
    """Seconds from the start of the run."""
    return None if at_ms is None else (at_ms - START_MS) / 1000


def test_one_member_and_one_road_by_hand() -> None:
    """Arrival is the delays and the way: to within 40 m of the scene, held for 5 s."""
    incident = only(play(setting(member("m1", "a")), [call("x", 0, "e")]))
    timeline = incident.timeline
    assert after_s(timeline.accepted_ms) == 10
    assert after_s(timeline.en_route_ms) == 30
    assert after_s(timeline.arrived_ms) == pytest.approx(30 + 760 / EBIKE_MPS + 5, abs=0.2)
    assert after_s(timeline.resolved_ms) == pytest.approx(30 + 800 / EBIKE_MPS + 180, abs=0.2)
    assert incident.orders[0].eta_s == pytest.approx(800 / EBIKE_MPS, abs=0.1)


def test_who_presses_the_button_first_is_there_by_word() -> None:
    """«On scene» counts where it comes before the position has dwelt."""
    habits = replace(CLOCKWORK, says_arrived=1.0, arrival_button=Delay(1.0, 0.0))
    town = setting(member("m1", "a"), habits=habits)
    policy_dwells = only(play(town, [call("x", 0, "a")]))
    assert after_s(policy_dwells.timeline.arrived_ms) == pytest.approx(31, abs=0.01)


def test_nobody_moves_twice_as_fast_for_a_second_call() -> None:
    """A member goes back to the post and can be sent from wherever they are on the way."""
    calls = [call("x", 0, "e"), call("y", 380, "c", category="noise", priority=3)]
    result = play(setting(member("m1", "a")), calls)
    first, second = sorted(result.incidents.values(), key=lambda each: each.received_ms)
    resolved_s = after_s(first.timeline.resolved_ms)
    # Back towards the post at patrol pace since; the second call finds them on the way.
    gone_m = (380 - resolved_s) * EBIKE_MPS * CLOCKWORK.patrol_pace
    assert second.orders[0].distance_m == pytest.approx(400 - gone_m, abs=3)


def test_a_run_is_the_same_again_byte_for_byte() -> None:
    """The same seed gives the same decisions and the same figures."""
    runs = []
    for _ in range(2):
        heard: list[Decision] = []
        result = play(*busy_town(1, 150), heard=heard)
        seen = {k: v for k, v in vars(result).items() if k not in {"wall_s", "incidents"}}
        runs.append((msgspec.json.encode(heard), repr(seen), repr(result.incidents)))
    assert runs[0] == runs[1]


def test_another_seed_is_another_day() -> None:
    """What is drawn depends on the seed."""
    assert busy_town(1, 60, seed=3)[1] != busy_town(1, 60, seed=4)[1]


def test_the_first_asked_answers_after_the_same_delay_in_every_scenario() -> None:
    """Scenarios are paired: a call meets the same luck whoever is sent to it."""
    town, calls = busy_town(1, 80)
    one = play(town, calls)
    other = play(replace(town, roster=town.roster[1:], posture="post"), calls)
    compared = 0
    for incident_id in one.incidents.keys() & other.incidents.keys():
        mine, theirs = one.incidents[incident_id].orders[0], other.incidents[incident_id].orders[0]
        if mine.accepted_ms is not None and theirs.accepted_ms is not None:
            compared += mine.member_id != theirs.member_id
            assert mine.accepted_ms - mine.ordered_ms == theirs.accepted_ms - theirs.ordered_ms
    assert compared, "some calls went to somebody else"
    assert plan_of(HABITS, 1, "x", "primary", 1) == plan_of(HABITS, 1, "x", "primary", 1)
    assert plan_of(HABITS, 1, "x", "primary", 1) != plan_of(HABITS, 1, "x", "primary", 2)


def test_nobody_is_lost() -> None:
    """Every call is in one incident, which has ended or is counted as open."""
    town, calls = busy_town(2, 200)
    result = play(town, calls, 2)
    alerts = Counter(a for i in result.incidents.values() for a in i.alerts)
    assert alerts == Counter(each.call_id for each in calls)
    live = sum(i.state in LIVE for i in result.incidents.values())
    assert live == result.open + result.forgotten
    assert result.forgotten == 0
    assert len(calls) > 300


def test_calls_that_nobody_can_take_are_counted_as_open() -> None:
    """With nobody on duty a call ends open, is never on time, and is not forgotten."""
    off = member("m1", "a", shifts=[])
    seldom = load_policy(b"rules: [{set: {retry_s: 600}}]", base=POLICY)
    result = play(setting(off, cover_every_s=0, policy=seldom), [call("x", 79_000, "b")])
    assert (result.open, result.forgotten) == (1, 0)
    incident = only(result)
    assert verdict(incident, "accept") is False
    assert between_s(incident, "received", "arrived") is None


def test_windows_agree_with_the_facts() -> None:
    """Met and missed are what the recorded facts say, counted another way."""
    heard: list[Decision] = []
    town, calls = busy_town(1, 250)
    result = play(town, calls, heard=heard)
    opened: dict[str, f.IncidentOpened] = {}
    accepted: dict[str, int] = {}
    arrived: dict[str, int] = {}
    for decision in heard:
        for fact in decision.facts:
            match fact:
                case f.IncidentOpened():
                    opened[fact.incident_id] = fact
                case f.MemberAccepted(role="primary"):
                    accepted.setdefault(fact.incident_id, decision.at_ms)
                case f.MemberArrived() | f.BackupArrived():
                    arrived.setdefault(fact.incident_id, decision.at_ms)
    late = 0
    for incident_id, fact in opened.items():
        incident = result.incidents[incident_id]
        for window, by_ms, reached in (
            ("accept", fact.accept_by_ms, accepted), ("arrive", fact.arrive_by_ms, arrived),
        ):  # fmt: skip
            at_ms = reached.get(incident_id)
            if at_ms is not None:
                assert verdict(incident, window) is (at_ms <= by_ms)
                late += at_ms > by_ms
    assert late, "the town is busy enough that somebody is late"


def test_positions_are_computed_only_when_asked() -> None:
    """A day on which nothing happens costs no position; a call costs those on duty one each."""
    town = setting(member("m1", "a"), member("m2", "b"), member("m3", "c"), cover_every_s=0)
    assert play(town, []).fixes == 0
    assert play(town, []).decisions == 0
    quiet = play(town, [call("x", 0, "a", category="noise", priority=4)])
    assert 3 <= quiet.fixes < 60


def test_devices_under_way_may_report_as_often_as_asked() -> None:
    """With an interval each position is decided, and lateness is seen on the way."""
    slow = replace(CLOCKWORK, pace=0.76)
    calls = [call("x", 0, "e")]
    seen = []
    for interval_s in (None, 10.0):
        heard: list[Decision] = []
        play(setting(member("m1", "a"), habits=slow, fix_interval_s=interval_s), calls,
             heard=heard)  # fmt: skip
        predicted = [d.at_ms for d in heard for x in d.facts
                     if isinstance(x, f.ArrivalPredictedLate)]  # fmt: skip
        seen.append(predicted)
    without, every_10_s = (after_s(predicted[0]) for predicted in seen)
    assert every_10_s < 180 < without


def test_the_work_of_a_member_is_what_their_orders_bound() -> None:
    """From acceptance to completion, over a day of duty."""
    result = play(setting(member("m1", "a")), [call("x", 0, "e")])
    (load,) = result.loads["m1"]
    assert load.duty_s == 86_400
    assert load.busy_s == pytest.approx(20 + 800 / EBIKE_MPS + 180, abs=0.2)
    assert (load.orders, load.handled) == (1, 1)


def test_cover_sees_who_is_free() -> None:
    """Whoever has an order is not counted."""
    town = setting(member("m1", "a"), member("m2", "e"), cover_every_s=60)
    shares = [look.share for look in play(town, [call("x", 30, "a")]).cover]
    assert shares[0] == pytest.approx(1.0)
    assert min(shares) == pytest.approx(1.0), "800 m are 144 s: one is enough"
    free = {look.free for look in play(town, [call("x", 30, "a")]).cover}
    assert free == {1, 2}


def test_ctrl_c_gives_what_there_is() -> None:
    """Whoever ends a run has the figures so far."""
    town, calls = busy_town(1, 100)

    def stop(decision: Decision) -> None:
        if decision.at_ms > START_MS + 40_000_000:
            raise KeyboardInterrupt

    result = Run(town, calls, days(1), 3, Beats(town.streets, town.habits, 3), stop).play()
    assert result.cut_short
    assert 0 < len(result.incidents) <= len(result.calls) < len(calls)
    assert result.simulated_s < 86_400


def test_of_one_moment_words_come_before_deadlines() -> None:
    """A word received at the last moment of a window is in time."""
    clock, done = Clock(0), []
    clock.at(5, lambda: done.append("deadline"), "deadline")
    clock.at(5, lambda: done.append("word"))
    clock.at(3, lambda: done.append("earlier"))
    while clock.step(10):
        pass
    assert done == ["earlier", "word", "deadline"]
    assert clock.next_ms() is None
