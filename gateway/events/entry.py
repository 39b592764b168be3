"""One record of an event topic, as subscribers get it: a CloudEvent with its place in the topic."""

from typing import Any, Final

import orjson
import structlog
from aiokafka import ConsumerRecord
from msgspec import Struct

from xiaohe.gateway.events.position import Position

TYPE_PREFIX: Final = "xiaohe."
TYPE_SUFFIX: Final = ".v1"

CLOUDEVENT: Final = "application/cloudevents+json"

log = structlog.get_logger()


class Entry(Struct, frozen=True):
    """One record. ``kind`` is its type without prefix and version: ``incident.opened``."""

    topic_id: str
    partition: int
    offset: int
    written_ms: int
    area_id: str
    kind: str
    ce: dict[str, str]
    value: dict[str, Any]

    @property
    def incident_id(self) -> str | None:
        """The incident that it is about, if it is about one."""
        found = self.value.get("incident_id")
        return found if isinstance(found, str) else None

    @property
    def identity(self) -> str:
        """What is the same again when a record is sent twice: its source and its id."""
        return f"{self.ce.get('source', '')} {self.ce.get('id', '')}"

    def cloudevent(self, position: Position | None = None) -> bytes:
        """Give it in CloudEvents' structured mode; ``position`` is that after it."""
        event: dict[str, object] = {**self.ce, "datacontenttype": "application/json"}
        if self.incident_id is not None:
            event["subject"] = self.incident_id
        if position is not None:
            event["position"] = str(position)
        return orjson.dumps({**event, "data": self.value})


def entry_of(topic_id: str, record: ConsumerRecord) -> Entry | None:
    """Read a record; None, with a line in the log, if it is none of the engine's."""
    try:
        value = orjson.loads(record.value or b"")
        ce = {n[3:]: v.decode() for n, v in record.headers if n.startswith("ce_") and v is not None}
        area_id = (record.key or b"").decode()
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        value, ce, area_id = None, {}, ""
    if not isinstance(value, dict) or "id" not in ce or "source" not in ce:
        log.warning(
            "event_unreadable", topic=record.topic, partition=record.partition, offset=record.offset
        )
        return None
    kind = ce.get("type", "").removeprefix(TYPE_PREFIX).removesuffix(TYPE_SUFFIX)
    return Entry(
        topic_id, record.partition, record.offset, record.timestamp, area_id, kind, ce, value
    )


def wants(kinds: frozenset[str], kind: str) -> bool:
    """Tell whether a filter lets a type through: by name, or by ``member.*``; empty: all."""
    if not kinds or kind in kinds:
        return True
    return any(each.endswith(".*") and kind.startswith(each[:-1]) for each in kinds)
