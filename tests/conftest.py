"""What tests share: one real Kafka for the whole run, and topics of its own for each test."""

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from xiaohe.broker import Broker, BrokerUnavailable
from xiaohe.cluster import apply
from xiaohe.kernel_cache import keep_kernels
from xiaohe.topics import Topics, load_topics

AREA_PARTITIONS = 4
"""Fewer than in earnest, for speed; enough for an area not to lie in the first."""

REQUIRE_BROKER = "XIAOHE_REQUIRE_BROKER"

NO_BROKER = "needs a real Kafka: "

_numbers = itertools.count(1)

keep_kernels()


@pytest.fixture(scope="session", autouse=True)
def _quick_java() -> Iterator[None]:
    """Brokers of tests live for seconds: Java's second compiler would cost more than it gains."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
        yield


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real Kafka, shared by all tests: who needs its death starts one of their own."""
    with start_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


def start_broker(data_dir: Path, port: int | None = None, *, secure: bool = False) -> Broker:
    """A broker on ``data_dir`` that dies with the tests; skips where none can be had."""
    try:
        return Broker.start(data_dir, bound_to_parent=True, port=port, secure=secure)
    except BrokerUnavailable as error:
        if os.environ.get(REQUIRE_BROKER) == "1":
            pytest.fail(f"{REQUIRE_BROKER}=1, and no broker can be had: {error}", pytrace=False)
        pytest.skip(f"{NO_BROKER}{error.problem.splitlines()[0]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name, in the end, every test that was left out for want of a broker, and why."""
    left_out: dict[str, list[str]] = {}
    for report in terminalreporter.getreports("skipped"):
        _, _, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, "")
        _, needed, why = str(reason).partition(NO_BROKER)
        if needed:
            left_out.setdefault(why, []).append(report.nodeid)
    for why, tests in left_out.items():
        terminalreporter.section(f"{len(tests)} tests could not be run: they need a real Kafka")
        for test in sorted(tests):
            terminalreporter.line(test)
        terminalreporter.line("")
        terminalreporter.line(f"{why} `xiaohe broker start` says what to install.", yellow=True)


@pytest.fixture
def topics_prefix() -> str:
    """Goes before the names of a test's topics, so that tests share a broker and nothing else."""
    return f"t{next(_numbers)}."


@pytest.fixture
def unapplied_topics(topics_prefix: str) -> Topics:
    """The topics of one test, which the broker does not have yet."""
    return load_topics(prefix=topics_prefix, area_partitions=AREA_PARTITIONS, replication_factor=1)


@pytest.fixture
async def topics(broker: Broker, unapplied_topics: Topics) -> Topics:
    """The topics of one test, made on the shared broker."""
    await apply(broker.bootstrap_servers, unapplied_topics)
    return unapplied_topics


@pytest.fixture
def free_port() -> int:
    """A port of the loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
