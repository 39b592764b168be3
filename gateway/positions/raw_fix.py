"""What every device format is read into: one fix of one device, in the contract's units."""

from typing import Literal

from msgspec import Struct

from xiaohe.dispatch.inputs import Datum
from xiaohe.wire.bad_input import BadInput


class RawFix(Struct, frozen=True, kw_only=True, gc=False):
    """Where a device says that it was.

    ``device_id`` is what the device calls itself, ``fix_ms`` when the fix was taken (ms since the
    epoch, by the device). Lengths are metres, speeds m/s, courses degrees from north, ``battery``
    0 to 1. None is what the format has no word for, or what it says when it does not know.
    ``alarm`` is the contract's word (``sos``, ``fall``) where there is one, else the format's own.
    ``age_unknown``: the device sends a current time with a fix that may be old. ``member_id`` is
    set where the sender names a member instead of a device; ``device_id`` is then empty,
    unless both are named.
    """

    device_id: str
    lon: float
    lat: float
    fix_ms: int
    datum: Datum = "wgs84"
    accuracy_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    battery: float | None = None
    alarm: str | None = None
    seq: int | None = None
    age_unknown: bool = False
    member_id: str | None = None


class NoFix(Struct, frozen=True, kw_only=True):
    """A message that is in order and says nothing of where: a heartbeat, a card, a going offline.

    ``what`` is a closed word for people and counts, never the sender's own text. ``alarm`` is what
    a device calls for that does not know where it is: somebody who knows may still have to be sent.
    """

    device_id: str | None
    what: Literal["heartbeat", "no_fix", "offline", "other", "encrypted"]
    alarm: str | None = None


Said = RawFix | NoFix

Read = Said | BadInput
"""One object of a message that holds several: a bad one is told of by itself, the rest counts."""
