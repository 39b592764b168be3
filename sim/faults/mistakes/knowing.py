"""Mistakes in the engine around the rules: time, places, the map, the roster, what is told."""

# ruff: noqa: SLF001 - a mistake is made where nobody else may reach

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from msgspec.structs import replace as revise
from numpy.typing import NDArray

from xiaohe.dispatch.decide import Decision
from xiaohe.dispatch.inputs import Cause
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.live import LivePositions
from xiaohe.sim.faults.mistakes import Swap, Swaps
from xiaohe.streams import engine
from xiaohe.streams.brokers_time import BrokersClock
from xiaohe.streams.engine import AreaEngine
from xiaohe.streams.outputs import Named
from xiaohe.streams.ports import Publication, Raw, Step


def orders_last_first() -> Swaps:
    """Publish the orders of one decision in the wrong order."""
    render = engine.render

    def rendered(
        state: AreaState, decision: Decision, by: Named
    ) -> tuple[AreaState, tuple[Publication, ...]]:
        after, publications = render(state, decision, by)
        orders = [each for each in publications if each.topic == "dispatches"]
        others = [each for each in publications if each.topic != "dispatches"]
        return after, (*others, *reversed(orders))

    return (Swap(engine, "render", rendered),)


def refusal_untold() -> Swaps:
    """Decide nothing about an input that is refused, and tell nobody."""
    step = AreaEngine._step

    def stepping(self: AreaEngine, raw: Raw, decision: Decision, epoch: int, cause: Cause) -> Step:
        return step(self, raw, revise(decision, refusal=None), epoch, cause)

    return (Swap(AreaEngine, "_step", stepping),)


def own_clock_followed() -> Swaps:
    """Decide by the clock of the worker's machine, whatever the broker's acknowledgements say."""

    def heard(_self: BrokersClock, _receipt_ms: int, _sent_ms: int) -> None:
        """The own clock is believed."""

    def moment(_self: AreaEngine, raw: Raw, now_ms: int) -> int:
        return max(now_ms, raw.timestamp_ms)

    return (Swap(BrokersClock, "heard", heard), Swap(AreaEngine, "_moment", moment))


def second_receipt_counts() -> Swaps:
    """Count the windows of a record that was sent on from when it came to its partition."""
    return (Swap(engine, "first_receipt_ms", lambda raw: raw.timestamp_ms),)


def swap_loses_positions() -> Swaps:
    """Begin on a new map with nobody on it."""

    def take_roads(self: AreaEngine, roads: RoadMap) -> None:
        self._shared = replace(self._shared, roads=roads)
        for area_id, area in list(self._areas.items()):
            self._areas[area_id] = self._with_world(area.state)

    return (Swap(AreaEngine, "take_roads", take_roads),)


def swap_keeps_the_old_map() -> Swaps:
    """Go on searching the old map in the areas that are known already."""

    def take_roads(self: AreaEngine, roads: RoadMap) -> None:
        self._shared = replace(self._shared, roads=roads)

    return (Swap(AreaEngine, "take_roads", take_roads),)


def roster_change_ignored() -> Swaps:
    """Take no notice of a change of the roster."""

    def changed(_self: AreaEngine, _member_id: str, _raw: Raw, *, tell: bool) -> None:
        """Everybody was enrolled when the area was first needed, ``tell`` or not."""
        del tell

    return (Swap(AreaEngine, "roster_changed", changed),)


Stated = tuple[float, ...]
Column = NDArray[np.float64]


def old_fix_moves_back() -> Swaps:
    """Put a member back to where they were when a fix comes late."""
    take = LivePositions._take

    def taking(
        self: LivePositions, slot: int, lon: float, lat: float, fix_ms: int, stated: Stated
    ) -> bool:
        if fix_ms < self.fix_ms[slot]:
            self._matcher.forget(slot)
        return take(self, slot, lon, lat, fix_ms, stated)  # type: ignore[arg-type]  # three of them

    def move_many(
        self: LivePositions, member_ids: Sequence[str], lon: Column, lat: Column, *rest: Column
    ) -> NDArray[np.bool_]:
        fix_ms, *stated = rest
        news = []
        for n, member_id in enumerate(member_ids):
            said = tuple(float(column[n]) for column in stated)
            slot = self._slot(member_id)
            news.append(taking(self, slot, float(lon[n]), float(lat[n]), int(fix_ms[n]), said))
        return np.array(news, dtype=np.bool_)

    return (Swap(LivePositions, "_take", taking), Swap(LivePositions, "move_many", move_many))
