"""The fixes of one record of positions by column: numbers side by side, as the live index takes
them, and a ``Fix`` for whoever asks for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Protocol, overload

import numpy as np
import numpy.typing as npt

from xiaohe.dispatch.inputs import Fix

Numbers = npt.NDArray[np.float64]

COLUMNS_MIN: Final = 32
"""Fewer fixes are taken one by one: columns have to be laid out first, whatever their length."""


class Said(Protocol):
    """What of a fix is needed only where something follows from it."""

    @property
    def fix_time(self) -> str:
        """The time as the sender wrote it."""

    @property
    def seq(self) -> int | None:
        """The device's own number."""

    @property
    def battery(self) -> float | None:
        """Charge, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class FixColumns(Sequence[Fix]):
    """Fixes in the order of the record, by column.

    ``lon`` and ``lat`` are WGS-84; ``accuracy_m``, ``speed_mps`` and ``course_deg`` are NaN where
    they are not stated. ``alarms`` is None where no fix has one. ``said`` has the rest.
    """

    member_ids: list[str | None]
    device_ids: list[str | None]
    lon: Numbers
    lat: Numbers
    fix_ms: npt.NDArray[np.int64]
    accuracy_m: Numbers
    speed_mps: Numbers
    course_deg: Numbers
    alarms: list[str | None] | None
    said: Sequence[Said]

    def __len__(self) -> int:
        """Count the fixes."""
        return len(self.said)

    @overload
    def __getitem__(self, at: int) -> Fix: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Fix]: ...

    def __getitem__(self, at: int | slice) -> Fix | Sequence[Fix]:
        """Give one fix whole."""
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        said = self.said[at]
        return Fix(
            member_id=self.member_ids[at],
            device_id=self.device_ids[at],
            lon=self.lon[at].item(),
            lat=self.lat[at].item(),
            fix_ms=self.fix_ms[at].item(),
            fix_time=said.fix_time,
            accuracy_m=_stated(self.accuracy_m[at]),
            speed_mps=_stated(self.speed_mps[at]),
            course_deg=_stated(self.course_deg[at]),
            seq=said.seq,
            battery=said.battery,
            alarm=None if self.alarms is None else self.alarms[at],
        )

    def __eq__(self, other: object) -> bool:
        """Tell whether another sequence has the same fixes."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # holds lists and arrays


def columns_of(fixes: Sequence[Fix]) -> FixColumns:
    """Lay fixes out by column."""
    return FixColumns(
        member_ids=column(fixes, "member_id"),
        device_ids=column(fixes, "device_id"),
        lon=numbers(fixes, "lon"),
        lat=numbers(fixes, "lat"),
        fix_ms=np.array([fix.fix_ms for fix in fixes], dtype=np.int64),
        accuracy_m=numbers(fixes, "accuracy_m"),
        speed_mps=numbers(fixes, "speed_mps"),
        course_deg=numbers(fixes, "course_deg"),
        alarms=alarms_of(column(fixes, "alarm")),
        said=fixes,
    )


def alarms_of(alarms: list[str | None]) -> list[str | None] | None:
    """Give the column of alarms; None where there is none, as nearly always."""
    return alarms if any(alarms) else None


def column(fixes: Sequence[object], name: str) -> list[str | None]:
    """Give a field of each."""
    return list(map(attrgetter(name), fixes))


def numbers(fixes: Sequence[object], name: str) -> Numbers:
    """Give a field of each as numbers, NaN where it is None."""
    return np.array(list(map(attrgetter(name), fixes)), dtype=np.float64)


def _stated(number: np.float64) -> float | None:
    return None if np.isnan(number) else number.item()
