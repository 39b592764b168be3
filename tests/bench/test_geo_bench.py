"""``xiaohe bench geo``: what it says of figures, and a run without a single store."""

import pytest

from xiaohe.bench.geo import SIZES, GeoBenchOptions, bench_geo
from xiaohe.bench.geo_table import table, targets
from xiaohe.bench.timing import each_us, per_s, timed, timed_by_turns
from xiaohe.cli import EXIT_UNUSABLE, run

CONTRACT = {
    "edges",
    "members",
    "choose_us",
    "straight_us",
    "redis_us",
    "redis_ping_us",
    "tile38_us",
    "tile38_ping_us",
    "postgis_us",
    "postgis_ping_us",
    "networkx_us",
    "oracle_checked",
    "oracle_mismatches",
}
"""Keys of a size that stay."""


def row(name, **changed):
    """Made-up figures of one city."""
    figures = {
        "name": name,
        "edges": 1_000,
        "members": 50,
        "eligible_share": 0.5,
        "choose_us": 50.0,
        "choose_p99_us": 80.0,
        "snap_us": 10.0,
        "choose_python_us": 500.0,
        "straight_us": 2.0,
        "straight_way": "grid",
        "redis_us": 100.0,
        "redis_ping_us": 60.0,
        "tile38_us": None,
        "tile38_ping_us": None,
        "postgis_us": 200.0,
        "postgis_ping_us": 20.0,
        "networkx_us": None,
        "positions_per_s": 300_000,
        "oracle_checked": 10,
        "oracle_mismatches": 0,
    }
    return figures | changed


def said(*rows):
    """The page of made-up rows."""
    machine = {"processor": "abacus", "cores": 1, "load": 0.0, "python": "3"}
    return table({"sizes": rows, "notes": ["tile38: null, gone fishing"], "machine": machine})


def line(page, name):
    """The words of the line that begins so."""
    return next(line for line in page.splitlines() if line.strip().startswith(name)).split()


def test_the_table_has_ratios_with_and_without_the_round_trip():
    """A choice of 50 µs is half of Redis' 100, and 1.25 times its 40 without the trip."""
    page = said(row("xiaohe"))
    assert {"100.0", "60.0", "0.50", "1.25"} <= set(line(page, "Redis"))
    assert "25.00" in line(page, "straight line")
    assert max(map(len, page.splitlines())) <= 120


def test_a_peer_without_figures_is_a_dash_and_a_note():
    """No number is made up for it."""
    page = said(row("xiaohe"))
    assert set(line(page, "Tile38")) <= {"Tile38", "NEARBY", "–"}
    assert "gone fishing" in page


def test_what_is_aimed_at_is_met_missed_or_not_measured():
    """The quickest store counts; what was not measured is neither."""
    met = {t.target: t.met for t in targets([row("xiaohe"), row("1m", choose_us=130.0)])}
    assert met["a whole choice in Xiaohe: at most 60 µs"] is True
    assert met["a whole choice in the largest: at most 120 µs"] is False
    assert met["the largest against Baltimore: at most 2 ×"] is None
    assert met["quicker than the quickest store, xiaohe"] is True
    assert met["quicker than the quickest store, 1m"] is False
    assert met["quicker than the quickest store less its round trip, 1m"] is False


def test_a_mismatch_with_the_oracle_shows():
    """One wrong choice is said, and so is that nothing was checked."""
    rows = [row("xiaohe", oracle_mismatches=1), row("100k", oracle_checked=0)]
    met = [t.met for t in targets(rows) if "whole graph" in t.target]
    assert met == [False, None]


def test_a_run_without_any_store_is_whole(monkeypatch):
    """The stores are null and named; choices are measured, and agree with the oracle."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("xiaohe.bench.peers.postgres_programs", _none)
    result = bench_geo(GeoBenchOptions(sizes=SIZES[:1], seconds=1.0))
    (figures,) = result["sizes"]
    assert figures.keys() >= CONTRACT
    for store in ("redis", "tile38", "postgis"):
        assert figures[f"{store}_us"] is None
        assert any(note.startswith(f"{store}: null") for note in result["notes"])
    assert figures["choose_us"] > figures["straight_us"] > 0
    assert figures["oracle_checked"] > 0
    assert figures["oracle_mismatches"] == 0
    assert "xiaohe, the whole choice" in table(result)


def _none():
    from xiaohe.bench.servers import PeerUnavailable  # noqa: PLC0415 - only here

    raise PeerUnavailable("no PostgreSQL")


def test_a_city_without_its_extract_is_left_out_and_named(monkeypatch):
    """Nothing is measured in its place."""
    monkeypatch.delenv("XIAOHE_TEST_DATA", raising=False)
    baltimore = [size for size in SIZES if size.name == "baltimore"]
    result = bench_geo(GeoBenchOptions(sizes=baltimore))
    assert result["sizes"] == []
    assert any("baltimore" in note and "--extract" in note for note in result["notes"])


def test_an_unknown_size_is_refused(capsys):
    """With the names that there are."""
    assert run(["bench", "geo", "--sizes", "atlantis"]) == EXIT_UNUSABLE
    assert "baltimore" in capsys.readouterr().err


def test_a_trip_that_took_longer_than_the_question_gives_no_ratio():
    """On a busy machine it happens; nobody is quicker than nothing."""
    figures = row("1m", redis_ping_us=120.0, postgis_us=None)
    words = line(said(figures), "Redis")
    assert "0.50" in words
    assert not any(word.startswith("-") for word in words)
    less_trip = [t for t in targets([figures]) if "less its round trip" in t.target]
    assert [t.met for t in less_trip] == [False]


def test_calls_take_turns():
    """One of each, argument by argument."""
    seen = []
    timings = timed_by_turns(
        [lambda a: seen.append(("x", a)), lambda a: seen.append(("y", a))], [1, 2], 0.0
    )
    assert len(timings) == 2
    assert seen[:4] == [("x", 1), ("y", 1), ("x", 2), ("y", 2)]


def test_calls_are_counted_and_every_argument_has_its_turn():
    """In order, over and over; the rate counts what is in the records."""
    seen = []
    assert timed(seen.append, ["a", "b"], 0.0).calls >= 20
    assert seen[:4] == ["a", "b", "a", "b"]
    assert each_us(len, [1, 2, 3], 0.0) > 0
    records = []
    assert per_s(records.append, [[1, 2], [3, 4]], 2, 0.0) > 0
    assert records == [[1, 2], [3, 4]]


@pytest.mark.parametrize("share", ["choose_us", "redis_us"])
def test_nothing_is_reached_that_was_not_measured(share):
    """Without our figure, or without a store's, quicker is nobody."""
    figures = row("xiaohe", **{share: None}, postgis_us=None)
    (quicker,) = [t for t in targets([figures]) if t.target.startswith("quicker")]
    assert quicker.met is None
