"""One engine on a drawn town, fed with records as they lie in the topics; its outputs as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.geo import maps
from xiaohe.dispatch.policy import Policy, load_policy
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.times import parse_rfc3339, rfc3339
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.snap import Snapper
from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.ports import Publication, Raw, Step
from xiaohe.topics import load_topics
from xiaohe.wire.codec import Gone, decode_roster
from xiaohe.wire.murmur2 import partition_of

POLICY = (Path(__file__).parents[2] / "data" / "policy.yaml").read_bytes()
NOON_MS = parse_rfc3339("2030-01-07T04:00:00Z")
AREA = "town"
PARTITIONS = 16
STREETS = """
    a-----b-----c
    |     |     |
    d-----e-----f
"""
AREAS = """
areas:
  - {area_id: town, name: Town, neighbours: [east]}
  - {area_id: east, name: East}
"""
ALWAYS = [{"start": "2030-01-01T00:00:00Z", "end": "2031-01-01T00:00:00Z"}]


def member(member_id: str, **said: Any) -> dict[str, Any]:
    """A roster entry, on duty all year."""
    base = {"member_id": member_id, "area_id": AREA, "name": "Invented", "team": "red"}
    return {**base, "shifts": ALWAYS, **said}


@cache
def policy(overlay: str) -> Policy:
    """The shipped policy with this laid over it; values only, so that stations share one."""
    return load_policy(overlay.encode(), base=POLICY)


@cache
def roads() -> RoadMap:
    """The drawn town, which nobody changes."""
    network = maps.network(STREETS)
    return RoadMap(network, Snapper(network))


@cache
def names() -> Mapping[str, str]:
    """The name of each topic by its key."""
    return {t.id: t.name for t in load_topics(area_partitions=PARTITIONS)}


class Station:
    """An engine of one partition, with the clock and the offsets of the topics that it reads."""

    def __init__(
        self, *members: dict[str, Any], overlay: str = AREAS, personal: Iterable[str] = ()
    ) -> None:
        self.roster = Roster()
        self.names = names()
        self.shared = Shared(
            policy(overlay),
            self.roster,
            roads(),
            self.names,
            frozenset(personal),
            PARTITIONS,
        )
        self.partition = partition_of(AREA.encode(), PARTITIONS)
        self.engine = AreaEngine(self.partition, self.shared)
        self.now_ms = NOON_MS
        self.offsets: dict[str, int] = {}
        self.steps: list[Step] = []
        self.published: list[Publication] = []
        for entry in members:
            self.hire(entry)

    def hire(self, entry: dict[str, Any], *, notice: bool = False) -> None:
        """Put a member on the roster; with ``notice`` the engine is told, as by the reader."""
        self.roster_record(entry["member_id"], json.dumps(entry).encode(), notice=notice)

    def roster_record(self, member_id: str, value: bytes | None, *, notice: bool) -> None:
        """Take a record of the roster topic."""
        entry = decode_roster(member_id.encode(), value)
        if isinstance(entry, Gone):
            self.roster.remove(entry.member_id)
        else:
            self.roster.put(entry, self.now_ms)
        if notice:
            raw = Raw("roster", 0, self._next("roster"), self.now_ms, member_id.encode(), value)
            self.engine.roster_changed(member_id, raw, tell=True)

    def _next(self, topic: str) -> int:
        self.offsets[topic] = self.offsets.get(topic, -1) + 1
        return self.offsets[topic]

    def raw(self, topic: str, value: Any, **said: Any) -> Raw:
        """A record as it lies in a topic; ``value`` as JSON unless it is bytes."""
        if value is not None and not isinstance(value, bytes):
            value = json.dumps(value).encode()
        base = {"partition": self.partition, "key": AREA.encode(), "timestamp_ms": self.now_ms}
        return Raw(topic=topic, offset=self._next(topic), value=value, **{**base, **said})

    def take(self, raw: Raw, epoch: int = 7) -> list[Publication]:
        """Let the engine decide it; what is to be published."""
        steps: Sequence[Step] = self.engine.take(raw, self.now_ms + 3, epoch)
        self.steps += steps
        found = [p for step in steps for p in step.publications]
        self.published += found
        return found

    def send(self, topic: str, value: Any, **said: Any) -> list[Publication]:
        """A record comes in now."""
        return self.take(self.raw(topic, value, **said))

    def alert(self, alert_id: str = "a1", at: str = "a", **said: Any) -> list[Publication]:
        """An alert at a junction."""
        base = {
            "alert_id": alert_id,
            "area_id": AREA,
            "source": "police-110",
            "category": "dispute",
            "occurred_at": rfc3339(self.now_ms),
            "position": self.place(at),
        }
        return self.send("alerts", {**base, **said})

    def place(self, junction: str) -> dict[str, float]:
        """Where a junction is."""
        lon, lat = maps.place(STREETS, junction)
        return {"lon": lon, "lat": lat}

    def fix(self, member_id: str, junction: str, **said: Any) -> list[Publication]:
        """A position of a member."""
        return self.send("positions", self.fix_value(member_id, junction, **said))

    def fix_value(self, member_id: str, junction: str, **said: Any) -> dict[str, Any]:
        """The value of a position."""
        when = {"member_id": member_id, "fix_time": rfc3339(self.now_ms)}
        return {**when, **self.place(junction), **said}

    def says(self, member_id: str, action: str, **said: Any) -> list[Publication]:
        """A member's word, about the order that they have."""
        state = self.engine.states().get(AREA)
        held = state.holding.get(member_id) if state is not None else None
        base = {
            "action_id": f"w{self.offsets.get('member_actions', -1) + 1}",
            "member_id": member_id,
            "at": rfc3339(self.now_ms),
            "action": action,
        }
        if held is not None:
            base["dispatch_id"] = held.dispatch_id
        return self.send("member_actions", {**base, **said})

    def desk(self, action: str, **said: Any) -> list[Publication]:
        """A desk's word, about the first incident unless told."""
        base = {
            "action_id": f"d{self.offsets.get('operator_actions', -1) + 1}",
            "operator_id": "desk-1",
            "at": rfc3339(self.now_ms),
            "action": action,
        }
        state = self.engine.states().get(AREA)
        if state is not None and len(state.incidents) > 0:
            base["incident_id"] = min(state.incidents)
        return self.send("operator_actions", {**base, **said})

    def run_to(self, seconds: float) -> list[Publication]:
        """Let the time come, and every deadline on the way be decided as the lane does it."""
        found: list[Publication] = []
        end_ms = NOON_MS + round(seconds * 1000)
        while (due_ms := self.engine.next_due_ms()) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            for call in self.engine.due(self.now_ms):
                found += self.send("wakeups", call.value, key=call.key)
        self.now_ms = max(self.now_ms, end_ms)
        return found


def values(publications: Iterable[Publication], topic: str) -> list[dict[str, Any]]:
    """What was published on a topic, as JSON."""
    return [json.loads(p.value or b"null") for p in publications if p.topic == topic]


def headers(publication: Publication) -> dict[str, str]:
    """The headers as text."""
    return {name: value.decode() for name, value in publication.headers}
