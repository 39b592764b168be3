"""``xiaohe bench bursts``: several alerts at once, few members free: who is on scene in time?

Each round scatters members over the roads and lets some alerts come within a second. The engine's
own ``decide`` takes them one after another, as it takes any input; then it is looked at who holds
which order. Beside it, for the very same positions and speeds: each alert to the member who is
nearest in a straight line, each to the nearest by road, both one by one, and the most that any
assignment could have on time, by a mixed-integer program that shares no code with the engine.

On time is travel ≤ ``arrive_s`` from the moment of the alert, as the contract measures who can be
there «in time»: no allowance for the turnout is made, for any method. Everybody who is asked goes,
and nobody moves meanwhile. Members have no roads of their own here, unless told otherwise: the
contract prefers an owner who is in time to who is nearest, and that is not what is measured.
"""

import csv
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf, isfinite, sqrt
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix

from xiaohe.dispatch.decide import decide, fold
from xiaohe.dispatch.inputs import Alert, Cause, Position, Received, RosterEntry, Shift
from xiaohe.dispatch.policy import Policy, load_policy
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.times import parse_rfc3339, rfc3339
from xiaohe.dispatch.world import RoadMap, World
from xiaohe.geo.files import load_network
from xiaohe.geo.geometry import Spot
from xiaohe.geo.live import LivePositions
from xiaohe.geo.network import Network
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import LonLat, Mode, RoadPiece
from xiaohe.geo.snap import Snapper
from xiaohe.places import POLICY, ROADS

AREA: Final = "bench"
PRIORITY: Final = 2
"""Urgent, but with no reinforcement that goes out together with the first."""

NOON_MS: Final = parse_rfc3339("2030-01-07T12:00:00+08:00")
APART_MS: Final = 100
"""The alerts of a burst come so far apart."""

BURST_MIN, BURST_MAX = 3, 10
CROWDED = 20
"""More requests in a minute than the engine decides together, and at night than there are cars."""

CLUSTER_M: Final = 400.0
"""Alerts of a clustered burst lie within so much of one another's middle."""

CROWDED_LESS: Final = 10
"""Of crowded minutes a tenth as many are played: each takes as long as ten others."""

FREE_PERCENTS: Final = (100, 50, 30)
MEMBERS: Final = 50
CARS: Final = 60
"""Cars on Manhattan: about one on a square kilometre."""

Z95: Final = 1.96
"""Of a normal distribution: 95 % lie within so many standard errors."""

COLUMNS: Final = (
    ("straight line", "straight_line"),
    ("road, 1 by 1", "road_one_by_one"),
    ("joint", "joint"),
    ("optimum", "optimum"),
)
"""Of the table: heading and key."""

METHODS: Final = ("joint", "straight_line", "road_one_by_one", "optimum")


class Burst(NamedTuple):
    """Where members stand and where alerts come."""

    members: Sequence[LonLat]
    alerts: Sequence[LonLat]


@dataclass(frozen=True)
class City:
    """A map to play on, and what its members travel by."""

    name: str
    network: Network
    mode: Mode
    policy: Policy
    roads: RoadMap = field(init=False)

    def __post_init__(self) -> None:
        """Share one snapper and one set of searches among all rounds."""
        object.__setattr__(self, "roads", RoadMap(self.network, Snapper(self.network)))

    @property
    def arrive_s(self) -> float:
        """The window of arrival, seconds."""
        return self.policy.rules(PRIORITY, "peacetime", "burst", AREA).arrive_s

    def anywhere(self, chance: random.Random) -> LonLat:
        """Give a place on the roads, each metre of road as likely as any other."""
        length_m = np.where(self.network.graphs[self.mode].usable, self.network.length_m, 0.0)
        edge = int(np.searchsorted(np.cumsum(length_m), chance.random() * length_m.sum()))
        return self.network.point_at(Spot(edge, chance.random()))

    def near(self, centre: LonLat, chance: random.Random) -> LonLat:
        """Give a place on the roads within ``CLUSTER_M`` of another."""
        while True:
            place = self.anywhere(chance)
            if ground_distance_m(*centre, *place) <= CLUSTER_M:
                return place


