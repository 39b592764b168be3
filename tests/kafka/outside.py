"""A client of the engine as an integrator would write it, from the wire contract alone.

Plain aiokafka with a consumer group of its own; nothing of the project is imported. ``Program``
runs the product as a user would, ``Client`` speaks to it through Kafka.
"""

import asyncio
import itertools
import json
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord, RecordMetadata

OUTPUTS = ("incident-events", "dispatches", "incidents", "dead-letters", "members", "area-events")

WAIT_S = 15.0
"""How long anything may take before a test gives up; what is measured is told apart from it."""

READY_S = 90.0
END_S = 20.0

Value = dict[str, Any]


def now() -> str:
    """The time, as the contract writes it."""
    return rfc3339(time.time())


def rfc3339(at_s: float) -> str:
    """A time in seconds since the epoch, as the contract writes it."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")


def seconds(text: str) -> float:
    """The contract's time, in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


class Program:
    """``xiaohe up --json`` as a process of its own, and what it says."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "xiaohe", "up", "--json", *map(str, arguments)]
        self._errors: list[bytes] = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._lines: queue.Queue[Value] = queue.Queue()
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._err)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def _err(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    @cached_property
    def ready(self) -> Value:
        """What it says first: that it is ready, where, and with which processes."""
        return self.said("ready")

    def restarted(self, part: str) -> int:
        """Wait until a part has been started again; give its process id."""
        while True:
            line = self.said("restarted")
            if line["part"] == part:
                return int(line["pid"])

    def said(self, event: str, timeout_s: float = READY_S) -> Value:
        """Wait for an event; others before it are passed over."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, min(0.5, deadline - time.monotonic())))
            except queue.Empty:
                if self.process.poll() is None and time.monotonic() < deadline:
                    continue
                told = b"".join(self._errors).decode()
                raise AssertionError(f"no {event!r} event; the program said:\n{told}") from None
            if line["event"] == event:
                return line

    def end(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.terminate()
        try:
            status = self.process.wait(END_S)
        finally:
            self.process.kill()
            for reader in self._readers:
                reader.join()
            for pipe in (self.process.stdout, self.process.stderr):
                assert pipe is not None
                pipe.close()
        return status


@dataclass(frozen=True)
class Got:
    """An output record as it came, and when it was here."""

    topic: str
    value: Value
    headers: dict[str, str]
    timestamp_s: float
    here_s: float


@dataclass
class Client:
    """Publishes what comes in, collects what goes out. Use with ``async with``.

    Records sent twice (same ``ce_source`` and ``ce_id``) are collected once; ``raw`` has all.
    """

    bootstrap_servers: str
    got: list[Got] = field(default_factory=list)
    raw: list[Got] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        """Connect and begin to collect."""
        self._names = itertools.count(1)
        self._mark = uuid.uuid4().hex[:8]
        self._seen: set[tuple[str, str]] = set()
        self._came = asyncio.Condition()
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap_servers, acks="all", enable_idempotence=True
        )
        self._consumer = AIOKafkaConsumer(
            *OUTPUTS,
            bootstrap_servers=self.bootstrap_servers,
            group_id=f"outside-{self._mark}",
            auto_offset_reset="latest",
            fetch_max_wait_ms=20,
        )
        await self._producer.start()
        await self._consumer.start()
        # With "latest", what comes before the first position is known would be missed.
        for where in self._consumer.assignment():
            await self._consumer.position(where)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()

    async def _read(self) -> None:
        async for record in self._consumer:
            got = _got(record)
            identity = (got.headers.get("ce_source", ""), got.headers.get("ce_id", ""))
            self.raw.append(got)
            if identity not in self._seen:
                self._seen.add(identity)
                self.got.append(got)
            async with self._came:
                self._came.notify_all()

    def name(self, what: str) -> str:
        """An identifier that nobody else has."""
        return f"{what}-{self._mark}-{next(self._names)}"

    # --- sending --------------------------------------------------------------------------

    async def send(
        self,
        topic: str,
        key: str | None,
        value: Value | bytes | None,
        *,
        headers: dict[str, str] | None = None,
        partition: int | None = None,
    ) -> RecordMetadata:
        """Publish one record and wait until the broker has it."""
        raw = json.dumps(value).encode() if isinstance(value, dict) else value
        return await self._producer.send_and_wait(
            topic,
            key=None if key is None else key.encode(),
            value=raw,
            headers=[(name, text.encode()) for name, text in (headers or {}).items()],
            partition=partition,
        )

    async def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has."""
        return len(await self._producer.partitions_for(topic))

    async def member(self, area_id: str, **entry: Any) -> str:
        """Put a member into the roster, on duty round the clock unless stated; give member_id."""
        days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        always = [{"days": days, "start": "00:00", "end": "00:00", "timezone": "UTC"}]
        member_id = entry.get("member_id") or self.name("m")
        stated = {"member_id": member_id, "area_id": area_id, "name": "Invented", "team": "none"}
        await self.send("roster", member_id, {**stated, "shifts": always, **entry})
        return member_id

    async def fix(
        self, area_id: str, member_id: str, lon: float, lat: float, age_s: float = 0.0, **more: Any
    ) -> RecordMetadata:
        """Publish a position."""
        stated = {"member_id": member_id, "lon": lon, "lat": lat}
        stated["fix_time"] = rfc3339(time.time() - age_s)
        return await self.send("positions", area_id, {**stated, **more})

    async def alert(self, area_id: str, **fields: Any) -> str:
        """Publish an alert; give its alert_id."""
        alert = self.an_alert(**fields)
        await self.send("alerts", area_id, alert)
        return str(alert["alert_id"])

    def an_alert(self, **fields: Any) -> Value:
        """An alert with all that it must have, and what is stated."""
        stated = {
            "alert_id": self.name("a"),
            "source": "police-110",
            "category": "dispute",
            "occurred_at": now(),
        }
        return {**stated, **fields}

    async def answer(self, order: Value, action: str, **more: Any) -> RecordMetadata:
        """A member's word on an order."""
        stated = {
            "action_id": self.name("x"),
            "member_id": order["member_id"],
            "dispatch_id": order["dispatch_id"],
            "at": now(),
            "action": action,
        }
        return await self.send("member-actions", order["area_id"], {**stated, **more})

    async def operate(self, area_id: str, action: str, **more: Any) -> RecordMetadata:
        """A desk's word."""
        stated = {"action_id": self.name("x"), "operator_id": "desk-1", "at": now()}
        return await self.send("operator-actions", area_id, {**stated, "action": action, **more})

    # --- what came ------------------------------------------------------------------------

    def of(self, topic: str, **fields: object) -> list[Got]:
        """The records of a topic that say this, in order."""
        return [got for got in self.got if got.topic == topic and _says(got.value, fields)]

    async def until(
        self, wanted: Callable[[], object], what: str, timeout_s: float = WAIT_S
    ) -> None:
        """Wait until something holds; looked at whenever a record comes."""
        try:
            async with asyncio.timeout(timeout_s), self._came:
                await self._came.wait_for(wanted)
        except TimeoutError:
            last = [f"{got.topic} {json.dumps(got.value)[:300]}" for got in self.got[-12:]]
            message = f"{what} did not come within {timeout_s} s; last came:\n" + "\n".join(last)
            raise AssertionError(message) from None

    async def first(self, topic: str, timeout_s: float = WAIT_S, **fields: object) -> Got:
        """Wait for a record of a topic that says this."""
        await self.until(lambda: self.of(topic, **fields), f"{topic} with {fields}", timeout_s)
        return self.of(topic, **fields)[0]

    async def event(self, incident_id: str, kind: str, **fields: object) -> Got:
        """Wait for an event of an incident."""
        return await self.first("incident-events", incident_id=incident_id, type=kind, **fields)

    async def order(self, alert_id: str, **fields: object) -> Value:
        """Wait for an order of an alert."""
        fields = {"state": "ordered", **fields}
        return (await self.first("dispatches", alert_id=alert_id, **fields)).value

    def orders(self, alert_id: str, **fields: object) -> list[Value]:
        """The orders of an alert, as they were given."""
        fields = {"state": "ordered", **fields}
        return [got.value for got in self.of("dispatches", alert_id=alert_id, **fields)]

    async def ended(self, order: Value) -> Value:
        """Wait for the end of an order."""
        dispatch_id = order["dispatch_id"]
        return (await self.first("dispatches", dispatch_id=dispatch_id, state="ended")).value

    async def opened(self, alert_id: str) -> Value:
        """Wait for the incident that an alert opened."""
        wanted = lambda: self._opening(alert_id)  # noqa: E731 - looked at again and again
        await self.until(wanted, f"incident.opened of {alert_id}")
        return next(iter(wanted()))

    def _opening(self, alert_id: str) -> list[Value]:
        opened = self.of("incident-events", type="incident.opened")
        return [got.value for got in opened if got.value["data"]["alert_id"] == alert_id]

    async def letter(self, sent: RecordMetadata) -> Value:
        """Wait for the dead letter of a record."""
        await self.until(lambda: self.letters(sent), f"the dead letter of {sent}")
        return self.letters(sent)[0]

    def letters(self, sent: RecordMetadata) -> list[Value]:
        """The dead letters of a record."""
        where = (sent.topic, sent.partition, sent.offset)
        return [
            got.value
            for got in self.of("dead-letters")
            if tuple(got.value[name] for name in ("topic", "partition", "offset")) == where
        ]

    async def placed(self, members: Iterable[str]) -> None:
        """Wait until the engine says of each member how old their fix is."""
        for member_id in members:
            await self.until(
                lambda who=member_id: any(
                    got.value.get("fix_age_s") is not None
                    for got in self.of("members", member_id=who)
                ),
                f"the place of {member_id}",
            )


def _got(record: ConsumerRecord) -> Got:
    headers = {name: (value or b"").decode() for name, value in record.headers}
    return Got(
        record.topic, json.loads(record.value), headers, record.timestamp / 1000, time.time()
    )


def _says(value: Value, fields: dict[str, object]) -> bool:
    return all(value.get(name) == wanted for name, wanted in fields.items())
