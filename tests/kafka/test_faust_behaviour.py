"""What Faust and aiokafka do that the lanes are built against: fails when an upgrade changes it."""

import ast
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from faust.types import TP

from tests.streams.toy import ToyCore
from xiaohe.broker import Broker
from xiaohe.streams import app as app_module
from xiaohe.streams.app import CoPartitioningError, WorkerSettings, build_app
from xiaohe.streams.clocks import SystemClock
from xiaohe.streams.consumer import FETCH_WAIT_MS, RECORDS_AT_ONCE, Commits, LogConsumer
from xiaohe.streams.kafka_log import plain_reader
from xiaohe.streams.lane import Flow
from xiaohe.streams.lanes import Lanes
from xiaohe.streams.memory_log import MemoryLog, MemoryTopics
from xiaohe.streams.ports import INPUTS
from xiaohe.topics import Topics, load_topics

PARTITIONS = 12
STREAMS = Path(app_module.__file__).parent


@pytest.fixture
def engine_topics() -> Topics:
    """Topics by name only: nothing is made."""
    return load_topics(area_partitions=PARTITIONS, replication_factor=1)


@pytest.fixture
async def app(engine_topics: Topics, tmp_path: Path) -> AsyncIterator[faust.App]:
    """The app as a worker has it, not started."""
    log = MemoryLog(MemoryTopics(SystemClock(), PARTITIONS))
    made = build_app(
        WorkerSettings("127.0.0.1:1", tmp_path),
        engine_topics,
        lambda flow: Lanes(lambda _p: None, log, SystemClock(), flow, lambda _e: None),
        lambda _error: None,
        lambda: None,
        Commits(),
    )
    yield made
    made.consumer._thread.thread_loop.close()


def names(topics: Topics) -> list[str]:
    """The input topics' names."""
    return [getattr(topics, key).name for key in INPUTS]


def group_consumer(app: faust.App) -> AIOKafkaConsumer:
    """The consumer that Faust would join its group with; not started."""
    thread = app.consumer._thread
    consumer = thread._create_consumer(loop=asyncio.get_running_loop())
    consumer._closed = True  # nothing was opened
    return consumer


def cluster_of(topics: Topics) -> ClusterMetadata:
    """A cluster that has the input topics."""

    class Known(ClusterMetadata):
        def partitions_for_topic(self, _topic: str) -> set[int]:
            return set(range(PARTITIONS))

        def topics(self, exclude_internal_topics: bool = True) -> set[str]:
            return set(names(topics))

    return Known()


def split_areas(assigned: dict[str, dict[str, list[int]]], topics: Topics) -> int:
    """How many partition numbers do not belong to one member with all their topics."""
    owners = [
        {
            frozenset(member for member, has in assigned.items() if number in has.get(name, ()))
            for name in names(topics)
        }
        for number in range(PARTITIONS)
    ]
    return sum(len(each) != 1 or len(next(iter(each))) != 1 for each in owners)


@pytest.mark.parametrize("members", [1, 2, 3, 5])
async def test_faust_gives_an_area_with_all_its_topics_to_one_worker(app, engine_topics, members):
    """Faust's own assignor, which one configured standby selects, keeps areas whole."""
    assert group_consumer(app)._partition_assignment_strategy == [app.assignor]
    metadata = {f"m{n}": app.assignor.metadata(set(names(engine_topics))) for n in range(members)}
    given = app.assignor.assign(cluster_of(engine_topics), metadata)
    assigned = {
        member: {topic: list(numbers) for topic, numbers in each.assignment}
        for member, each in given.items()
    }
    assert split_areas(assigned, engine_topics) == 0


async def test_without_a_standby_faust_takes_an_assignor_that_splits_areas(engine_topics, tmp_path):
    """Why table_standby_replicas stays 1 though there is no Table."""
    bare = faust.App(
        "bare", broker="kafka://127.0.0.1:1", datadir=tmp_path, table_standby_replicas=0
    )
    consumer = group_consumer(bare)
    bare.consumer._thread.thread_loop.close()
    assert consumer._partition_assignment_strategy == [RoundRobinPartitionAssignor]
    metadata = {
        f"m{n}": ConsumerProtocolMemberMetadata(0, names(engine_topics), b"") for n in range(5)
    }
    given = RoundRobinPartitionAssignor.assign(cluster_of(engine_topics), metadata)
    assigned = {m: dict(each.assignment) for m, each in given.items()}
    assert split_areas(assigned, engine_topics) > 0


async def test_faust_commits_past_an_unacknowledged_event(app, engine_topics):
    """Why positions come from the decisions log: the group's offsets may skip an event."""
    tp = TP(engine_topics.alerts.name, 0)
    consumer = app.consumer
    consumer._acked[tp] = [11, 12, 13]  # 10 was read and never acknowledged
    assert consumer._committed_offset[tp] is None
    assert consumer._new_offset(tp) == 14
    consumer._committed_offset[tp] = 3
    consumer._acked[tp] = [4, 5]  # 3 was read and never acknowledged
    assert consumer._new_offset(tp) == 6


