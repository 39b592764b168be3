"""A whole worker at work on topics in memory: the real engine, crashes, take-overs, a recording.

``Works`` is the product without Kafka and without the day's clock: map and policy from files, the
roster from its topic, lanes on ``MemoryTopics``. It can be killed at a named place and is started
again as another process would be. ``invented`` is an invented hour for it.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.geo import maps
from tests.streams.toy import GapCore, GapLog, Gaps
from xiaohe.dispatch.times import parse_rfc3339, rfc3339
from xiaohe.geo.roads import write_roads
from xiaohe.places import POLICY
from xiaohe.replay.recording import RecordingWriter
from xiaohe.streams import engine, journal
from xiaohe.streams.app import WorkerSettings
from xiaohe.streams.clocks import VirtualClock
from xiaohe.streams.lane import InputFailedError
from xiaohe.streams.memory_log import DECISIONS, MemoryBus, MemoryLog, MemoryTopics
from xiaohe.streams.ports import INPUTS, Core, Raw
from xiaohe.streams.service import ROSTER, Service, ServiceSettings
from xiaohe.topics import load_topics
from xiaohe.wire.murmur2 import partition_of

NOON_MS = parse_rfc3339("2030-01-07T04:00:00Z")
PARTITIONS = 2
SNAPSHOT_RECORDS = 60
"""Decisions between two snapshots, so that an hour has several."""

PIECE_BYTES = 3_000
"""Of a snapshot's pieces, so that decisions come between them."""

STREETS = """
    a-----b-----c
    |     |     |
    d-----e-----f
    |           |
    g-----h-----j
"""
OTHER_STREETS = """
    a-----b-----c
    |     |     |
    d-----e-----f
    |     |     |
    g-----h-----j
"""
"""The same place with one more street."""

RULES = """
areas:
  - {area_id: town, name: Town, neighbours: [east]}
  - {area_id: east, name: East}
rules:
  - set: {offer_s: 10, dwell_s: 3, swap_gain_s: 30}
"""
ALWAYS = [{"start": "2030-01-01T00:00:00Z", "end": "2031-01-01T00:00:00Z"}]
POISON = "poison"
"""An alert whose category this is makes the worker leave."""


class Killed(Exception):
    """The process is gone."""


class Poisoned:
    """A core on which one input fails."""

    def __init__(self, core: Core) -> None:
        self.inner = core

    def __getattr__(self, name: str) -> Any:
        """All else is the inner one's."""
        return getattr(self.inner, name)

    def take(self, raw: Raw, now_ms: int, epoch: int) -> Any:
        """Decide one input; raises on the poisonous one."""
        if raw.topic == "alerts" and json.dumps(POISON).encode() in (raw.value or b""):
            raise ValueError("this one cannot be decided")
        return self.inner.take(raw, now_ms, epoch)


