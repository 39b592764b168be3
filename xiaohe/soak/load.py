"""The load of a soak: a brigade an area, its calls and the unrest, as outside clients of the wire.

Alerts come when they come, whatever is answered; members answer, go and complete as those of the
demo do, only with quicker devices. What is heard is for them, and for the lag.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import orjson

from xiaohe.dispatch.times import parse_rfc3339
from xiaohe.sim.brigade import Brigade, Outgoing
from xiaohe.sim.bus import Bus, BusError, Heard, Place
from xiaohe.sim.calls import load_landmarks
from xiaohe.sim.habits import HABITS, Habits
from xiaohe.sim.members import Profile
from xiaohe.sim.streets import Streets
from xiaohe.sim.timescale import Timescale
from xiaohe.soak.city import landmarks_of
from xiaohe.soak.lag import Lag
from xiaohe.soak.stories import ROUND_S, Stories
from xiaohe.soak.unrest import Unrest

TURN_S: Final = 0.25
"""How often each brigade is stepped; the areas take their turns one after the other within it, so
that their records do not come all at once."""

SINGLE: Final = 4
"""Every so many-th area sends positions one by one; the others packed, as the gateway does."""

UNDER_WAY_MAX: Final = 2_000
"""Records that are being sent: more, and the broker stands still; positions are then left out."""

HANDLED_S_MAX: Final = 240.0
"""Nobody stays longer, so that so many members are enough for so many alerts."""


def quick_habits(members: int, positions_per_s: float) -> Habits:
    """Give habits by which so many members send so many positions a second."""
    lost = HABITS.gps_losses_per_h * HABITS.gps_lost.median_s / 3600
    # A fix that is due is sent at the next turn, half a turn later on the average.
    every_s = max(TURN_S, members * (1 - lost) / positions_per_s - TURN_S / 2)
    return replace(
        HABITS,
        fix_assigned_s=every_s,
        fix_patrol_least_s=0.8 * every_s,
        fix_patrol_most_s=1.2 * every_s,
        handling_spread=0.3,
        handling_most_s=HANDLED_S_MAX,
    )


class Load:
    """Sends and hears, and keeps what it saw.

    Attributes
    ----------
    lag : from the sending of a record to the hearing of what names it.
    order_s : from the sending of an alert to the hearing of its first order.
    decided_s : from the broker's receipt of an alert to its decision, by those two clocks.
    late_s : from the time of a deadline to its decision.
    reader_late_s : how late this process itself was woken.
    counts : what was sent and heard, by name; ``unsent`` and ``left_out`` could not be sent.
    """

    def __init__(
        self,
        bus: Bus,
        entries: Sequence[Mapping[str, Any]],
        streets: Streets,
        *,
        alerts_per_s: float,
        positions_per_s: float,
        seed: int = 1,
    ) -> None:
        self._bus = bus
        self._scale = Timescale(time.time_ns() // 1_000_000)
        self._began_s = time.monotonic()
        self.lag = Lag()
        self.counts: Counter[str] = Counter()
        self.order_s: list[float] = []
        self.late_s: list[float] = []
        self.decided_s: list[float] = []
        self.reader_late_s: list[float] = []
        self.unsent = 0
        self.left_out = 0
        self.slowest_turn_s = 0.0
        self._run_id = f"soak-{self._scale.start_ms:x}"
        habits = quick_habits(len(entries), positions_per_s)
        areas = list(dict.fromkeys(str(entry["area_id"]) for entry in entries))
        landmarks = load_landmarks(landmarks_of())
        share = alerts_per_s / len(areas)
        self._brigades = {
            area: Brigade(
                [Profile.of(e) for e in entries if e["area_id"] == area],
                streets,
                Stories(streets, landmarks, seed + n, share, ROUND_S * n / len(areas)),
                self._scale,
                seed=seed + n,
                run_id=f"{self._run_id}-{n}",
                habits=habits,
            )
            for n, area in enumerate(areas)
        }
        self._unrest = Unrest(
            entries, streets.road_ids, start_ms=self._scale.start_ms, seed=seed, run_id=self._run_id
        )
        self._single = set(areas[::SINGLE])
        self._alerted_s: dict[str, float] = {}
        self._sending: set[asyncio.Task[None]] = set()
        bus.listen(self._heard)

    @property
    def passed_s(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self._began_s

    def busy(self) -> Counter[str]:
        """Count the members by what they are doing."""
        found: Counter[str] = Counter()
        for brigade in self._brigades.values():
            found.update(brigade.counts())
        return found

    def quiet(self) -> None:
        """Let no more calls come: what is under way is handled to its end."""
        for brigade in self._brigades.values():
            brigade.calling = False
        self._unrest.restless = False

    async def run(self) -> None:
        """Step everybody in turn until cancelled."""
        turns = [partial(self._step_area, area) for area in self._brigades]
        turns.append(self._step_unrest)
        next_s = time.monotonic()
        try:
            while True:
                for turn in turns:
                    begun_s = time.monotonic()
                    turn()
                    now_s = time.monotonic()
                    self.slowest_turn_s = max(self.slowest_turn_s, now_s - begun_s)
                    next_s = max(next_s + TURN_S / len(turns), now_s - TURN_S)
                    await asyncio.sleep(max(0.0, next_s - now_s))
                # What this process itself was kept waiting is part of every lag that it sees.
                self.reader_late_s.append(max(0.0, time.monotonic() - max(next_s, now_s)))
        finally:
            for each in self._sending:
                each.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    # --- sending

    def _step_area(self, area: str) -> None:
        now_ms = self._scale.simulated_ms(time.time_ns() / 1_000_000)
        fixes: list[bytes] = []
        for out in self._brigades[area].step(now_ms):
            if out.topic == "positions" and not out.raises and out.key == area.encode():
                self.counts["positions"] += 1
                if area not in self._single and not out.note:
                    fixes.append(out.value)
                    continue
            self._send(out)
            self._unrest.after(out)
        if fixes:
            value = b'{"area_id":"%b","batch":[%b]}' % (area.encode(), b",".join(fixes))
            self._send(Outgoing("positions", area.encode(), value))

    def _step_unrest(self) -> None:
        for out in self._unrest.step(self.passed_s):
            self._send(out)

    def _send(self, out: Outgoing) -> None:
        if out.topic == "positions" and len(self._sending) >= UNDER_WAY_MAX:
            self.left_out += 1
            return
        task = asyncio.create_task(self._sent(out))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _sent(self, out: Outgoing) -> None:
        begun_s = time.monotonic()
        self.counts[f"sent to {out.topic}"] += 1
        if out.topic == "alerts" and out.alert_id is not None:
            self._alerted_s.setdefault(out.alert_id, begun_s)
        try:
            place = await self._bus.send(out.topic, out.key, out.value)
        except BusError:
            self.unsent += 1
            return
        if out.topic != "roster":  # what is read by every worker is taken by no group
            self.lag.sent(place, begun_s)

    # --- hearing

    def _heard(self, heard: Heard) -> None:
        if heard.value is None or heard.topic not in {
            "incident_events", "dispatches", "dead_letters",
        }:  # fmt: skip
            return
        value = orjson.loads(heard.value)
        match heard.topic:
            case "incident_events":
                self._take_event(value, heard.heard_s)
            case "dispatches":
                self._take_order(value, heard.heard_s)
            case _:
                self.counts[f"dead letters of {value['reason']}"] += 1
                self.lag.heard(_place(value), heard.heard_s)
        brigade = self._brigades.get(str(value.get("area_id")))
        if brigade is not None:
            brigade.take(heard, self._scale.simulated_ms(time.time_ns() / 1_000_000))

    def _take_event(self, event: Mapping[str, Any], heard_s: float) -> None:
        self.counts[event["type"]] += 1
        if "topic" in event["cause"]:
            self.lag.heard(_place(event["cause"]), heard_s)
        late_s = event["data"].get("late_s")
        if late_s is not None:
            self.late_s.append(late_s)
        if event["type"] == "incident.opened":
            received_ms = parse_rfc3339(event["data"]["received_at"])
            self.decided_s.append((parse_rfc3339(event["at"]) - received_ms) / 1000)
            self._unrest.opened(event["area_id"], event["incident_id"])

    def _take_order(self, order: Mapping[str, Any], heard_s: float) -> None:
        self.counts[f"orders {order['state']}"] += 1
        sent_s = self._alerted_s.pop(order["alert_id"], None)
        if sent_s is not None:
            self.order_s.append(heard_s - sent_s)


def _place(cause: Mapping[str, Any]) -> Place:
    return Place(cause["topic"], cause["partition"], cause["offset"])
