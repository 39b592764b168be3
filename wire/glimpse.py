"""What an alert says at first sight: for one on which the decoder, or a rule, has ended workers.

Nothing of what usually reads an alert is used, for it may be what fails: a plain JSON reader, and
of a handful of fields what is as it should be. Whatever else it says is in the topic.
"""

import json
from hashlib import sha256
from typing import Final

from xiaohe.dispatch.aside import Glimpse
from xiaohe.dispatch.inputs import Position
from xiaohe.dispatch.reasons import Reason
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec_common import CONTRACT_LIMITS, identifier_of

UNREAD: Final = "unread"
"""Stands for a source or a category that is not there."""

LABEL_CHARACTERS_MAX: Final = 64

PRIORITIES: Final = (1, 2, 3, 4)
USUAL_PRIORITY: Final = 2
"""As of an alert that does not say."""


def glimpse_of(value: bytes | None) -> Glimpse:
    """Look at the bytes of an alert. Raises BadInput where they name no alert."""
    if value is None or len(value) > CONTRACT_LIMITS.alert_bytes_max:
        raise BadInput(Reason.FAILED_REPEATEDLY, "nothing that could be an alert")
    try:
        found = json.loads(value.decode())
    except (ValueError, RecursionError) as error:
        raise BadInput(Reason.FAILED_REPEATEDLY, "nothing that can be read") from error
    if isinstance(found, dict) and isinstance(found.get("data"), dict):
        found = found["data"]  # a CloudEvents envelope
    alert_id = found.get("alert_id") if isinstance(found, dict) else None
    if not isinstance(alert_id, str):
        raise BadInput(Reason.FAILED_REPEATEDLY, "nothing that names an alert")
    priority = found.get("priority")
    return Glimpse(
        alert_id=identifier_of(alert_id.encode(errors="replace"), "alert_id"),
        mark=sha256(value).hexdigest(),
        source=_label(found.get("source")),
        category=_label(found.get("category")),
        priority=priority if priority in PRIORITIES and type(priority) is int else USUAL_PRIORITY,
        position=_position(found.get("position")),
    )


def _label(said: object) -> str:
    if not isinstance(said, str) or not said.isprintable():
        return UNREAD
    return said[:LABEL_CHARACTERS_MAX] or UNREAD


def _position(said: object) -> Position | None:
    """Give a place in the datum that the engine has; another is not worked out here."""
    if not isinstance(said, dict) or said.get("datum") not in {None, "wgs84"}:
        return None
    lon, lat = said.get("lon"), said.get("lat")
    for degrees, most in ((lon, 180.0), (lat, 90.0)):
        if type(degrees) not in {int, float} or not -most <= degrees <= most:
            return None
    return Position(float(lon), float(lat))
