"""S6, as far as the topics tell: who was chosen was chosen by what was known at that moment.

An order says where it took its candidates to be, and how old that was. The positions topic says
where they were. The roster topic says who they are, and the run which map was in force.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from math import cos, hypot, radians
from typing import Any, Final, NamedTuple

import orjson

from xiaohe.sim.faults.evidence import Place, Violation
from xiaohe.sim.faults.judges.log_reading import Counted
from xiaohe.sim.faults.judges.reading import Reading
from xiaohe.streams.ports import POSITIONS, Raw

AGREEING: Final = 3
"""So many fixes in a row that nobody could doubt are believed: a leap is, after the next one."""

PLAUSIBLE_MPS: Final = 10.0
"""Two fixes agree that are not farther from each other than this allows, on a day as fast as the
real one. Far below what the matcher calls a leap: what is not surely plain is not judged."""

STANDING_M: Final = 30.0
"""Fixes agree that are no farther apart than this, however soon they follow one another."""

FRESH_SHARE: Final = 0.8
"""Fixes older than this share of the policy's ``fix_s`` may be too old for a decision."""

ROUNDING_MS: Final = 150
"""An order states the age of a fix to 0.1 s."""

METRES_PER_DEGREE: Final = 111_200.0

ORDERED: Final = frozenset({"member.dispatched", "backup.dispatched"})


class Seen(NamedTuple):
    """A fix as it lies in the topic; ``fix_ms`` is never later than its receipt."""

    offset: int
    fix_ms: int
    lon: float
    lat: float


def candidates_are_where_they_were(reading: Reading) -> Iterator[Violation]:
    """No order takes a candidate to be where they were before fixes that had been taken."""
    movers, fresh_ms = _moved_house(reading), _fresh_ms(reading)
    speed = reading.evidence.shared.roads.network.speed_factor
    for partition, log in reading.logs.items():
        orders = [each for each in log.counted if any(f.get("type") in ORDERED for f in each.facts)]
        if not orders:
            continue
        spoilt = reading.evidence.poison | reading.evidence.stumbling
        seen = _fixes(
            [
                raw
                for raw in reading.evidence.topics.read(POSITIONS, partition)
                if Place(POSITIONS, partition, raw.offset) not in spoilt
            ]
        )
        for each in orders:
            for fact in each.facts:
                if fact.get("type") in ORDERED and fact["why"].get("rule") != "operator":
                    yield from _judged(each, fact, _Known(seen, movers, fresh_ms, speed))


class _Known(NamedTuple):
    """The fixes of everybody, who is not judged, and what a fix is worth."""

    seen: Mapping[tuple[str, str], list[Seen]]
    movers: frozenset[str]
    fresh_ms: float
    speed: float


def _fresh_ms(reading: Reading) -> float:
    rules = reading.evidence.shared.policy.rules(2, "peacetime", "", "")
    return rules.fix_s * 1000 * FRESH_SHARE


RANKS: Final = {"owner": 0, "team": 1, "nearest": 2, "mutual_aid": 2}
"""Which rule comes before which."""

SAME_S: Final = 0.05
"""Seconds by which a recorded time may be another than the one that was compared."""


def the_first_of_those_compared_goes(reading: Reading) -> Iterator[Violation]:
    """By its own record an order is given to the first: owner, squad, nearest; none too old.

    Orders that several incidents made together, or a desk, are not given by this order.
    """
    rules = reading.evidence.shared.policy
    for log in reading.logs.values():
        for each in log.counted:
            gone: set[str] = set()
            for fact in each.facts:
                if fact.get("type") not in ORDERED or fact["why"].get("rule") == "operator":
                    continue
                # Several who are wanted at once may be found by one search, in any order.
                also = {
                    other["member_id"]
                    for other in each.facts
                    if other.get("type") in ORDERED
                    and other["incident_id"] == fact["incident_id"]
                    and other["dispatch_id"] != fact["dispatch_id"]
                }
                others = gone | also
                found = (c for c in fact["why"]["candidates"] if c["member_id"] not in others)
                may_go = [c for c in found if c.get("excluded") is None]
                gone.add(fact["member_id"])
                if not fact["why"].get("together"):
                    yield from _first_goes(each, fact, may_go)
                fix_s = rules.rules(2, "peacetime", "", str(each.decision["area_id"])).fix_s
                for candidate in may_go:
                    age_s = candidate.get("fix_age_s")
                    if (
                        age_s is not None
                        and not candidate.get("at_post")
                        and age_s > fix_s + SAME_S
                    ):
                        told = (
                            f"{candidate['member_id']} is taken to be where they were {age_s} s ago"
                        )
                        yield Violation("S6", f"{fact['dispatch_id']}: {told}", each.at_ms)


