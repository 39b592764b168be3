"""What happens in the sub-district: alerts, at a stated and exaggerated rate, and some bad records.

A day in the real sub-district has about fourteen joint calls. Here they come as a Poisson process
of so many an hour of the simulated clock, at the places of ``places.geojson`` and along the roads,
and within the first minutes there is one of everything that a dispatch engine must get right. The
same seed gives the same calls.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, Literal

import orjson

from xiaohe.geo.datum import from_wgs84
from xiaohe.geo.roads import LonLat
from xiaohe.sim.streets import Streets, moved

REAL_ALERTS_PER_DAY: Final = 14.0
"""About 9,067 joint 110 calls in under two years."""

RATE_PER_H: Final = 20.0
"""Alerts an hour of the simulated clock, where nothing else is asked for."""

HOURS_PER_DAY: Final = 24.0

STORY_S_MIN: Final = 60.0
STORY_S_MAX: Final = 600.0
"""What must be seen is seen within the first ten simulated minutes, or within the run; of a run
shorter than a minute, which has no room for it, one sees the beginning."""

AT_A_PLACE: Final = 0.6
"""Share of alerts at a known place; the others happen along some road."""

PLACE_SIGMA_M: Final = 15.0
"""How far from the point of a place something happens, standard deviation on each axis."""

GCJ02_SHARE: Final = 0.2
"""Share of callers whose map speaks GCJ-02, as maps in China do."""

ROAD_STATED_SHARE: Final = 0.35
"""Share of alerts with a position that state the road as well."""

SECOND_CALLER_M: Final = 12.0
"""How far apart two callers see the same matter."""

OFF_THE_MAP: Final[LonLat] = (0.0, 0.0)
"""What a device without a position sends: a place in the sea."""

OVERSIZE_CHARACTERS: Final = 20_000
"""More than the contract's 16 KiB for an alert."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of matter. ``handling_s`` is the median at the scene; ``at`` kinds of places."""

    category: str
    english: str
    text: str
    priorities: tuple[int, ...]
    weight: float
    handling_s: float
    at: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("police-110",)


KINDS: Final = (
    Kind("dispute", "quarrel", "两人争吵，声音越来越大", (2, 2, 3), 16, 180, ("market",)),
    Kind("noise", "noise", "夜里一直有噪声", (3, 4), 12, 100),
    Kind("illegal_parking", "blocked road", "车子挡住了路口", (4,), 12, 75,
         ("school_gate", "hospital"), ("camera", "app")),
    Kind("street_trading", "stall in the way", "占道经营，行人过不去", (3, 4), 10, 90,
         ("market", "square"), ("camera", "inspection")),
    Kind("lost_child", "lost child", "孩子走散了，六岁，红外套", (1, 2), 5, 240,
         ("business_quarter", "market", "park")),
    Kind("injury", "person injured", "有人摔倒，站不起来", (1, 2), 9, 180,
         ("market", "hospital", "park")),
    Kind("theft", "theft", "电动车被偷", (2, 3), 7, 150, ("business_quarter",)),
    Kind("lost_property", "lost property", "包从车上掉了", (3,), 6, 120, ("bridge",)),
    Kind("smoke", "smoke", "楼道里有烟", (1,), 4, 180, (), ("sensor", "police-110")),
    Kind("elderly_help", "elderly person needs help", "独居老人求助", (2, 3), 8, 150,
         ("welfare_centre", "community_office")),
    Kind("crowd", "crowd", "人太多，走不动", (2,), 3, 200,
         ("historic_quarter", "quay"), ("camera",)),
    Kind("water_pollution", "fouled water", "河水颜色不对", (3,), 2, 150, ("bridge",),
         ("app", "inspection")),
)  # fmt: skip
"""Weights are relative; figures are invented, as the callers are."""

BY_CATEGORY: Final = {kind.category: kind for kind in KINDS}

DEFAULT_HANDLING_S: Final = 150.0
"""Median at the scene for a category that is not in the list."""

IN_ENGLISH: Final = {kind.category: kind.english for kind in KINDS} | {
    "sos": "member in distress",
    "fall": "member has fallen",
}


@dataclass(frozen=True, slots=True)
class Landmark:
    """A point of ``places.geojson``."""

    kind: str
    name: str
    road_id: str
    place: LonLat


def load_landmarks(path: Path) -> tuple[Landmark, ...]:
    """Read a places file; () where there is none, as on another city's map."""
    if not path.is_file():
        return ()
    found = orjson.loads(path.read_bytes())
    return tuple(
        Landmark(
            kind=feature["properties"]["kind"],
            name=feature["properties"]["name"],
            road_id=feature["properties"]["road_id"],
            place=(feature["geometry"]["coordinates"][0], feature["geometry"]["coordinates"][1]),
        )
        for feature in found["features"]
    )


Sort = Literal["alert", "repeat", "own_finding", "sos", "bad"]