# --- rounds


def scattered(city: City, free: int, rounds: int, *, clustered: bool, seed: int) -> Iterator[Burst]:
    """Give bursts of 3 to 10 alerts, all over the map or in one place."""
    for n in range(rounds):
        chance = random.Random(f"{seed}/{free}/{clustered}/{n}")  # noqa: S311 - a simulation
        count = chance.randint(BURST_MIN, BURST_MAX)
        centre = city.anywhere(chance)
        alerts = [
            city.near(centre, chance) if clustered else city.anywhere(chance) for _ in range(count)
        ]
        yield Burst([city.anywhere(chance) for _ in range(free)], alerts)


def by_minute(
    city: City,
    requests: Mapping[str, Sequence[LonLat]],
    free: int,
    rounds: int,
    *,
    crowded: bool,
    seed: int,
) -> Iterator[Burst]:
    """Give the requests of single minutes, spread over the day, as bursts."""
    minutes = sorted(
        minute
        for minute, places in requests.items()
        if len(places) >= BURST_MIN and (len(places) > CROWDED) == crowded
    )
    step = max(1, len(minutes) // rounds)
    for minute in minutes[::step][:rounds]:
        chance = random.Random(f"{seed}/{free}/{minute}")  # noqa: S311 - a simulation
        yield Burst([city.anywhere(chance) for _ in range(free)], requests[minute])


# --- one round


def played(city: City, burst: Burst) -> dict[str, int]:
    """Play one burst; give how many alerts are served in time, by method."""
    world, state = _begun(city, burst)
    eta_s = _travel(city, world, burst)
    in_time = dict.fromkeys(METHODS, 0)
    for name, pairs in (
        ("joint", _by_engine(world, state, burst)),
        ("straight_line", _greedy(_straight_m(burst))),
        ("road_one_by_one", _greedy(eta_s)),
    ):
        in_time[name] = sum(bool(eta_s[a, m] <= city.arrive_s) for a, m in pairs.items())
    in_time["optimum"] = _optimum(eta_s <= city.arrive_s)
    return in_time


def _begun(city: City, burst: Burst) -> tuple[World, AreaState]:
    roster, live = Roster(), LivePositions(city.roads.snapper)
    shift = Shift(start=rfc3339(NOON_MS - 3_600_000), end=rfc3339(NOON_MS + 3_600_000))
    for n, (lon, lat) in enumerate(burst.members):
        roster.put(
            RosterEntry(
                member_id=_name(n),
                area_id=AREA,
                name=f"Invented {n}",
                team="one",
                travel_mode=city.mode,
                shifts=(shift,),
            )
        )
        live.enrol(_name(n), city.mode)
        live.move(_name(n), lon, lat, NOON_MS)
    return World(city.policy, roster, city.roads, live), AreaState(AREA, "peacetime")


def _name(member: int) -> str:
    return f"m{member:03}"


def _by_engine(world: World, state: AreaState, burst: Burst) -> dict[int, int]:
    """Let the engine decide each alert as it comes; give the member of each."""
    for n, (lon, lat) in enumerate(burst.alerts):
        at_ms = NOON_MS + n * APART_MS
        alert = Alert(
            alert_id=f"a{n}",
            area_id=AREA,
            source="bench",
            category=f"burst-{n}",
            occurred_at=rfc3339(at_ms),
            position=Position(lon, lat),
            priority=PRIORITY,
        )
        took = Received(Cause("alerts", 0, n), AREA, at_ms, alert)
        state = fold(state, decide(state, took, at_ms, world))
    numbers = {_name(n): n for n in range(len(burst.members))}
    return {
        int(incident.alert_id[1:]): numbers[order.member_id]
        for incident in state.incidents.values()
        for order in incident.open_orders("primary")
    }


_Matrix = Any  # an (alerts, members) array of floats, or of bools


def _travel(city: City, world: World, burst: Burst) -> _Matrix:
    """Give the seconds from every member to every alert, infinite where no way leads."""
    eta_s = np.full((len(burst.alerts), len(burst.members)), inf)
    for row, (lon, lat) in enumerate(burst.alerts):
        site = city.roads.site(Position(lon, lat), None)
        assert site is not None, "alerts come on the roads"
        field_ = city.roads.travel_field(site, (city.mode,), frozenset())
        for column in range(len(burst.members)):
            track = world.live.track(_name(column))
            way = None if track is None or track.spot is None else field_.eta(track.spot)
            eta_s[row, column] = inf if way is None else way.eta_s
    return eta_s


def _straight_m(burst: Burst) -> _Matrix:
    return np.array([[ground_distance_m(*a, *m) for m in burst.members] for a in burst.alerts])


def _greedy(cost: _Matrix) -> dict[int, int]:
    """Give each alert in turn whoever is nearest of those left."""
    taken: dict[int, int] = {}
    cost = cost.copy()
    for row in range(len(cost)):
        column = int(np.argmin(cost[row]))
        if isfinite(cost[row, column]):
            taken[row] = column
            cost[:, column] = inf
    return taken


def _optimum(can: _Matrix) -> int:
    """Give the most alerts that can be in time at once, one member each, by HiGHS."""
    rows, columns = np.nonzero(can)
    if len(rows) == 0:
        return 0
    pairs = np.arange(len(rows))
    ones = np.ones(len(rows))
    once = [
        LinearConstraint(csr_matrix((ones, (which, pairs)), (size, len(rows))), ub=1.0)
        for which, size in ((rows, can.shape[0]), (columns, can.shape[1]))
    ]
    found = milp(-ones, integrality=ones, bounds=Bounds(0, 1), constraints=once)
    assert found.success, found.message
    return round(-found.fun)


# --- figures


class Share(NamedTuple):
    """A share in percent and half the width of its 95 % interval."""

    percent: float
    within: float


def _share(hits: Sequence[int], alerts: Sequence[int]) -> Share:
    """Estimate a share over rounds, which are independent of one another; alerts are not."""
    total = sum(alerts)
    share = sum(hits) / total
    rest = sum((h - share * n) ** 2 for h, n in zip(hits, alerts, strict=True))
    rounds = len(alerts)
    error = sqrt(rest * rounds / max(1, rounds - 1)) / total
    return Share(round(100 * share, 2), round(100 * Z95 * error, 2))


def measured(city: City, bursts: Iterator[Burst]) -> dict[str, Any]:
    """Play all bursts; give the share in time by method, and the paired differences."""
    hits: dict[str, list[int]] = defaultdict(list)
    alerts: list[int] = []
    for burst in bursts:
        alerts.append(len(burst.alerts))
        for method, count in played(city, burst).items():
            hits[method].append(count)
    minus = {
        f"joint_minus_{other}": _share(
            [a - b for a, b in zip(hits["joint"], hits[other], strict=True)], alerts
        )
        for other in ("straight_line", "road_one_by_one")
    }
    best = sum(hits["optimum"])
    return {
        "rounds": len(alerts),
        "alerts": sum(alerts),
        **{method: _share(hits[method], alerts)._asdict() for method in METHODS},
        **{name: share._asdict() for name, share in minus.items()},
        "joint_of_optimum_percent": round(100 * sum(hits["joint"]) / best, 2) if best else None,
    }


def bench_bursts(
    rounds: int,
    seed: int = 1,
    manhattan: Path | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Play ``rounds`` bursts a row, at home and, where its data is, on Manhattan.

    ``manhattan`` is a folder with ``osm/manhattan_network.json.gz`` (nodes and directed links, as
    OSMnx writes them) and ``calls/manhattan_requests.csv.gz``.
    """
    policy = load_policy(POLICY.read_bytes())
    network, _ = load_network(ROADS)
    home = City("home", network, "ebike", policy)
    rows = []
    for clustered in (False, True):
        for percent in FREE_PERCENTS:
            free = MEMBERS * percent // 100
            where = "clustered" if clustered else "spread"
            on_progress(f"home, {where}, {percent} % of {MEMBERS} free")
            bursts = scattered(home, free, rounds, clustered=clustered, seed=seed)
            said = {"city": "home", "bursts": where, "free_percent": percent, "free": free}
            rows.append(said | measured(home, bursts))
    if manhattan is None:
        return {"arrive_s": home.arrive_s, "turnout_s": 0.0, "seed": seed, "rows": rows}
    city = City("manhattan", load_manhattan(manhattan), "car", policy)
    requests = load_requests(manhattan)
    for crowded in (False, True):
        for percent in FREE_PERCENTS:
            free = CARS * percent // 100
            where = "crowded" if crowded else "minutes"
            on_progress(f"Manhattan, {where}, {percent} % of {CARS} free")
            some = max(1, rounds // CROWDED_LESS) if crowded else rounds
            bursts = by_minute(city, requests, free, some, crowded=crowded, seed=seed)
            said = {"city": "manhattan", "bursts": where, "free_percent": percent, "free": free}
            rows.append(said | measured(city, bursts))
    return {"arrive_s": home.arrive_s, "turnout_s": 0.0, "seed": seed, "rows": rows}


# --- Manhattan


def load_manhattan(folder: Path) -> Network:
    """Read a network of directed links; each is a straight one-way piece at its mean speed."""
    raw = gzip.decompress((folder / "osm" / "manhattan_network.json.gz").read_bytes())
    graph = json.loads(raw)
    places = {node["id"]: (node["x"], node["y"]) for node in graph["nodes"]}
    pieces = []
    for n, link in enumerate(graph["links"]):
        ends = places[link["source"]], places[link["target"]]
        straight_m = ground_distance_m(*ends[0], *ends[1])
        if straight_m > 0.0:
            pieces.append(
                RoadPiece(
                    road_id=f"l{n}",
                    points=ends,
                    oneway="yes",
                    # So that the piece takes as long as the link, whatever its bends were.
                    maxspeed_kmh=max(1.0, straight_m / link["travel_time"] * 3.6),
                )
            )
    return Network.build(pieces, sha256(raw).hexdigest()[:12])


def load_requests(folder: Path) -> dict[str, list[LonLat]]:
    """Read where requests began, by the minute of the day."""
    requests: dict[str, list[LonLat]] = defaultdict(list)
    with gzip.open(folder / "calls" / "manhattan_requests.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            minute = row["departure_time"][: len("2014-12-21 00:00")]
            requests[minute].append((float(row["o_lon"]), float(row["o_lat"])))
    return requests


def table(result: dict[str, Any]) -> str:
    """Write the result as lines for people."""
    heads = (*(name for name, _ in COLUMNS), "joint - road")
    lines = [
        f"% of alerts with travel ≤ {result['arrive_s']:.0f} s, ± 95 %; no turnout allowed for",
        " ".join(["".ljust(28), "rounds", "alerts", *(h.rjust(15) for h in heads), "of opt."]),
    ]
    for row in result["rows"]:
        name = f"{row['city']} {row['bursts']} {row['free_percent']} % free"
        cells = [row[key] for _, key in COLUMNS]
        shares = [f"{c['percent']:8.2f} ±{c['within']:5.2f}" for c in cells]
        more = row["joint_minus_road_one_by_one"]
        shares.append(f"{more['percent']:+8.2f} ±{more['within']:5.2f}")
        of_best = f"{row['joint_of_optimum_percent']:6.2f}%"
        counts = f"{row['rounds']:6} {row['alerts']:6}"
        lines.append(" ".join([name.ljust(28), counts, *shares, of_best]))
    return "\n".join(lines)
