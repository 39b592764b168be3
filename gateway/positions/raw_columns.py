"""The fixes of many raw messages side by side: a flood of them is taken without an object each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix
from xiaohe.geo.datum import Datum, to_wgs84_many
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.fix_columns import Numbers, alarms_of, column, numbers
from xiaohe.wire.fix_times import Moments

Mask = npt.NDArray[np.bool_]

CONVERTED_DIGITS = 7
"""Decimals of a degree that a converted place is written with: a centimetre."""

SPEED_DIGITS = 2
"""Decimals of a speed in m/s: what a knot with one decimal is worth."""

AGE_UNKNOWN_ACCURACY_M = 500.0
"""How well a place is known at most that may be old: as far as somebody walks in five minutes."""


@dataclass(frozen=True, slots=True, eq=False)
class RawColumns:
    """Fixes by column, in WGS-84 and in the order in which they were said.

    ``places`` says of each which of the messages it was in. ``member_ids`` is None where no sender
    names a member, ``alarms`` where there is none; a device_id is empty where a member is named
    instead. ``fix_times`` are the moments ``fix_ms`` as text. Numbers are NaN where not stated.
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
    alarms: list[str | None] | None = None
    member_ids: list[str | None] | None = None

    def __len__(self) -> int:
        """Count the fixes."""
        return len(self.device_ids)

    def only(self, kept: Sequence[int]) -> "RawColumns":
        """Give some of the fixes, by their numbers."""
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
            alarms=alarms_of(_some(self.alarms, kept)),
            member_ids=None if self.member_ids is None else _some(self.member_ids, kept),
        )

    def joined(self, other: "RawColumns") -> "RawColumns":
        """Give these fixes and others, in the order of their messages."""
        if not len(other):
            return self
        ours, theirs = len(self), len(other)
        both = RawColumns(
            places=[*self.places, *other.places],
            device_ids=self.device_ids + other.device_ids,
            lon=np.concatenate([self.lon, other.lon]),
            lat=np.concatenate([self.lat, other.lat]),
            fix_ms=np.concatenate([self.fix_ms, other.fix_ms]),
            fix_times=self.fix_times + other.fix_times,
            accuracy_m=np.concatenate([self.accuracy_m, other.accuracy_m]),
            speed_mps=np.concatenate([self.speed_mps, other.speed_mps]),
            course_deg=np.concatenate([self.course_deg, other.course_deg]),
            battery=np.concatenate([self.battery, other.battery]),
            alarms=_both(self.alarms, ours, other.alarms, theirs),
            member_ids=_both(self.member_ids, ours, other.member_ids, theirs),
        )
        return both.only(np.argsort(both.places, kind="stable").tolist())


@dataclass(frozen=True, slots=True)
class ReadMessages:
    """What many messages said: fixes that count, messages without one, and what is wrong with
    the rest; the numbers say which message it was."""

    fixes: RawColumns
    no_fixes: Sequence[tuple[int, NoFix]] = ()
    bad: Sequence[tuple[int, BadInput]] = ()


def columns_of(said: Sequence[tuple[int, RawFix]]) -> RawColumns:
    """Lay out what was said one by one; each comes with the number of its message."""
    fixes = [fix for _, fix in said]
    lon, lat = wgs84(numbers(fixes, "lon"), numbers(fixes, "lat"), [fix.datum for fix in fixes])
    accuracy_m = numbers(fixes, "accuracy_m")
    old = np.array([fix.age_unknown for fix in fixes], dtype=np.bool_)
    accuracy_m[old] = np.fmax(accuracy_m[old], AGE_UNKNOWN_ACCURACY_M)
    member_ids = column(fixes, "member_id")
    return RawColumns(
        places=[place for place, _ in said],
        device_ids=[fix.device_id for fix in fixes],
        lon=lon,
        lat=lat,
        fix_ms=np.array([fix.fix_ms for fix in fixes], dtype=np.int64),
        fix_times=[rfc3339(fix.fix_ms) for fix in fixes],
        accuracy_m=accuracy_m,
        speed_mps=numbers(fixes, "speed_mps").round(SPEED_DIGITS),
        course_deg=numbers(fixes, "course_deg"),
        battery=numbers(fixes, "battery"),
        alarms=alarms_of(column(fixes, "alarm")),
        member_ids=member_ids if any(member_ids) else None,
    )


def wgs84(lon: Numbers, lat: Numbers, datums: Sequence[Datum]) -> tuple[Numbers, Numbers]:
    """Turn places into WGS-84, each from its own datum."""
    if {"wgs84"}.issuperset(datums):
        return lon, lat
    lon, lat = to_wgs84_many(lon, lat, datums)
    return lon.round(CONVERTED_DIGITS), lat.round(CONVERTED_DIGITS)


def _some(texts: list[str | None] | None, kept: Sequence[int]) -> list[str | None]:
    return [] if texts is None else [texts[at] for at in kept]


def _both(
    ours: list[str | None] | None, our_count: int, theirs: list[str | None] | None, their_count: int
) -> list[str | None] | None:
    if ours is None and theirs is None:
        return None
    return (ours or [None] * our_count) + (theirs or [None] * their_count)
