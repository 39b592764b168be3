"""The fixes of many raw messages side by side: how a flood of them is taken without an object each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix
from xiaohe.geo.datum import to_wgs84_many
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec_positions import FIX_MS_MAX, FIX_MS_MIN
from xiaohe.wire.fix_columns import Numbers, alarms_of, column, numbers
from xiaohe.wire.fix_times import Moments

Mask = npt.NDArray[np.bool_]

CONVERTED_DIGITS = 7
"""Decimals of a degree that a converted place is written with: a centimetre."""


@dataclass(frozen=True, slots=True, eq=False)
class RawColumns:
    """Fixes by column, in WGS-84 and in the order in which they were said.

    ``places`` says of each which of the messages it was in. ``accuracy_m``, ``speed_mps``,
    ``course_deg`` and ``battery`` are NaN where they are not stated; ``alarms`` is None where no
    fix has one. ``fix_times`` are the moments ``fix_ms`` as text.
    """

    places: Sequence[int]
    device_ids: list[str]
    lon: Numbers
    lat: Numbers
    fix_ms: Moments
    fix_times: list[str]
    accuracy_m: Numbers
    speed_mps: Numbers
    course_deg: Numbers
    battery: Numbers
    alarms: list[str | None] | None

    def __len__(self) -> int:
        """Count the fixes."""
        return len(self.device_ids)

    def only(self, kept: Sequence[int]) -> "RawColumns":
        """Give some of the fixes."""
        return RawColumns(
            places=[self.places[at] for at in kept],
            device_ids=[self.device_ids[at] for at in kept],
            lon=self.lon[kept],
            lat=self.lat[kept],
            fix_ms=self.fix_ms[kept],
            fix_times=[self.fix_times[at] for at in kept],
            accuracy_m=self.accuracy_m[kept],
            speed_mps=self.speed_mps[kept],
            course_deg=self.course_deg[kept],
            battery=self.battery[kept],
            alarms=None if self.alarms is None else alarms_of([self.alarms[at] for at in kept]),
        )


@dataclass(frozen=True, slots=True)
class ReadMessages:
    """What many messages said: fixes that count, messages without one, and what is wrong with
    the rest; the numbers say which message it was."""

    fixes: RawColumns
    no_fixes: Sequence[tuple[int, NoFix]] = ()
    bad: list[tuple[int, BadInput]] = field(default_factory=list)


def columns_of(said: Sequence[tuple[int, RawFix | NoFix]]) -> ReadMessages:
    """Lay out what was said one by one; each comes with the number of its message."""
    no_fixes = [(at, each) for at, each in said if isinstance(each, NoFix)]
    places = [at for at, each in said if isinstance(each, RawFix)]
    fixes = [each for _, each in said if isinstance(each, RawFix)]
    fix_ms = np.array([fix.fix_ms for fix in fixes], dtype=np.int64)
    lon, lat = numbers(fixes, "lon"), numbers(fixes, "lat")
    lon, lat = wgs84(lon, lat, [fix.datum for fix in fixes])
    laid_out = RawColumns(
        places=places,
        device_ids=[fix.device_id for fix in fixes],
        lon=lon,
        lat=lat,
        fix_ms=fix_ms,
        fix_times=list(map(_text, fix_ms.tolist())),
        accuracy_m=numbers(fixes, "accuracy_m"),
        speed_mps=numbers(fixes, "speed_mps"),
        course_deg=numbers(fixes, "course_deg"),
        battery=numbers(fixes, "battery"),
        alarms=alarms_of(column(fixes, "alarm")),
    )
    return plausible(ReadMessages(laid_out, no_fixes))


def _text(ms: int) -> str:
    """Write a moment; one that will be refused may be beyond what can be written."""
    return rfc3339(ms) if FIX_MS_MIN <= ms < FIX_MS_MAX else ""


def wgs84(lon: Numbers, lat: Numbers, datums: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Turn places into WGS-84, each from its own datum."""
    if {"wgs84"}.issuperset(datums):
        return lon, lat
    lon, lat = to_wgs84_many(lon, lat, datums)  # type: ignore[arg-type]  # all are datums
    return lon.round(CONVERTED_DIGITS), lat.round(CONVERTED_DIGITS)


def plausible(read: ReadMessages) -> ReadMessages:
    """Refuse fixes whose time no receiver can have taken one at, or whose place is on no globe."""
    fixes = read.fixes
    timely: Mask = (fixes.fix_ms >= FIX_MS_MIN) & (fixes.fix_ms < FIX_MS_MAX)
    placed: Mask = (np.abs(fixes.lon) <= 180) & (np.abs(fixes.lat) <= 90)  # noqa: PLR2004 - degrees
    if timely.all() and placed.all():
        return read
    bad = [*read.bad]
    for at in np.flatnonzero(~(timely & placed)).tolist():
        bad.append((fixes.places[at], _implausible(bool(timely[at]))))
    kept = np.flatnonzero(timely & placed).tolist()
    return ReadMessages(fixes.only(kept), read.no_fixes, bad)


def _implausible(timely: bool) -> BadInput:  # noqa: FBT001 - the one question
    if timely:
        return BadInput(Reason.OUT_OF_RANGE, "longitude or latitude is not on the globe")
    return BadInput(Reason.BAD_TIME, "the time of the fix is not between the years 2000 and 2099")
