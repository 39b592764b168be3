"""Under which circumstances a message came: what its sender does not say, and its reader must know.

The settings are the operator's. A raw topic has them in ``topics.yaml``; at a door they stand in
the address that is set in the client, ``…/osmand?datum=gcj02&timezone=Asia/Shanghai``.
"""

from datetime import UTC, tzinfo
from typing import Final, get_args
from zoneinfo import ZoneInfo

from msgspec import Struct

from xiaohe.dispatch.inputs import Datum
from xiaohe.dispatch.reasons import Reason
from xiaohe.wire.bad_input import BadInput

ZONE_CHARACTERS_MAX: Final = 64
"""The longest name of the IANA database has 32."""


class Receipt(Struct, frozen=True, kw_only=True, gc=False):
    """When a message was received (ms since the epoch), in which datum its positions are, and in
    which time zone its times are that name none."""

    received_ms: int
    datum: Datum = "wgs84"
    zone: tzinfo = UTC


def receipt_of(received_ms: int, datum: str | None, timezone: str | None) -> Receipt:
    """Make one of settings as they are written; None where none is. Raises BadInput."""
    return Receipt(
        received_ms=received_ms,
        datum=datum_of(datum),
        zone=UTC if timezone is None else _zone_of(timezone),
    )


def datum_of(name: str | None) -> Datum:
    """Give the datum of this name, WGS-84 for None. Raises BadInput."""
    datum: Datum
    for datum in get_args(Datum):
        if name == datum:
            return datum
    if name is None:
        return "wgs84"
    raise BadInput(Reason.UNKNOWN_VALUE, "the setting datum must be wgs84, gcj02 or bd09")


def _zone_of(name: str) -> tzinfo:
    try:
        return ZoneInfo(name[:ZONE_CHARACTERS_MAX])
    except (ValueError, OSError, KeyError):  # a name that is none, that is a path, that nobody has
        raise BadInput(
            Reason.UNKNOWN_VALUE, "the setting timezone must be an IANA name, such as Asia/Shanghai"
        ) from None
