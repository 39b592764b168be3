"""``xiaohe bench geo``: a whole choice beside those who know only where the members are.

A choice is the matching of the alert to its road, the search by road, who may be sent, and the
reasons. Beside it, on the same city and crowd in the same run: three stores behind their sockets,
the straight line within this process, and networkx. Their answers are of another kind: as a rule a
straight line, and always to anybody. The table ends with what was aimed at, and what was reached.
"""

import gc
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from xiaohe.bench.by_networkx import EDGES_MAX, ByNetworkx
from xiaohe.bench.by_networkx import MODE as NETWORKX_MODE
from xiaohe.bench.checking import Answer, mismatches
from xiaohe.bench.cities import invented_city
from xiaohe.bench.crowd import (
    ALERT_ERROR_M,
    AREA,
    NOW_MS,
    WINDOW_MS,
    Crowd,
    crowd_on,
    incident_at,
    live_of,
    places_on,
    roster_of,
    state_of,
)
from xiaohe.bench.fixes import Moves, moves_of, records_of, take
from xiaohe.bench.geo_table import targets
from xiaohe.bench.peers import PEERS, Peer, PeerUnavailable
from xiaohe.bench.straight import searches
from xiaohe.bench.timing import (
    WARM_UP_CALLS,
    Timing,
    each_us,
    per_s,
    timed,
    timed_by_turns,
    timing_of,
)
from xiaohe.dispatch.choice import CONSIDERED, choose
from xiaohe.dispatch.inputs import Position
from xiaohe.dispatch.policy import Policy, load_policy
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.world import RoadMap, World
from xiaohe.geo.importer import import_roads
from xiaohe.geo.kernels import COMPILED
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES
from xiaohe.geo.snap import Snapper
from xiaohe.places import POLICY, ROADS
from xiaohe.streams.service import GC_ALLOCATIONS

LonLat = tuple[float, float]

T = TypeVar("T")

CANDIDATES: Final = CONSIDERED
"""Members that are found: by the choice eligible ones, by a peer anybody."""

ALERTS: Final = 20_000
"""Places of alerts for one city; a choice is measured at each of them once at most."""

BATCH: Final = 100
"""Questions, or positions of a peer, in one go: enough to hide the trip, over in some ms."""

PACK: Final = 1_000
"""Positions in a record, as many as the contract allows."""

POSITIONS: Final = 100_000
SINGLE_POSITIONS: Final = 10_000
PEER_POSITIONS: Final = 10_000

TEST_DATA: Final = "XIAOHE_TEST_DATA"
EXTRACT: Final = "baltimore.osm.pbf"

CHOOSE_SHARE, MEASURE_SHARE = 0.2, 0.04
"""Of a city's time: for choosing, and for each of some twenty things besides."""

VERSIONED: Final = ("numba", "numpy", "scipy", "shapely", "networkx", "redis", "psycopg")


@dataclass(frozen=True)
class Size:
    """A city and how many members it has. ``checked``: choices held against the oracle."""

    name: str
    edges: int | None
    members: int
    checked: int


SIZES: Final = (
    Size("xiaohe", None, 50, 200),
    Size("baltimore", None, 1_000, 200),
    Size("100k", 100_000, 10_000, 40),
    Size("1m", 1_000_000, 1_000_000, 5),
)
"""Without a number of edges it is a real map; the others are invented cities."""

SMALL: Final = ("xiaohe", "baltimore")


@dataclass(frozen=True)
class GeoBenchOptions:
    """What is measured. ``seconds`` is the time of measuring, building apart."""

    sizes: Sequence[Size] = SIZES
    seconds: float = 80.0
    extract: Path | None = None
    on_progress: Callable[[str], None] = lambda _: None


@dataclass
class _City:
    """A city with its people, as all the measurements of one size use it."""

    network: Network
    crowd: Crowd
    policy: Policy
    roads: RoadMap
    world: World
    state: AreaState
    places: list[LonLat]


def bench_geo(options: GeoBenchOptions) -> dict[str, object]:
    """Run everything; give what the contract names as the last JSON line, and more."""
    notes = list(_notes())
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        try:
            network = _network(size, options)
        except FileNotFoundError as missing:
            notes.append(f"{size.name}: left out, {missing}")
            continue
        rows.append(_Run(size, options, notes).measured(network))
    return {
        "sizes": rows,
        "targets": [target._asdict() for target in targets(rows)],
        "notes": list(dict.fromkeys(notes)),
        "machine": _machine(),
    }


