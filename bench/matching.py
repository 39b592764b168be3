"""How often a fix is put on the right road: the matcher beside plain snapping, in the same run.

Fixes are of invented tracks over the given map (``sim.tracks``), where the truth is known.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.matching import Matcher
from xiaohe.geo.network import Network, mode_bit
from xiaohe.geo.roads import MODES, Mode
from xiaohe.geo.snap import SNAP_MAX_M
from xiaohe.sim.tracks import Observed, Truth, observed, place_alone, travelled

NOISES_M: Final = (5.0, 15.0, 30.0)
KINDS: Final = ("independent", "drifting", "place alone")
"""Noise of each fix by itself; noise that drifts; the first from devices without speed, course."""

RADIUS_68: Final = 1.515

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Figure:
    """Shares of fixes on the right road, 0 … 1, for one mode, noise and kind.

    ``road`` by road_id, strictly; ``street`` by the name of the street; ``near`` counts as right
    also a road that meets the true one at a junction within the noise of the truth. ``nearest_…``
    the same of the nearest road that the mode may use. ``wrong_at_junction`` is the share of the
    wrong that lie within three times the noise of a junction of several road_ids. ``…_us`` are
    microseconds of the processor a fix, in a batch.
    """

    mode: Mode
    noise_m: float
    kind: str
    fixes: int
    road: float
    street: float
    near: float
    nearest_road: float
    nearest_street: float
    nearest_near: float
    wrong_at_junction: float
    match_us: float
    nearest_us: float


def bench_matching(
    network: Network,
    *,
    members: int = 12,
    minutes: float = 30.0,
    seed: int = 1,
    noises_m: tuple[float, ...] = NOISES_M,
    kinds: tuple[str, ...] = KINDS,
    modes: tuple[Mode, ...] = MODES,
    every_s: float = 5.0,
) -> list[Figure]:
    """Measure every mode, noise and kind on one map."""
    figures = []
    for mode in modes:
        chance = np.random.default_rng([seed, MODES.index(mode)])
        truths = [
            travelled(network, mode, chance, minutes=minutes, every_s=every_s)
            for _ in range(members)
        ]
        for noise_m in noises_m:
            for kind in kinds:
                seen = [_seen(truth, noise_m, kind, chance) for truth in truths]
                figures.append(_figure(network, truths, seen, noise_m, kind))
    return figures


def table(figures: list[Figure]) -> str:
    """Lay the figures out for people."""
    lines = [
        "right road, % of fixes (noise: standard deviation to each side; 68 % radius = 1.515 x)",
        (
            f"{'mode':6}{'noise m':>8}{'68 % m':>8}  {'kind':12}{'fixes':>7}"
            f"{'road':>8}{'street':>8}{'near':>8}   nearest:{'road':>6}{'street':>8}{'near':>8}"
            f"{'at junction':>13}{'us/fix':>8}{'nearest':>8}"
        ),
    ]
    lines += [
        f"{f.mode:6}{f.noise_m:8.0f}{f.noise_m * RADIUS_68:8.1f}  {f.kind:12}{f.fixes:7}"
        f"{100 * f.road:8.2f}{100 * f.street:8.2f}{100 * f.near:8.2f}"
        f"{100 * f.nearest_road:17.2f}{100 * f.nearest_street:8.2f}{100 * f.nearest_near:8.2f}"
        f"{100 * f.wrong_at_junction:13.1f}{f.match_us:8.2f}{f.nearest_us:8.2f}"
        for f in figures
    ]
    return "\n".join(lines)


def rows(figures: list[Figure]) -> list[dict[str, Any]]:
    """Give the figures for programs."""
    return [asdict(figure) for figure in figures]


def _seen(truth: Truth, noise_m: float, kind: str, chance: np.random.Generator) -> Observed:
    seen = observed(truth, noise_m, chance, drifting=kind == "drifting")
    return place_alone(seen) if kind == "place alone" else seen


def _figure(
    network: Network, truths: list[Truth], seen: list[Observed], noise_m: float, kind: str
) -> Figure:
    mode = truths[0].mode
    true_edge = np.concatenate([t.edge[s.of] for t, s in zip(truths, seen, strict=True)])
    true_frac = np.concatenate([t.frac[s.of] for t, s in zip(truths, seen, strict=True)])
    matched, match_us = matched_edges(network, mode, seen)
    points = np.concatenate([s.place_m for s in seen])
    started = time.process_time()
    nearest = network.grid.nearest_many(points, SNAP_MAX_M, mode_bit(mode))[0].astype(np.int64)
    nearest_us = (time.process_time() - started) * 1e6 / len(points)
    judge = _Judge(network, true_edge, true_frac)
    road = judge.road(matched)
    at_junction = judge.at_change(3 * noise_m)
    return Figure(
        mode=mode,
        noise_m=noise_m,
        kind=kind,
        fixes=len(points),
        road=float(road.mean()),
        street=float(judge.street(matched).mean()),
        near=float(judge.near(matched, noise_m).mean()),
        nearest_road=float(judge.road(nearest).mean()),
        nearest_street=float(judge.street(nearest).mean()),
        nearest_near=float(judge.near(nearest, noise_m).mean()),
        wrong_at_junction=float(at_junction[~road].mean()) if not road.all() else 0.0,
        match_us=match_us,
        nearest_us=nearest_us,
    )


def matched_edges(network: Network, mode: Mode, seen: list[Observed]) -> tuple[Ints, float]:
    """Return the edge of every fix, member after member, and microseconds a fix."""
    matcher = Matcher(network, len(seen) + 1)
    slots = np.repeat(np.arange(len(seen)), [len(s.of) for s in seen])
    modes = np.full(len(slots), MODES.index(mode), np.int8)
    columns = [
        np.concatenate([getattr(s, name) for s in seen])
        for name in ("fix_ms", "place_m", "accuracy_m", "speed_mps", "course_deg")
    ]
    fix_ms, place_m, accuracy_m, speed_mps, course_deg = columns
    # As they would come in: one fix of each member after another's.
    order = np.argsort(np.concatenate([np.arange(len(s.of)) for s in seen]), kind="stable")
    matcher.match(len(seen), mode, 0.0, 0.0, 0)  # compiled before it is timed
    started = time.process_time()
    found = matcher.match_many(
        slots[order], modes[order], place_m[order, 0], place_m[order, 1], fix_ms[order],
        accuracy_m[order], speed_mps[order], course_deg[order],
    )  # fmt: skip
    taken_us = (time.process_time() - started) * 1e6
    edges = np.empty(len(slots), np.int64)
    edges[order] = found.edge
    return edges, taken_us / len(slots)


class _Judge:
    """Says of edges whether they are right; -1 never is."""

    def __init__(self, network: Network, true_edge: Ints, true_frac: NDArray[np.float64]) -> None:
        self.network = network
        self.true = true_edge
        numbers = {road_id: n for n, road_id in enumerate(network.roads)}
        self.road_no = np.array([numbers[piece.road_id] for piece in network.pieces])
        names = [piece.name or piece.road_id for piece in network.pieces]
        self.street_no = np.unique(names, return_inverse=True)[1]
        length_m = network.length_m[true_edge]
        self.to_u_m, self.to_v_m = true_frac * length_m, (1 - true_frac) * length_m
        self.roads_at: list[set[int]] = [set() for _ in range(network.node_count)]
        for edge in range(network.edge_count):
            for node in (network.u[edge], network.v[edge]):
                self.roads_at[node].add(int(self.road_no[edge]))

    def road(self, edges: Ints) -> NDArray[np.bool_]:
        """By road_id."""
        return (edges >= 0) & (self.road_no[edges] == self.road_no[self.true])

    def street(self, edges: Ints) -> NDArray[np.bool_]:
        """By name; a road without one by its road_id."""
        return (edges >= 0) & (self.street_no[edges] == self.street_no[self.true])

    def near(self, edges: Ints, within_m: float) -> NDArray[np.bool_]:
        """By road_id, or by a road at a junction that near to the truth."""
        right = self.road(edges)
        for i in np.flatnonzero(~right & (edges >= 0)):
            road = int(self.road_no[edges[i]])
            u, v = self.network.u[self.true[i]], self.network.v[self.true[i]]
            right[i] = (self.to_u_m[i] <= within_m and road in self.roads_at[u]) or (
                self.to_v_m[i] <= within_m and road in self.roads_at[v]
            )
        return right

    def at_change(self, within_m: float) -> NDArray[np.bool_]:
        """Whether the truth is that near to a junction of several roads."""
        several = np.array([len(roads) > 1 for roads in self.roads_at])
        at_u = (self.to_u_m <= within_m) & several[self.network.u[self.true]]
        at_v = (self.to_v_m <= within_m) & several[self.network.v[self.true]]
        return at_u | at_v
