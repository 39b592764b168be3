"""The one-machine broker: it starts, keeps its address, survives a kill, and leaves no orphan.

Tests share one folder and start its broker if the test before has ended it.
"""

import concurrent.futures
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError

from tests.conftest import start_broker
from xiaohe.broker import Broker, BrokerUnavailable
from xiaohe.cluster import apply
from xiaohe.topics import Topics

pytestmark = pytest.mark.kafka

GONE_TIMEOUT_S = 20.0
"""How long a killed process may take to be gone on a busy machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The tests' shared data folder; its name would break a naive settings file."""
    path = tmp_path_factory.mktemp("own") / "数据 a,b=c"
    yield path
    running = Broker.attach(path)
    if running:
        running.stop()


@pytest.fixture
def own(folder: Path) -> Broker:
    """A broker that the test may kill."""
    return start_broker(folder)


def test_it_answers_on_the_loopback_only(own: Broker):
    """When start returns the broker answers, and nothing of it listens on another address."""
    status = Broker.status(own.data_dir)
    assert status.running
    assert status.answering
    assert (status.pid, status.bootstrap_servers) == (own.pid, own.bootstrap_servers)
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(own.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    # Java opens IPv6 sockets; an IPv4 address is written as a part of one there
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_a_second_start_gives_the_running_broker(own: Broker):
    """Starting a folder whose broker runs starts nothing and gives its address."""
    again = Broker.start(own.data_dir)
    assert not again.started_here
    assert (again.pid, again.bootstrap_servers) == (own.pid, own.bootstrap_servers)


def test_two_starts_at_once_make_one_broker(own: Broker):
    """Of two that start a folder at the same time one starts the broker and both get it."""
    own.stop()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = [pool.submit(Broker.start, own.data_dir, bound_to_parent=True) for _ in range(2)]
        first, second = (future.result() for future in both)
    assert first.pid == second.pid
    assert first.started_here != second.started_here
    # the threads have ended, and with them those that Linux takes for the broker's parents
    assert first.alive


def test_it_stops_and_comes_back_at_the_same_address(own: Broker):
    """After an orderly end nothing runs; the next start has the address that clients know."""
    own.stop()
    assert not Broker.status(own.data_dir).running
    own.stop()  # again is nothing
    again = start_broker(own.data_dir)
    assert again.started_here
    assert again.pid != own.pid
    assert again.bootstrap_servers == own.bootstrap_servers


def test_a_taken_port_is_given_up(own: Broker):
    """If another program took the port meanwhile, a new one is found, or named as taken."""
    own.stop()
    port = int(own.bootstrap_servers.rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(BrokerUnavailable, match=f"Port {port} .* taken") as caught:
            Broker.start(own.data_dir, bound_to_parent=True, port=port)
        assert "--bootstrap-servers" in caught.value.advice
        moved = start_broker(own.data_dir)
        assert moved.bootstrap_servers != own.bootstrap_servers
        assert Broker.status(own.data_dir).answering


def test_a_wanted_port_is_used(own: Broker, free_port: int):
    """`port` decides where the broker listens."""
    own.stop()
    asked = Broker.start(own.data_dir, bound_to_parent=True, port=free_port)
    assert asked.bootstrap_servers == f"127.0.0.1:{free_port}"


async def test_what_it_acknowledged_survives_a_kill(own: Broker, unapplied_topics: Topics):
    """A record acknowledged before SIGKILL is there after a restart, at the same address."""
    await apply(own.bootstrap_servers, unapplied_topics)
    producer = AIOKafkaProducer(bootstrap_servers=own.bootstrap_servers, acks="all")
    await producer.start()
    try:
        sent = await producer.send_and_wait(unapplied_topics.alerts.name, b"{}", b"area-1")
        _kill(own.pid)
        assert not Broker.status(own.data_dir).running
        again = start_broker(own.data_dir)
        assert again.bootstrap_servers == own.bootstrap_servers
        # the same producer goes on: it has been given no new address
        after = await producer.send_and_wait(unapplied_topics.alerts.name, b"[]", b"area-1")
        assert (after.partition, after.offset) == (sent.partition, sent.offset + 1)
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=again.bootstrap_servers)
    await consumer.start()
    try:
        partition = TopicPartition(sent.topic, sent.partition)
        consumer.assign([partition])
        consumer.seek(partition, sent.offset)
        assert (await consumer.getone()).value == b"{}"
    finally:
        await consumer.stop()


async def test_an_unknown_topic_is_not_made(own: Broker):
    """Who writes to a misspelt topic gets an error, and the topic does not come to be."""
    producer = AIOKafkaProducer(
        bootstrap_servers=own.bootstrap_servers, request_timeout_ms=500, retry_backoff_ms=50
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=own.bootstrap_servers)
    await producer.start()
    await admin.start()
    try:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.send_and_wait("alarts", b"{}")
        assert "alarts" not in await admin.list_topics()
    finally:
        await producer.stop()
        await admin.close()


def test_a_bound_broker_dies_with_a_killed_parent(own: Broker):
    """After SIGKILL of the process that started it, a bound broker is gone."""
    own.stop()
    with _starter(own.data_dir, bound_to_parent=True) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        assert broker.is_running()
        parent.kill()
        broker.wait(GONE_TIMEOUT_S)
    assert not Broker.status(own.data_dir).running


def test_a_free_broker_outlives_its_starter_and_can_be_stopped(own: Broker):
    """A broker that is not bound goes on after its starter's end, until somebody stops it."""
    own.stop()
    with _starter(own.data_dir, bound_to_parent=False) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    found = Broker.attach(own.data_dir)
    assert found is not None
    try:
        assert found.pid == pid
        assert Broker.status(own.data_dir).answering
    finally:
        found.stop()
    assert not psutil.pid_exists(pid)


def test_a_stale_record_is_not_believed(own: Broker):
    """If the noted process id now belongs to another program, the broker counts as ended."""
    own.stop()
    file = own.data_dir / "broker.json"
    noted = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode({**noted, "pid": os.getpid()}))
    assert not Broker.status(own.data_dir).running
    assert Broker.attach(own.data_dir) is None
    assert start_broker(own.data_dir).started_here


