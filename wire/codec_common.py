"""What all decoders share: limits, the key and what it says about the area, the datum."""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from xiaohe.dispatch.inputs import Position
from xiaohe.dispatch.reasons import Reason
from xiaohe.geo.datum import to_wgs84
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.typed import typed

KIB = 1024

IDENTIFIER_BYTES_MAX: Final = 64

_IDENTIFIER = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_LETTERS_AND_DIGITS: Final = (string.ascii_letters + string.digits).encode()
_MARKS: Final = b"._:-"


@dataclass(frozen=True, slots=True)
class Limits:
    """Longest value of each input, in bytes; the defaults are the contract's."""

    alert_bytes_max: int = 16 * KIB
    positions_bytes_max: int = 256 * KIB
    roster_bytes_max: int = 256 * KIB
    other_bytes_max: int = 8 * KIB


CONTRACT_LIMITS: Final = Limits()


def identifier_of(key: bytes | None, name: str) -> str:
    """Read a record's key, which must be the identifier ``name`` in plain bytes.

    Raises BadInput: null_key (an empty key too), bad_identifier.
    """
    if not key:
        raise BadInput(Reason.NULL_KEY, f"the record has no key: use the {name} as the key")
    if _IDENTIFIER.fullmatch(key) is None:
        raise BadInput(
            Reason.BAD_IDENTIFIER,
            f"the key is not the bytes of a plain {name} (no quotes, no other serializer)",
        )
    return key.decode()


def are_identifiers(names: Sequence[str]) -> bool:
    """Tell whether all of many texts are identifiers: as the pattern says, and looked at at once.

    Each stands on a line of its own. Nothing but letters, digits and marks may then be left
    beside as many line ends as there are texts, and no line may be empty or begin with a mark.
    """
    if max(map(len, names), default=0) > IDENTIFIER_BYTES_MAX:
        return False
    lines = ("\n" + "\n".join(names)).encode(errors="replace") if names else b""
    if lines.translate(None, _LETTERS_AND_DIGITS + _MARKS) != b"\n" * len(names):
        return False
    return not any(b"\n" + mark in lines for mark in (b"\n", b".", b"_", b":", b"-")) and (
        not lines.endswith(b"\n")
    )


def keyed(found: dict[str, object], name: str, by_key: str) -> dict[str, object]:
    """Give the object with the field ``name`` as the key says.

    Raises BadInput: wrong_type, key_mismatch.
    """
    stated = found.get(name)
    if stated is None or stated == "":
        return found | {name: by_key}
    if not isinstance(stated, str):
        raise BadInput(Reason.WRONG_TYPE, f"{name} must be text")
    if stated != by_key:
        raise BadInput(Reason.KEY_MISMATCH, f"{name} is not what the record's key says")
    return found


def without_impossible_position(found: dict[str, object]) -> dict[str, object]:
    """Leave a position out that cannot be on Earth, or is of a datum that nobody knows."""
    position = found.get("position")
    if not isinstance(position, dict):
        return found
    try:
        typed(position, Position)
    except BadInput as bad:
        if bad.reason in (Reason.OUT_OF_RANGE, Reason.UNKNOWN_VALUE):
            return {name: item for name, item in found.items() if name != "position"}
    return found


def wgs84(position: Position | None) -> Position | None:
    """Give the same place in WGS-84."""
    if position is None or position.datum == "wgs84":
        return position
    return Position(*to_wgs84(position.lon, position.lat, position.datum))
