"""OwnTracks JSON: a phone's location, and the other things that the app says.

Speeds are km/h, a battery percent. The app names a device by its topic, ``owntracks/jane/phone``;
here that device is ``jane:phone``.
"""

from typing import Final

from xiaohe.dispatch.inputs import POSITIONS_IN_BATCH_MAX
from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.positions.hearing import Message, heard
from xiaohe.gateway.positions.measures import (
    MPS_PER_KMH,
    accuracy_m,
    course_deg,
    device_id,
    share_of_percent,
    speed_mps,
)
from xiaohe.gateway.positions.raw_fix import NoFix, Read, Said
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.json_object import read_value

BYTES_MAX: Final = 256 * 1024
"""A message, or the messages that a phone kept while it had no network; the longest single one
that is in use, a card with a portrait, has some 100 KiB."""

TOPIC_CHARACTERS_MAX: Final = 256
"""Three parts, of which an identifier holds 64 characters at most."""

OTHER_TYPES: Final = {"lwt": "offline", "status": "heartbeat", "encrypted": "encrypted"}
"""What the app's other messages are here; all that are not named are ``other``. A waypoint is the
place of a region that somebody drew, never of the phone."""


def decode(value: bytes, receipt: Receipt, topic: str | None = None) -> list[Read]:
    """Read a message, or a list of them; nothing at all, which the app sends too, says nothing.

    ``topic`` is where it came from, if not over HTTP: what the broker says of a sender counts more
    than what they say themselves. A bad message in a list is told of by itself. Raises BadInput.
    """
    if not value:
        return []
    found = read_value(value, BYTES_MAX)
    if not isinstance(found, list):
        return [_decode_one(found, receipt, topic)]
    if len(found) > POSITIONS_IN_BATCH_MAX:
        raise BadInput(
            Reason.BATCH_TOO_LONG,
            f"the list has {len(found)} messages; at most {POSITIONS_IN_BATCH_MAX} are read",
        )
    read: list[Read] = []
    for index, item in enumerate(found):
        try:
            read.append(_decode_one(item, receipt, topic))
        except BadInput as bad:
            read.append(bad.at_index(index))
    return read


def _decode_one(found: object, receipt: Receipt, topic: str | None) -> Said:
    if not isinstance(found, dict):
        raise BadInput(Reason.WRONG_TYPE, "a message must be a JSON object")
    kind = found.get("_type")
    if kind is None:
        raise BadInput(Reason.MISSING_FIELD, "_type is missing")
    if not isinstance(kind, str):
        raise BadInput(Reason.WRONG_TYPE, "_type must be text")
    if kind == "location" or (kind == "transition" and found.get("lat") is not None):
        return _location(found, _device_of(found, topic), receipt)
    what = OTHER_TYPES.get(kind, "other")
    return NoFix(device_id=_device_or_none(found, topic), what=what)  # type: ignore[arg-type]


def _location(found: dict[str, object], device: str, receipt: Receipt) -> Said:
    message = Message(
        device_id=device,
        lon=found.get("lon"),
        lat=found.get("lat"),
        time=found.get("tst"),
        accuracy_m=accuracy_m(found.get("acc")),
        speed_mps=speed_mps(found.get("vel"), MPS_PER_KMH),
        course_deg=course_deg(found.get("cog")),
        battery=share_of_percent(found.get("batt")),
        # A ping has the time of now and the place of the last fix, whenever that was.
        age_unknown=found.get("t") == "p",
    )
    return heard(message, receipt)


def _device_of(found: dict[str, object], topic: str | None) -> str:
    stated = topic or found.get("topic")
    if isinstance(stated, str) and stated:
        return device_of_topic(stated)
    return device_id(found.get("tid"), "topic, or else tid,")


def _device_or_none(found: dict[str, object], topic: str | None) -> str | None:
    try:
        return _device_of(found, topic)
    except BadInput:
        return None


def device_of_topic(topic: str) -> str:
    """Give ``user:device`` of ``owntracks/user/device``, with or without what comes after it.

    Raises BadInput.
    """
    parts = topic[:TOPIC_CHARACTERS_MAX].strip("/").split("/")
    named = parts[1:3] if parts[0] == "owntracks" else parts[:2]
    return device_id(":".join(named), "topic")
