"""OwnTracks over MQTT: phones' locations in, and «where are you?» out.

At least once: a message is acknowledged to the MQTT broker when what came of it is acknowledged by
Kafka, and the broker keeps what comes while the gateway is away. It hands over no more
unacknowledged messages than ``RECEIVED_MAX``, so that a flood waits there and not in memory.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

import aiomqtt
import orjson
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from xiaohe.gateway.positions import owntracks
from xiaohe.gateway.positions.asking import Asking
from xiaohe.gateway.positions.inflow import Came, Feed, Inflow
from xiaohe.gateway.positions.raw_columns import ReadMessages, columns_of
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.gateway.positions.settings import MqttSettings
from xiaohe.gateway.publisher import NotPublished, Publisher, Record
from xiaohe.topics import Topics
from xiaohe.wire.bad_input import BadInput

RECEIVED_MAX: Final = 500
"""Messages that the broker hands over before the first of them is acknowledged."""

GATHER_MS: Final = 30
"""How long messages are gathered before they are written, as of the raw topics."""

AGAIN_FIRST_S: Final = 0.5
AGAIN_MAX_S: Final = 30.0
"""Pause before a broker that is away is tried again: at first, and at most."""

ASK_EVERY_S: Final = 0.5
"""How often it is looked whether a phone is to be asked."""

PHONES_MAX: Final = 50_000
"""Phones whose topic is remembered; of more, those heard of the longest ago are not asked."""

IDENTIFIER_PREFIX: Final = "xiaohe-"

REPORT_LOCATION: Final = orjson.dumps({"_type": "cmd", "action": "reportLocation"})

log = structlog.get_logger()


class OwnTracksOverMqtt:
    """Takes what phones send to one MQTT broker; an async context manager.

    A broker that is away is waited for, longer each time. Who may send as which phone is the
    broker's to say, by its topics' rights.
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        inflow: Inflow,
        publisher: Publisher,
        topics: Topics,
        asking: Asking,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._inflow = inflow
        self._publisher = publisher
        self._topics = topics
        self._asking = asking
        self._now_ms = now_ms
        self._feed = Feed(settings.name, settings.trust)
        self._phones: dict[str, str] = {}
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to take; the broker need not be there yet. Raises OSError for files."""
        tls, password = _tls(self._settings), _password(self._settings)
        self._running = asyncio.create_task(
            self._go_on(tls, password), name=f"mqtt {self._settings.name}"
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave; the broker keeps what comes from now on."""
        assert self._running is not None, "use `async with`"
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running

    async def _go_on(self, tls: ssl.SSLContext | None, password: str | None) -> None:
        again_s = AGAIN_FIRST_S
        while True:
            try:
                async with self._client(tls, password) as client:
                    again_s = AGAIN_FIRST_S
                    await self._session(client)
            except (aiomqtt.MqttError, OSError, NotPublished) as fault:
                log.warning("mqtt_again", name=self._settings.name, fault=type(fault).__name__)
            await asyncio.sleep(again_s)
            again_s = min(again_s * 2, AGAIN_MAX_S)

    def _client(self, tls: ssl.SSLContext | None, password: str | None) -> aiomqtt.Client:
        host, port = self._settings.address
        properties = Properties(PacketTypes.CONNECT)
        properties.ReceiveMaximum = RECEIVED_MAX
        properties.SessionExpiryInterval = self._settings.session_s
        client = aiomqtt.Client(
            host,
            port,
            username=self._settings.user,
            password=password,
            identifier=f"{IDENTIFIER_PREFIX}{self._settings.name}",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            tls_context=tls,
        )
        # Acknowledged by hand, when Kafka has it: aiomqtt has no word for it, what it wraps has.
        client._client.manual_ack_set(True)  # noqa: SLF001
        return client

    async def _session(self, client: aiomqtt.Client) -> None:
        """Take and ask until the connection ends; raises MqttError then."""
        waiting: asyncio.Queue[aiomqtt.Message] = asyncio.Queue(RECEIVED_MAX)
        # What is retained is of use to who comes anew; to who comes again it is history.
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        for topic in (self._settings.topic, f"{self._settings.topic}/event"):
            await client.subscribe(topic, options=options)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_receive(client, waiting))
                group.create_task(self._take_all(client, waiting))
                group.create_task(self._ask(client))
        except* (aiomqtt.MqttError, NotPublished) as faults:
            raise faults.exceptions[0] from None

    async def _take_all(
        self, client: aiomqtt.Client, waiting: "asyncio.Queue[aiomqtt.Message]"
    ) -> None:
        while True:
            messages = [await waiting.get()]
            await asyncio.sleep(GATHER_MS / 1000)
            while not waiting.empty():
                messages.append(waiting.get_nowait())
            await self._take(messages)
            for message in messages:
                client._client.ack(message.mid, message.qos)  # noqa: SLF001 - as above

    async def _take(self, messages: Sequence[aiomqtt.Message]) -> None:
        """Sort what phones said, and write it. Raises NotPublished."""
        now_ms = self._now_ms()
        receipt = Receipt(received_ms=now_ms, datum=self._settings.datum)
        fixes: list[tuple[int, RawFix]] = []
        no_fixes: list[tuple[int, NoFix]] = []
        bad: list[tuple[int, BadInput]] = []
        for at, message in enumerate(messages):
            payload = message.payload if isinstance(message.payload, bytes) else b""
            try:
                read = owntracks.decode(payload, receipt, message.topic.value)
            except BadInput as problem:
                read = [problem]
            said = [each for each in read if not isinstance(each, BadInput)]
            self._inflow.last_messages.keep(self._feed.name, now_ms, said, payload)
            for each in read:
                if isinstance(each, RawFix):
                    fixes.append((at, each))
                    self._remember(each.device_id, message.topic.value)
                elif isinstance(each, NoFix):
                    no_fixes.append((at, each))
                else:
                    bad.append((at, each))
        done = self._inflow.sort(
            ReadMessages(columns_of(fixes), no_fixes, bad),
            Came.through_a_door(len(messages), now_ms),
            self._feed,
        )
        records = [Record(self._topics.positions, p.area_id, p.value) for p in done.packed]
        try:
            await (await self._publisher.relay(records))
        except NotPublished:
            self._inflow.not_written(done.told, [fix.device_id for _, fix in fixes])
            raise

    def _remember(self, device_id: str, topic: str) -> None:
        self._phones.pop(device_id, None)
        self._phones[device_id] = topic.removesuffix("/event")
        if len(self._phones) > PHONES_MAX:
            del self._phones[next(iter(self._phones))]

    async def _ask(self, client: aiomqtt.Client) -> None:
        """Ask phones where they are, when an incident was opened near them."""
        while True:
            now_ms = self._now_ms()
            for device_id in self._asking.waiting(now_ms):
                topic = self._phones.get(device_id)
                if topic is not None and self._asking.take(device_id, now_ms):
                    await client.publish(f"{topic}/cmd", REPORT_LOCATION, qos=1)
            await asyncio.sleep(ASK_EVERY_S)


async def _receive(client: aiomqtt.Client, waiting: "asyncio.Queue[aiomqtt.Message]") -> None:
    async for message in client.messages:
        await waiting.put(message)


def _tls(settings: MqttSettings) -> ssl.SSLContext | None:
    if not settings.tls:
        return None
    context = ssl.create_default_context(cafile=settings.ca)
    if settings.cert is not None:
        context.load_cert_chain(settings.cert, settings.key)
    return context


def _password(settings: MqttSettings) -> str | None:
    if settings.password_file is None:
        return None
    return settings.password_file.read_text(encoding="utf-8").rstrip("\r\n")
