"""Real road networks, where they are at hand: OpenStreetMap extracts that are not in the project.

They are looked for in the folder ``osm`` of the directory named by ``XIAOHE_TEST_DATA``, or else
of ``../shared/data`` beside the checkout. Tests that use one are skipped, and say so, without it.
"""

import os
from functools import cache
from pathlib import Path

import pytest

from xiaohe.geo.importer import ImportReport, import_roads
from xiaohe.geo.network import Network
from xiaohe.geo.snap import Snapper

CHECKOUT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("XIAOHE_TEST_DATA", CHECKOUT.parent / "shared" / "data")) / "osm"
NAMES = ("baltimore.osm.pbf", "harrisburg.osm.pbf", "monaco.osm.gz")


@cache
def imported(name: str) -> ImportReport:
    """Import an extract once for all tests; skips the test where it is absent."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no extract {name} in {FOLDER}: set XIAOHE_TEST_DATA to test on it")
    return import_roads(path)


@cache
def loaded(name: str) -> tuple[Network, Snapper]:
    """Return the network and snapper of an extract."""
    network = Network.build(imported(name).pieces, name)
    return network, Snapper(network)
