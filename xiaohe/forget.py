"""What is personal of a caller's alerts, erased wherever it is kept: ``xiaohe forget``.

No log of the engine holds a caller's words: of an alert nothing but a digest goes on from its own
topic, which forgets it by itself (docs/personal-data.md). What others keep of it, they are told to
erase, by one record an alert on the compacted topic ``redactions``, so that a history that is built
anew from the topics is built without it too.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from xiaohe.dispatch.ids import incident_id_of
from xiaohe.dispatch.inputs import Alert
from xiaohe.dispatch.times import rfc3339
from xiaohe.topics import Topic, Topics
from xiaohe.wire import cloudevents
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.cluster_access import Cluster, client_options
from xiaohe.wire.codec_common import identifier_of, keyed
from xiaohe.wire.json_object import read_object
from xiaohe.wire.outputs import Redaction
from xiaohe.wire.personal import personal_fields

READ_TIMEOUT_MS: Final = 1_000
"""How long one fetch of the alerts may wait."""

STUCK_S: Final = 30.0
"""A reading that comes no further for so long has failed."""


class ForgetError(Exception):
    """The alerts could not be read to their end: nothing is known to be forgotten."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was found of a caller and told to be erased. Times are ms since the epoch."""

    redactions: tuple[Redaction, ...]
    gone_by_ms: int | None

    @property
    def areas(self) -> tuple[str, ...]:
        """The areas that the alerts were of."""
        return tuple(sorted({each.area_id for each in self.redactions}))


async def forget(cluster: Cluster, topics: Topics, caller_id: str, by: str) -> Forgotten:
    """Find every alert of this caller that its topic still holds, and have it erased elsewhere.

    ``by`` is who decided it. Running it again finds and says the same again. Raises ForgetError,
    KafkaError.
    """
    now_ms = time.time_ns() // 1_000_000
    last_ms: dict[tuple[str, str], int] = {}
    async for record in _alerts(cluster, topics.alerts):
        found = _alert_of(record, caller_id)
        if found is not None:
            last_ms[found] = max(record.timestamp, last_ms.get(found, 0))
    keeps_ms = topics.alerts.retention_ms + topics.alerts.segment_ms
    redactions = tuple(
        Redaction(
            alert_id=alert_id,
            area_id=area_id,
            incident_id=incident_id_of(area_id, alert_id),
            fields=tuple(sorted(personal_fields(Alert))),
            gone_by=rfc3339(received_ms + keeps_ms),
            by=by,
            at=rfc3339(now_ms),
        )
        for (area_id, alert_id), received_ms in sorted(last_ms.items())
    )
    await _publish(cluster, topics.redactions.name, redactions, now_ms)
    gone_by_ms = max(last_ms.values()) + keeps_ms if last_ms else None
    return Forgotten(redactions, gone_by_ms)


def _alert_of(record: ConsumerRecord, caller_id: str) -> tuple[str, str] | None:
    """Give area and id of an alert of this caller; bad records are nobody's."""
    try:
        area_id = identifier_of(record.key, "area_id")
        found = read_object(record.value, len(record.value or b""), record.headers)
        found = keyed(found, "area_id", area_id)
    except BadInput:
        return None
    alert_id = found.get("alert_id")
    if found.get("caller_id") != caller_id or not isinstance(alert_id, str):
        return None
    return area_id, alert_id


async def _alerts(cluster: Cluster, topic: Topic) -> AsyncIterator[ConsumerRecord]:
    """Give every record that the topic holds now."""
    reader = AIOKafkaConsumer(**client_options(cluster), enable_auto_commit=False)
    await reader.start()
    try:
        places = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
        begins, ends = await reader.beginning_offsets(places), await reader.end_offsets(places)
        reader.assign(places)
        for place in places:
            reader.seek(place, begins[place])
        moved_s = time.monotonic()
        while left := [p for p in places if await reader.position(p) < ends[p]]:
            fetched = await reader.getmany(*left, timeout_ms=READ_TIMEOUT_MS)
            if any(fetched.values()):
                moved_s = time.monotonic()
            elif time.monotonic() - moved_s > STUCK_S:
                raise ForgetError(f"{topic.name} could not be read to its end: try again")
            for records in fetched.values():
                for record in records:
                    yield record
    except KafkaError as fault:
        raise ForgetError(
            f"{topic.name} could not be read to its end ({type(fault).__name__}): see whether it "
            "is there with `xiaohe topics diff`, and try again"
        ) from fault
    finally:
        await reader.stop()


async def _publish(
    cluster: Cluster, topic: str, redactions: tuple[Redaction, ...], now_ms: int
) -> None:
    producer = AIOKafkaProducer(**client_options(cluster), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        sent = [
            await producer.send(
                topic,
                key=f"{each.area_id}:{each.alert_id}".encode(),
                value=orjson.dumps(_as_json(each)),
                headers=cloudevents.headers(
                    each.alert_id,
                    cloudevents.source_of(each.area_id, topic),
                    cloudevents.type_of("redaction"),
                    now_ms,
                ),
            )
            for each in redactions
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def _as_json(redaction: Redaction) -> dict[str, object]:
    return {name: getattr(redaction, name) for name in redaction.__struct_fields__}