def _first_goes(
    each: Counted, fact: Mapping[str, Any], may_go: list[dict[str, Any]]
) -> Iterator[Violation]:
    ranked = {
        c["member_id"]: (RANKS.get(str(c.get("rule")), len(RANKS)), c["eta_s"])
        for c in may_go
        if c.get("eta_s") is not None
    }
    mine = ranked.get(fact["member_id"])
    for member_id, other in sorted(ranked.items()):
        if mine is None or other[0] < mine[0] or (other[0] == mine[0] and other[1] < mine[1]):
            how = "is not among those who may go" if mine is None else f"goes as {mine}"
            told = f"{fact['member_id']} {how}, and {member_id} could as {other}"
            yield Violation("S6", f"{fact['dispatch_id']}: {told} (rank, seconds)", each.at_ms)
            return


def _judged(each: Counted, fact: Mapping[str, Any], known: _Known) -> Iterator[Violation]:
    area_id = str(each.decision["area_id"])
    for candidate in fact["why"].get("candidates", ()):
        member_id = candidate["member_id"]
        if member_id in known.movers or not candidate.get("trusted", True):
            continue
        if candidate.get("excluded") not in {None, "stale_fix"}:
            continue
        newest = _surely(known, (area_id, member_id), each)
        if newest is None:
            continue
        age_s = candidate.get("fix_age_s")
        believed_ms = None if age_s is None else each.at_ms - round(age_s * 1000)
        if believed_ms is None or believed_ms < newest.fix_ms - ROUNDING_MS:
            told = "at their post" if believed_ms is None else f"where they were at {believed_ms}"
            newer = f"positions@{newest.offset} says where they were at {newest.fix_ms}"
            what = f"{fact['dispatch_id']} takes {member_id} to be {told}; {newer}"
            yield Violation("S6", what, each.at_ms)


def _surely(known: _Known, who: tuple[str, str], each: Counted) -> Seen | None:
    """Give the newest fix that had been taken, if several before it agree with it."""
    # Of the record that is being decided itself it is not known how far it was.
    end = each.offset if each.topic == POSITIONS else each.positions_next
    taken = sorted(
        (seen for seen in known.seen.get(who, ()) if seen.offset < end),
        key=lambda seen: (seen.fix_ms, seen.offset),
    )[-AGREEING:]
    if len(taken) < AGREEING or each.at_ms - taken[0].fix_ms > known.fresh_ms:
        return None
    agree = all(_agree(one, two, known.speed) for one, two in pairwise(taken))
    return taken[-1] if agree else None


def _agree(one: Seen, two: Seen, speed: float) -> bool:
    east_m = (two.lon - one.lon) * METRES_PER_DEGREE * cos(radians(one.lat))
    north_m = (two.lat - one.lat) * METRES_PER_DEGREE
    reach_m = PLAUSIBLE_MPS * speed * (two.fix_ms - one.fix_ms) / 1000
    return hypot(east_m, north_m) <= STANDING_M + reach_m


def _fixes(records: list[Raw]) -> dict[tuple[str, str], list[Seen]]:
    """Read the fixes that are plainly good, by area and member."""
    found: dict[tuple[str, str], list[Seen]] = {}
    for raw in records:
        value = _object(raw)
        batch = value.get("batch") if isinstance(value.get("batch"), list) else [value]
        for fix in batch or ():
            if isinstance(fix, dict) and (seen := _seen(raw, fix)) is not None:
                area_id = (raw.key or b"").decode(errors="replace")
                found.setdefault((area_id, str(fix["member_id"])), []).append(seen)
    return found


def _object(raw: Raw) -> dict[str, Any]:
    try:
        value = orjson.loads(raw.value or b"null")
    except orjson.JSONDecodeError:
        return {}
    if isinstance(value, dict) and isinstance(value.get("data"), dict):
        value = value["data"]
    return value if isinstance(value, dict) else {}


