"""The members in a what-if: where they are at any moment, and what they do with an order.

Nothing moves by itself. A free member goes round a beat (or stands at the post), and where that
leads them is worked out when somebody asks. What a member does with an order is drawn from the
habits of ``sim/habits.py`` by the seed, the call, the role and the how-many-eth order of that role
it is, and by nothing else: the first one asked about a call answers after the same delay in every
scenario, whoever it is, so that scenarios differ by what was changed and not by luck.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import exp
from random import Random
from typing import Final, Literal

from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import LonLat, Mode
from xiaohe.sim.habits import Habits
from xiaohe.sim.streets import Streets, Way, standing

Answer = Literal["accept", "decline", "nothing"]
Posture = Literal["patrol", "post"]
"""What a member does while nothing happens: go round a beat, or stand at the post."""

BEAT_STOPS: Final = 6
"""Places that a beat leads through: enough that it passes most of what one member answers for."""

MS_PER_S: Final = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a member does about one order; all durations in seconds from the step before."""

    answer: Answer
    answer_s: float
    turn_out_s: float
    pace: float
    says_under_way: bool
    says_arrived_s: float | None


@dataclass(frozen=True, slots=True)
class Matter:
    """What lies in a call itself: how long it takes at the scene, whether help is asked for."""

    handling_s: float
    asks_backup_s: float | None


def plan_of(habits: Habits, seed: int, call_id: str, role: str, nth: int) -> Plan:
    """Draw what the ``nth`` member asked about a call in a role does."""
    chance = Random(f"{seed}:{call_id}:{role}:{nth}")  # noqa: S311 - a run must be repeatable
    luck = chance.random()
    answer: Answer = "accept"
    if luck < habits.declines:
        answer = "decline"
    elif luck < habits.declines + habits.never_answers:
        answer = "nothing"
    is_slow, slow_s = chance.random() < habits.slow_share, habits.slow.draw_s(chance)
    pace = chance.gauss(habits.pace, habits.pace_spread)
    says_arrived = chance.random() < habits.says_arrived
    return Plan(
        answer=answer,
        answer_s=habits.answer.draw_s(chance),
        turn_out_s=habits.turn_out.draw_s(chance) + (slow_s if is_slow else 0.0),
        pace=min(habits.pace_most, max(habits.pace_least, pace)),
        says_under_way=chance.random() < habits.says_under_way,
        says_arrived_s=habits.arrival_button.draw_s(chance) if says_arrived else None,
    )


def matter_of(habits: Habits, seed: int, call_id: str, median_s: float) -> Matter:
    """Draw how long a call takes at the scene, and whether help is asked for there."""
    chance = Random(f"{seed}:{call_id}:matter")  # noqa: S311 - a run must be repeatable
    drawn_s = median_s * exp(chance.gauss(0.0, habits.handling_spread))
    asks, asked_s = chance.random() < habits.asks_for_backup, habits.backup_asked.draw_s(chance)
    handling_s = min(habits.handling_most_s, max(habits.handling_least_s, drawn_s))
    return Matter(handling_s, asked_s if asks and asked_s < handling_s else None)


@dataclass(frozen=True, slots=True)
class Beat:
    """A round that leads back to where it began; one place alone is standing there."""

    ways: tuple[Way, ...]
    round_s: float = field(init=False)
    """How long one round takes."""

    def __post_init__(self) -> None:
        """Add up once what is asked for at every look."""
        object.__setattr__(self, "round_s", sum(way.seconds for way in self.ways))

    @property
    def begin(self) -> LonLat:
        """Where the round begins and ends."""
        return self.ways[0].points[0]

    def at(self, passed_s: float) -> LonLat:
        """Give where one is after so many seconds of walking it round and round."""
        left_s = passed_s % self.round_s if self.round_s > 0 else 0.0
        for way in self.ways:
            if left_s <= way.seconds:
                return way.at(left_s)
            left_s -= way.seconds
        return self.begin


