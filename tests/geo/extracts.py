"""Real road networks, where they are at hand: OpenStreetMap extracts that are not in the project,
and a city's graph in node-link form.

They are looked for in the folder ``osm`` of the directory that ``XIAOHE_TEST_DATA`` names. Tests
that use one are skipped, and say so, without it.
"""

import gzip
import os
from collections import defaultdict
from functools import cache
from pathlib import Path

import orjson
import pytest

from xiaohe.geo.importer import ImportReport, import_roads
from xiaohe.geo.network import Network
from xiaohe.geo.snap import Snapper

VARIABLE = "XIAOHE_TEST_DATA"
NAMES = ("baltimore.osm.pbf", "harrisburg.osm.pbf", "monaco.osm.gz")
GRAPH = "manhattan_network.json.gz"


def extract(name: str) -> Path:
    """Give the file of an extract; skips the test where it is absent."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"needs the extract {name}: name a folder of test data in {VARIABLE}")
    path = Path(folder) / "osm" / name
    if not path.exists():
        pytest.skip(f"needs the extract {name}, which {VARIABLE} does not hold")
    return path


@cache
def imported(name: str) -> ImportReport:
    """Import an extract once for all tests; skips the test where it is absent."""
    return import_roads(extract(name))


@cache
def loaded(name: str) -> tuple[Network, Snapper]:
    """Return the network and snapper of an extract."""
    network = Network.build(imported(name).pieces, name)
    return network, Snapper(network)


def graph_links_s():
    """The travel times of the graph's links, by their (from, to) places."""
    graph = orjson.loads(gzip.decompress(extract(GRAPH).read_bytes()))
    at = {node["id"]: (round(node["x"], 7), round(node["y"], 7)) for node in graph["nodes"]}
    times_s = defaultdict(list)
    for link in graph["links"]:
        times_s[at[link["source"]], at[link["target"]]].append(link["travel_time"])
    return times_s
