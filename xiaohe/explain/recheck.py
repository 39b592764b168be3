"""An order judged again: every travel time worked out anew from what the order recorded.

The same map, the recorded place of each candidate and of the scene, the roads that were closed:
that is all a travel time depends on, so it must come out the same to the rounding of the record.
The rule is then applied to the new times, and must name the same member.

A place on the road may be common to several pieces (a junction, a bridge above a street) and the
record names the place alone: any of the pieces there may be the one that a candidate was on.
"""

from collections.abc import Iterator, Mapping
from math import inf
from typing import Final, Literal

import numpy as np
from msgspec import Struct

from xiaohe.dispatch.facts import Candidate
from xiaohe.explain.story import Order
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES, Mode
from xiaohe.geo.search import TravelField
from xiaohe.geo.snap import Site, Snapper, Spot

SAME_S: Final = 0.1
"""Seconds by which a time may differ and is the same: what is published is rounded to that."""

PACE_SHARE: Final = 0.05
"""Ratios that agree to this share are one pace: times under 10 s are rounded to 1 % or worse."""

SAME_PLACE_M: Final = 0.2
"""So near to a junction a place is on it: recorded degrees are rounded to 0.1 m."""

State = Literal["same", "differs", "skipped"]
Choice = Literal["same", "differs", "not_judged"]


class Difference(Struct, frozen=True, kw_only=True):
    """A candidate's travel time as recorded and as worked out anew (null: no way)."""

    member_id: str
    recorded_s: float
    recomputed_s: float | None


class Recheck(Struct, frozen=True, kw_only=True):
    """What came out. ``skipped`` says why in ``reason``; nothing was judged then.

    ``checked`` travel times were worked out, ``unplaced`` candidates have none on record or no
    place. ``choice``: whether the rule names the same member again; ``not_judged`` where more
    than the one order's own candidates decided.
    """

    state: State
    reason: str | None = None
    checked: int = 0
    unplaced: int = 0
    differences: tuple[Difference, ...] = ()
    choice: Choice = "not_judged"
    chosen: str | None = None

    @property
    def pace(self) -> float | None:
        """By what factor all times differ, where it is one factor: a demo's speed."""
        ratios = [
            d.recomputed_s / d.recorded_s
            for d in self.differences
            if d.recomputed_s is not None and d.recorded_s > 0
        ]
        if len(ratios) != len(self.differences) or not ratios:
            return None
        middle = sorted(ratios)[len(ratios) // 2]
        return middle if all(abs(r / middle - 1) < PACE_SHARE for r in ratios) else None


def skipped(reason: str) -> Recheck:
    """Say that nothing was judged, and why."""
    return Recheck(state="skipped", reason=reason)


def recheck(order: Order, network: Network, snapper: Snapper) -> Recheck:
    """Work the order's travel times out again on a map, and apply the rule to them.

    ``network`` is to be of the version and the pace that the order was decided on.
    """
    why = order.why
    if network.version != why.roads_version:
        return skipped(f"the map here is {network.version}, the order's is {why.roads_version}")
    place = why.from_place or order.about.place
    if place is None or not order.is_whole:
        return skipped("the order does not say where the candidates were: it is older than that")
    site = snapper.snap(place.lon, place.lat, inf, prefer_road=order.about.road_id)
    assert site is not None, "a map has a road"
    again = _Again(network, snapper, site, frozenset(why.closed_roads))
    times = dict(again.times_s(why.candidates))
    differences = tuple(
        Difference(member_id=c.member_id, recorded_s=c.eta_s, recomputed_s=times[c.member_id])
        for c in why.candidates
        if c.member_id in times and c.eta_s is not None and not _same(c.eta_s, times[c.member_id])
    )
    chosen = _chosen(order, times)
    choice: Choice = "same" if chosen == order.member_id else "differs"
    if why.rule in {"operator", "unknown"} or why.together:
        choice, chosen = "not_judged", None
    return Recheck(
        state="differs" if differences or choice == "differs" else "same",
        checked=len(times),
        unplaced=len(why.candidates) - len(times),
        differences=differences,
        choice=choice,
        chosen=chosen,
    )


def _same(recorded_s: float, time_s: float | None) -> bool:
    return time_s is not None and abs(recorded_s - time_s) <= SAME_S


class _Again:
    """The scene once more, and the travel to it."""

    def __init__(
        self, network: Network, snapper: Snapper, site: Site, closed: frozenset[str]
    ) -> None:
        self._snapper = snapper
        self._fields = {mode: TravelField(network, site, mode, closed) for mode in MODES}

    def times_s(self, candidates: tuple[Candidate, ...]) -> Iterator[tuple[str, float | None]]:
        """Give the time of everybody whose place, mode and time are on record."""
        for candidate in candidates:
            if candidate.place is None or candidate.eta_s is None:
                continue
            mode = next((mode for mode in MODES if mode == candidate.mode), None)
            if mode is not None:
                yield candidate.member_id, self._time_s(candidate, mode, candidate.eta_s)

    def _time_s(self, candidate: Candidate, mode: Mode, recorded_s: float) -> float | None:
        """Give the time from the piece that they were on: of several that which agrees best."""
        found = (self._fields[mode].eta(spot) for spot in self._spots(candidate, mode))
        times_s = [travel.eta_s for travel in found if travel is not None]
        return min(times_s, key=lambda time_s: abs(time_s - recorded_s), default=None)

    def _spots(self, candidate: Candidate, mode: Mode) -> Iterator[Spot]:
        """Give every piece of road that the place may be on."""
        assert candidate.place is not None
        for on in (None, mode):
            near = self._snapper.nearest(candidate.place.lon, candidate.place.lat, mode=on)
            if near is not None:
                spot = Spot(near.edge, near.frac)
                yield spot
                yield from self._at_junction(spot)

    def _at_junction(self, spot: Spot) -> Iterator[Spot]:
        """Give the other pieces that meet where the spot is, if it is an end of its own."""
        network = self._snapper.network
        length_m = network.lengths_m[spot.edge]
        for end, node in ((0.0, network.u[spot.edge]), (1.0, network.v[spot.edge])):
            if abs(spot.frac - end) * length_m <= SAME_PLACE_M:
                yield from (Spot(int(edge), 0.0) for edge in np.flatnonzero(network.u == node))
                yield from (Spot(int(edge), 1.0) for edge in np.flatnonzero(network.v == node))


_Fit = tuple[float, str, str | None]
"""Somebody who could go: seconds, member_id, and the rule by which they could."""


def _chosen(order: Order, times: Mapping[str, float | None]) -> str | None:
    """Apply the rule: owner in time, else squad in time, else the quickest."""
    fit: list[_Fit] = [
        (time_s, candidate.member_id, candidate.rule)
        for candidate in order.why.candidates
        if candidate.excluded is None and (time_s := times.get(candidate.member_id)) is not None
    ]
    limit_s = -inf if order.left_s is None else order.left_s + SAME_S
    for rule in ("owner", "team"):
        in_time = [each for each in fit if each[2] == rule and each[0] <= limit_s]
        if in_time:
            return _quickest(in_time, order.member_id)
    return _quickest(fit, order.member_id) if fit else None


def _quickest(fit: list[_Fit], ordered: str) -> str:
    """Give the quickest; of those that the record cannot tell apart the one who was ordered."""
    best = min(fit, key=lambda each: (each[0], each[1]))
    alike = {member_id for time_s, member_id, _ in fit if time_s <= best[0] + SAME_S}
    return ordered if ordered in alike else best[1]