class Beats:
    """The beats of all members, drawn when first asked for and kept: runs share them."""

    def __init__(self, streets: Streets, habits: Habits, seed: int) -> None:
        """``seed``: the same one draws the same beats."""
        self._streets, self._habits, self._seed = streets, habits, seed
        self._kept: dict[tuple[object, ...], Beat] = {}

    def of(self, entry: RosterEntry, posture: Posture, road_id: str | None = None) -> Beat:
        """Give the beat of a member: round their own roads (or ``road_id``), or at the post."""
        owned = (road.road_id for road in entry.roads if road.role == "owner")
        roads = (road_id,) if road_id is not None else tuple(sorted(owned))
        key = (entry.member_id, roads, entry.travel_mode, entry.post, posture)
        if key not in self._kept:
            self._kept[key] = self._drawn(entry, roads, posture)
        return self._kept[key]

    def _drawn(self, entry: RosterEntry, roads: tuple[str, ...], posture: Posture) -> Beat:
        streets = self._streets
        chance = Random(f"{self._seed}:{entry.member_id}:beat")  # noqa: S311 - repeatable
        known = [road_id for road_id in roads if road_id in streets.network.roads]
        if entry.post is not None and (posture == "post" or not known):
            return Beat((standing((entry.post.lon, entry.post.lat)),))
        if posture == "post" or not known:
            return Beat((standing(streets.somewhere(chance, known)),))
        stops = [streets.somewhere(chance, known) for _ in range(BEAT_STOPS)]
        return Beat(tuple(self._round(stops, entry.travel_mode)))

    def _round(self, stops: list[LonLat], mode: Mode) -> Iterable[Way]:
        pace, here, begun = self._habits.patrol_pace, stops[0], False
        for goal in (*stops[1:], stops[0]):
            way = self._streets.way(here, goal, mode, pace)
            if way is not None and way.seconds > 0:
                begun, here = True, way.points[-1]
                yield way
        if not begun:
            yield standing(stops[0])


def near_s(way: Way, scene: Iterable[LonLat], radius_m: float) -> float:
    """Give after how many seconds one has come as near as ``radius_m`` to the scene, for good.

    The way is looked at from its end; where even the end is farther off, that is the end.
    """
    places = tuple(scene)

    def gap_m(point: LonLat) -> float:
        return min(ground_distance_m(*place, *point) for place in places)

    after = len(way.points) - 1
    if gap_m(way.points[after]) > radius_m:
        return way.seconds
    while after and gap_m(way.points[after - 1]) <= radius_m:
        after -= 1
    if not after:
        return 0.0
    low_s, high_s = way.at_s[after - 1], way.at_s[after]
    while high_s - low_s > 1 / MS_PER_S:
        middle_s = (low_s + high_s) / 2
        inside = gap_m(way.at(middle_s)) <= radius_m
        low_s, high_s = (low_s, middle_s) if inside else (middle_s, high_s)
    return high_s


@dataclass(slots=True)
class Errand:
    """An order in a member's hands."""

    incident_id: str
    dispatch_id: str
    is_first: bool
    plan: Plan
    matter: Matter


@dataclass(slots=True)
class Person:
    """One member under virtual time."""

    entry: RosterEntry
    beat: Beat
    way: Way | None = None
    """The way under way: to a scene, or back to the beat; None while on the beat."""
    way_ms: int = 0
    beat_ms: int = 0
    errand: Errand | None = None
    fix_ms: int | None = None

    @property
    def member_id(self) -> str:
        """The member's id."""
        return self.entry.member_id

    @property
    def mode(self) -> Mode:
        """How the member travels."""
        return self.entry.travel_mode

    def place(self, at_ms: int) -> LonLat:
        """Give where the member is."""
        if self.way is not None:
            return self.way.at((at_ms - self.way_ms) / MS_PER_S)
        return self.beat.at((at_ms - self.beat_ms) / MS_PER_S)

    def moves(self, at_ms: int) -> bool:
        """Tell whether the member is moving."""
        if self.way is None:
            return self.beat.round_s > 0
        return at_ms < self.way_over_ms

    @property
    def way_over_ms(self) -> int:
        """When the way under way ends."""
        return self.way_ms + (0 if self.way is None else round(self.way.seconds * MS_PER_S))

    def stand(self, at_ms: int) -> None:
        """Stay where one is, for an order has come."""
        self.way, self.way_ms = standing(self.place(at_ms)), at_ms

    def go(self, way: Way, at_ms: int) -> None:
        """Set out."""
        self.way, self.way_ms = way, at_ms

    def settle(self, at_ms: int) -> None:
        """Be on the beat again where the way back to it is over."""
        if self.errand is None and self.way is not None and at_ms >= self.way_over_ms:
            self.beat_ms = self.way_over_ms
            self.way = None
