"""How a running cluster is: who owns which areas, how far behind they are, what is open.

Read from the broker alone: the consumer group, its offsets, and the view of the incidents. The
group's offsets are advice (``streams/consumer.py``), which is good enough for a look.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, for_code
from msgspec import Struct

from xiaohe.topics import Topic, Topics
from xiaohe.wire.cluster_access import Cluster, client_options, shown_servers

GROUP: Final = "xiaohe"
"""The workers' consumer group."""

LOOK_S: Final = 8.0
"""Longest look at a cluster: somebody stands waiting at the terminal."""

REQUEST_TIMEOUT_MS: Final = 5_000

POLL_MS: Final = 200

UNIQUE_SUFFIX: Final = 37
"""A hyphen and a UUID, which the broker puts behind a member's name."""

LIVE: Final = frozenset({"open", "dispatched", "accepted", "en_route", "on_scene"})
"""States of an incident that somebody has to do something about, from the contract."""


class Worker(Struct, frozen=True):
    """One worker: what it is called, where it runs, and the partitions whose areas it owns."""

    name: str
    host: str
    partitions: tuple[int, ...]


class Condition(Struct, frozen=True):
    """How a cluster is.

    Attributes
    ----------
    workers : those in the group, by name.
    unowned : partitions whose areas nobody owns at this moment.
    lag : records of each input topic that no worker has acknowledged.
    open_incidents : live incidents; None where the view could not be read in time.
    by_state : the same, by state.
    """

    workers: tuple[Worker, ...]
    unowned: tuple[int, ...]
    lag: dict[str, int]
    open_incidents: int | None
    by_state: dict[str, int]


class _View(Struct):
    state: str


_VIEWS: Final = msgspec.json.Decoder(_View)


async def look(cluster: Cluster, topics: Topics, group: str = GROUP) -> Condition:
    """Look at a cluster once.

    Raises
    ------
    KafkaError, OSError, TimeoutError
        where the broker does not answer.
    """
    async with asyncio.timeout(LOOK_S):
        admin = AIOKafkaAdminClient(
            **client_options(cluster), request_timeout_ms=REQUEST_TIMEOUT_MS
        )
        try:
            await admin.start()
            async with _reader(cluster) as reader:
                workers = await _workers(admin, topics, group)
                lag = await _lag(admin, reader, topics, group)
                states = await _states(reader, topics.incidents)
        finally:
            await admin.close()
    owned = {partition for worker in workers for partition in worker.partitions}
    return Condition(
        workers=workers,
        unowned=tuple(p for p in range(topics.area_partitions) if p not in owned),
        lag=lag,
        open_incidents=None if states is None else sum(states.values()),
        by_state={} if states is None else dict(sorted(states.items())),
    )


def _reader(cluster: Cluster) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **client_options(cluster),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )


async def _workers(admin: AIOKafkaAdminClient, topics: Topics, group: str) -> tuple[Worker, ...]:
    (answer,) = await admin.describe_consumer_groups([group])
    error_code, _, _, _, _, members, *_ = answer.groups[0]
    if error_code:
        raise for_code(error_code)
    found = [_worker(member, topics.alerts.name) for member in members]
    return tuple(sorted(found, key=lambda worker: worker.name))


def _worker(member: Sequence[Any], area_topic: str) -> Worker:
    member_id, _, host, _, assigned = member[:5]
    partitions: list[int] = []
    if assigned:
        given = ConsumerProtocolMemberAssignment.decode(assigned)
        partitions = [at.partition for at in given.partitions() if at.topic == area_topic]
    return Worker(
        member_id[:-UNIQUE_SUFFIX] or member_id, host.lstrip("/"), tuple(sorted(partitions))
    )


async def _lag(
    admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer, topics: Topics, group: str
) -> dict[str, int]:
    inputs = (*topics.deciding_inputs, topics.positions)
    at = [TopicPartition(t.name, p) for t in inputs for p in range(t.partitions)]
    committed = await admin.list_consumer_group_offsets(group, partitions=at)
    starts = await reader.beginning_offsets(at)
    ends = await reader.end_offsets(at)
    lag: Counter[str] = Counter({topic.name: 0 for topic in inputs})
    for each in at:
        taken = committed[each].offset if each in committed else -1
        lag[each.topic] += max(0, ends[each] - max(taken, starts[each]))
    return dict(lag)


async def _states(reader: AIOKafkaConsumer, incidents: Topic) -> Mapping[str, int] | None:
    """How many incidents are in each live state; None where reading the view takes too long."""
    try:
        async with asyncio.timeout(LOOK_S / 2):
            return await _read_states(reader, incidents)
    except TimeoutError:
        return None


async def _read_states(reader: AIOKafkaConsumer, incidents: Topic) -> Mapping[str, int]:
    at = [TopicPartition(incidents.name, p) for p in range(incidents.partitions)]
    begins, ends = await reader.beginning_offsets(at), await reader.end_offsets(at)
    left = {each for each in at if begins[each] < ends[each]}
    if not left:
        return {}
    live: dict[bytes, str] = {}
    reader.assign(sorted(left))
    await reader.seek_to_beginning(*left)
    while left:
        for records in (await reader.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                _note(live, record.key, record.value)
        for each in [each for each in left if await reader.position(each) >= ends[each]]:
            reader.pause(each)
            left.discard(each)
    return Counter(live.values())


def _note(live: dict[bytes, str], key: bytes | None, value: bytes | None) -> None:
    """Keep an incident's state while it is live; a view of any other kind is nobody's work."""
    if key is None:
        return
    try:
        state = _VIEWS.decode(value).state if value else ""
    except msgspec.DecodeError:
        return
    if state in LIVE:
        live[key] = state
    else:
        live.pop(key, None)


async def looked_at(cluster: Cluster, topics: Topics) -> tuple[Condition | None, str | None]:
    """Look at a cluster; the condition, or why there is none."""
    try:
        return await look(cluster, topics), None
    except (KafkaError, OSError, TimeoutError) as fault:
        said = str(fault) or type(fault).__name__
        return None, f"the broker on {shown_servers(cluster)} does not answer: {said}"