@dataclass(frozen=True, slots=True)
class Call:
    """Something that happens ``at_s`` after the start.

    ``place`` is where it truly is, whatever the alert says. ``alert`` lacks what only the client
    knows (ids, area, times). A ``bad`` one has ``raw`` instead, for the topic of that key in
    topics.yaml; ``area`` is then the record's key.
    """

    number: int
    at_s: float
    sort: Sort
    kind: Kind
    place: LonLat
    alert: dict[str, object] = field(default_factory=dict)
    note: str = ""
    repeats: int | None = None
    topic: str = "alerts"
    raw: bytes | None = None
    area: str | None = None


class Calls:
    """All calls of a run, the story first and then by the rate; endless."""

    def __init__(
        self,
        streets: Streets,
        landmarks: Sequence[Landmark],
        seed: int,
        rate_per_h: float = RATE_PER_H,
        span_s: float = STORY_S_MAX,
    ) -> None:
        """``span_s``: how long the run is, simulated; the story fits into it."""
        assert rate_per_h >= 0, "a rate counts something"
        self._streets = streets
        self._landmarks = tuple(landmarks)
        self._chance = Random(f"{seed}:calls")  # noqa: S311 - a simulation must be repeatable
        self._rate_per_s = rate_per_h / 3600
        self._number = 0
        story_s = max(STORY_S_MIN, min(span_s, STORY_S_MAX))
        self._waiting = sorted(self._story(story_s), key=lambda call: (call.at_s, call.number))
        self._next_s = self._gap_s()

    def due(self, passed_s: float) -> Iterator[Call]:
        """Give the calls that have happened by now and were not given yet, in order."""
        while True:
            story_s = self._waiting[0].at_s if self._waiting else float("inf")
            if min(story_s, self._next_s) > passed_s:
                return
            if story_s <= self._next_s:
                yield self._waiting.pop(0)
            else:
                yield self._ordinary(self._next_s)
                self._next_s += self._gap_s()

    def _gap_s(self) -> float:
        return self._chance.expovariate(self._rate_per_s) if self._rate_per_s else float("inf")

    # --- ordinary ones

    def _ordinary(self, at_s: float) -> Call:
        (kind,) = self._chance.choices(KINDS, [kind.weight for kind in KINDS])
        return self._alert(at_s, kind)

    def _alert(self, at_s: float, kind: Kind, **fields: object) -> Call:
        """Make a well-formed alert at one of the kind's places, or somewhere on the roads."""
        chance = self._chance
        landmark = self._landmark(kind)
        if landmark is not None:
            east_m, north_m = chance.gauss(0, PLACE_SIGMA_M), chance.gauss(0, PLACE_SIGMA_M)
            place, road_id = moved(landmark.place, east_m, north_m), landmark.road_id
        else:
            place = self._streets.somewhere(chance)
            road_id = self._road_at(place)
        source = chance.choice(kind.sources)
        alert: dict[str, object] = {
            "source": source,
            "category": kind.category,
            "priority": chance.choice(kind.priorities),
            "position": self._position(place),
        }
        if chance.random() < ROAD_STATED_SHARE:
            alert["road_id"] = road_id
        if source in {"camera", "sensor"}:
            alert["confidence"] = round(chance.uniform(0.6, 0.99), 2)
        else:
            alert["text"] = kind.text
            alert["caller_id"] = f"caller-{chance.randrange(10_000):04}"
        number = self._count()
        return Call(number, at_s, "alert", kind, place, alert | fields)

    def _landmark(self, kind: Kind) -> Landmark | None:
        fitting = [each for each in self._landmarks if not kind.at or each.kind in kind.at]
        if not fitting or self._chance.random() >= AT_A_PLACE:
            return None
        return self._chance.choice(fitting)

    def _road_at(self, place: LonLat) -> str:
        site = self._streets.site(place)
        assert site is not None, "a point of a road lies on a road"
        return site.road_id

    def _position(self, place: LonLat) -> dict[str, object]:
        if self._chance.random() < GCJ02_SHARE:
            lon, lat = from_wgs84(*place, "gcj02")
            return {"lon": round(lon, 6), "lat": round(lat, 6), "datum": "gcj02"}
        return {"lon": round(place[0], 6), "lat": round(place[1], 6)}

    def _count(self) -> int:
        self._number += 1
        return self._number

    # --- the story: one of everything

    def _story(self, story_s: float) -> Iterator[Call]:
        first = self._alert(1.0, BY_CATEGORY["dispute"], priority=2)
        yield first
        yield self._alert(0.04 * story_s, BY_CATEGORY["injury"], priority=1)
        yield from self._by_words(0.10 * story_s, 0.14 * story_s)
        yield Call(self._count(), 0.18 * story_s, "own_finding", BY_CATEGORY["elderly_help"],
                   OFF_THE_MAP, note="found by a member on patrol")  # fmt: skip
        yield self._repeat(0.20 * story_s, first)
        yield self._odd_place(0.24 * story_s)
        yield from self._bad(0.12 * story_s, story_s)
        yield from self._burst(0.42 * story_s)
        yield Call(self._count(), 0.30 * story_s, "sos", BY_CATEGORY["injury"], OFF_THE_MAP)

    def _by_words(self, road_at_s: float, address_at_s: float) -> Iterator[Call]:
        """One alert that names a road alone, and one that only tells an address."""
        for at_s, field_name, note in (
            (road_at_s, "road_id", "only the road is known"),
            (address_at_s, "address", "only an address"),
        ):
            call = self._alert(at_s, BY_CATEGORY["noise"])
            site = self._streets.site(call.place)
            assert site is not None, "it was drawn on a road"
            alert = {k: v for k, v in call.alert.items() if k not in {"position", "road_id"}}
            name = self._streets.network.piece(site.spot.edge).name or site.road_id
            alert[field_name] = site.road_id if field_name == "road_id" else f"{name}12号"
            # Whoever only knows the road goes to the middle of it, so it happened there.
            middle = self._streets.snapper.snap_road(site.road_id)
            place = call.place if middle is None else (middle.access_lon, middle.access_lat)
            yield Call(call.number, at_s, "alert", call.kind, place, alert, note)

    def _repeat(self, at_s: float, first: Call) -> Call:
        """The same record once more, as a sender repeats that saw no acknowledgement."""
        return Call(self._count(), at_s, "repeat", first.kind, first.place, dict(first.alert),
                    note="the same record again", repeats=first.number)  # fmt: skip

    def _odd_place(self, at_s: float) -> Call:
        call = self._alert(at_s, BY_CATEGORY["lost_property"])
        lon, lat = OFF_THE_MAP
        alert = call.alert | {"position": {"lon": lon, "lat": lat}, "occurred_at": "just now"}
        alert.pop("road_id", None)
        return Call(call.number, at_s, "alert", call.kind, call.place, alert,
                    "a place in the sea, a date that is none")  # fmt: skip

    def _burst(self, at_s: float) -> Iterator[Call]:
        """A quarrel that gets out of hand: several calls at once, two of them about the same."""
        note = "burst"
        brawl = self._alert(at_s, BY_CATEGORY["dispute"], priority=1)
        yield _noted(brawl, note)
        east_m, north_m = (self._chance.uniform(-1, 1) * SECOND_CALLER_M for _ in range(2))
        near = moved(brawl.place, east_m, north_m)
        again = brawl.alert | {
            "position": {"lon": round(near[0], 6), "lat": round(near[1], 6)},
            "caller_id": f"caller-{self._chance.randrange(10_000):04}",
        }
        yield Call(self._count(), at_s + 0.8, "alert", brawl.kind, brawl.place, again,
                   "burst: the same matter, another caller")  # fmt: skip
        for n, category in enumerate(("injury", "crowd")):
            yield _noted(self._alert(at_s + 0.2 * (n + 1), BY_CATEGORY[category]), note)

    def _bad(self, from_s: float, story_s: float) -> Iterator[Call]:
        """Records that nobody can take: each becomes one dead letter, and nothing else happens."""
        well = {
            "alert_id": "bad-record", "source": "app", "category": "noise",
            "occurred_at": "2030-01-31T08:00:00+08:00", "position": {"lon": 120.13, "lat": 30.31},
        }  # fmt: skip
        bad: tuple[tuple[str, str, bytes, str | None], ...] = (
            ("alerts", "not JSON", b"{alert_id: bad-record", None),
            ("alerts", "wrong type", orjson.dumps(well | {"priority": "high"}), None),
            ("alerts", "not a number",
             orjson.dumps(well).replace(b"120.13", b"NaN"), None),
            ("alerts", "no category",
             orjson.dumps({k: v for k, v in well.items() if k != "category"}), None),
            ("alerts", "unknown area", orjson.dumps(well), "atlantis"),
            ("alerts", "too long",
             orjson.dumps(well | {"text": "啊" * OVERSIZE_CHARACTERS}), None),
            ("positions", "longitude 999",
             orjson.dumps({"member_id": "m01", "lon": 999, "lat": 30.3,
                           "fix_time": "2030-01-31T08:00:00Z"}), None),
            ("member_actions", "an order that does not exist",
             orjson.dumps({"action_id": "bad-action", "member_id": "m01", "action": "accept",
                           "at": "2030-01-31T08:00:00Z", "dispatch_id": "no-such-order"}), None),
        )  # fmt: skip
        for n, (topic, note, raw, area) in enumerate(bad):
            at_s = from_s + 0.06 * n * story_s
            yield Call(self._count(), at_s, "bad", KINDS[0], OFF_THE_MAP, {}, note, None,
                       topic, raw, area)  # fmt: skip


def _noted(call: Call, note: str) -> Call:
    return Call(call.number, call.at_s, call.sort, call.kind, call.place, call.alert, note)


def times_real(rate_per_h: float) -> float:
    """Give how many times as many alerts as on a real day these are."""
    return rate_per_h * HOURS_PER_DAY / REAL_ALERTS_PER_DAY
