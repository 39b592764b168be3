"""All doors of a gateway with its keeper, on a cluster that is a list, with a clock of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
import orjson
from aiokafka.errors import KafkaConnectionError
from argon2 import PasswordHasher

from tests.gateway.door_bench import NOON_MS
from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.policy import load_policy
from xiaohe.gateway.access.devices import device_key, signature_of
from xiaohe.gateway.access.keeper import Keeper
from xiaohe.gateway.access.passwords import Hashes
from xiaohe.gateway.access.principal import Role
from xiaohe.gateway.access.records import Account, key_of, kind_of_role
from xiaohe.gateway.access.secret import Secret
from xiaohe.gateway.app import application
from xiaohe.gateway.door import Door
from xiaohe.gateway.doors import doors_of
from xiaohe.gateway.known import Known
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.settings import DoorsSettings
from xiaohe.places import POLICY
from xiaohe.topics import Topics, load_topics

SECRET = Secret(bytes(range(32)))
POLICY_TEXT = b"areas:\n" + b"".join(
    b"  - {area_id: %s, name: %s, timezone: UTC}\n" % (a, a) for a in (b"here", b"there")
)


class Lying(NamedTuple):
    """A record as a consumer gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass
class Cluster:
    """A Kafka that is a list: a producer's ``send``, and followers that are told at once."""

    gate: "Gate"
    records: list[Lying] = field(default_factory=list)
    fails: set[str] = field(default_factory=set)

    async def send(self, topic, *, key, value, headers, partition) -> "asyncio.Future[Lying]":
        """Take a record."""
        if topic in self.fails:
            raise KafkaConnectionError("away")
        offset = sum(r.topic == topic and r.partition == partition for r in self.records)
        now_ms = self.gate.now_ms
        lying = Lying(topic, partition, offset, now_ms, key, value, list(headers))
        self.records.append(lying)
        for keeper in self.gate.keepers:
            if topic == "access":
                keeper.directory.take(lying)
            if topic == "dispatches":
                keeper.orders.take_record(lying)
        done: asyncio.Future[Lying] = asyncio.get_running_loop().create_future()
        done.set_result(lying)
        return done

    def values(self, topic: str) -> list[dict[str, Any]]:
        """What lies on a topic, as JSON."""
        found = [r for r in self.records if r.topic == topic and r.value is not None]
        return [orjson.loads(record.value or b"") for record in found]


class Gate:
    """The doors, what is behind them, and people who come."""

    def __init__(self, settings: DoorsSettings | None = None, *, secure: bool = False) -> None:
        self.now_ms = NOON_MS
        self.settings = settings or DoorsSettings()
        self.secure = secure
        self.keepers: list[Keeper] = []
        self.cluster = Cluster(self)
        self.topics: Topics = load_topics()
        self.known = Known(load_policy(POLICY_TEXT, base=POLICY.read_bytes()), ())
        self.parts = self.another()

    @property
    def keeper(self) -> Keeper:
        """The keeper of the first gateway."""
        return self.keepers[0]

    def another(self) -> Parts:
        """A further gateway, or the same after a restart: it reads all that lies there."""
        parts = Parts(
            cluster="127.0.0.1:1",
            topics=self.topics,
            known=self.known,
            now_ms=lambda: self.now_ms,
            settings=self.settings,
            secret=SECRET,
            hashes=Hashes(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
            secure=self.secure,
        )
        parts.publisher._producer = self.cluster  # the broker's side of it, not ours
        keeper = parts.keeper
        assert keeper is not None
        for record in self.cluster.records:
            if record.topic == "access":
                keeper.directory.take(record)
        self.keepers.append(keeper)
        return parts

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += int(seconds * 1000)

    async def add(self, name: str, role: Role, **settings: Any) -> str:
        """Add an account; give its key."""
        key = key_of(kind_of_role(role), name)
        hashes = self.keeper.hashes
        for secret in ("pin", "password"):
            if secret in settings:
                settings[secret] = hashes.make(settings[secret])
        await self.keeper.sessions.store(key, Account(role=role, **settings))
        return key

    def member(self, member_id: str, area_id: str = "here", team: str = "t1", unit: str = "1/1"):
        """Put a member on the roster."""
        self.known.roster.put(
            RosterEntry(member_id=member_id, area_id=area_id, name="An", team=team, unit=unit)
        )

    async def order(self, dispatch_id: str, member_id: str, area_id: str = "here") -> None:
        """Let the engine have ordered somebody."""
        value = {
            "dispatch_id": dispatch_id, "incident_id": f"i-{dispatch_id}", "area_id": area_id,
            "member_id": member_id, "state": "ordered",
        }  # fmt: skip
        await self.cluster.send(
            "dispatches", key=b"here", value=orjson.dumps(value), headers=[], partition=0
        )

    async def let_in(self, key: str) -> dict[str, str]:
        """A head with which somebody comes who has a session."""
        grant = await self.keeper.sessions.start(key, "", "test")
        return {"authorization": f"Bearer {grant.access_token}"}

    async def audited(self) -> list[dict[str, Any]]:
        """What the audit says, once all that waits is written."""
        for keeper in self.keepers:
            keeper.audit._count_up()
            await keeper.audit._write_waiting()
        return self.cluster.values("audit")

    @asynccontextmanager
    async def client(
        self,
        peer: str = "192.0.2.77",
        parts: Parts | None = None,
        doors: tuple[Door, ...] = (),
        **options: Any,
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client at this address."""
        parts = parts or self.parts
        app = application(parts, (*doors_of(parts), *doors))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(peer, 4711))
        base = "https://gateway" if self.secure else "http://gateway"
        async with httpx.AsyncClient(transport=transport, base_url=base, **options) as client:
            yield client


def signed(
    device_id: str,
    sequence: int,
    time_ms: int,
    body: bytes = b"{}",
    *,
    path: str = "/position",
    method: str = "POST",
    generation: int = 0,
    key: bytes | None = None,
) -> dict[str, str]:
    """The head of a device's message."""
    key = key or device_key(SECRET, device_id, generation)
    said = (device_id, str(sequence), str(time_ms), method, path, body)
    return {
        "x-xiaohe-device": device_id,
        "x-xiaohe-sequence": str(sequence),
        "x-xiaohe-time": str(time_ms),
        "x-xiaohe-signature": signature_of(key, *said),
        "content-type": "application/json",
    }
