"""``xiaohe simulate``: what-if runs under virtual time, scenarios side by side."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from cyclopts import Parameter
from rich.console import Console

from xiaohe.commands.options import Json, PolicyFile, Roads, positive
from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.policy import Policy, load_policy
from xiaohe.dispatch.world import RoadMap
from xiaohe.output import note, say_json
from xiaohe.places import PACKAGE, POLICY, ROADS, ROSTER, read_file
from xiaohe.roster_file import read_roster
from xiaohe.sim.calls import REAL_ALERTS_PER_DAY, Landmark, load_landmarks
from xiaohe.sim.habits import HABITS
from xiaohe.sim.streets import Streets
from xiaohe.sim.whatif.compare import Comparison, Play, Played, Progress, at_rate, compare
from xiaohe.sim.whatif.demand import MADE_UP, Call, Rates, draw_calls, midnight_ms
from xiaohe.sim.whatif.figures import FAIRNESS_KEY, FIGURES, Estimate
from xiaohe.sim.whatif.files import read_calls, read_rates
from xiaohe.sim.whatif.run import Setting
from xiaohe.sim.whatif.scenario import (
    AS_IT_IS,
    Scenario,
    ScenarioError,
    changed,
    parse_scenario,
    read_scenarios,
)
from xiaohe.sim.whatif.table import comparison_table
from xiaohe.whole_file import check_writable, write_whole

PLACES = PACKAGE / "data" / "places.geojson"

DAYS = 30
"""Days that are simulated where nothing else is asked for: enough for an interval."""

DAYS_MOST = 3660
"""Ten years: beyond it a run would outlast the patience of whoever asked."""

PER_DAY_MOST = 100_000
"""More than one call a second is no sub-district, and would not fit into memory."""

START = date(2030, 1, 7)
"""A Monday: the day on which drawn calls begin, where nothing else is asked for."""

TABLE_WIDTH = 200
"""Characters of a line where standard output is no terminal: five scenarios side by side."""

MORE_SEED = 1_000_003
"""Added to the seed for the calls that a rate above 1 adds, so that they are others."""

NOT_BUILT_YET = "hazards, rectified and visits_saved_share are null: inspections are not built yet"


def _positive(_: object, number: float | None) -> None:
    if number is not None:
        positive(_, number)
    if number is not None and number > PER_DAY_MOST:
        raise ValueError(f"must be at most {PER_DAY_MOST:,}")


PositiveOrNone = Annotated[float | None, Parameter(validator=_positive)]


def _days(_: object, days: int | None) -> None:
    if days is not None and not 1 <= days <= DAYS_MOST:
        raise ValueError(f"must be 1 to {DAYS_MOST}")


Listed = Annotated[
    list[str] | None,
    Parameter(name="--scenario", negative="", help="NAME:key=value,…; may be given again."),
]


def simulate(
    *,
    days: Annotated[int | None, Parameter(validator=_days)] = None,
    seed: int = 1,
    per_day: PositiveOrNone = None,
    calls: Path | None = None,
    rates: Path | None = None,
    start: str | None = None,
    scenario: Listed = None,
    scenarios: Path | None = None,
    roads: Roads = None,
    roster: Annotated[
        Path | None, Parameter(help="JSON array of members; else the brigade of Xiaohe.")
    ] = None,
    policy: PolicyFile = None,
    area: str | None = None,
    fix_interval_s: PositiveOrNone = None,
    html: Path | None = None,
    json: Json = False,
) -> int:
    """Play a brigade through days of calls, faster than they pass, and compare what-ifs.

    The real engine decides; members' behaviour is drawn from the demo's habits. Every scenario
    sees the same calls and the same delays of people. Ctrl-C ends it with what there is.
    A scenario's keys: roster=FILE, policy=FILE, roads=FILE, members=45, mode=car or
    mode=TEAM>car, move=TEAM>PLACE (a place's name, a road_id, or LON LAT), rate=1.5,
    posture=patrol|post.

    Parameters
    ----------
    days
        How many days; 30, or all of the calls file's.
    seed
        The same seed draws the same calls and the same people's luck.
    per_day
        Calls a day, spread over the hours in a made-up way; 14 where nothing is given.
    calls
        CSV file of calls, gzipped or not: time, lon, lat[, category, priority, road_id].
    rates
        YAML or CSV file of calls an hour, by hour and weekday, and by place.
    start
        First day, YYYY-MM-DD; a calls file is moved there by whole days.
    scenarios
        YAML file that lists scenarios.
    area
        The area that is simulated; the one with most members.
    fix_interval_s
        Let devices under way send a position so often, each of which the engine decides; without
        it positions are asked for when a decision looks.
    html
        Write a report with a map and charts to this file, which needs nothing else.
    """
    wanted = [*(read_scenarios(scenarios) if scenarios else ()), *map(parse_scenario,
                                                                     scenario or ())]  # fmt: skip
    _check(wanted, calls, rates, per_day)
    if html is not None:
        check_writable(html)
    town = _Town(roads or ROADS, roster or ROSTER, policy, area)
    demand = _Demand(town, seed, days, calls, _rates(rates, per_day), _date(start))
    plays = [_play(town, demand, each, fix_interval_s) for each in (Scenario(AS_IT_IS), *wanted)]
    comparison = _played(plays, demand.midnights, seed)
    notes = [*town.notes, *demand.notes]
    for line in (*notes, NOT_BUILT_YET):
        note(f"note: {line}")
    if comparison.cut_short:
        note("note: ended early: the figures are of what was played by then")
    if html is not None:
        # Drawing is loaded only where something is drawn.
        from xiaohe.sim.whatif.report import render  # noqa: PLC0415

        write_whole(html, render(comparison, notes).encode())
        note(f"report written to {html}")
    if json:
        say_json(_summary(comparison))
    else:
        # Into a file or a pipe a table is written as wide as it is.
        width = None if sys.stdout.isatty() else TABLE_WIDTH
        Console(width=width).print(comparison_table(comparison))
    return 0


def _check(
    wanted: Sequence[Scenario], calls: Path | None, rates: Path | None, per_day: float | None
) -> None:
    given = [name for name, value in (("--calls", calls), ("--rates", rates),
             ("--per-day", per_day)) if value is not None]  # fmt: skip
    if len(given) > 1:
        raise ScenarioError(f"{' and '.join(given)} both say which calls there are: give one")
    names = [AS_IT_IS, *(each.name for each in wanted)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ScenarioError(f"two scenarios are called {min(twice)!r}: name each otherwise")
    if calls is not None and any(each.rate > 1 for each in wanted):
        raise ScenarioError("the calls of a file can be thinned out (rate=0.5), not multiplied")


def _rates(path: Path | None, per_day: float | None) -> Rates:
    if path is not None:
        return read_rates(path)
    return Rates.of_day(REAL_ALERTS_PER_DAY if per_day is None else per_day)


def _date(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise ScenarioError(f"--start {text} is no date: write YYYY-MM-DD") from None


class _Town:
    """The files of what is: roads, roster, policy, places, and the area that is simulated."""

    def __init__(self, roads: Path, roster: Path, policy: Path | None, area_id: str | None) -> None:
        self.notes: list[str] = []
        self.policy_file = policy
        self.roads_file, self._maps = roads, dict[Path, tuple[Streets, RoadMap]]()
        self.roster = _entries(roster)
        areas = [entry.area_id for entry in self.roster]
        if not areas:
            raise ScenarioError(f"{roster} has no members: there is nobody to simulate")
        self.area_id = area_id or max(sorted(set(areas)), key=areas.count)
        if self.area_id not in areas:
            raise ScenarioError(f"nobody of {roster} is of area {self.area_id}; there are "
                                + ", ".join(sorted(set(areas))))  # fmt: skip
        others = len(areas) - areas.count(self.area_id)
        if others:
            self.notes.append(f"area {self.area_id} alone is simulated: {others} members of other "
                              "areas are left out (--area names another)")  # fmt: skip
        self.policy = self._policy(None)
        known = self.policy.areas.get(self.area_id)
        self.zone = ZoneInfo("Asia/Shanghai" if known is None else known.timezone)
        self.streets, _ = self.map_of(None)
        self.landmarks: tuple[Landmark, ...] = tuple(
            each for each in load_landmarks(PLACES) if self.streets.is_here(each.place)
        )

    def map_of(self, path: Path | None) -> tuple[Streets, RoadMap]:
        """Give the roads of a scenario, read once."""
        path = path or self.roads_file
        if path not in self._maps:
            streets = Streets.load(path)
            self._maps[path] = streets, RoadMap(streets.network, streets.snapper)
        return self._maps[path]

    def _policy(self, path: Path | None) -> Policy:
        base = read_file(POLICY)
        if self.policy_file is None:
            return load_policy(base) if path is None else load_policy(read_file(path), base=base)
        if path is None:
            return load_policy(read_file(self.policy_file), base=base)
        raise ScenarioError("give --policy, or policy= in scenarios, not both")

    def setting(self, scenario: Scenario, fix_interval_s: float | None) -> Setting:
        """Make what a scenario is played with."""
        streets, roads = self.map_of(scenario.roads)
        entries = self.roster if scenario.roster is None else _entries(scenario.roster)
        mine = [entry for entry in entries if entry.area_id == self.area_id]
        brigade = changed(scenario, mine, streets.network, self.landmarks)
        if not brigade.members:
            raise ScenarioError(f"{scenario.name}: nobody of area {self.area_id} is left")
        return Setting(
            streets=streets,
            roads=RoadMap(roads.network, roads.snapper),
            roster=brigade.members,
            policy=self.policy if scenario.policy is None else self._policy(scenario.policy),
            area_id=self.area_id,
            posture=scenario.posture or "patrol",
            at_post=brigade.at_post,
            moved_to=brigade.beats,
            habits=HABITS,
            fix_interval_s=fix_interval_s,
        )


def _entries(path: Path) -> tuple[RosterEntry, ...]:
    return tuple(msgspec.convert(value, RosterEntry) for value in read_roster(path))


class _Demand:
    """The calls, and the midnights of the days that are played."""

    def __init__(
        self,
        town: _Town,
        seed: int,
        days: int | None,
        file: Path | None,
        rates: Rates,
        start: date | None,
    ) -> None:
        self.notes: list[str] = []
        self._town, self._seed, self._rates = town, seed, rates
        if file is None:
            self._days, first = days or DAYS, start or START
            self._start = datetime(first.year, first.month, first.day, tzinfo=town.zone)
            self.calls = self.drawn(1.0, seed)
            if rates.made_up:
                self.notes.append(MADE_UP)
        else:
            self._read(file, days, start)
        self.midnights = [midnight_ms(self._start, town.zone, n) for n in range(self._days + 1)]

    def drawn(self, rate: float, seed: int) -> tuple[Call, ...]:
        """Draw calls by the rates, so many times as many."""
        return draw_calls(self._rates.times(rate), self._town.streets, self._town.landmarks,
                          seed=seed, start=self._start, days=self._days)  # fmt: skip

    def more(self, rate: float) -> tuple[Call, ...]:
        """Draw calls that come to those there are."""
        found = self.drawn(rate, self._seed + MORE_SEED)
        return tuple(replace(call, call_id=f"more-{call.call_id}") for call in found)

    def _read(self, file: Path, days: int | None, start: date | None) -> None:
        found = read_calls(file, self._town.streets, self._town.zone)
        self.notes += [f"{file.name}: {line}" for line in found.told()]
        zone = self._town.zone
        first, last = (datetime.fromtimestamp(call.at_ms / 1000, zone)
                       for call in (found.calls[0], found.calls[-1]))  # fmt: skip
        self._start = datetime(first.year, first.month, first.day, tzinfo=zone)
        self._days = min(days or DAYS_MOST, (last.date() - first.date()).days + 1)
        moved_ms = 0
        if start is not None:
            moved_days = (start - first.date()).days
            moved_ms = midnight_ms(self._start, zone, moved_days) - midnight_ms(self._start, zone)
            self._start = datetime(start.year, start.month, start.day, tzinfo=zone)
        end_ms = midnight_ms(self._start, zone, self._days)
        moved = [replace(call, at_ms=call.at_ms + moved_ms) for call in found.calls]
        self.calls = tuple(call for call in moved if call.at_ms < end_ms)
        late = len(moved) - len(self.calls)
        if late:
            self.notes.append(f"{file.name}: {late} calls lie after the {self._days} days")


def _play(town: _Town, demand: _Demand, scenario: Scenario, fix_interval_s: float | None) -> Play:
    calls = at_rate(demand.calls, scenario.rate, demand._seed, demand.more)  # noqa: SLF001 - ours
    return Play(scenario.name, scenario.says, town.setting(scenario, fix_interval_s), calls)


def _played(plays: Sequence[Play], midnights: Sequence[int], seed: int) -> Comparison:
    """Play, with a line of progress on a terminal's stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return compare(plays, midnights, seed)
    with console.status("playing …") as status:

        def told(name: str, share: float) -> None:
            status.update(f"{name}: {share:.0%} of {len(midnights) - 1} days")

        on_progress: Progress = told
        return compare(plays, midnights, seed, on_progress)


# --- the last line


def _summary(comparison: Comparison) -> dict[str, Any]:
    first = comparison.played[0]
    return {
        "incidents": len(first.result.incidents),
        "on_time": _on_time(first),
        "forgotten": first.result.forgotten,
        "hazards": None,
        "rectified": None,
        "visits_saved_share": None,
        "times_real_time": _rounded(comparison.times_real_time, 1),
        "days": comparison.days,
        "seed": comparison.seed,
        "cut_short": comparison.cut_short,
        "scenarios": [_scenario(each) for each in comparison.played],
    }


def _scenario(played: Played) -> dict[str, Any]:
    result = played.result
    return {
        "name": played.play.name,
        "changes": played.play.says,
        "members": len(played.play.setting.roster),
        "calls": len(result.calls),
        "incidents": len(result.incidents),
        "open": result.open,
        "forgotten": result.forgotten,
        "on_time": _on_time(played),
        "figures": _estimates(played.figures, _keys()),
        "differences": _estimates(played.differences, _keys()),
    }


def _keys() -> Iterable[str]:
    return (*(figure.key for figure in FIGURES), FAIRNESS_KEY)


def _on_time(played: Played) -> dict[str, float | None]:
    return {
        window: _rounded(played.figures[f"{window}_on_time"].value)
        for window in ("accept", "arrive", "backup")
    }


def _estimates(found: Mapping[str, Estimate], keys: Iterable[str]) -> dict[str, Any]:
    def told(estimate: Estimate) -> dict[str, Any]:
        ends = None
        if estimate.low is not None:
            ends = [_rounded(estimate.low), _rounded(estimate.high)]
        return {"value": _rounded(estimate.value), "interval": ends}

    return {key: told(found[key]) for key in keys}


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)
