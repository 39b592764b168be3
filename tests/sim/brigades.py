"""A drawn town for the tests of what-ifs: members at their posts, people without luck."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tests.geo import maps
from tests.sim.people import entry
from xiaohe.dispatch.decide import Decision
from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.policy import load_policy
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.snap import Snapper
from xiaohe.sim.habits import HABITS, Delay, Habits
from xiaohe.sim.streets import Streets
from xiaohe.sim.whatif.demand import Call, Rates, draw_calls, midnight_ms
from xiaohe.sim.whatif.people import Beats
from xiaohe.sim.whatif.run import Result, Run, Setting

LINE = """
    a---b---c---d---e
"""
"""Four roads of 200 m: 36 s each by e-bike."""

GRID = """
    a---b---c---d
    |   |   |   |
    e---f---g---h
    |   |   |   |
    i---j---k---l
"""

POLICY = (Path(__file__).parents[2] / "data" / "policy.yaml").read_bytes()

START = datetime(2030, 1, 7, tzinfo=UTC)
START_MS = midnight_ms(START, UTC)

CLOCKWORK = Habits(
    answer=Delay(10.0, 0.0),
    declines=0.0,
    never_answers=0.0,
    turn_out=Delay(20.0, 0.0),
    slow_share=0.0,
    pace_spread=0.0,
    says_under_way=1.0,
    says_arrived=0.0,
    asks_for_backup=0.0,
    handling_spread=0.0,
)
"""Everybody accepts after 10 s, sets out 20 s later, and is shown on scene by the position."""


def days(many: int) -> list[int]:
    """The midnights of so many days."""
    return [midnight_ms(START, UTC, n) for n in range(many + 1)]


def member(member_id: str, at: str, drawing: str = LINE, **changes: Any) -> RosterEntry:
    """A member whose post is a junction of the drawing, always on duty."""
    lon, lat = maps.place(drawing, at)
    said = {"roads": [], "post": {"lon": lon, "lat": lat}} | changes
    return msgspec.convert(entry(member_id, **said), RosterEntry)


def setting(
    *members: RosterEntry, drawing: str = LINE, habits: Habits = CLOCKWORK, **changes: Any
) -> Setting:
    """A drawn town with these members at their posts."""
    network = maps.network(drawing)
    streets = Streets(network, Snapper(network))
    roads = RoadMap(network, streets.snapper)
    plain = Setting(streets, roads, members, load_policy(POLICY), "drawn", "post", habits=habits)
    return replace(plain, **changes)


def call(call_id: str, after_s: float, at: str, drawing: str = LINE, **said: Any) -> Call:
    """A call at a junction, so many seconds after the start."""
    lon, lat = maps.place(drawing, at)
    plain = {"category": "dispute", "priority": 2} | said
    return Call(call_id, START_MS + round(1000 * after_s), lon, lat, **plain)


def busy_town(many_days: int, per_day: float, seed: int = 3, **changes: Any) -> tuple[Setting, Any]:
    """Eight members of all modes on the grid, people as they are, and calls by rate."""
    posts = dict(zip(("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"), "aclhifdk", strict=True))
    modes = ("ebike", "walk", "car", "ebike")
    people = [
        member(m, at, GRID, travel_mode=modes[n % 4], team=("red", "blue")[n % 2],
               roads=[{"road_id": "ab" if n % 2 else "kl", "role": "owner"}])
        for n, (m, at) in enumerate(posts.items())
    ]  # fmt: skip
    said = {"drawing": GRID, "habits": HABITS, "posture": "patrol"} | changes
    town = setting(*people, **said)
    calls = draw_calls(
        Rates.of_day(per_day), town.streets, (), seed=seed, start=START, days=many_days
    )
    return town, calls


def play(
    town: Setting,
    calls: Sequence[Call],
    many_days: int = 1,
    seed: int = 3,
    heard: list[Decision] | None = None,
) -> Result:
    """Play the calls."""
    beats = Beats(town.streets, town.habits, seed)
    note = None if heard is None else heard.append
    return Run(town, calls, days(many_days), seed, beats, note).play()
