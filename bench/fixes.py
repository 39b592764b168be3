"""Positions as they come in: records of the wire, and what the engine does with one."""

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from xiaohe.bench.crowd import AREA, FIX_AGE_MS, NOW_MS, Crowd
from xiaohe.dispatch.times import rfc3339
from xiaohe.geo.live import LivePositions
from xiaohe.geo.projection import Projection
from xiaohe.wire.codec_positions import decode_positions
from xiaohe.wire.fix_columns import FixColumns

STEP_M: Final = 10.0
"""How far a member is from where they were: some seconds on foot or two by e-bike."""

EVERY_MS: Final = 1_000
"""From a member's fix to the next."""


class Moves(NamedTuple):
    """Positions in the order in which they come: whose, where, when."""

    ids: list[str]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    fix_ms: NDArray[np.int64]

    def rows(self, first: int, end: int) -> list[tuple[str, float, float]]:
        """Give some of them as (id, lon, lat)."""
        return list(
            zip(
                self.ids[first:end],
                self.lon[first:end].tolist(),
                self.lat[first:end].tolist(),
                strict=True,
            )
        )


def moves_of(
    crowd: Crowd, projection: Projection, count: int, seed: int, *, begin_ms: int = 0
) -> Moves:
    """Let members move a few metres, in an order that no memory can guess.

    Their fixes begin ``begin_ms`` after the last ones known.
    """
    chance = np.random.default_rng(seed)
    members = len(crowd.ids)
    order = np.resize(chance.permutation(members), count)
    metres = projection.many_to_m(np.column_stack((crowd.lon[order], crowd.lat[order])))
    metres += chance.normal(0.0, STEP_M, metres.shape)
    lon, lat = projection.many_to_deg(metres).T
    rounds = 1 + np.arange(count) // members
    return Moves(
        ids=[crowd.ids[number] for number in order.tolist()],
        lon=lon.round(7),
        lat=lat.round(7),
        fix_ms=NOW_MS - FIX_AGE_MS + begin_ms + rounds * EVERY_MS,
    )


def records_of(moves: Moves, pack: int) -> Iterator[bytes]:
    """Give the records of the topic ``positions``: packed as by the gateway, or single."""
    rows = zip(
        moves.ids, moves.lon.tolist(), moves.lat.tolist(), moves.fix_ms.tolist(), strict=True
    )
    fixes = (
        {
            "member_id": member_id,
            "lon": lon,
            "lat": lat,
            "fix_time": rfc3339(fix_ms),
            "accuracy_m": 8.0,
            "speed_mps": 4.0,
            "course_deg": 90.0,
        }
        for member_id, lon, lat, fix_ms in rows
    )
    if pack == 1:
        yield from map(orjson.dumps, fixes)
        return
    while batch := list(islice(fixes, pack)):
        yield orjson.dumps({"area_id": AREA, "batch": batch})


def take(live: LivePositions, raw: bytes) -> None:
    """Decode a record, and put its positions on the map and on their roads."""
    fixes = decode_positions(AREA.encode(), raw).fixes
    if isinstance(fixes, FixColumns):
        live.move_many(
            [member_id for member_id in fixes.member_ids if member_id is not None],
            fixes.lon,
            fixes.lat,
            fixes.fix_ms,
            fixes.accuracy_m,
            fixes.speed_mps,
            fixes.course_deg,
        )
        return
    for fix in fixes:
        assert fix.member_id is not None
        live.move(
            fix.member_id,
            fix.lon,
            fix.lat,
            fix.fix_ms,
            accuracy_m=fix.accuracy_m,
            speed_mps=fix.speed_mps,
            course_deg=fix.course_deg,
        )
