"""A member on a drawn street, and what the tests of the simulation share."""

from typing import Any

from tests.geo import maps
from xiaohe.geo.snap import Snapper
from xiaohe.sim.habits import Habits
from xiaohe.sim.members import Order, Profile, Says, Sends, SimMember
from xiaohe.sim.streets import Streets

STREET = """
    a---b---c---d---e
"""

START_MS = 1_900_000_000_000

SURE = Habits(
    declines=0.0,
    never_answers=0.0,
    slow_share=0.0,
    says_under_way=1.0,
    says_arrived=1.0,
    asks_for_backup=0.0,
    gps_losses_per_h=0.0,
)
"""Habits in which nothing is left to luck but the delays."""


def entry(member_id: str = "m01", **changes: object) -> dict[str, Any]:
    """A roster record of an invented member, on duty from a week ago to in a week."""
    lon, lat = maps.place(STREET, "a")
    return {
        "member_id": member_id,
        "area_id": "drawn",
        "name": f"member {member_id}",
        "team": "one",
        "travel_mode": "ebike",
        "roads": [{"road_id": "ab", "role": "owner"}],
        "shifts": [{"start": "2000-01-01T00:00:00Z", "end": "2090-01-01T00:00:00Z"}],
        "post": {"lon": lon, "lat": lat},
    } | changes


def streets() -> Streets:
    """The drawn street."""
    network = maps.network(STREET)
    return Streets(network, Snapper(network))


def member(habits: Habits = SURE, seed: int = 1, **changes: object) -> SimMember:
    """One member at the post, junction a."""
    return SimMember(Profile.of(entry(**changes)), streets(), seed, START_MS, habits)


def order(dispatch_id: str = "d1", at: str = "e", handling_s: float = 60.0) -> Order:
    """An order to a junction."""
    return Order(dispatch_id, maps.place(STREET, at), True, handling_s)


def live(one: SimMember, seconds: float, start_ms: float = START_MS, tick_s: float = 0.5) -> list:
    """Step a member for so long; give (seconds from START_MS, what was done)."""
    done = []
    for n in range(round(seconds / tick_s) + 1):
        now_ms = start_ms + 1000 * tick_s * n
        done += [((now_ms - START_MS) / 1000, d) for d in one.step(now_ms, on_duty=True)]
    return done


def said(done: list) -> list[str]:
    """The buttons pressed, in order."""
    return [does.action for _, does in done if isinstance(does, Says)]


def fixes(done: list) -> list[tuple[float, Sends]]:
    """The positions sent."""
    return [(at_s, does) for at_s, does in done if isinstance(does, Sends)]
