"""Turn the drawing into the files of ``data/``: ``python -m xiaohe.data.drawing.draw``.

Running it again changes no byte unless the drawing has changed.
"""

import sys
from collections.abc import Sequence

from xiaohe.data.drawing.area import read_beats, read_boundary, read_communities, read_waters
from xiaohe.data.drawing.crossings import bridge_waters, raise_viaduct
from xiaohe.data.drawing.geojson import area_features, feature_collection, road_features
from xiaohe.data.drawing.layout import Piece, lay_out
from xiaohe.data.drawing.places import beat_posts, command_centre, place_features
from xiaohe.data.drawing.roster import make_roster
from xiaohe.data.drawing.source import (
    SOURCE_FOLDER,
    Beat,
    Community,
    DrawingError,
    Water,
    read_bridges,
    read_streets,
    read_viaducts,
)
from xiaohe.data.drawing.units import Unit, make_units, road_ids

DATA_FOLDER = SOURCE_FOLDER.parent


def draw() -> dict[str, bytes]:
    """Return the files by name."""
    boundary, waters = read_boundary(), read_waters()
    communities = read_communities(boundary, waters)
    beats, bridges = read_beats(), read_bridges()
    units = draw_units(waters, communities, beats)
    posts = beat_posts(units, beats)
    roster = make_roster(units, beats, posts, command_centre(units))
    return {
        "roads.geojson": feature_collection(road_features(units, bridges)),
        "area.geojson": feature_collection(area_features(boundary, waters, communities)),
        "places.geojson": feature_collection(place_features(units, beats, posts, bridges)),
        "roster.json": roster,
    }


def draw_units(
    waters: Sequence[Water], communities: Sequence[Community], beats: Sequence[Beat]
) -> tuple[Unit, ...]:
    """Return the road network as units of responsibility."""
    streets = read_streets()
    layout = lay_out(streets)
    pieces: dict[str, list[Piece]] = {street.name: [] for street in streets}
    for piece in layout.pieces:
        pieces[piece.street.name].append(piece)
    ground = [
        row
        for street in streets
        for row in zip(
            road_ids(street, pieces[street.name], layout), pieces[street.name], strict=True
        )
    ]
    rows = bridge_waters(ground, waters, read_bridges())
    by_name = {street.name: street for street in streets}
    for viaduct in read_viaducts():
        rows += raise_viaduct(viaduct, by_name[viaduct.above], layout)
    return make_units(rows, communities, beats)


def main() -> int:
    """Write the files; exit status 1 and the reason if the drawing contradicts itself."""
    try:
        files = draw()
    except DrawingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, content in files.items():
        (DATA_FOLDER / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
