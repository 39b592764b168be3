"""The whole product as a process, once for the run: each test has an area of its own."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.geo.extracts import extract
from tests.kafka.city import City
from tests.kafka.outside import Client, Program
from xiaohe.broker import Broker

ROOT = Path(__file__).parents[2]

POLICY = """
areas:
  - {area_id: xiaohe, name: 小河街道, timezone: Asia/Shanghai}
  - {area_id: alone, name: Alone, timezone: UTC, neighbours: [helper]}
  - {area_id: helper, name: Helper, timezone: UTC}
rules:
  - set: {offer_s: 1.5, dwell_s: 0.5, retry_s: 1, fix_s: 60}
  - when: {area: [quick, quick-killed]}
    set: {accept_s: 2, arrive_s: 3, backup_s: 4, offer_s: 0.6, squadron_leader_s: 0.5,
          brigade_leader_s: 1}
"""
"""Only the waiting is shortened; what travel time decides keeps the real windows."""


@pytest.fixture(scope="session")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's policy, laid over the defaults."""
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def ended_well(program: Program) -> None:
    """After all tests the account of everything that they sent holds, and the program ends."""
    try:
        servers = str(program.ready["bootstrap_servers"])
        command = [sys.executable, "-m", "xiaohe", "verify", "--bootstrap-servers", servers]
        verified = subprocess.run(command, check=False, capture_output=True, text=True)
    finally:
        status = program.end()
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert status == 0


@pytest.fixture(scope="session")
def product(
    broker: Broker, policy_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """``xiaohe up`` on its own map; ``broker`` is asked for because it skips where none can be."""
    folder = tmp_path_factory.mktemp("product")
    program = Program("--data-dir", folder, "--http", "127.0.0.1:0", "--policy", policy_file)
    yield program
    ended_well(program)


@pytest.fixture(scope="session")
def servers(product: Program) -> str:
    """Where the running product's Kafka is."""
    return str(product.ready["bootstrap_servers"])


@pytest.fixture(scope="session")
def own_city() -> City:
    """The project's own map."""
    return City("xiaohe", ROOT / "data" / "roads.geojson")


@pytest.fixture
async def client(servers: str) -> AsyncIterator[Client]:
    """An outside client of the product on its own map."""
    async with Client(servers) as client:
        yield client


@pytest.fixture(scope="session")
def baltimore(tmp_path_factory: pytest.TempPathFactory) -> City:
    """Another city, as ``xiaohe roads import`` makes it of an OpenStreetMap extract."""
    source = extract("baltimore.osm.pbf")
    out = tmp_path_factory.mktemp("baltimore") / "roads.geojson"
    command = [sys.executable, "-m", "xiaohe", "roads", "import", str(source), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return City("baltimore", out)


@pytest.fixture(scope="session")
def baltimore_servers(
    broker: Broker, baltimore: City, policy_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """``xiaohe up`` on Baltimore, with no roster but what the client publishes."""
    folder = tmp_path_factory.mktemp("product-baltimore")
    where = ("--data-dir", folder, "--http", "127.0.0.1:0", "--roads", baltimore.path)
    program = Program(*where, "--policy", policy_file)
    try:
        servers = str(program.ready["bootstrap_servers"])
    except AssertionError:
        program.end()
        raise
    yield servers
    ended_well(program)
