"""Calls of a what-if: drawn by rate and place, and read from files, dirty ones too."""

import gzip
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.geo import maps
from tests.sim.brigades import LINE, START, START_MS, call
from xiaohe.geo.snap import Snapper
from xiaohe.sim.streets import Streets
from xiaohe.sim.whatif.compare import at_rate
from xiaohe.sim.whatif.demand import DAYS, HOURS, Rates, draw_calls, midnight_ms
from xiaohe.sim.whatif.files import DemandFileError, read_calls, read_rates

LON, LAT = maps.place(LINE, "c")


@pytest.fixture(scope="module")
def streets() -> Streets:
    """The drawn line."""
    network = maps.network(LINE)
    return Streets(network, Snapper(network))


def drawn(rates: Rates, streets: Streets, days: int = 1, seed: int = 1):
    """Calls by these rates."""
    return draw_calls(rates, streets, (), seed=seed, start=START, days=days)


def test_a_longer_run_begins_with_the_days_of_a_shorter_one(streets: Streets) -> None:
    """Each day is drawn by itself."""
    three, five = (drawn(Rates.of_day(40), streets, days) for days in (3, 5))
    assert five[: len(three)] == three
    assert len(five) > len(three)


def test_calls_come_at_the_stated_hours_and_places(streets: Streets) -> None:
    """An hour with a rate of 0 has none; a place named alone has all."""
    hours = tuple(50.0 if hour == 7 else 0.0 for hour in range(HOURS))
    rates = replace(Rates.of_day(1), per_hour=(hours,) * len(DAYS))
    calls = drawn(rates, streets, days=4)
    assert {(each.at_ms - START_MS) // 3_600_000 % HOURS for each in calls} == {7}
    assert 140 < len(calls) < 260, "four hours at 50"
    assert len({each.call_id for each in calls}) == len(calls)


def test_the_number_of_calls_is_that_of_the_rates(streets: Streets) -> None:
    """About fourteen a day where nothing is said, and the spread is called made up."""
    rates = Rates.of_day()
    assert rates.per_day == pytest.approx(14)
    assert rates.made_up
    assert 14 * 100 * 0.9 < len(drawn(rates, streets, days=100)) < 14 * 100 * 1.1


def test_the_day_of_the_area_begins_at_its_own_midnight() -> None:
    """Also where the clocks change."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - this test alone

    zone = ZoneInfo("Europe/Berlin")
    day = datetime(2030, 3, 31, tzinfo=zone)
    assert midnight_ms(day, zone, 1) - midnight_ms(day, zone) == 23 * 3_600_000


def test_fewer_calls_are_some_of_these_and_more_are_these_and_others() -> None:
    """Scenarios with another rate are paired as far as they can be."""
    calls = [call(f"c{n}", n, "c") for n in range(400)]
    others = [call(f"o{n}", n + 0.5, "c") for n in range(5)]
    half = at_rate(calls, 0.5, 1, lambda _: ())
    most = at_rate(calls, 0.8, 1, lambda _: ())
    assert set(half) < set(most) < set(calls)
    assert 160 < len(half) < 240
    more = at_rate(calls, 1.5, 1, lambda rate: others if rate == 0.5 else ())
    assert set(more) == {*calls, *others}
    assert [each.at_ms for each in more] == sorted(each.at_ms for each in more)


# --- files


def write(folder: Path, text: str, name: str = "calls.csv") -> Path:
    """A file of this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_dirty_rows_are_left_out_counted_and_shown(tmp_path: Path, streets: Streets) -> None:
    """Nothing of a bad row is guessed, and a good row beside it counts."""
    path = write(tmp_path, "\ufefftime,lon,lat,category,priority,road_id\n"
                 f"2030-01-07T08:00:00,{LON},{LAT},noise,3,bc\n"
                 f"2030-01-07T07:00:00+00:00,{LON},{LAT},吵架,,\n"
                 f"yesterday,{LON},{LAT},noise,3,\n"
                 f"2030-01-07 09:00:00,nan,{LAT},noise,3,\n"
                 f"2030-01-07 09:00:00,,{LAT},noise,3,\n"
                 f"2030-01-07 09:00:00,0,0,noise,3,\n"
                 f"2030-01-07 09:00:00,{LON},{LAT},noise,9,\n"
                 f"2030-01-07 09:00:00,{LON},{LAT},noise,high,\n"
                 "2030-01-07\n")  # fmt: skip
    found = read_calls(path, streets, UTC)
    assert [(c.category, c.priority, c.road_id) for c in found.calls] == [
        ("吵架", 2, None), ("noise", 3, "bc")]  # fmt: skip
    assert Counter(found.left_out) == {
        "time cannot be read": 1, "no possible position": 1, "no position": 2,
        "outside the map": 1, "priority is not 1 to 4": 1, "priority is no number": 1,
    }  # fmt: skip
    assert "1 left out: outside the map (line 7)" in found.told()


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("lat,lng,desc,zip,title,timeStamp,twp,addr,e",
         f'{LAT},{LON},"A; B",1,EMS: FALL,2030-01-07 17:40:00,X,Y,1'),
        ("request_id,o_lat,o_lon,d_lat,d_lon,departure_time,passengers",
         f"0,{LAT},{LON},0,0,2030-01-07 17:40:00,1"),
    ],
)  # fmt: skip
def test_headers_of_common_exports_are_known(
    header: str, row: str, tmp_path: Path, streets: Streets
) -> None:
    """Plain or gzipped, whatever the name says."""
    for path in (tmp_path / "plain.csv", tmp_path / "packed.csv.gz"):
        text = f"{header}\r\n{row}\r\n".encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
        (one,) = read_calls(path, streets, UTC).calls
        assert (one.lon, one.lat, one.at_ms) == (LON, LAT, START_MS + 63_600_000)
        assert one.handling_s > 0


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "no column for time and lon and lat"),
        ("when,where\n1,2\n", "no column for"),
        ("time,lon,lat\n", "no call that can be used"),
        ("time,lon,lat\nnow,1,2\n", "time cannot be read"),
        ("time,lon,lat\n\x00,1,2\n", "time cannot be read"),
    ],
)
def test_a_file_of_no_use_is_refused_with_what_to_write(
    text: str, names: str, tmp_path: Path, streets: Streets
) -> None:
    """The message names the file, and what is wrong with it."""
    with pytest.raises(DemandFileError, match=names):
        read_calls(write(tmp_path, text), streets, UTC)