def test_a_broker_that_nobody_noted_is_found(own: Broker):
    """A starter killed before it could note the process id leaves no second broker behind."""
    file = own.data_dir / "broker.json"
    noted = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode({**noted, "pid": None}))
    again = start_broker(own.data_dir)
    assert not again.started_here
    assert again.pid == own.pid


def test_a_broken_folder_gives_the_logs_last_lines(own: Broker, tmp_path: Path):
    """A broker that ends at once is an error that repeats what it said, and nothing is left."""
    log = tmp_path / "log"
    log.mkdir()
    (log / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=x\n")
    with pytest.raises(BrokerUnavailable, match=r"(?s)ended as soon as.*node id 7") as caught:
        Broker.start(tmp_path, bound_to_parent=True)
    assert "--data-dir" in caught.value.advice
    assert not Broker.status(tmp_path).running


def test_a_broker_that_is_not_ready_in_time_is_ended(own: Broker):
    """Past the deadline the start fails, and what was started is gone."""
    own.stop()
    with pytest.raises(BrokerUnavailable, match="did not answer in time"):
        Broker.start(own.data_dir, bound_to_parent=True, ready_timeout_s=0.0)
    assert not Broker.status(own.data_dir).running


def _starter(data_dir: Path, *, bound_to_parent: bool) -> subprocess.Popen[str]:
    """A process that starts a broker, writes its process id, and waits to be killed."""
    program = (
        "import signal, sys; from xiaohe.broker import Broker; "
        "broker = Broker.start(sys.argv[1], bound_to_parent=sys.argv[2] == 'True'); "
        "print(broker.pid, flush=True); signal.pause()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(data_dir), str(bound_to_parent)],
        stdout=subprocess.PIPE,
        text=True,
    )


def _kill(pid: int) -> None:
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    process.wait(GONE_TIMEOUT_S)
