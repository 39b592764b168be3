"""The nearest few by road, held equal to the whole graph's in ten thousand choices of real cities.

The oracle is ``xiaohe.bench.oracle``: scipy's Dijkstra over all junctions, with the ways within a
street put on by itself. It shares nothing with either search.
"""

import gzip
import json
from functools import cache
from itertools import islice
from math import inf

import numpy as np
import pytest

from tests.geo import extracts
from xiaohe.bench.oracle import Oracle
from xiaohe.geo.compiled_search import CompiledField
from xiaohe.geo.geometry import Spot
from xiaohe.geo.live import LivePositions
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES, RoadPiece
from xiaohe.geo.search import TravelField
from xiaohe.geo.snap import Site, Snapper

NEAREST = 5
CHOICES = 1_112
"""In each of three cities by each of three modes: 10,008."""

MEMBERS = 400
SITES_AT_ONCE = 128
END_SHARE = 0.1
"""Of the spots that are exactly at an end of their street."""

MET_SHARE = 0.9
"""Nearly everywhere five can come: cities have a few streets that lead nowhere."""

CITIES = ("baltimore.osm.pbf", "harrisburg.osm.pbf", "manhattan_network.json.gz")
FIELDS = (CompiledField, TravelField)


@cache
def city(name):
    """The network and snapper of a city; Manhattan's streets are one link a direction."""
    if not name.endswith(".json.gz"):
        return extracts.loaded(name)
    document = json.loads(gzip.decompress(extracts.extract(name).read_bytes()))
    at = {node["id"]: (node["x"], node["y"]) for node in document["nodes"]}
    pieces = [
        RoadPiece(
            road_id=str(number),
            points=(at[link["source"]], at[link["target"]]),
            oneway="yes",
            maxspeed_kmh=link["speed_kmph"],
        )
        for number, link in enumerate(document["links"])
    ]
    network = Network.build(pieces, name)
    return network, Snapper(network)


class Placed(LivePositions):
    """Members put at spots, without a way through degrees and back."""

    def put(self, member_id, spot, mode):
        """Place a member's fix exactly at a spot."""
        self.enrol(member_id, mode)
        self._stand(2 * self._slot(member_id), spot)


def spots_on(edges, count, chance):
    """Spots anywhere on these edges, some exactly at an end."""
    fracs = chance.random(count)
    at_end = chance.random(count) < END_SHARE
    fracs[at_end] = fracs[at_end].round()
    return chance.choice(edges, count), fracs


def site_at(network, spot):
    """The site exactly at a spot."""
    lon, lat = network.point_at(spot)
    return Site(lon, lat, spot, network.road_of(spot.edge), 0.0, lon, lat)


def agrees(found, expected_s):
    """The times are those of the nearest few, and each member's own time is right."""
    nearest_s = np.sort(expected_s)[:NEAREST]
    nearest_s = nearest_s[nearest_s < inf]
    mine_s = np.array([reached.eta_s for reached in found])
    own_s = expected_s[[int(reached.member_id) for reached in found]]
    if len(mine_s) != len(nearest_s) or len({reached.member_id for reached in found}) != len(found):
        return False
    return np.allclose(mine_s, nearest_s, rtol=1e-9) and np.allclose(mine_s, own_s, rtol=1e-9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CITIES)
def test_the_nearest_few_are_those_of_the_whole_graph(name, mode):
    """In every choice the same people with the same times, compiled and in plain Python."""
    network, snapper = city(name)
    chance = np.random.default_rng([CITIES.index(name), MODES.index(mode)])
    usable = np.flatnonzero(network.graphs[mode].usable)
    edges, fracs = spots_on(usable, MEMBERS, chance)
    live = Placed(snapper)
    for member, (edge, frac) in enumerate(zip(edges.tolist(), fracs.tolist(), strict=True)):
        live.put(str(member), Spot(edge, frac), mode)
    oracle = Oracle(network, mode)
    columns = [column.tolist() for column in spots_on(usable, CHOICES, chance)]
    sites = list(map(Spot, *columns))
    wrong, met = [], 0
    for first in range(0, CHOICES, SITES_AT_ONCE):
        some = sites[first : first + SITES_AT_ONCE]
        for spot, times_s in zip(some, oracle.to_sites(some), strict=True):
            expected_s = oracle.travel_s(spot, times_s, edges, fracs)
            for kind in FIELDS:
                field = kind(network, site_at(network, spot), mode)
                found = list(islice(field.members(live), NEAREST))
                met += len(found)
                if not agrees(found, expected_s):
                    wrong.append((kind.__name__, spot, found))
    assert not wrong, f"{len(wrong)} of {CHOICES} choices, the first: {wrong[0]}"
    assert met > MET_SHARE * NEAREST * CHOICES * len(FIELDS), "hardly anybody was found at all"
