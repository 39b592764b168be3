"""From pieces to units of responsibility: who answers for which stretch is said by ``road_id``."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from xiaohe.data.drawing.area import beat_of, community_of
from xiaohe.data.drawing.layout import Layout, Piece
from xiaohe.data.drawing.source import Beat, Community, DrawingError, Street

UNCUT_M_MAX = 700.0
"""A street longer than this is divided: one person cannot answer for all of it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One road_id with its pieces, community and beat."""

    road_id: str
    pieces: tuple[Piece, ...]
    community: str
    beat: Beat


def road_ids(street: Street, pieces: Sequence[Piece], layout: Layout) -> list[str]:
    """Return for each piece of a street its road_id, in order.

    A street without ``cut`` is one unit under its name; else a unit runs from one named crossing
    to the next, and what lies before the first and after the last belongs to their neighbours.
    """
    if not street.cut:
        if street.line.length > UNCUT_M_MAX:
            raise DrawingError(f"{street.name} is {street.line.length:.0f} m long: give it `cut`")
        return [street.name] * len(pieces)
    stops_m: list[float] = []
    for name in street.cut:
        after_m = stops_m[-1] if stops_m else -1.0
        meetings = [at_m for at_m in layout.meetings_m(street.name, name) if at_m > after_m]
        if not meetings:
            raise DrawingError(f"{street.name} does not meet {name} in that order: mend its `cut`")
        stops_m.append(meetings[0])
    ids = [f"{street.name}/{one}-{other}" for one, other in pairwise(street.cut)]
    inner_m = stops_m[1:-1]
    return [ids[sum(piece.start_m >= stop_m for stop_m in inner_m)] for piece in pieces]


def make_units(
    rows: Sequence[tuple[str, Piece]], communities: Sequence[Community], beats: Sequence[Beat]
) -> tuple[Unit, ...]:
    """Join the pieces of each road_id and say in which community and beat most of it lies."""
    pieces: dict[str, list[Piece]] = defaultdict(list)
    for road_id, piece in rows:
        pieces[road_id].append(piece)
    units = []
    for road_id in sorted(pieces):
        own = tuple(pieces[road_id])
        lengths: dict[tuple[str, str], float] = defaultdict(float)
        by_name: dict[str, Beat] = {}
        for piece in own:
            middle = piece.line.interpolate(0.5, normalized=True)
            community = community_of(middle, communities)
            beat = beat_of(middle, community, beats)
            by_name[beat.name] = beat
            lengths[(community, beat.name)] += round(piece.line.length)
        community, beat_name = min(lengths, key=lambda key: (-lengths[key], key))
        units.append(Unit(road_id, own, community, by_name[beat_name]))
    return tuple(units)
