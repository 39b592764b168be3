"""The cluster of deploy/compose.yaml, its settings run as three plain processes on the loopback."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from aiokafka import AIOKafkaProducer

from xiaohe.bound import start_bound
from xiaohe.broker import JVM_FLAGS, LOOK_AGAIN_S, SETTINGS_DIR, Broker
from xiaohe.cluster import apply, diff
from xiaohe.java import broker_jars, find_java, tail_of
from xiaohe.loopback import answers, free_port
from xiaohe.topics import load_topics

pytestmark = pytest.mark.kafka

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"


class Node(NamedTuple):
    """One broker of the cluster."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path


@pytest.fixture
def cluster(broker: Broker, tmp_path: Path) -> Iterator[list[Node]]:
    """Three nodes with the settings of the compose file; addresses and folders apart.

    ``broker`` is asked for only so that this is left out where no Kafka can be had.
    """
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    environments = [
        each["environment"] for each in services.values() if "KAFKA_NODE_ID" in each["environment"]
    ]
    taken: set[int] = set()
    ports = [(free_port(taken), free_port(taken)) for _ in environments]
    voters = ",".join(f"{n}@127.0.0.1:{port}" for n, (_, port) in enumerate(ports, start=1))
    nodes = [
        _start(tmp_path / f"node-{number}", environment, own, voters)
        for number, (environment, own) in enumerate(zip(environments, ports, strict=True))
    ]
    yield nodes
    for node in nodes:
        node.process.kill()
        node.process.wait()


async def test_the_cluster_takes_our_topics_and_bears_the_loss_of_one_broker(cluster: list[Node]):
    """Three copies of every topic are made; one broker killed, acks=all goes on."""
    _await_answers(cluster)
    addresses = ",".join(f"127.0.0.1:{node.port}" for node in cluster)
    topics = load_topics(area_partitions=3, replication_factor=3)

    await apply(addresses, topics)

    assert await diff(addresses, topics) == ()
    producer = AIOKafkaProducer(bootstrap_servers=addresses, acks="all")
    await producer.start()
    try:
        for partition in range(topics.area_partitions):
            await producer.send_and_wait(topics.decisions.name, b"{}", partition=partition)
        cluster[0].process.kill()
        for partition in range(topics.area_partitions):
            sent = await producer.send_and_wait(topics.decisions.name, b"{}", partition=partition)
            assert sent.offset == 1
    finally:
        await producer.stop()


def _start(folder: Path, environment: dict[str, str], ports: tuple[int, int], voters: str) -> Node:
    """As the image does it: KAFKA_LOG_DIRS is log.dirs, and so on; then format, then run."""
    port, controller_port = ports
    own = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": voters,
        "log.dirs": "log",
    }
    said = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): value
        for key, value in environment.items()
        if key.startswith("KAFKA_")
    }
    assert own.keys() <= said.keys()
    folder.mkdir()
    lines = [f"{key}={value}\n" for key, value in {**said, **own}.items()]
    (folder / "server.properties").write_text("".join(lines))
    (folder / "log4j2.yaml").write_bytes((SETTINGS_DIR / "log4j2.yaml").read_bytes())
    java = [str(find_java()), *JVM_FLAGS, "-cp", broker_jars().classpath]
    tool = ["kafka.tools.StorageTool", "format", "--config=server.properties"]
    subprocess.run(
        [*java, *tool, f"--cluster-id={environment['CLUSTER_ID']}"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    process = start_bound([*java, "kafka.Kafka", "server.properties"], cwd=folder)
    return Node(process, port, folder)


def _await_answers(nodes: list[Node]) -> None:
    for node in nodes:
        while not answers("127.0.0.1", node.port):
            said = (node.folder / "broker.log").read_text() if node.process.poll() else ""
            assert node.process.poll() is None, tail_of(said)
            time.sleep(LOOK_AGAIN_S)
