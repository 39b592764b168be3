"""What devices say in numbers: into the contract's units, and None where they say «unknown».

Only the place is required; whatever else is odd never costs anybody their position. A number may
be written as text, as query strings and some trackers do.
"""

import math
import re
from typing import Final

from xiaohe.dispatch.reasons import Reason
from xiaohe.wire.bad_input import BadInput

MPS_PER_KNOT: Final = 1852 / 3600
MPS_PER_KMH: Final = 1 / 3.6

SPEED_MPS_MAX: Final = 150.0
"""540 km/h: what is faster is no member but a receiver's word for «unknown», as 65535 is."""

ACCURACY_M_MAX: Final = 100_000.0
"""A radius that holds a whole city twice says nothing of where."""

FULL_TURN_DEG: Final = 360.0
PERCENT: Final = 100.0

NUMBER_CHARACTERS_MAX: Final = 40
"""Digits of a double with sign, point and exponent, twice over."""

BLANKS: Final = " \t\r\n"
"""What may stand around a number: not all that Python counts as blank is skipped by its float."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)
_INTEGER_MAX: Final = 2**63 - 1


def number(stated: object) -> float | None:
    """Give a finite number, None for anything else."""
    if isinstance(stated, str) and len(stated) <= NUMBER_CHARACTERS_MAX:
        text = stated.strip(BLANKS)
        stated = float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return None
    if isinstance(stated, int) and abs(stated) > _INTEGER_MAX:
        return None  # has no float, perhaps
    return float(stated) if math.isfinite(stated) else None


def place(lon: object, lat: object) -> tuple[float, float] | None:
    """Give longitude and latitude; None for 0, 0, where receivers are that have no fix.

    Raises BadInput: missing_field, wrong_type, not_finite, out_of_range.
    """
    found = _degrees(lon, "the longitude", 180.0), _degrees(lat, "the latitude", 90.0)
    return None if found == (0.0, 0.0) else found


def _degrees(stated: object, name: str, most_deg: float) -> float:
    if stated is None or stated == "":
        raise BadInput(Reason.MISSING_FIELD, f"{name} is missing")
    found = number(stated)
    if found is None:
        if isinstance(stated, float):
            raise BadInput(Reason.NOT_FINITE, f"{name} is not a finite number")
        if isinstance(stated, int) and not isinstance(stated, bool):
            raise BadInput(Reason.OUT_OF_RANGE, f"{name} must be in decimal degrees")
        raise BadInput(Reason.WRONG_TYPE, f"{name} must be a number")
    if abs(found) > most_deg:
        raise BadInput(Reason.OUT_OF_RANGE, f"{name} must be in decimal degrees")
    return found


def speed_mps(stated: object, mps_per_unit: float = 1.0) -> float | None:
    """Give a speed in m/s; None for a negative one and one that nobody rides."""
    found = number(stated)
    if found is None or found < 0 or found * mps_per_unit > SPEED_MPS_MAX:
        return None
    return found * mps_per_unit


def course_deg(stated: object) -> float | None:
    """Give a course from north, 0 to below 360; None for a negative one and beyond a full turn."""
    found = number(stated)
    if found is None or not 0 <= found <= FULL_TURN_DEG:
        return None
    return found % FULL_TURN_DEG


def accuracy_m(stated: object) -> float | None:
    """Give a radius; None for 0, which devices write when they do not know, and what is absurd."""
    found = number(stated)
    return found if found is not None and 0 < found <= ACCURACY_M_MAX else None


def share_of_percent(stated: object) -> float | None:
    """Give a share of 0 to 1 for 0 to 100; None beyond, as -1 and 255 are."""
    found = number(stated)
    return found / PERCENT if found is not None and 0 <= found <= PERCENT else None


def share(stated: object) -> float | None:
    """Give a share of 0 to 1; None beyond, as -1 is."""
    found = number(stated)
    return found if found is not None and 0 <= found <= 1 else None


def is_said(stated: object) -> bool | None:
    """Read true and false as devices write them; None for anything else."""
    if isinstance(stated, bool):
        return stated
    word = str(stated).strip().lower() if isinstance(stated, str | int) else ""
    return {"true": True, "1": True, "false": False, "0": False}.get(word)


def device_id(stated: object, name: str) -> str:
    """Give what a device calls itself, which must be an identifier of the contract.

    A number stands for its digits. Raises BadInput: missing_field, wrong_type, bad_identifier.
    """
    if stated is None or stated == "":
        raise BadInput(Reason.MISSING_FIELD, f"{name} is missing: it says which device this is")
    if isinstance(stated, int) and not isinstance(stated, bool) and 0 <= stated <= _INTEGER_MAX:
        stated = str(stated)
    if not isinstance(stated, str):
        raise BadInput(Reason.WRONG_TYPE, f"{name} must be text")
    if _IDENTIFIER.fullmatch(stated) is None:
        raise BadInput(
            Reason.BAD_IDENTIFIER, f"{name} is not an identifier (1 to 64 of A-Z a-z 0-9 . _ : -)"
        )
    return stated


def seq(stated: object) -> int | None:
    """Give a running number; None for anything that is not a whole one."""
    found = number(stated)
    if found is None or found < 0 or not found.is_integer() or found > _INTEGER_MAX // 2:
        return None
    return int(found)
