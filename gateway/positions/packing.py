"""Fixes packed into records of ``positions``, those of one area together."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from xiaohe.dispatch.inputs import POSITIONS_IN_BATCH_MAX
from xiaohe.gateway.positions.owners import Owner
from xiaohe.gateway.positions.raw_columns import RawColumns
from xiaohe.wire.fix_columns import Numbers

RECORD_BYTES_MAX: Final = 256 * 1024
"""A record of positions, from the contract."""


class Packed(Struct, frozen=True):
    """One record for the ``positions`` topic."""

    area_id: str
    value: bytes
    fixes: int


class _Fix(Struct, frozen=True, gc=False, omit_defaults=True):
    member_id: str
    lon: float
    lat: float
    fix_time: str
    device_id: str | None = None
    accuracy_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    battery: float | None = None
    alarm: str | None = None


class _Batch(Struct, frozen=True, gc=False):
    area_id: str
    source: str
    trust: float
    batch: list[_Fix]


_encode = msgspec.json.Encoder().encode


def pack(fixes: RawColumns, owners: Sequence[Owner], source: str, trust: float) -> Iterator[Packed]:
    """Give the records that hold these fixes, each with whose it is, in their order.

    ``source`` and ``trust`` (0 to 1) say where they are from, once a record.
    """
    packed = list(
        map(
            _Fix,
            [owner.member_id for owner in owners],
            fixes.lon.tolist(),
            fixes.lat.tolist(),
            fixes.fix_times,
            _named(fixes.device_ids),
            _stated(fixes.accuracy_m),
            _stated(fixes.speed_mps),
            _stated(fixes.course_deg),
            _stated(fixes.battery),
            fixes.alarms or itertools.repeat(None),
        )
    )
    for area_id, those in _by_area(packed, owners):
        for first in range(0, len(those), POSITIONS_IN_BATCH_MAX):
            batch = those[first : first + POSITIONS_IN_BATCH_MAX]
            yield from _records(_Batch(area_id, source, trust, batch))


def _by_area(packed: list[_Fix], owners: Sequence[Owner]) -> Iterator[tuple[str, list[_Fix]]]:
    areas = [owner.area_id for owner in owners]
    if len(set(areas)) == 1:
        yield areas[0], packed
        return
    found: dict[str, list[_Fix]] = {}
    for area_id, fix in zip(areas, packed, strict=True):
        found.setdefault(area_id, []).append(fix)
    yield from found.items()


def _records(batch: _Batch) -> Iterator[Packed]:
    value = _encode(batch)
    if len(value) <= RECORD_BYTES_MAX:
        yield Packed(batch.area_id, value, len(batch.batch))
        return
    half = len(batch.batch) // 2
    yield from _records(msgspec.structs.replace(batch, batch=batch.batch[:half]))
    yield from _records(msgspec.structs.replace(batch, batch=batch.batch[half:]))


def _named(device_ids: list[str]) -> list[str | None]:
    """Leave out what is empty: whoever sent it named a member instead."""
    if "" in device_ids:
        return [device_id or None for device_id in device_ids]
    return device_ids  # type: ignore[return-value]  # a list that nobody writes to


def _stated(values: Numbers) -> list[float | None]:
    """Give numbers as they are written; None, which is left out, where one is not stated."""
    stated: list[float | None] = values.tolist()
    if np.isnan(values).any():
        return [None if value != value else value for value in stated]  # noqa: PLR0124 - NaN
    return stated
