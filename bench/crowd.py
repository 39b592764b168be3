"""The invented people and alerts of a benchmark, on any road network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rpds import HashTrieMap

from xiaohe.dispatch.inputs import Position, RosterEntry, Shift
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.state import AreaState, Holding, Incident, Timeline
from xiaohe.dispatch.times import parse_rfc3339
from xiaohe.geo.live import LivePositions
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES
from xiaohe.geo.snap import Site, Snapper

AREA: Final = "bench"
NOW_MS: Final = parse_rfc3339("2030-01-07T12:00:00+08:00")
"""The moment at which everything is decided."""

FIX_AGE_MS: Final = 5_000
"""Everybody's last fix is so old: fresh by any policy."""

WINDOW_MS: Final = 180_000
"""On scene in three minutes."""

OFF_DUTY_SHARE, BUSY_SHARE = 0.25, 0.20
"""Who cannot be sent: 45 of 100, to be passed over and told in the order's ``why``."""

MODE_SHARES: Final = (0.08, 0.82, 0.10)
"""On foot, by e-bike, by car: as in the brigade that is shipped, to a hundredth."""

FIX_ERROR_M, ALERT_ERROR_M = 5.0, 10.0
"""How far beside the road a tracker and a caller are, in a standard deviation."""

SQUAD_MEMBERS: Final = 20

ALWAYS: Final = (
    Shift(
        days=("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
        start="00:00",
        end="00:00",
        timezone="UTC",
    ),
)

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Crowd:
    """Members by number: where they are, how they travel, and whether they may be sent."""

    ids: list[str]
    lon: Numbers
    lat: Numbers
    mode: NDArray[np.int64]
    off_duty: NDArray[np.bool_]
    busy: NDArray[np.bool_]

    @property
    def eligible(self) -> NDArray[np.bool_]:
        """Who may be sent."""
        return ~(self.off_duty | self.busy)


def crowd_on(network: Network, members: int, seed: int) -> Crowd:
    """Scatter so many members over the streets of a network."""
    chance = np.random.default_rng(seed)
    lon, lat = places_on(network, members, chance, FIX_ERROR_M)
    lot = chance.random(members)
    off_duty = lot < OFF_DUTY_SHARE
    return Crowd(
        ids=[f"m{number:07}" for number in range(members)],
        lon=lon,
        lat=lat,
        mode=chance.choice(len(MODES), size=members, p=MODE_SHARES),
        off_duty=off_duty,
        busy=~off_duty & (lot < OFF_DUTY_SHARE + BUSY_SHARE),
    )


def places_on(
    network: Network, count: int, chance: np.random.Generator, error_m: float
) -> tuple[Numbers, Numbers]:
    """Give lon and lat of places beside streets that every mode can use, anywhere along them."""
    shapes = network.shapes
    usable = np.all([network.graphs[mode].usable for mode in MODES], axis=0)
    edge_of = np.repeat(np.arange(network.edge_count), np.diff(shapes.start))
    inside = (edge_of[1:] == edge_of[:-1]) & usable[edge_of[:-1]]
    first = np.flatnonzero(inside)
    length_m = np.hypot(*(shapes.metres[first + 1] - shapes.metres[first]).T)
    chosen = first[chance.choice(len(first), size=count, p=length_m / length_m.sum())]
    share = chance.random((count, 1))
    metres = shapes.metres[chosen] * (1.0 - share) + shapes.metres[chosen + 1] * share
    metres += chance.normal(0.0, error_m, metres.shape)
    lon, lat = network.projection.many_to_deg(metres).T
    return lon, lat


def roster_of(crowd: Crowd) -> Roster:
    """Put a crowd on a roster: some have no shift now."""
    roster = Roster()
    for entry in _entries(crowd):
        roster.put(entry)
    return roster


def live_of(crowd: Crowd, snapper: Snapper) -> LivePositions:
    """Put a crowd on its roads."""
    live = LivePositions(snapper)
    for member_id, mode in zip(crowd.ids, crowd.mode.tolist(), strict=True):
        live.enrol(member_id, MODES[mode])
    unstated = np.full(len(crowd.ids), np.nan)
    fix_ms = np.full(len(crowd.ids), NOW_MS - FIX_AGE_MS)
    live.move_many(crowd.ids, crowd.lon, crowd.lat, fix_ms, unstated, unstated, unstated)
    return live


def state_of(crowd: Crowd, mode: str) -> AreaState:
    """Put a crowd to work: some are bound by an order."""
    holding = {
        crowd.ids[number]: Holding(incident_id=f"i{number}", dispatch_id=f"d{number}")
        for number in np.flatnonzero(crowd.busy).tolist()
    }
    return AreaState(AREA, mode, holding=HashTrieMap(holding))


def _entries(crowd: Crowd) -> Iterator[RosterEntry]:
    rows = zip(crowd.ids, crowd.mode.tolist(), crowd.off_duty.tolist(), strict=True)
    for number, (member_id, mode, off_duty) in enumerate(rows):
        yield RosterEntry(
            member_id=member_id,
            area_id=AREA,
            name="Invented",
            team=f"squad-{number // SQUAD_MEMBERS}",
            travel_mode=MODES[mode],
            shifts=() if off_duty else ALWAYS,
        )


def incident_at(number: int, place: Position, site: Site) -> Incident:
    """Give what has just been opened for an alert at a place."""
    alert_id = f"a{number}"
    return Incident(
        incident_id=f"i-{alert_id}",
        area_id=AREA,
        alert_id=alert_id,
        alerts=(alert_id,),
        source="bench",
        category="dispute",
        priority=2,
        mode="peacetime",
        position=place,
        place=place,
        road_id=site.road_id,
        off_road_m=site.off_road_m,
        received_ms=NOW_MS,
        accept_by_ms=NOW_MS + WINDOW_MS // 3,
        arrive_by_ms=NOW_MS + WINDOW_MS,
        timeline=Timeline(received_ms=NOW_MS),
    )