class _Run:
    """The measurements of one size."""

    def __init__(self, size: Size, options: GeoBenchOptions, notes: list[str]) -> None:
        self._size = size
        self._notes = notes
        self._progress = options.on_progress
        seconds = options.seconds / len(options.sizes)
        self._build_s: dict[str, float] = {}
        self._choose_s, self._each_s = seconds * CHOOSE_SHARE, seconds * MEASURE_SHARE

    def measured(self, network: Network) -> dict[str, object]:
        """Build the city, and measure one thing after the other."""
        self._say(f"{network.edge_count:,} edges, {self._size.members:,} members")
        city = self._built(network)
        row: dict[str, object] = {
            "name": self._size.name,
            "edges": network.edge_count,
            "nodes": network.node_count,
            "members": len(city.crowd.ids),
            "eligible_share": round(float(city.crowd.eligible.mean()), 3),
            "build_s": self._build_s,
        }
        row |= self._choices(city)
        row |= self._straight(city)
        row |= self._networkx(city)
        row |= self._positions(city)
        for peer in PEERS:
            row |= self._peer(peer, city)
        return row

    def _say(self, what: str) -> None:
        self._progress(f"{self._size.name}: {what}")

    def _built(self, network: Network) -> _City:
        snapper = self._step("roads", lambda: Snapper(network))
        policy = load_policy(POLICY.read_bytes())
        crowd = crowd_on(network, self._size.members, seed=2)
        roster = self._step("roster", lambda: roster_of(crowd))
        live = self._step("positions", lambda: live_of(crowd, snapper))
        roads = RoadMap(network, snapper)
        lon, lat = places_on(network, ALERTS, np.random.default_rng(3), ALERT_ERROR_M)
        # As in a worker: what was built stays, and is not looked through again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_ALLOCATIONS)
        return _City(
            network=network,
            crowd=crowd,
            policy=policy,
            roads=roads,
            world=World(policy, roster, roads, live),
            state=state_of(crowd, policy.mode_of(AREA)),
            places=list(zip(lon.tolist(), lat.tolist(), strict=True)),
        )

    def _step(self, what: str, build: Callable[[], T]) -> T:
        started_s = time.perf_counter()
        built = build()
        self._build_s[what] = round(time.perf_counter() - started_s, 1)
        self._say(f"{what}: {self._build_s[what]} s")
        return built

    # --- ours

    def _choices(self, city: _City) -> dict[str, object]:
        self._say("choosing")
        whole, snap, answers = _chosen(city, city.world, self._choose_s)
        self._say("choosing in plain Python")
        roads = RoadMap(city.network, city.roads.snapper, compiled=False)
        plain = World(city.policy, city.world.roster, roads, city.world.live)
        in_python, _, _ = _chosen(city, plain, self._choose_s)
        checked = answers[: self._size.checked]
        self._say(f"holding {len(checked)} choices against the whole graph")
        wrong = mismatches(city.network, city.crowd, city.world.live, checked, CANDIDATES)
        return {
            "choose_us": whole.p50_us,
            "choose_p99_us": whole.p99_us,
            "choose_calls": whole.calls,
            "snap_us": snap.p50_us,
            "choose_python_us": in_python.p50_us,
            "choose_python_p99_us": in_python.p99_us,
            "nobody": sum(answer.chosen is None for answer in answers),
            "oracle_checked": len(checked),
            "oracle_mismatches": len(wrong),
        }

    def _positions(self, city: _City) -> dict[str, object]:
        self._say("taking positions")
        projection, live = city.network.projection, city.world.live
        many = moves_of(city.crowd, projection, POSITIONS, seed=4)
        later_ms = int(many.fix_ms[-1] - many.fix_ms[0]) + 60_000
        few = moves_of(city.crowd, projection, SINGLE_POSITIONS, seed=5, begin_ms=later_ms)
        packed, single = list(records_of(many, PACK)), list(records_of(few, 1))

        def taken(raw: bytes) -> None:
            take(live, raw)

        return {
            "positions_per_s": round(per_s(taken, packed, PACK, self._choose_s)),
            "positions_single_per_s": round(per_s(taken, single, 1, self._each_s)),
        }

    # --- the others

    def _straight(self, city: _City) -> dict[str, object]:
        self._say("straight lines in this process")
        ways = searches(city.crowd, city.network.projection, CANDIDATES)
        took = {name: timed(way, city.places, self._each_s) for name, way in ways.items()}
        best = min(took, key=lambda name: took[name].p50_us or np.inf)
        return {
            "straight_us": took[best].p50_us,
            "straight_p99_us": took[best].p99_us,
            "straight_way": best,
            "straight_ways_us": {name: timing.p50_us for name, timing in took.items()},
        }

    def _networkx(self, city: _City) -> dict[str, object]:
        if city.network.edge_count > EDGES_MAX:
            self._notes.append(f"networkx: null above {EDGES_MAX:,} edges, it is not built there")
            return {"networkx_us": None}
        self._say("networkx")
        try:
            graph = ByNetworkx(city.roads.snapper, _by_edge(city))
        except ImportError:
            self._notes.append("networkx: null, the library is not installed (extra `peers`)")
            return {"networkx_us": None}
        within_s = WINDOW_MS / 1000
        took = timed(lambda at: graph.nearest(at, CANDIDATES, within_s), city.places, self._each_s)
        return {"networkx_us": took.p50_us, "networkx_p99_us": took.p99_us}

    def _peer(self, kind: type[Peer], city: _City) -> dict[str, object]:
        self._say(kind.name)
        figures: Mapping[str, float | None]
        try:
            with kind(city.network.projection, CANDIDATES) as peer:
                peer.load(city.crowd)
                figures = _peer_figures(peer, city, self._each_s)
        except PeerUnavailable as fault:
            self._notes.append(f"{kind.name}: null, {fault}")
            figures = dict.fromkeys(PEER_FIGURES)
        except Exception as fault:  # noqa: BLE001 - a peer's trouble is a note, not our end
            self._notes.append(f"{kind.name}: null at {self._size.name}, it failed: {fault}")
            figures = dict.fromkeys(PEER_FIGURES)
        return {f"{kind.name}_{figure}": value for figure, value in figures.items()}