async def test_the_consumer_is_ours_and_fetches_often(app):
    """Faust makes the consumer that reads on from the log, with our fetch wait."""
    assert isinstance(app.consumer, LogConsumer)
    assert group_consumer(app)._fetch_max_wait_ms == FETCH_WAIT_MS


@pytest.mark.kafka
async def test_aiokafka_reads_no_partitions_as_all_of_them(broker: Broker, topics: Topics):
    """Why a fetch before the take-over would be dropped records: an empty set means all."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        await producer.send_and_wait(topics.alerts.name, b"x", partition=0)
    async with plain_reader(broker.bootstrap_servers) as reader:
        reader.assign([TopicPartition(topics.alerts.name, 0)])
        with reader._subscription.fetch_context():
            fetched = await reader._fetcher.fetched_records(set(), timeout=10)
    assert sum(map(len, fetched.values())) == 1


async def test_an_area_given_without_one_of_its_topics_ends_the_worker(app, engine_topics):
    """Co-partitioning is checked at every take-over."""
    failures: list[BaseException] = []
    stub = Assigned(engine_topics)
    ownership, _ = owner(stub, engine_topics, failures)
    assert ownership._assigned() == {0}
    stub.tps |= {TP(engine_topics.alerts.name, 1)}
    with pytest.raises(CoPartitioningError, match="same number of partitions"):
        await ownership.own()
    assert isinstance(failures[0], CoPartitioningError)


class Assigned:
    """As much of Faust's app as ownership looks at: the first partition of every input topic."""

    def __init__(self, topics: Topics) -> None:
        self.consumer = self
        self.tps = {TP(name, 0) for name in names(topics)}

    def assignment(self) -> set[TP]:
        """What the group has given."""
        return self.tps


def owner(
    stub: Assigned, topics: Topics, failures: list[BaseException]
) -> tuple[app_module._Ownership, Lanes]:
    """An ownership of toy cores on topics in memory."""
    by_name = {getattr(topics, key).name: key for key in INPUTS}
    log = MemoryLog(MemoryTopics(SystemClock(), PARTITIONS))
    flow = Flow(ack=lambda _event: None)
    lanes = Lanes(ToyCore, log, SystemClock(), lambda _p: flow, failures.append)
    return app_module._Ownership(stub, by_name, lanes, failures.append, lambda: None), lanes


async def test_a_rebalance_told_of_late_ends_nobody(engine_topics):
    """Faust tells of two rebalances in a row, or of both at once, where the second began before
    the first was told of; the worker goes on with what it was given last."""
    failures: list[BaseException] = []
    stub = Assigned(engine_topics)
    ownership, lanes = owner(stub, engine_topics, failures)
    await ownership.own()
    stub.tps |= {TP(name, 1) for name in names(engine_topics)}
    await ownership.own()
    assert [lane.partition for lane in lanes.lanes] == [0, 1]
    await asyncio.gather(ownership.own(), ownership.own())
    assert [lane.partition for lane in lanes.lanes] == [0, 1]
    assert failures == []
    await ownership.release()


FAUST_NAMES = {
    "app.py": {"faust", "faust.tables", "faust.types"},
    "consumer.py": {"faust.transport.drivers.aiokafka", "faust.types"},
}


def test_faust_is_touched_in_two_modules_only():
    """Everything else in streams/ knows topics, not Faust."""
    found: dict[str, set[str]] = {}
    for path in STREAMS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            for module in modules:
                if module.split(".")[0] == "faust":
                    found.setdefault(path.name, set()).add(module)
    assert found == FAUST_NAMES


@pytest.mark.kafka
async def test_what_was_fetched_is_handed_over_in_turns(
    app: faust.App, broker: Broker, topics: Topics
):
    """A partition with a thousand records does not keep the one of another waiting."""
    full = TopicPartition(topics.member_actions.name, 0)
    other = TopicPartition(topics.alerts.name, 0)
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        sent = [await producer.send(full.topic, b"x", partition=0) for _ in range(1_000)]
        await asyncio.gather(*sent)
        await producer.send_and_wait(other.topic, b"y", partition=0)
    before = 0
    async with plain_reader(broker.bootstrap_servers) as reader:
        reader.assign([full, other])
        await reader.seek_to_beginning(full, other)
        found: dict[TopicPartition, list[object]] = {}
        while other not in found:
            fetch = app.consumer._thread._fetch_records
            found = await fetch(reader, {full, other}, timeout=10.0)
            assert all(len(records) <= RECORDS_AT_ONCE for records in found.values())
            before += len(found.get(full, ()))
    assert 0 < before < 1_000