def _seen(raw: Raw, fix: Mapping[str, Any]) -> Seen | None:
    lon, lat, time = fix.get("lon"), fix.get("lat"), fix.get("fix_time")
    plain = fix.get("datum", "wgs84") == "wgs84" and isinstance(fix.get("member_id"), str)
    if not plain or not isinstance(time, str) or fix.get("accuracy_m", 0) not in _PRECISE:
        return None
    if not isinstance(lon, int | float) or not isinstance(lat, int | float):
        return None
    try:
        fix_ms = round(datetime.fromisoformat(time).timestamp() * 1000)
    except ValueError:
        return None
    return Seen(raw.offset, min(fix_ms, raw.timestamp_ms), float(lon), float(lat))


class _Precise:
    """Accuracies at which a fix is not doubted for its own sake: stated, and of some metres."""

    def __contains__(self, accuracy_m: object) -> bool:
        return isinstance(accuracy_m, int | float) and 0 <= accuracy_m <= STANDING_M


_PRECISE: Final = _Precise()


def _moved_house(reading: Reading) -> frozenset[str]:
    """Give the members whose roster entry went away or changed area: their fixes are forgotten;
    and those who came after the beginning: fixes before that are refused."""
    areas: dict[str, set[object]] = {}
    roster = reading.evidence.topics.read_all("roster")
    for raw in roster:
        member_id = (raw.key or b"").decode(errors="replace")
        first = {None} if raw.timestamp_ms > roster[0].timestamp_ms else set()
        areas.setdefault(member_id, first).add(_object(raw).get("area_id"))
    return frozenset(member_id for member_id, known in areas.items() if len(known) > 1)


def the_roster_is_that_of_its_topic(reading: Reading) -> Iterator[Violation]:
    """What is known of a member is what their last record on the roster topic says."""
    last = {raw.key: raw for raw in reading.evidence.topics.read_all("roster")}
    for key, raw in last.items():
        member_id, entry = (key or b"").decode(errors="replace"), _object(raw)
        member = reading.evidence.shared.roster.get(member_id)
        if raw.value is None:
            if member is not None:
                yield Violation("S6", f"{member_id} left the roster, and is still known")
        elif entry.get("member_id") == member_id and member is not None:
            for name, known in (("area_id", member.area_id), ("team", member.team)):
                if entry.get(name) != known:
                    told = f"the roster says {name} {entry.get(name)}, known is {known}"
                    yield Violation("S6", f"{member_id}: {told}", raw.timestamp_ms)
            owned = {r["road_id"] for r in entry.get("roads", ()) if r.get("role") == "owner"}
            if owned != member.owned_roads:
                told = f"the roster gives them {sorted(owned)}, known are"
                yield Violation("S6", f"{member_id}: {told} {sorted(member.owned_roads)}")


def owners_know_the_roster(reading: Reading) -> Iterator[Violation]:
    """The owner of an area has each member's post where the roster puts it."""
    shared = reading.evidence.shared
    for engine in reading.evidence.engines.values():
        for area_id, world in engine.worlds().items():
            for member_id, member in shared.roster.members(area_id).items():
                post = member.post
                site = None if post is None else shared.roads.snapper.snap(post.lon, post.lat)
                if world.live.post(member_id) != site:
                    told = "stand elsewhere for the owner of the area than the roster says"
                    yield Violation("S6", f"{member_id} of {area_id}: without a fix they {told}")


def the_map_in_force_is_used(reading: Reading) -> Iterator[Violation]:
    """Who decides after all is healed decides on the map that is in force."""
    version = reading.evidence.shared.roads.version
    for partition, log in reading.logs.items():
        for each in log.counted:
            named = each.decision.get("roads")
            if each.received_ms > reading.evidence.healed_ms and named not in {None, "", version}:
                told = f"was decided on the map {named}; {version} is in force"
                yield Violation("S6", f"{each.topic}[{partition}]@{each.offset} {told}", each.at_ms)
    for partition, engine in reading.evidence.engines.items():
        for area_id, world in engine.worlds().items():
            if world.roads.version != version or world.live.snapper is not world.roads.snapper:
                told = f"{area_id} is decided on another map than the one in force ({version})"
                yield Violation("S6", f"partition {partition}: {told}")


RULES: tuple[Callable[[Reading], Iterator[Violation]], ...] = (
    candidates_are_where_they_were,
    the_first_of_those_compared_goes,
    the_roster_is_that_of_its_topic,
    owners_know_the_roster,
    the_map_in_force_is_used,
)