def test_a_broken_archive_and_a_missing_file_are_named(tmp_path: Path, streets: Streets) -> None:
    """They are the caller's to mend."""
    broken = tmp_path / "x.csv.gz"
    broken.write_bytes(gzip.compress(b"time,lon,lat\n" * 1000)[:40])
    for path in (broken, tmp_path / "none.csv"):
        with pytest.raises(DemandFileError, match=path.name):
            read_calls(path, streets, UTC)


def test_rates_are_read_from_yaml_and_csv(tmp_path: Path, streets: Streets) -> None:
    """Hours, weekdays, places and categories as stated."""
    yaml = write(tmp_path, "hours: [" + ", ".join(["0"] * 23 + ["6"]) + "]\n"
                 "places: [{road_id: ab, weight: 2}]\ncategories: {flood: 1}\n",
                 "rates.yaml")  # fmt: skip
    rates = read_rates(yaml)
    assert rates.per_day == 6
    assert not rates.made_up
    calls = drawn(rates, streets, days=3)
    assert {each.category for each in calls} == {"flood"}
    assert all(each.lon <= maps.place(LINE, "b")[0] + 1e-6 for each in calls)
    csv = write(tmp_path, "hour,calls_per_hour,weekday\n0,2,\n1,7,sun\n", "rates.csv")
    assert read_rates(csv).per_hour[0][:2] == (2, 0)
    assert read_rates(csv).per_hour[6][:2] == (2, 7)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "hours: [1, 2]", "hours: 5", "per_day: -1", "per_day: .nan", "weekdays: {mon: []}",
     "per_day: 3\nplaces: [here]", "per_day: 3\ncategories: {a: 0}", "per_hour: 3", "{",
     "hours: ["],
)  # fmt: skip
def test_wrong_rates_are_refused(text: str, tmp_path: Path) -> None:
    """With the file's name, never with a traceback of somebody else's."""
    with pytest.raises(DemandFileError, match=r"rates\.yaml"):
        read_rates(write(tmp_path, text, "rates.yaml"))


def test_wrong_lines_of_a_table_of_rates_are_named(tmp_path: Path) -> None:
    """The line is said."""
    for row in ("24,1", "x,1", "1,-2", "1,2,someday", "1"):
        with pytest.raises(DemandFileError, match="line 2"):
            read_rates(write(tmp_path, f"hour,calls_per_hour,weekday\n{row}\n", "rates.csv"))
