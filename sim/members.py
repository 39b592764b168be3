"""The members of the brigade as people: on patrol, asked, on the way, on scene, done.

Each is a small machine that is stepped with the simulated time and told what its phone shows. It
knows nothing of Kafka or of how the engine chooses. What it does depends on its seed, the times
it is stepped at and what it is told: the same again gives the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random
from typing import Literal

import msgspec

from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.shifts import Schedule, parse_shifts
from xiaohe.geo.roads import LonLat, Mode
from xiaohe.sim.habits import HABITS, Habits
from xiaohe.sim.streets import Streets, Way, moved, standing

Doing = Literal["off_duty", "patrol", "asked", "turning_out", "under_way", "on_scene", "distress"]

HOUR_S = 3600.0

OUTCOMES = ("advised", "mediated", "put right", "handed to the police", "nothing found")
"""What a member reports in the end."""

ALARMS_SENT = 2
"""A device sends its alarm again with the next position, for the first may be lost."""

CONFIRMED_WITHIN_S = 10.0
"""Whoever accepted a lapsed order and hears nothing for so long goes on with the patrol."""

DECLINE_REASONS = ("helping somebody", "with a shopkeeper", "guarding a school gate")


@dataclass(frozen=True, slots=True)
class Profile:
    """A roster entry, as far as the simulation needs it."""

    member_id: str
    area_id: str
    name: str
    mode: Mode
    roads: tuple[str, ...]
    post: LonLat | None
    schedule: Schedule

    @classmethod
    def of(cls, entry: Mapping[str, object]) -> "Profile":
        """Read a roster record. Raises msgspec.ValidationError, BadShift."""
        found = msgspec.convert(entry, RosterEntry)
        post = None if found.post is None else (found.post.lon, found.post.lat)
        return cls(
            member_id=found.member_id,
            area_id=found.area_id,
            name=found.name,
            mode=found.travel_mode,
            roads=tuple(road.road_id for road in found.roads if road.role == "owner"),
            post=post,
            schedule=Schedule(parse_shifts(found.shifts)),
        )


@dataclass(frozen=True, slots=True)
class Order:
    """What the phone shows. ``handling_s`` is the median for such a matter; ``asking_s`` is what
    it takes to find out where to go."""

    dispatch_id: str
    goal: LonLat
    first: bool
    handling_s: float
    asking_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Says:
    """A button that a member presses."""

    action: str
    dispatch_id: str
    reason: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Sends:
    """A position that the device sends."""

    place: LonLat
    accuracy_m: float
    speed_mps: float | None
    course_deg: float | None
    alarm: str | None = None


Does = Says | Sends


@dataclass(slots=True)
class _Plan:
    """What a member is going to do about an order, decided when the phone rings."""

    order: Order
    answer: Literal["accept", "decline", "nothing"]
    answer_ms: float
    turn_out_s: float
    pace: float
    says_under_way: bool
    says_arrived_s: float | None
    asks_backup_s: float | None
    handling_s: float
    answered: bool = False
    set_out_ms: float = 0.0
    there_ms: float = 0.0
    confirm_by_ms: float | None = None
    to_say: tuple[tuple[float, str], ...] = ()


class SimMember:
    """One member. ``step`` is called again and again, with times that never go back."""

    def __init__(
        self, profile: Profile, streets: Streets, seed: int, now_ms: int, habits: Habits = HABITS
    ) -> None:
        """Stand at the post, or anywhere on one's roads without one, off duty."""
        self.profile = profile
        self.doing: Doing = "off_duty"
        self._streets = streets
        self._habits = habits
        self._chance = Random(f"{seed}:{profile.member_id}")  # noqa: S311 - a simulation must be repeatable
        self._noise = Random(f"{seed}:{profile.member_id}:gps")  # noqa: S311 - a simulation must be repeatable
        self._way = standing(profile.post or streets.somewhere(self._chance, profile.roads))
        self._way_ms: float = now_ms
        self._stop_ms: float = now_ms
        self._plan: _Plan | None = None
        self._fix_due_ms: float = now_ms
        self._fix_ms: float = now_ms
        self._error_m = (0.0, 0.0)
        self._lost_from_ms = now_ms + self._until_loss_ms()
        self._lost_until_ms: float = 0.0
        self._alarms: list[str] = []

    # --- what others see and do

    @property
    def order(self) -> Order | None:
        """The order in hand."""
        return None if self._plan is None else self._plan.order

    @property
    def has_signal(self) -> bool:
        """Whether the device knows where it is."""
        return self._lost_until_ms == 0.0

    @property
    def is_free(self) -> bool:
        """On duty, with nothing in hand."""
        return self.doing == "patrol"

    def place(self, now_ms: float) -> LonLat:
        """Give where the member truly is."""
        return self._way.at((now_ms - self._way_ms) / 1000)

    def ordered(self, order: Order, now_ms: float) -> None:
        """Show an order on the phone."""
        if self._plan is not None and self._plan.order.dispatch_id == order.dispatch_id:
            return
        self._plan = self._planned(order, now_ms)
        if self.doing != "distress":
            self.doing = "asked"
        self._fix_due_ms = now_ms

    def found(self, order: Order, now_ms: float) -> None:
        """Be on the spot of a finding of one's own: it is handled at once."""
        plan = self._planned(order, now_ms)
        plan.asks_backup_s = None
        self._plan = plan
        self._stand(now_ms)
        self._arrive(plan, now_ms, told=True)

    def over(self, dispatch_id: str, now_ms: float, *, lapsed: bool = False) -> None:
        """Hear that an order has ended, for whatever reason.

        Whoever was about to accept one that has ``lapsed`` does so all the same: it may still
        count, which ``confirmed`` tells.
        """
        plan = self._plan
        if plan is None or plan.order.dispatch_id != dispatch_id:
            return
        if lapsed and self.doing == "asked" and plan.answer == "accept":
            plan.confirm_by_ms = plan.answer_ms + 1000 * CONFIRMED_WITHIN_S
        else:
            self._back_to_patrol(now_ms)

    def confirmed(self, dispatch_id: str) -> None:
        """Hear that an acceptance counts; news only to somebody who accepted too late."""
        plan = self._plan
        if plan is not None and plan.order.dispatch_id == dispatch_id and plan.confirm_by_ms:
            plan.confirm_by_ms = None
            self.doing = "turning_out"

    def call_for_help(self, alarm: str, now_ms: float) -> None:
        """Press the red button; the member stays where they are until ``relieved``."""
        self._alarms = [alarm] * ALARMS_SENT
        self._plan = None
        self._stand(now_ms)
        self._lost_until_ms = 0.0
        self._lost_from_ms = now_ms + self._until_loss_ms()
        self._fix_due_ms = now_ms
        self.doing = "distress"

    def relieved(self, now_ms: float) -> None:
        """Be well again."""
        if self.doing == "distress":
            self._back_to_patrol(now_ms)

    def step(self, now_ms: float, *, on_duty: bool) -> list[Does]:
        """Do what is due by now, in the order in which it falls due."""
        if self.doing == "off_duty":
            if not on_duty:
                return []
            self._back_to_patrol(now_ms)
            self._fix_due_ms = now_ms
        elif self.doing == "patrol" and not on_duty:
            self.doing = "off_duty"
            return []
        does: list[Does] = list(self._follow_plan(now_ms))
        if self.doing == "patrol":
            self._patrol(now_ms)
        does.extend(self._device(now_ms))
        return does

    # --- an order

    def _planned(self, order: Order, now_ms: float) -> _Plan:
        habits, chance = self._habits, self._chance
        luck = chance.random()
        answer: Literal["accept", "decline", "nothing"] = "accept"
        if luck < habits.declines:
            answer = "decline"
        elif luck < habits.declines + habits.never_answers:
            answer = "nothing"
        slow_s = habits.slow.draw_s(chance) if chance.random() < habits.slow_share else 0.0
        asks = order.first and chance.random() < habits.asks_for_backup
        drawn_s = order.handling_s * exp(chance.gauss(0.0, habits.handling_spread))
        pace = chance.gauss(habits.pace, habits.pace_spread)
        says_arrived = chance.random() < habits.says_arrived
        return _Plan(
            order=order,
            answer=answer,
            answer_ms=now_ms + 1000 * habits.answer.draw_s(chance),
            turn_out_s=habits.turn_out.draw_s(chance) + slow_s + order.asking_s,
            pace=min(habits.pace_most, max(habits.pace_least, pace)),
            says_under_way=chance.random() < habits.says_under_way,
            says_arrived_s=habits.arrival_button.draw_s(chance) if says_arrived else None,
            asks_backup_s=habits.backup_asked.draw_s(chance) if asks else None,
            handling_s=min(habits.handling_most_s, max(habits.handling_least_s, drawn_s)),
        )

    def _follow_plan(self, now_ms: float) -> Iterator[Does]:
        plan = self._plan
        if plan is None or self.doing == "distress":
            return
        if self.doing == "asked" and now_ms >= plan.answer_ms and not plan.answered:
            yield from self._answer(plan, now_ms)
        if self.doing == "asked" and plan.confirm_by_ms and now_ms >= plan.confirm_by_ms:
            self._back_to_patrol(now_ms)
        if self.doing == "turning_out" and now_ms >= plan.set_out_ms:
            self._set_out(plan, now_ms)
            if plan.says_under_way:
                yield Says("en_route", plan.order.dispatch_id)
        if self.doing == "under_way" and now_ms >= plan.there_ms:
            self._arrive(plan, plan.there_ms, told=False)
        while self._plan is plan and plan.to_say and now_ms >= plan.to_say[0][0]:
            action = plan.to_say[0][1]
            plan.to_say = plan.to_say[1:]
            outcome = self._chance.choice(OUTCOMES) if action == "complete" else None
            yield Says(action, plan.order.dispatch_id, outcome=outcome)
            if action == "complete":
                self._back_to_patrol(now_ms)

    def _answer(self, plan: _Plan, now_ms: float) -> Iterator[Does]:
        plan.answered = True
        if plan.answer == "nothing":
            return
        if plan.answer == "decline":
            reason = self._chance.choice(DECLINE_REASONS)
            self._back_to_patrol(now_ms)
            yield Says("decline", plan.order.dispatch_id, reason=reason)
            return
        if plan.confirm_by_ms is None:
            self.doing = "turning_out"
        self._stand(now_ms)
        plan.set_out_ms = plan.answer_ms + 1000 * plan.turn_out_s
        yield Says("accept", plan.order.dispatch_id)

    def _set_out(self, plan: _Plan, now_ms: float) -> None:
        here, mode = self.place(now_ms), self.profile.mode
        way = self._streets.way(here, plan.order.goal, mode, plan.pace)
        way = way or self._streets.way(here, plan.order.goal, "walk", plan.pace)
        self._take(way or standing(here), now_ms)
        plan.there_ms = now_ms + 1000 * self._way.seconds
        self.doing = "under_way"

    def _arrive(self, plan: _Plan, at_ms: float, *, told: bool) -> None:
        """Be on scene; what is still to be said there is set down with its times."""
        self.doing = "on_scene"
        said: list[tuple[float, str]] = [(plan.handling_s, "complete")]
        if not told and plan.says_arrived_s is not None:
            said.append((plan.says_arrived_s, "arrive"))
        if plan.asks_backup_s is not None and plan.asks_backup_s < plan.handling_s:
            said.append((plan.asks_backup_s, "request_backup"))
        plan.to_say = tuple(sorted((at_ms + 1000 * after_s, word) for after_s, word in said))

    # --- moving

    def _back_to_patrol(self, now_ms: float) -> None:
        self._plan = None
        self._alarms = []
        self.doing = "patrol"
        self._stand(now_ms)
        self._stop_ms = now_ms + 1000 * self._habits.patrol_stop.draw_s(self._chance)

    def _stand(self, now_ms: float) -> None:
        self._take(standing(self.place(now_ms)), now_ms)

    def _take(self, way: Way, now_ms: float) -> None:
        self._way, self._way_ms = way, now_ms

    def _patrol(self, now_ms: float) -> None:
        """Stop, go on to another place of one's roads, stop again."""
        if self._way.seconds > 0 and now_ms >= self._way_ms + 1000 * self._way.seconds:
            self._stand(now_ms)
            self._stop_ms = now_ms + 1000 * self._habits.patrol_stop.draw_s(self._chance)
        if self._way.seconds == 0 and now_ms >= self._stop_ms:
            at_home = self._chance.random() < self._habits.patrol_at_home
            roads = self.profile.roads if at_home else ()
            goal = self._streets.somewhere(self._chance, roads)
            pace = self._habits.patrol_pace
            way = self._streets.way(self.place(now_ms), goal, self.profile.mode, pace)
            if way is not None and way.seconds > 0:
                self._take(way, now_ms)

    # --- the device

    def _until_loss_ms(self) -> float:
        per_h = self._habits.gps_losses_per_h
        return (
            1000 * HOUR_S * -log(1.0 - self._noise.random()) / per_h if per_h > 0 else float("inf")
        )

    def _device(self, now_ms: float) -> Iterator[Does]:
        if self._lost_until_ms == 0.0 and now_ms >= self._lost_from_ms:
            self._lost_until_ms = now_ms + 1000 * self._habits.gps_lost.draw_s(self._noise)
        if self._lost_until_ms != 0.0:
            if now_ms < self._lost_until_ms:
                return
            self._lost_until_ms = 0.0
            self._lost_from_ms = now_ms + self._until_loss_ms()
        if now_ms < self._fix_due_ms:
            return
        yield self._fix(now_ms)
        self._fix_due_ms = now_ms + 1000 * self._fix_interval_s()

    def _fix_interval_s(self) -> float:
        habits = self._habits
        if self.doing != "patrol":
            return habits.fix_assigned_s
        return self._noise.uniform(habits.fix_patrol_least_s, habits.fix_patrol_most_s)

    def _fix(self, now_ms: float) -> Sends:
        habits = self._habits
        kept = exp(-(now_ms - self._fix_ms) / 1000 / habits.gps_memory_s)
        fresh_m = habits.gps_sigma_m * sqrt(1.0 - kept * kept)
        east_m, north_m = (
            kept * error + self._noise.gauss(0.0, fresh_m) for error in self._error_m
        )
        self._error_m, self._fix_ms = (east_m, north_m), now_ms
        passed_s = (now_ms - self._way_ms) / 1000
        goes = passed_s < self._way.seconds
        mps = self._way.length_m / self._way.seconds if goes else 0.0
        course_deg = self._way.course_deg(passed_s)
        return Sends(
            place=moved(self.place(now_ms), east_m, north_m),
            accuracy_m=round(habits.gps_sigma_m * self._noise.uniform(0.8, 1.6), 1),
            speed_mps=round(mps, 1),
            course_deg=None if course_deg is None else round(course_deg, 1),
            alarm=self._alarms.pop() if self._alarms else None,
        )