PEER_FIGURES: Final = (
    "us", "p99_us", "ping_us", "batch_us", "ping_batch_us", "positions_per_s",
    "positions_single_per_s",
)  # fmt: skip
"""What is measured of a peer; its name goes before."""


def _peer_figures(peer: Peer, city: _City, seconds: float) -> dict[str, float | None]:
    moves: Moves = moves_of(city.crowd, city.network.projection, PEER_POSITIONS, seed=6)
    batch, rows = city.places[:BATCH], moves.rows(0, PEER_POSITIONS)
    near, ping = timed_by_turns([peer.nearest, peer.ping], city.places, 2 * seconds)
    batches = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
    return {
        "us": near.p50_us,
        "p99_us": near.p99_us,
        "ping_us": ping.p50_us,
        "batch_us": each_us(peer.nearest_of_each, batch, seconds),
        "ping_batch_us": each_us(peer.ping_for_each, batch, seconds),
        "positions_per_s": round(per_s(peer.move_all, batches, BATCH, seconds)),
        "positions_single_per_s": round(per_s(peer.move, rows, 1, seconds)),
    }


def _chosen(city: _City, world: World, seconds: float) -> tuple[Timing, Timing, list[Answer]]:
    """Choose for one alert after the other: how long it took, of that the snapping, and whom."""
    whole_ns: list[int] = []
    snap_ns: list[int] = []
    answers: list[Answer] = []
    end_s = time.perf_counter() + seconds
    for number, (lon, lat) in enumerate(city.places):
        place = Position(lon, lat)
        a = time.perf_counter_ns()
        site = world.roads.site(place, None)
        b = time.perf_counter_ns()
        assert site is not None
        incident = incident_at(number, place, site)
        rules = world.policy.rules(
            incident.priority, incident.mode, incident.category, incident.area_id
        )
        c = time.perf_counter_ns()
        found = choose(city.state, world, incident, rules, NOW_MS)
        d = time.perf_counter_ns()
        if number >= WARM_UP_CALLS:
            snap_ns.append(b - a)
            whole_ns.append(b - a + d - c)
            answers.append(Answer.of(site, found))
        if time.perf_counter() > end_s and number > 2 * WARM_UP_CALLS:
            break
    return timing_of(whole_ns), timing_of(snap_ns), answers


def _by_edge(city: _City) -> dict[int, list[tuple[str, float]]]:
    members: dict[int, list[tuple[str, float]]] = {}
    for number in np.flatnonzero(city.crowd.mode == MODES.index(NETWORKX_MODE)).tolist():
        member_id = city.crowd.ids[number]
        track = city.world.live.track(member_id)
        if track is not None and track.spot is not None:
            members.setdefault(track.spot.edge, []).append((member_id, track.spot.frac))
    return members


def _network(size: Size, options: GeoBenchOptions) -> Network:
    options.on_progress(f"{size.name}: drawing or reading the city")
    if size.edges is not None:
        return Network.build(invented_city(size.edges, seed=1), f"invented {size.name}")
    if size.name == "xiaohe":
        return Network.build(import_roads(ROADS).pieces, "xiaohe")
    path = options.extract or _test_extract()
    if path is None or not path.exists():
        raise FileNotFoundError(
            f"no extract: name one with --extract, or a folder with osm/{EXTRACT} in {TEST_DATA}"
        )
    return Network.build(import_roads(path).pieces, path.name)


def _test_extract() -> Path | None:
    folder = os.environ.get(TEST_DATA)
    return Path(folder) / "osm" / EXTRACT if folder else None


def _notes() -> Iterator[str]:
    yield (
        "a peer gives the nearest in a straight line, whoever it is; a choice goes by road and "
        "travel mode, sends only who may be sent, and says why"
    )
    yield (
        "the stores write nothing down for safety: no append-only file, no fsync, an unlogged "
        "table; Redis is asked within a radius that holds 20 members on average"
    )
    yield "positions: ours from the bytes of the wire on, a store's from numbers on"
    if not COMPILED:
        yield "numba is not here: what should be compiled ran as plain Python"


def _machine() -> dict[str, object]:
    versions = {}
    for name in VERSIONED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "compiled": COMPILED,
        "versions": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