class Works:
    """The worker and the world around it."""

    def __init__(self, folder: Path, rules: str = RULES, streets: str = STREETS) -> None:
        self.roads, self.policy = folder / "roads.geojson", folder / "policy.yaml"
        self.roads.write_bytes(write_roads(maps.pieces(streets)))
        self.policy.write_text(rules)
        self.known = load_topics(area_partitions=PARTITIONS)
        self.clock = VirtualClock(NOON_MS)
        others = {t.id: t.partitions for t in self.known if not t.is_area}
        self.topics = MemoryTopics(self.clock, PARTITIONS, others)
        self.gaps = Gaps(self._die)
        self.bus: MemoryBus | None = None
        self.service: Service | None = None
        self.deaths = 0
        self._words = 0
        self._leave: Callable[[], None] = lambda: None

    def _die(self) -> None:
        raise Killed

    # --- the worker ---------------------------------------------------------------------

    async def start(self) -> None:
        """Begin as a new process does: map, policy, the whole roster, then the areas."""
        settings = ServiceSettings(
            worker=WorkerSettings("", Path()),
            topics=self.known,
            roads=self.roads,
            policy=self.policy,
            policy_base=POLICY,
        )
        self.service = service = Service(settings)
        for raw in self.topics.read(ROSTER, 0):
            service.on_roster(raw)
        service.roster_loaded()
        self._leave = self.topics.listen(ROSTER, service.on_roster)
        self.bus = MemoryBus(self.topics, self._core)
        self.bus.lanes._io = GapLog(MemoryLog(self.topics), self.gaps)
        await self.bus.start()

    def _core(self, partition: int) -> Core:
        assert self.service is not None
        return GapCore(Poisoned(self.service.make_core(partition)), self.gaps)

    def kill(self) -> None:
        """End the worker where it stands."""
        assert self.bus is not None
        self._leave()
        self.bus.kill()
        self.bus = None
        self.deaths += 1

    async def run_to(self, seconds: float) -> None:
        """Let time pass; whenever the worker dies it is started again."""
        end_ms = max(self.clock.now_ms(), NOON_MS + round(seconds * 1000))
        while True:
            try:
                if self.bus is None:
                    await self.start()
                assert self.bus is not None
                assert self.bus.failure is not None
                # A little at least: a wake-up waits until the moment it was due at is over.
                await self.clock.advance(max(end_ms, self.clock.now_ms() + 2))
            except BaseExceptionGroup as group:
                if group.subgroup(Killed) is None:
                    raise
                self.kill()
                continue
            if not self.bus.failure.done():
                return
            assert isinstance(self.bus.failure.result(), Killed | InputFailedError)
            self.kill()
            assert self.deaths < 100

    def dies_at(self, place: str) -> None:
        """Let the worker die when it next comes past a place of ``toy.Gaps``."""
        self.gaps.at, self.gaps.nth = place, self.gaps.seen[place] + 1

    # --- the world ----------------------------------------------------------------------

    def send(self, topic: str, value: Any, *, area: str = "town", **said: Any) -> Raw:
        """A record comes in."""
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.topics.append(topic, area.encode(), raw, **said)

    def hire(self, member_id: str, **said: Any) -> None:
        """A roster record, on duty all year."""
        base = {"member_id": member_id, "area_id": "town", "name": "Invented", "team": "red"}
        entry = {**base, "shifts": ALWAYS, **said}
        self.topics.append(ROSTER, member_id.encode(), json.dumps(entry).encode())

    def place(self, junction: str) -> dict[str, float]:
        """Where a junction is."""
        lon, lat = maps.place(STREETS, junction)
        return {"lon": lon, "lat": lat}

    def alert(self, alert_id: str, at: str = "a", *, area: str = "town", **said: Any) -> Raw:
        """An alert at a junction."""
        base = {
            "alert_id": alert_id,
            "area_id": area,
            "source": "police-110",
            "category": "dispute",
            "occurred_at": rfc3339(self.clock.now_ms()),
            "position": self.place(at),
        }
        return self.send("alerts", {**base, **said}, area=area)

    def fix(self, junction: str, **said: Any) -> dict[str, Any]:
        """The value of a position of now."""
        return {"fix_time": rfc3339(self.clock.now_ms()), **self.place(junction), **said}

    def batch(self, *fixes: dict[str, Any], area: str = "town") -> Raw:
        """Positions come in together."""
        return self.send("positions", {"area_id": area, "batch": list(fixes)}, area=area)

    def held(self, member_id: str) -> str | None:
        """The order that a member has, by what was published."""
        orders: dict[str, str] = {}
        for raw in self.topics.read_all("dispatches"):
            order = json.loads(raw.value or b"")
            if order["member_id"] == member_id:
                orders[order["dispatch_id"]] = order["state"]
        return next((i for i, state in orders.items() if state == "ordered"), None)

    def incident(self, alert_id: str) -> str:
        """The incident that an alert opened, or was attached to, by what was published."""
        for raw in reversed(self.topics.read_all("incident_events")):
            event = json.loads(raw.value or b"")
            if event["data"].get("alert_id") == alert_id:
                return str(event["incident_id"])
        raise AssertionError(f"{alert_id} is in no incident")

    def says(self, member_id: str, action: str, *, area: str = "town", **said: Any) -> Raw:
        """A member's word, about the order that they have."""
        self._words += 1
        at = rfc3339(self.clock.now_ms())
        base = {"action_id": f"w{self._words}", "member_id": member_id, "at": at}
        held = self.held(member_id)
        about = {} if held is None else {"dispatch_id": held}
        return self.send("member_actions", {**base, "action": action, **about, **said}, area=area)

    def desk(self, action: str, *, area: str = "town", **said: Any) -> Raw:
        """A desk's word."""
        self._words += 1
        at = rfc3339(self.clock.now_ms())
        base = {"action_id": f"d{self._words}", "operator_id": "desk-1", "at": at}
        return self.send("operator_actions", {**base, "action": action, **said}, area=area)

    def new_map(self, streets: str) -> None:
        """The roads file is exchanged; the worker takes it as its watch does."""
        self.roads.write_bytes(write_roads(maps.pieces(streets)))
        if self.service is not None:
            from xiaohe.dispatch.world import RoadMap  # noqa: PLC0415 - for this alone
            from xiaohe.geo.files import load_network  # noqa: PLC0415 - the same

            self.service.on_roads(RoadMap(*load_network(self.roads)))

    # --- what is left -------------------------------------------------------------------

    def record(self, folder: Path) -> Path:
        """Write the topics as a recording."""
        names = {topic.id: topic.name for topic in self.known}
        writer = RecordingWriter(folder, PARTITIONS, names)
        for topic in (DECISIONS, *INPUTS):
            for partition in range(PARTITIONS):
                records = self.topics.read(topic, partition)
                writer.write(topic, partition, range(len(records)), records)
        records = self.topics.read(ROSTER, 0)
        writer.write(ROSTER, 0, range(len(records)), records)
        writer.finish()
        return folder


