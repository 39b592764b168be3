"""An invented town for a campaign: an area in every partition, members at their posts, alerts.

The town is an outside client of the topics. Its members answer what they are ordered, most of them
well and some badly, and what could not be sent is sent again, as a caller would.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from random import Random
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from xiaohe.audit.incidents import LIVE
from xiaohe.audit.records import home_partition
from xiaohe.topics import Topic, Topics
from xiaohe.wire.cluster_access import Cluster, client_options

MEMBERS_PER_AREA: Final = 12
"""Enough that an area of one alert in three seconds rarely has nobody free."""

CENTRE: Final = (120.1290, 30.3115)
"""Lon and lat, in the middle of the map that the package ships."""

SPREAD_DEG: Final = 0.004
"""Posts and alerts lie so far around it, standard deviation: some 400 m."""

TRY_AGAIN_S: Final = 0.3
"""What could not be sent is sent again after so long."""

SEND_TIMEOUT_MS: Final = 5_000
"""A write without an answer is given up after so long, and sent again: the broker was killed."""

POSITIONS_EVERY_S: Final = 0.5

SAID_TWICE: Final = 0.1
"""Share of answers, and of alerts, that are sent twice, as a phone without a signal would."""

CATEGORIES: Final = ("dispute", "injury", "noise", "theft", "lost_child", "smoke")

CROSSED: Final = 0.1
"""Share of members who go on answering although their order has ended: the two crossed."""

SQUAD_LEADERS: Final = 2
"""Members of an area who lead a squad."""

Value = dict[str, Any]


class Rates(NamedTuple):
    """How much happens, a second."""

    alerts_per_s: float = 5.0
    positions_per_s: float = 200.0


USUAL: Final = Rates()


class Habit(NamedTuple):
    """What a member does with an order: words, with the seconds before each."""

    weight: float
    words: tuple[tuple[float, str], ...]


HABITS: Final = (
    Habit(60, ((0.6, "accept"), (0.8, "arrive"), (1.2, "complete"))),
    Habit(8, ((0.3, "accept"), (0.3, "en_route"), (1.0, "arrive"), (1.0, "complete"))),
    Habit(8, ((1.5, "arrive"), (1.0, "complete"))),
    Habit(5, ((0.5, "accept"), (0.5, "request_backup"), (1.0, "arrive"), (1.5, "complete"))),
    Habit(8, ((0.5, "decline"),)),
    Habit(6, ((3.0, "accept"), (2.0, "arrive"), (0.5, "complete"))),
    Habit(5, ()),
)
"""Invented. Who says nothing lets the order lapse; who answers late finds it given to others."""

WELL: Final = HABITS[0]
"""How everybody behaves once the town calms down."""


class Town:
    """Sends and hears; an asynchronous context manager that works until it is left.

    Attributes
    ----------
    calling : whether new alerts come, and members misbehave. Switched off in the end.
    alerts_taken : alert ids that the broker has acknowledged.
    alerts, positions, answers : how many have been acknowledged; a batch counts its positions.
    """

    def __init__(self, cluster: Cluster, topics: Topics, seed: int, rates: Rates = USUAL) -> None:
        self.topics = topics
        self.areas = area_ids(topics.area_partitions)
        self.members = {area: _members(area) for area in self.areas.values()}
        self.calling = True
        self.alerts_taken: set[tuple[str, str]] = set()
        self.alerts = self.positions = self.answers = 0
        self._probes: dict[str, bytes] = {}
        self._seed = seed
        self._rates = rates
        self._names = {topic.id: topic.name for topic in topics}
        self._draw = Random(f"town:{seed}")  # noqa: S311 - a campaign must be repeatable
        self._states: dict[str, str] = {}
        self._heard: set[str] = set()
        self._ended: set[str] = set()
        self._numbers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._producer = AIOKafkaProducer(
            **client_options(cluster),
            acks="all",
            linger_ms=0,
            request_timeout_ms=SEND_TIMEOUT_MS,
        )
        self._reader = AIOKafkaConsumer(
            **client_options(cluster),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            request_timeout_ms=SEND_TIMEOUT_MS * 2,
        )

    # --- life

    async def __aenter__(self) -> Self:
        """Connect, and begin to hear. ``go`` begins to send."""
        await self._producer.start()
        await self._reader.start()
        heard = (self.topics.dispatches, self.topics.incidents)
        self._reader.assign([at for topic in heard for at in _partitions(topic)])
        self.spawn(self._read())
        return self

    async def go(self) -> None:
        """Begin with an alert in every area, which is said again as a probe; then all at once."""
        for area_id in self.areas.values():
            self._probes[area_id] = await self.alert(area_id, f"probe-{self._seed}")
        self.spawn(self._call())
        self.spawn(self._move())

    def probe(self, partitions: Iterable[int]) -> None:
        """Say a known alert again in these partitions: it leads to a decision, and to nothing."""
        for partition in partitions:
            area_id = self.areas[partition]
            self.spawn(self.send("alerts", area_id, self._probes[area_id]))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything and disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reader.stop()
        with contextlib.suppress(KafkaError):
            await self._producer.stop()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something on the side, until the town is left."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def roster(self) -> Iterable[Value]:
        """The members as roster entries, on duty round the clock."""
        return [entry for members in self.members.values() for entry in members]

    @property
    def live_incidents(self) -> int:
        """Incidents that go on, by their views."""
        return sum(state in LIVE for state in self._states.values())

    # --- sending

    async def send(self, topic: str, area_id: str, value: bytes) -> None:
        """Write a record, again and again until the broker has acknowledged it."""
        while True:
            with contextlib.suppress(KafkaError):
                await self._producer.send_and_wait(self._names[topic], value, area_id.encode())
                return
            await asyncio.sleep(TRY_AGAIN_S)

    async def _call(self) -> None:
        """Alerts, at exponentially distributed intervals."""
        while self.calling:
            await asyncio.sleep(self._draw.expovariate(self._rates.alerts_per_s))
            self._numbers += 1
            area_id = self._draw.choice(list(self.areas.values()))
            alert_id = f"a{self._seed}-{self._numbers}"
            self.spawn(self.alert(area_id, alert_id, twice=self._draw.random() < SAID_TWICE))

    async def alert(self, area_id: str, alert_id: str, *, twice: bool = False) -> bytes:
        """Raise an alert somewhere around; give its bytes when the broker has them."""
        lon, lat = _around(self._draw)
        value = {
            "alert_id": alert_id,
            "source": "police-110",
            "category": self._draw.choice(CATEGORIES),
            "occurred_at": _now(),
            "priority": self._draw.choice((1, 2, 2, 2, 3, 3, 4)),
            "position": {"lon": lon, "lat": lat},
        }
        raw = orjson.dumps(value)
        for _ in range(2 if twice else 1):
            await self.send("alerts", area_id, raw)
        self.alerts += 1
        self.alerts_taken.add((area_id, alert_id))
        return raw

    async def _move(self) -> None:
        """Positions in batches, area by area; one that cannot be sent is let go."""
        per_round = self._rates.positions_per_s * POSITIONS_EVERY_S
        everybody = [(a, m["member_id"]) for a, ms in self.members.items() for m in ms]
        at = 0.0
        while True:
            await asyncio.sleep(POSITIONS_EVERY_S)
            first, at = int(at), at + per_round
            batches: dict[str, list[str]] = {}
            for n in range(first, int(at)):
                area_id, member_id = everybody[n % len(everybody)]
                batches.setdefault(area_id, []).append(member_id)
            for area_id, members in batches.items():
                self.spawn(self._send_positions(area_id, members))

    async def _send_positions(self, area_id: str, members: list[str]) -> None:
        fixes = [self._fix(member_id) for member_id in members]
        value = orjson.dumps({"area_id": area_id, "batch": fixes})
        with contextlib.suppress(KafkaError):
            await self._producer.send_and_wait(self._names["positions"], value, area_id.encode())
            self.positions += len(fixes)

    def _fix(self, member_id: str) -> Value:
        lon, lat = _around(Random(member_id))  # noqa: S311 - where the member's post is
        metre = 1e-5
        return {
            "member_id": member_id,
            "lon": round(lon + self._draw.uniform(-5, 5) * metre, 6),
            "lat": round(lat + self._draw.uniform(-5, 5) * metre, 6),
            "fix_time": _now(),
            "accuracy_m": 8,
        }

    # --- hearing and answering

    async def _read(self) -> None:
        while True:
            fetched = await self._reader.getmany(timeout_ms=500)
            for at, records in fetched.items():
                for record in records:
                    self._take(at.topic, orjson.loads(record.value))

    def _take(self, topic: str, value: Mapping[str, Any]) -> None:
        if topic == self.topics.incidents.name:
            self._states[value["incident_id"]] = value["state"]
            return
        dispatch_id = value["dispatch_id"]
        if value["state"] == "ended":
            if value.get("end") != "lapsed":  # who is late may still be the first to accept
                self._ended.add(dispatch_id)
        elif dispatch_id not in self._heard:
            self._heard.add(dispatch_id)
            self.spawn(self._answer(value))

    async def _answer(self, order: Mapping[str, Any]) -> None:
        """Answer an order as this member does, drawn from its id, until it has ended."""
        draw = Random(f"{self._seed}:{order['dispatch_id']}")  # noqa: S311 - repeatable
        habit = draw.choices(HABITS, [each.weight for each in HABITS])[0] if self.calling else WELL
        for n, (after_s, action) in enumerate(habit.words):
            await asyncio.sleep(after_s * draw.uniform(0.5, 1.5))
            if order["dispatch_id"] in self._ended and draw.random() >= CROSSED:
                return
            value = {
                "action_id": f"{order['dispatch_id']}-{n}",
                "member_id": order["member_id"],
                "dispatch_id": order["dispatch_id"],
                "at": _now(),
                "action": action,
            }
            for _ in range(2 if draw.random() < SAID_TWICE else 1):
                await self.send("member_actions", order["area_id"], orjson.dumps(value))
            self.answers += 1


def area_ids(partitions: int) -> dict[int, str]:
    """Give an area for each partition, by the partitioner that Kafka's own clients have."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        number += 1
        found.setdefault(home_partition(f"quarter-{number}", partitions), f"quarter-{number}")
    return dict(sorted(found.items()))


def _members(area_id: str) -> list[Value]:
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    always = [{"days": days, "start": "00:00", "end": "00:00", "timezone": "UTC"}]
    found = []
    for n in range(MEMBERS_PER_AREA):
        member_id = f"{area_id}-m{n:02}"
        lon, lat = _around(Random(member_id))  # noqa: S311 - invented, and the same each time
        found.append(
            {
                "member_id": member_id,
                "area_id": area_id,
                "name": f"Invented {n}",
                "team": f"{area_id}-{n % SQUAD_LEADERS}",
                "rank": "squad_leader" if n < SQUAD_LEADERS else "member",
                "shifts": always,
                "post": {"lon": lon, "lat": lat},
            }
        )
    return found


def _around(draw: Random) -> tuple[float, float]:
    return tuple(round(draw.gauss(c, SPREAD_DEG), 6) for c in CENTRE)  # type: ignore[return-value]


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")


def _partitions(topic: Topic) -> list[TopicPartition]:
    return [TopicPartition(topic.name, n) for n in range(topic.partitions)]
