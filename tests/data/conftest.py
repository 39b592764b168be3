"""The project's own files, read once for all tests about them."""

import json
from pathlib import Path

import msgspec
import pytest

import xiaohe.data
from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.geo.roads import RoadPiece, read_roads

DATA = Path(xiaohe.data.__file__).parent


@pytest.fixture(scope="session")
def pieces() -> tuple[RoadPiece, ...]:
    """The roads as the engine reads them."""
    return read_roads((DATA / "roads.geojson").read_bytes())


@pytest.fixture(scope="session")
def road_features() -> list[dict]:
    """The roads with all their properties."""
    return json.loads((DATA / "roads.geojson").read_bytes())["features"]


@pytest.fixture(scope="session")
def area_features() -> list[dict]:
    """The border, the communities and the waters."""
    return json.loads((DATA / "area.geojson").read_bytes())["features"]


@pytest.fixture(scope="session")
def places() -> list[dict]:
    """The places."""
    return json.loads((DATA / "places.geojson").read_bytes())["features"]


@pytest.fixture(scope="session")
def roster() -> list[RosterEntry]:
    """The brigade."""
    return msgspec.json.decode((DATA / "roster.json").read_bytes(), type=list[RosterEntry])
