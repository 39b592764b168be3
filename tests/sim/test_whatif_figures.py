"""Figures of what-ifs: null handling, percentiles, fairness, and how sure they are."""

import io
from dataclasses import replace

import numpy as np
import pytest

from tests.sim.brigades import busy_town, call, days, member, play, setting
from xiaohe.sim.whatif.compare import Comparison, Play, compare
from xiaohe.sim.whatif.figures import (
    DAYS_MIN,
    FIGURES,
    Estimate,
    Resampling,
    estimate,
    gini,
    point,
    verdict,
)
from xiaohe.sim.whatif.table import comparison_table, difference, interval, number


def compared(*, many_days: int = 6, per_day: float = 20) -> Comparison:
    """A brigade as it is, and the same with the first three members gone."""
    town, calls = busy_town(many_days, per_day)
    fewer = replace(town, roster=town.roster[3:])
    plays = [Play("as it is", "", town, calls), Play("fewer", "members 5", fewer, calls)]
    return compare(plays, days(many_days), seed=1)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Six days of it."""
    return compared()


def test_what_cannot_be_measured_is_null_and_never_0() -> None:
    """Of a day without calls every figure of calls is null, in the table a dash."""
    result = play(setting(member("m1", "a")), [])
    for figure in FIGURES:
        value = point(figure.take(result), figure.reduce)
        if figure.key in {"cover_mean", "cover_p10", "utilisation"}:
            assert value is not None
        else:
            assert value is None, figure.key
    assert number(None, "share") == number(None, "s") == difference(Estimate(None), "s") == "—"
    assert interval(Estimate(1.0), "s") == ""


def test_a_window_that_never_was_is_in_no_share() -> None:
    """An urgent call resolved before its reinforcement was due is void there, and met elsewhere."""
    town = setting(member("m1", "a"))
    (incident,) = play(town, [call("x", 0, "a", category="noise")]).incidents.values()
    assert verdict(incident, "accept") is True
    assert verdict(incident, "arrive") is True
    assert verdict(incident, "backup") is None
    (late,) = play(town, [call("x", 0, "a", priority=1)]).incidents.values()
    assert late.timeline.backup_required_ms is not None
    assert verdict(late, "backup") is None, "nobody came, and it was over before it was due"


def test_percentiles_are_by_linear_interpolation() -> None:
    """As the field does it."""
    values = [(float(v), 0) for v in (10, 20, 30, 40, 50)]
    assert point(values, "p50") == 30
    assert point(values, "p90") == pytest.approx(46)
    assert point(values, "mean") == 30


def test_the_gini_coefficient_by_hand() -> None:
    """0 where all do the same; (n-1)/n where one does all; null where nobody does anything."""
    assert gini([5, 5, 5, 5]) == pytest.approx(0)
    assert gini([0, 0, 0, 8]) == pytest.approx(0.75)
    assert gini([1, 3]) == pytest.approx(0.25)
    assert gini([0, 0]) is None
    assert gini([]) is None


def test_days_are_drawn_whole() -> None:
    """A mean over resampled days weighs each value as often as its day was drawn."""
    resampling = Resampling(3, seed=1, resamples=50)
    values = [(1.0, 0), (2.0, 0), (6.0, 1), (9.0, 2)]
    for counts, mean in zip(resampling.counts, resampling.of(values, "mean"), strict=True):
        all_values = [v for v, day in values for _ in range(int(counts[day]))]
        assert mean == pytest.approx(np.mean(all_values))
    for counts, median in zip(resampling.counts, resampling.of(values, "p50"), strict=True):
        all_values = [v for v, day in values for _ in range(int(counts[day]))]
        assert median == np.quantile(all_values, 0.5, method="inverted_cdf")


def test_an_interval_needs_a_figure_in_every_resample() -> None:
    """With values on one day of five some resamples have none: there is no interval."""
    resampling = Resampling(5, seed=1)
    drawn = resampling.of([(1.0, 2)], "mean")
    assert np.isnan(drawn).any()
    assert estimate(1.0, drawn, 1) == Estimate(1.0, n=1)
    assert np.isnan(resampling.of([], "p90")).all()


def test_intervals_hold_the_figure_and_few_days_have_none(comparison: Comparison) -> None:
    """95 % of resamples lie around what was measured."""
    for played in comparison.played:
        for key in ("arrive_on_time", "arrive_p50_s", "cover_mean"):
            found = played.figures[key]
            assert found.low <= found.value <= found.high, key
    few = compared(many_days=DAYS_MIN - 1, per_day=10)
    assert all(found.low is None for found in few.played[0].figures.values())


def test_the_first_scenario_differs_from_itself_by_nothing(comparison: Comparison) -> None:
    """And the others by their own difference."""
    first, other = comparison.played
    for key, found in first.differences.items():
        assert found.value in {0.0, None}, key
    for key, found in other.differences.items():
        mine, theirs = first.figures[key].value, other.figures[key].value
        if mine is not None and theirs is not None:
            assert found.value == pytest.approx(theirs - mine)


def test_pairing_makes_a_difference_surer(comparison: Comparison) -> None:
    """The interval of a difference is narrower than that of two unpaired runs would be."""
    first, other = comparison.played
    key = "accept_p50_s"
    own = [each.figures[key].high - each.figures[key].low for each in (first, other)]
    change = other.differences[key]
    assert change.high - change.low < sum(own)


def test_the_table_names_every_scenario_and_figure(comparison: Comparison) -> None:
    """Side by side, with the differences."""
    from rich.console import Console  # noqa: PLC0415 - this test alone

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(comparison_table(comparison))
    text = console.export_text()
    for word in ("as it is", "fewer", "difference", "on scene in time", "total response, p90",
                 "unevenness", "bootstrap"):  # fmt: skip
        assert word in text
