"""What the log keeps of one step besides the decision: dead letters and forwardings.

Enough that a take-over can publish them again, byte for byte, under the same ids, and no more: of a
record that is forwarded the log says where it lies, for it may be about a person, and its topic
forgets it in time while this log never does.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Final

import msgspec

from xiaohe.dispatch.decide import Decision
from xiaohe.dispatch.inputs import Cause
from xiaohe.streams.outputs import VIEWS_STAGE, dead_letter_publication
from xiaohe.streams.ports import Publication, Raw
from xiaohe.streams.stated_ms import stated_ms
from xiaohe.wire.codec import dead_letter_id

FIRST_RECEIPT: Final = "xiaohe_received_ms"
"""Header of a forwarded record: when it was first received, ms."""


FORWARDING_MS_MAX: Final = 60_000
"""A forwarded record was first received at most so long before: a worker's restart and more."""

FORWARDED_HEADERS: Final = ("ce_", "content-type")
"""Headers that a forwarded record keeps: what the contract gives a meaning to."""

HEADER_BYTES_MAX: Final = 4_096
"""A longer header is not kept: headers count into the size of a record."""


class Forward(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record that lay in another partition than its key's; the step's cause says where.

    Logs of earlier versions hold the record itself, its bytes as base64.
    """

    partition: int
    key: str | None = None
    value: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the log keeps of one step: enough to fold it and to publish it again.

    ``given_up`` names a deadline (area, incident, name) that could not even be closed, and
    ``given_up_ms`` when it was due; older logs do not say that.
    """

    cause: Cause
    decision: Decision | None = None
    area_id: str | None = None
    at_ms: int = 0
    dead_letter: dict[str, object] | None = None
    device_id: str | None = None
    given_up: tuple[str, str, str] | None = None
    given_up_ms: int | None = None
    forward: Forward | None = None


def first_receipt_ms(raw: Raw) -> int:
    """Give when a record was received, for a forwarded one when it was first received.

    Anybody can write the header, so it is believed only as far as a forwarding takes.
    """
    stated = stated_ms(raw.headers, FIRST_RECEIPT)
    if stated is None:
        return raw.timestamp_ms
    return max(raw.timestamp_ms - FORWARDING_MS_MAX, min(stated, raw.timestamp_ms))


def forwarded(raw: Raw, partition: int) -> Publication:
    """Send a record on to where it belongs: ids and first receipt kept."""
    kept = [
        (name, value)
        for name, value in raw.headers
        if name.lower().startswith(FORWARDED_HEADERS)
        and value is not None
        and len(value) <= HEADER_BYTES_MAX
    ]
    first = (FIRST_RECEIPT, str(first_receipt_ms(raw)).encode())
    return Publication(
        topic=raw.topic,
        stage=VIEWS_STAGE,
        key=raw.key or b"",
        value=raw.value or b"",
        headers=(*kept, first),
        partition=partition,
    )


def undecided_publications(record: Record, topic_names: Mapping[str, str]) -> list[Publication]:
    """Give what a step publishes that is no decision's."""
    publications = []
    if record.dead_letter is not None:
        publications.append(letter_publication(record, topic_names))
    if record.forward is not None:
        publications.append(_forward_publication(record, record.forward, topic_names))
    return publications


def letter_publication(record: Record, topic_names: Mapping[str, str]) -> Publication:
    """Give the dead letter of a step."""
    assert record.dead_letter is not None, "the step refused something"
    index = record.dead_letter["index"]
    return dead_letter_publication(
        record.dead_letter,
        topic_key=_key_of(record.cause.topic, topic_names),
        ce_id=dead_letter_id(record.cause, index if isinstance(index, int) else None),
        area_id=record.area_id,
        at_ms=record.at_ms,
        topic_names=topic_names,
    )


def _forward_publication(
    record: Record, forward: Forward, topic_names: Mapping[str, str]
) -> Publication:
    topic = _key_of(record.cause.topic, topic_names)
    if forward.value is None:
        return Publication(
            topic=topic,
            stage=VIEWS_STAGE,
            key=None,
            value=None,
            partition=forward.partition,
            original=(topic, record.cause.partition, record.cause.offset),
        )
    return Publication(
        topic=topic,
        stage=VIEWS_STAGE,
        key=b64decode(forward.key or ""),
        value=b64decode(forward.value),
        headers=tuple((name, b64decode(value)) for name, value in forward.headers),
        partition=forward.partition,
    )


def _key_of(topic: str, topic_names: Mapping[str, str]) -> str:
    return next(key for key, name in topic_names.items() if name == topic)
