"""Records of the input topics to typed inputs: everything behind this module can trust its values.

Every ``decode_…`` gives its type or raises BadInput, and nothing else, for any bytes whatever.
Rules that hold for all of them:

- The record key is the area_id (of a roster record the member_id); an area_id left out of the
  value is taken from the key, another one is a ``key_mismatch``.
- The size is looked at before the value is parsed.
- Unknown fields are ignored. A null, or an empty text, in a field that is not required is as if
  the field were not there.
- Positions are turned into WGS-84 here, once; nothing behind has to know another datum.
- An alert is refused for what makes it unreadable, never for what makes it odd.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from xiaohe.dispatch.inputs import Alert, Cause, RosterEntry, WakeUp
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.shifts import BadShift, parse_shifts
from xiaohe.dispatch.times import rfc3339
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.cloudevents import Headers
from xiaohe.wire.codec_actions import (
    MEMBER_ACTIONS,
    OPERATOR_ACTIONS,
    decode_member_action,
    decode_operator_action,
)
from xiaohe.wire.codec_common import (
    CONTRACT_LIMITS,
    Limits,
    identifier_of,
    keyed,
    wgs84,
    without_impossible_position,
)
from xiaohe.wire.codec_positions import PositionsRecord, decode_positions
from xiaohe.wire.json_object import read_object
from xiaohe.wire.typed import typed

__all__ = [
    "MEMBER_ACTIONS",
    "NEEDED_MAX",
    "OPERATOR_ACTIONS",
    "BadInput",
    "Gone",
    "Limits",
    "PositionsRecord",
    "dead_letter",
    "dead_letter_id",
    "decode_alert",
    "decode_member_action",
    "decode_operator_action",
    "decode_positions",
    "decode_roster",
    "decode_wakeup",
    "digest_of",
    "encode_wakeup",
]

NEEDED_MAX: Final = 50
"""An alert that asks for more people gets as many as one incident may have orders."""


HASHED_BYTES_MAX: Final = 2 * 1024 * 1024
"""A longer payload is not hashed: twice what a topic takes, so that a record of whatever length, of
a cluster with other limits, is refused within a millisecond or two."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A member whose roster record was deleted (a null value)."""

    member_id: str


def decode_alert(
    key: bytes | None,
    value: bytes | None,
    headers: Headers = None,
    limits: Limits = CONTRACT_LIMITS,
) -> Alert:
    """Read a record of ``alerts``.

    A position that cannot be on Earth is left out where a road or an address says the place too.
    More people than NEEDED_MAX become NEEDED_MAX. ``occurred_at`` may be any text.
    """
    area_id = identifier_of(key, "area_id")
    found = keyed(read_object(value, limits.alert_bytes_max, headers), "area_id", area_id)
    if found.get("road_id") or found.get("address"):
        found = without_impossible_position(found)
    needed = found.get("needed")
    if isinstance(needed, int | float) and needed == needed // 1 and needed > NEEDED_MAX:
        found = found | {"needed": NEEDED_MAX}
    alert = typed(found, Alert)
    if alert.position is None and alert.road_id is None and alert.address is None:
        raise BadInput(Reason.NO_PLACE, "give at least one of position, road_id and address")
    return msgspec.structs.replace(alert, position=wgs84(alert.position))


def decode_roster(
    key: bytes | None,
    value: bytes | None,
    headers: Headers = None,
    limits: Limits = CONTRACT_LIMITS,
) -> RosterEntry | Gone:
    """Read a record of ``roster``, keyed by member_id; its shifts are known to be readable."""
    member_id = identifier_of(key, "member_id")
    if value is None:
        return Gone(member_id)
    found = read_object(value, limits.roster_bytes_max, headers)
    if found.get("member_id") is not None:
        found = keyed(found, "member_id", member_id)
    entry = typed(found, RosterEntry)
    try:
        parse_shifts(entry.shifts)
    except BadShift as error:
        raise BadInput(Reason.BAD_SHIFT, str(error)) from None
    return msgspec.structs.replace(entry, post=wgs84(entry.post))


def decode_wakeup(
    key: bytes | None,
    value: bytes | None,
    headers: Headers = None,
    limits: Limits = CONTRACT_LIMITS,
) -> WakeUp:
    """Read a record of the engine's own wake-ups topic."""
    area_id = identifier_of(key, "area_id")
    found = keyed(read_object(value, limits.other_bytes_max, headers), "area_id", area_id)
    return typed(found, WakeUp)


def encode_wakeup(wakeup: WakeUp) -> tuple[bytes, bytes]:
    """Write a wake-up as key and value; ``decode_wakeup`` reads the same again."""
    return wakeup.area_id.encode(), msgspec.json.encode(wakeup)


def dead_letter(
    cause: Cause,
    index: int | None,
    reason: Reason,
    detail: str,
    payload_sha256: str | None,
    at_ms: int,
    *,
    payload_head: str | None = None,
) -> dict[str, object]:
    """Make the value of a ``dead-letters`` record.

    ``payload_sha256`` is that of the whole value of the bad record, also for one object of a batch
    (``digest_of``): the value is not kept. ``payload_head`` stays None unless policy keeps heads of
    records without personal fields.
    """
    return {
        "topic": cause.topic,
        "partition": cause.partition,
        "offset": cause.offset,
        "index": index,
        "reason": reason.value,
        "detail": detail,
        "payload_sha256": payload_sha256,
        "payload_head": payload_head,
        "at": rfc3339(at_ms),
    }


def digest_of(payload: bytes | None) -> str | None:
    """Give what a dead letter says of a payload: its SHA-256; None where there is nothing to hash,
    or more than any topic takes."""
    if payload is None or len(payload) > HASHED_BYTES_MAX:
        return None
    return sha256(payload).hexdigest()


def dead_letter_id(cause: Cause, index: int | None) -> str:
    """Give the ``ce_id`` of a dead letter: ``<topic>:<partition>:<offset>[:<index>]``."""
    place = f"{cause.topic}:{cause.partition}:{cause.offset}"
    return place if index is None else f"{place}:{index}"
