"""What the gateway knows of each device: its latest fix, how often one comes, and its clock.

Numbers lie in columns, so that a thousand fixes are looked at together. Only devices that are
somebody's have a row; others are in ``unknown_devices``.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from xiaohe.gateway.positions.raw_columns import Mask
from xiaohe.wire.fix_columns import Numbers
from xiaohe.wire.fix_times import Moments

Rows = npt.NDArray[np.int64]

NEVER_MS: Final = 0
"""Before any fix that is taken."""

GROUP_SPAN: Final = 1 << 42
"""More than any moment in ms: keeps groups apart in one running maximum."""

LATEST_WEIGHT: Final = 0.25
"""What the latest interval counts against those before it."""

CLOCK_WINDOW_MS: Final = 600_000
"""The least lag of so long, and of as long before it, says how a device's clock stands: of some
hundred fixes one comes with hardly a delay."""

FIRST_ROWS: Final = 1_024


class Verdicts(NamedTuple):
    """Of many fixes: ``again`` says what one before said, ``history`` is older than the latest."""

    again: Mask
    history: Mask


class DeviceFigures(Struct, frozen=True, kw_only=True):
    """One device as it now stands. None is what is not known yet; times in ms since the epoch.

    ``interval_s`` is between two fixes by the device's own time; ``least_lag_s`` from the fix to
    its receipt, the least of the last ten to twenty minutes: below 0 the device's clock is ahead
    of the broker's by at least that much. ``place`` is where its last message lies in the raw
    topic ``door`` (partition, offset), None where it came through another door.
    """

    device_id: str
    fix_ms: int
    received_ms: int
    lon: float
    lat: float
    interval_s: float | None
    least_lag_s: float | None
    fixes: int
    door: str
    place: tuple[int, int] | None


class Devices:
    """Every device that has an owner and was heard of. One writer, the event loop."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._doors: list[str] = []
        self._door: Moments = np.zeros(FIRST_ROWS, dtype=np.int64)
        self._fix_ms: Moments = np.full(FIRST_ROWS, NEVER_MS, dtype=np.int64)
        self._received_ms: Moments = np.full(FIRST_ROWS, NEVER_MS, dtype=np.int64)
        self._lon: Numbers = np.full(FIRST_ROWS, np.nan)
        self._lat: Numbers = np.full(FIRST_ROWS, np.nan)
        self._interval_ms: Numbers = np.full(FIRST_ROWS, np.nan)
        self._lag_ms: Numbers = np.full(FIRST_ROWS, np.nan)
        self._lag_before_ms: Numbers = np.full(FIRST_ROWS, np.nan)
        self._count: Moments = np.zeros(FIRST_ROWS, dtype=np.int64)
        self._partition: Moments = np.zeros(FIRST_ROWS, dtype=np.int64)
        self._offset: Moments = np.zeros(FIRST_ROWS, dtype=np.int64)
        self._window_ms = NEVER_MS

    def __len__(self) -> int:
        """Count the devices."""
        return len(self._rows)

    def __contains__(self, device_id: object) -> bool:
        """Tell whether a device was heard of."""
        return device_id in self._rows

    def rows(self, device_ids: Sequence[str]) -> Rows:
        """Give the row of each device, a new one where it has none."""
        rows = list(map(self._rows.get, device_ids))
        if None in rows:
            rows = [self._row(device_id) for device_id in device_ids]
        return np.array(rows, dtype=np.int64)

    def _row(self, device_id: str) -> int:
        row = self._rows.get(device_id)
        if row is None:
            row = self._rows[device_id] = len(self._rows)
            if row == len(self._fix_ms):
                self._grow()
        return row

    def _grow(self) -> None:
        for name in ("_lon", "_lat", "_interval_ms", "_lag_ms", "_lag_before_ms"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.full(len(column), np.nan)]))
        for name in ("_fix_ms", "_received_ms", "_count", "_partition", "_offset", "_door"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros(len(column), dtype=np.int64)]))

    def note(
        self, rows: Rows, fix_ms: Moments, lon: Numbers, lat: Numbers, received_ms: Moments
    ) -> Verdicts:
        """Take note of many fixes, in the order in which they came; say what each of them is."""
        order = np.argsort(rows, kind="stable")
        sorted_rows, times = rows[order], fix_ms[order]
        east, north = lon[order], lat[order]
        first = np.ones(len(rows), dtype=np.bool_)
        first[1:] = sorted_rows[1:] != sorted_rows[:-1]
        before = self._fix_ms[sorted_rows]
        east_before, north_before = self._lon[sorted_rows], self._lat[sorted_rows]
        if not first.all():
            # Who has several fixes here: each is held to the highest of those before it.
            groups = np.cumsum(first) * GROUP_SPAN
            highest = np.maximum.accumulate(times + groups) - groups
            inner = np.flatnonzero(~first)
            before[inner] = np.maximum(before[inner], highest[inner - 1])
            east_before[inner], north_before[inner] = east[inner - 1], north[inner - 1]
        newer = times > before
        again = (times == before) & (east == east_before) & (north == north_before)
        self._take(sorted_rows, times, east, north, before, newer)
        self._received(rows, received_ms, fix_ms)
        verdicts = np.empty((2, len(rows)), dtype=np.bool_)
        verdicts[0, order], verdicts[1, order] = again, ~newer & ~again
        return Verdicts(verdicts[0], verdicts[1])

    def _take(
        self,
        rows: Rows,
        times: Moments,
        east: Numbers,
        north: Numbers,
        before: Moments,
        newer: Mask,
    ) -> None:
        """Keep the newest of each; of several with one row numpy keeps the last, the newest."""
        taken = rows[newer]
        gap_ms = (times[newer] - before[newer]).astype(np.float64)
        gap_ms[before[newer] == NEVER_MS] = np.nan
        usual = self._interval_ms[taken]
        smoothed = usual + LATEST_WEIGHT * (gap_ms - usual)
        known = np.where(np.isnan(usual), gap_ms, smoothed)
        self._interval_ms[taken] = np.where(np.isnan(known), usual, known)
        self._fix_ms[taken] = times[newer]
        self._lon[taken] = east[newer]
        self._lat[taken] = north[newer]

    def _received(self, rows: Rows, received_ms: Moments, fix_ms: Moments) -> None:
        latest_ms = int(received_ms.max(initial=NEVER_MS))
        if latest_ms - self._window_ms >= CLOCK_WINDOW_MS:
            self._window_ms = latest_ms
            self._lag_before_ms = self._lag_ms
            self._lag_ms = np.full(len(self._fix_ms), np.nan)
        lag_ms = (received_ms - fix_ms).astype(np.float64)
        self._lag_ms[rows] = np.fmin(self._lag_ms[rows], lag_ms)
        self._received_ms[rows] = received_ms
        self._count[rows] += 1

    def note_places(self, rows: Rows, door: str, partitions: Moments, offsets: Moments) -> None:
        """Take note of where the last message of each lies; partition -1 is no raw topic."""
        if door not in self._doors:
            self._doors.append(door)
        self._door[rows] = self._doors.index(door)
        self._partition[rows] = partitions
        self._offset[rows] = offsets

    def forget_latest(self, device_ids: Sequence[str] | None = None) -> None:
        """Take the same fixes again, of these devices or of all: what was noted last may not have
        been written."""
        if device_ids is None:
            self._fix_ms[:] = NEVER_MS
            return
        known = [self._rows[each] for each in device_ids if each in self._rows]
        self._fix_ms[known] = NEVER_MS

    def last_place(self, device_id: str) -> tuple[float, float] | None:
        """Give where a device was last (lon, lat)."""
        row = self._rows.get(device_id)
        if row is None or np.isnan(self._lon[row]):
            return None
        return self._lon[row].item(), self._lat[row].item()

    def figures(self, device_id: str) -> DeviceFigures | None:
        """Give what is known of a device; None where nothing is."""
        row = self._rows.get(device_id)
        if row is None:
            return None
        partition = self._partition[row].item()
        return DeviceFigures(
            device_id=device_id,
            fix_ms=self._fix_ms[row].item(),
            received_ms=self._received_ms[row].item(),
            lon=self._lon[row].item(),
            lat=self._lat[row].item(),
            interval_s=_seconds(self._interval_ms[row]),
            least_lag_s=_seconds(np.fmin(self._lag_ms[row], self._lag_before_ms[row])),
            fixes=self._count[row].item(),
            door=self._doors[self._door[row]],
            place=None if partition < 0 else (partition, self._offset[row].item()),
        )

    def ids(self) -> list[str]:
        """Give all device_ids, in order."""
        return sorted(self._rows)


def _seconds(ms: np.float64) -> float | None:
    return None if np.isnan(ms) else round(ms.item() / 1000, 3)
