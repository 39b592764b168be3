"""What happens to machines, maps and the roster in a run, at drawn moments."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from xiaohe.sim.faults import city
from xiaohe.sim.faults.faults import Kind

if TYPE_CHECKING:
    from xiaohe.sim.faults.run import World

PER_MS: Final = 5_000
"""At a rate of 1 each kind happens about once in so long."""

HOUR_MS: Final = 3_600_000
SECOND_MS: Final = 1_000
PAUSES_MS: Final = (300, 2_500, 7_500, 9_000, 14_000)
"""Around a session of 6 s, and past it."""

CUTS_MS: Final = (700, 3_000, 7_000, 10_000)
OUTAGES_MS: Final = (500, 2_000, 5_000, 10_000)
RESTARTS_MS: Final = (300, 3_000)
DRIFT_MAX: Final = 0.05
FAR_WRONG, SEEN_AT_ONCE = 0.5, 0.8
"""Clocks that are wrong by up to an hour, not seconds; whose worker starts again at once."""


class Mishaps:
    """Sets the moments of all faults of a run that are not messages'."""

    def __init__(self, world: "World", chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._doing: dict[Kind, Callable[[], bool]] = {
            Kind.CRASH: self._crash,
            Kind.CUT: self._cut,
            Kind.BROKER_CRASH: self._broker_crash,
            Kind.ZOMBIE: self._stand_still,
            Kind.REBALANCE: self._rebalance,
            Kind.CLOCK_JUMP: self._jump,
            Kind.CLOCK_DRIFT: self._drift,
            Kind.ROADS_SWAP: self._swap_roads,
            Kind.ROAD_CLOSED: self._close_road,
            Kind.ROSTER_CHANGE: self._change_roster,
            Kind.MALFORMED: self._send_nonsense,
        }

    def set_moments(self) -> None:
        """Draw when each of them happens."""
        plan, chance = self._world.plan, self._chance
        for kind, do in self._doing.items():
            if plan.has(kind):
                often = 1 + int(plan.rate(kind) * plan.faults_ms / PER_MS)
                for _ in range(often):
                    at_ms = chance.random() * plan.faults_ms
                    self._world.loop.later(at_ms, self._happen, kind, do)

    def _happen(self, kind: Kind, do: Callable[[], bool]) -> None:
        if not self._world.healed and do():
            self._world.plan.note(kind)

    # --- machines

    def _crash(self) -> bool:
        return self._world.crash(self._chance.choice(self._world.nodes))

    def _cut(self) -> bool:
        node = self._chance.choice(self._world.nodes)
        self._world.cut(node, self._chance.choice(CUTS_MS))
        return True

    def _broker_crash(self) -> bool:
        return self._world.broker_crash(self._chance.choice(OUTAGES_MS))

    def _stand_still(self) -> bool:
        node = self._chance.choice(self._world.nodes)
        return self._world.stand_still(node, self._chance.choice(PAUSES_MS))

    def _rebalance(self) -> bool:
        world = self._world
        what = self._chance.randrange(3)
        if what == 0:
            world.group.rebalance()
            return True
        if what == 1:
            return world.add_node()
        return world.leave_in_order(self._chance.choice(world.nodes))

    def _jump(self) -> bool:
        """Put a machine's clock wrong; its worker sees it when it starts again, at once mostly."""
        by_ms = HOUR_MS if self._chance.random() < FAR_WRONG else 5 * SECOND_MS
        node = self._chance.choice(self._world.nodes)
        node.ahead_ms += self._chance.uniform(-by_ms, by_ms)
        self._world.trace(f"{node.name}: the clock is wrong by {node.ahead_ms / SECOND_MS:.1f} s")
        if self._chance.random() < SEEN_AT_ONCE:
            self._world.crash(node)
        return True

    def _drift(self) -> bool:
        node = self._chance.choice(self._world.nodes)
        node.go_at(1 + self._chance.uniform(-DRIFT_MAX, DRIFT_MAX))
        self._world.trace(f"{node.name}: the clock goes {node.rate:.3f} times as fast")
        return True

    # --- maps, roster, inputs

    def _swap_roads(self) -> bool:
        self._world.swap_roads()
        return True

    def _close_road(self) -> bool:
        area_id = self._chance.choice(city.AREAS)
        action = self._chance.choice(("close_road", "close_road", "open_road"))
        road_id = self._chance.choice(city.roads_of(area_id))
        self._world.desk.word(area_id, action, road_id=road_id)
        return True

    def _change_roster(self) -> bool:
        world, chance = self._world, self._chance
        entry = dict(chance.choice(world.entries))
        what = chance.randrange(4)
        match what:
            case 0:
                world.publish_member(entry["member_id"], None)
                world.loop.later(
                    chance.random() * 5_000, world.publish_member, entry["member_id"], entry
                )
            case 1:
                now_ms = world.loop.now_ms()
                entry["shifts"] = city.shift(now_ms - HOUR_MS, now_ms + chance.randrange(20_000))
                world.publish_member(entry["member_id"], entry)
            case 2:
                new = city.member(chance, entry["area_id"], 5 + chance.randrange(3))
                world.gateway.hire(new)
                world.publish_member(new["member_id"], new)
            case _:
                entry["travel_mode"] = chance.choice(("walk", "ebike", "car"))
                entry["area_id"] = chance.choice((entry["area_id"], *city.AREAS))
                world.publish_member(entry["member_id"], entry)
        return True

    def _send_nonsense(self) -> bool:
        world, chance = self._world, self._chance
        area_id = chance.choice((*city.AREAS, "atlantis", None))
        topic = chance.choice(
            ("alerts", "positions", "member_actions", "operator_actions", "wakeups")
        )
        value = chance.choice((b"", b"{", b"null", b"[]", b'{"alert_id": 7}', b"\xff\xfe", None))
        partition = chance.choice((None, chance.randrange(world.plan.partitions)))
        if topic == "wakeups":
            partition = chance.randrange(world.plan.partitions)
        world.people.sender.send(topic, area_id, value, partition=partition)
        return True
