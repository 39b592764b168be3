"""Compiling before the first alert, not with it: every kernel is called once."""

from typing import Final

import numpy as np

from xiaohe.geo.compiled_search import travel_field
from xiaohe.geo.cover import cover
from xiaohe.geo.datum import to_wgs84_many
from xiaohe.geo.live import LivePositions
from xiaohe.geo.roads import MODES
from xiaohe.geo.search_kernel import AT_SITE, INT_COLUMNS, file_rows, follow
from xiaohe.geo.snap import Snapper

SOMEBODY: Final = "somebody"


def warm_up(snapper: Snapper) -> None:
    """Call every kernel with what it is called with in earnest; nothing is kept."""
    network = snapper.network
    lon, lat = network.node_points[0].tolist()
    site = snapper.snap(lon, lat)
    live = LivePositions(snapper)
    live.set_post(SOMEBODY, lon, lat)
    live.move(SOMEBODY, lon, lat, 0)
    one, stated = np.array([1]), np.zeros(1)
    places = np.array([lon]), np.array([lat])
    live.move_many([SOMEBODY], *places, one, stated, stated, stated)
    to_wgs84_many(np.array([lon]), np.array([lat]), ["gcj02"])
    if site is None:
        return
    field = travel_field(network, site, MODES)
    list(field.members(live, 1.0, fresh_since_ms=0))
    for mode in MODES:
        field.eta(site.spot, mode=mode)
        field.path(site.spot, mode)
        field.route(site.spot, mode)
    cover(network, [(site.spot, MODES[0])], 0.0)
    # What only a way over a junction, and a field that has grown, would call.
    rows = np.zeros((1, INT_COLUMNS), dtype=np.int64)
    follow(rows, AT_SITE, np.empty(1, dtype=np.int32))
    file_rows(np.empty(1, dtype=np.int32), rows, 0)