@contextmanager
def frequent_snapshots() -> Iterator[None]:
    """Let a snapshot be written after few decisions, in several pieces."""
    with (
        patch.object(journal, "SNAPSHOT_RECORDS", SNAPSHOT_RECORDS),
        patch.object(journal, "SNAPSHOT_RECORDS_MAX", SNAPSHOT_RECORDS),
        patch.object(engine, "SNAPSHOT_PIECE_BYTES_MAX", PIECE_BYTES),
    ):
        yield


@asynccontextmanager
async def works(folder: Path, **said: Any) -> AsyncIterator[Works]:
    """A worker with an invented brigade of nine, whose snapshots are frequent."""
    with frequent_snapshots():
        here = Works(folder, **said)
        here.hire("m1", roads=[{"road_id": "ab", "role": "owner"}])
        here.hire("m2", device_ids=["tracker-2"])
        here.hire("m3", team="blue", travel_mode="walk")
        here.hire("m4", team="blue", post=here.place("f"))
        here.hire("m5", shifts=[])
        here.hire("m6", unit="1/1", rank="squad_leader")
        here.hire("m7", unit="1", rank="squadron_leader", team="lead")
        here.hire("m8", unit="1", rank="brigade_leader", team="lead")
        here.hire("e1", area_id="east", team="east")
        try:
            yield here
        finally:
            if here.bus is not None:
                here.kill()
            await asyncio.sleep(0)


PLACES_OF_DEATH = (
    "appended",
    "published_0",
    "published_1",
    "decided",
    "appending",
    "published_all",
)


async def invented(here: Works, seed: int, moments: int = 40) -> None:
    """An invented hour: people move, alerts come, people answer, the worker dies now and then."""
    chance = random.Random(seed)
    for moment in range(moments):
        await here.run_to(moment * 15)
        if moment % 9 == 5:
            here.dies_at(chance.choice(PLACES_OF_DEATH))
        for member_id in ("m1", "m2", "m3", "m4", "m6"):
            if chance.random() < 0.3:
                answer = chance.choice(["accept", "decline", "arrive", "complete", "en_route"])
                here.says(member_id, answer)
        if chance.random() < 0.5:
            where = chance.choice("abcdefghj")
            here.alert(f"a{seed}-{moment}", where, priority=chance.randint(1, 4))
        fixes = [
            here.fix(chance.choice("abcdefghj"), member_id=m, accuracy_m=chance.choice([5, 30]))
            for m in ("m1", "m3", "m6")
        ]
        fixes.append(here.fix(chance.choice("abc"), device_id="tracker-2"))
        if chance.random() < 0.5:
            here.batch(*fixes)
        else:
            for fix in fixes:
                here.send("positions", fix)
    await here.run_to(moments * 15)  # who died last is back before the rest, and not after it
    await here.run_to(moments * 15 + 600)


def home(area: str) -> int:
    """The partition of an area."""
    return partition_of(area.encode(), PARTITIONS)
