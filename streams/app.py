"""The Faust app: one agent on all area topics, and what happens when partitions come and go.

Faust brings the records and keeps the group; it decides nothing. Its agent hands each event to
the lane of its partition, which acknowledges it. There are no Tables and no timers.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import faust
import structlog
from faust.tables import TableManager
from faust.types import TP, EventT, StreamT
from mode import CrashingSupervisor

from xiaohe.streams.consumer import Commits, LogConsumer
from xiaohe.streams.kafka_log import REQUEST_TIMEOUT_S
from xiaohe.streams.lane import Flow
from xiaohe.streams.lanes import Lanes
from xiaohe.streams.ports import INPUTS, Raw
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import SASL_MECHANISM, Cluster, ClusterAccess, access_to

_log = structlog.get_logger(__name__)

COMMIT_INTERVAL_S = 0.5
"""How often the group's offsets are brought up to date; they serve those who look at the lag."""

MAX_POLL_INTERVAL_S = 30.0
"""A worker that fetches nothing for so long loses its areas (heartbeats go on in their own
thread, so they do not tell). Half the shortest window; Faust's default is 1,000 s."""

STREAM_RECORDS_MAX = 256
"""Records between the fetching and the lanes, of all topics in one line: Faust's 4,096 small ones
of a flood take a second, and an alert would wait behind them."""

HEARTBEATS_IN_SESSION = 4
"""Heartbeats that may be lost before the session ends, and one more."""


TAKE_OVER_S = 60.0
"""A take-over that takes longer will not end: with 100,000 open incidents it is a third of it."""


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker needs to know of its cluster.

    Attributes
    ----------
    cluster : the cluster, or the servers of one without security.
    data_dir : folder for Faust's own files (it keeps none of ours).
    group : consumer group, and the name of the app.
    instance : name that stays the same when this worker is started again; the group then gives it
        its areas back at once instead of after ``session_timeout_s``. No two workers at a time
        may have the same. None: a new member each time.
    session_timeout_s : after how long without heartbeats a worker's areas go to others.
    """

    cluster: Cluster
    data_dir: Path
    group: str = "xiaohe"
    instance: str | None = None
    session_timeout_s: float = 6.0


class NoTables(TableManager):
    """Starts at once: there are no tables whose registration could be waited for.

    Faust waits a second for them; that second is half of a worker's recovery.
    """

    async def on_start(self) -> None:
        """Let the streams begin."""
        await self._update_channels()
        await self.recovery.start()


class CoPartitioningError(Exception):
    """An area's topics were given to different workers."""


class TakeOverStalledError(Exception):
    """Partitions were given to this worker and could not be taken over in time."""


def build_app(
    settings: WorkerSettings,
    topics: Topics,
    make_lanes: Callable[[Callable[[int], Flow]], Lanes],
    on_failure: Callable[[BaseException], None],
    on_owned: Callable[[], None],
    commits: Commits,
) -> faust.App:
    """One worker's app. ``make_lanes`` is given how a lane speaks to the reader of its topics.

    ``on_owned`` is called whenever partitions have been taken over, ``on_failure`` when that
    failed. ``commits`` keeps account of what was acknowledged and committed.
    """
    assert __debug__, "the engine's assertions are part of it: do not run Python with -O"
    app = _configured(settings)
    names = {getattr(topics, key).name: key for key in INPUTS}
    flow = partial(_flow, app, {key: name for name, key in names.items()}, commits)
    lanes = make_lanes(flow)
    ownership = _Ownership(app, names, lanes, on_failure, on_owned)
    app.transport.Consumer = partial(
        LogConsumer, next_offsets=ownership.next_offsets, commits=commits
    )
    app.on_rebalance_complete.connect(ownership.own)
    app.on_partitions_revoked.connect(ownership.release)
    inputs = app.topic(
        *names, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )

    async def hand_over(stream: StreamT[bytes]) -> None:
        async for event in stream.noack().events():
            lanes.put(_raw(names, event), event)

    app.agent(inputs, name="inputs", supervisor_strategy=CrashingSupervisor)(hand_over)
    return app


def _configured(settings: WorkerSettings) -> faust.App:
    access = access_to(settings.cluster)
    return faust.App(
        settings.group,
        broker=[f"kafka://{server}" for server in access.servers],
        broker_credentials=_credentials(access),
        datadir=settings.data_dir,
        autodiscover=False,
        processing_guarantee="at_least_once",
        store="memory://",
        web_enabled=False,  # it would serve the world on all interfaces
        topic_allow_declare=False,  # topics are made from topics.yaml
        topic_disable_leader=True,
        TableManager=NoTables,
        table_standby_replicas=1,  # without, Faust takes an assignor that splits areas
        stream_buffer_maxsize=STREAM_RECORDS_MAX,
        stream_wait_empty=False,  # nobody acknowledges what a revoked lane had waiting
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / HEARTBEATS_IN_SESSION,
        broker_max_poll_interval=MAX_POLL_INTERVAL_S,
        broker_commit_interval=COMMIT_INTERVAL_S,
        producer_request_timeout=REQUEST_TIMEOUT_S,
        producer_linger=0,
        producer_acks=-1,
    )


def _credentials(access: ClusterAccess) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """What Faust shows to the broker. Raises AccessError."""
    context = access.ssl_context()
    if access.user is not None:
        return faust.SASLCredentials(
            username=access.user,
            password=access.password(),
            ssl_context=context,
            mechanism=SASL_MECHANISM,
        )
    return None if context is None else faust.SSLCredentials(context)


def _raw(names: dict[str, str], event: EventT) -> Raw:
    message = event.message
    return Raw(
        names[message.topic],
        message.partition,
        message.offset,
        round(message.timestamp * 1000),  # Faust keeps seconds; a float holds the millisecond
        message.key,
        message.value,
        tuple(message.headers or ()),
    )


def _flow(app: faust.App, names: dict[str, str], commits: Commits, partition: int) -> Flow:
    """Faust's own back-pressure: plain pausing would drop what is fetched already."""

    def ack(event: EventT) -> None:
        event.ack()
        commits.acknowledged()

    def pause(topic: str) -> None:
        app.consumer.on_buffer_full(TP(names[topic], partition))

    def resume(topic: str) -> None:
        app.consumer.on_buffer_drop(TP(names[topic], partition))

    return Flow(ack=ack, pause=pause, resume=resume)


class _Ownership:
    """Takes partitions over and lets them go, as the group says."""

    def __init__(
        self,
        app: faust.App,
        names: dict[str, str],
        lanes: Lanes,
        on_failure: Callable[[BaseException], None],
        on_owned: Callable[[], None],
    ) -> None:
        self._app = app
        self._names = names
        self._topic_of = {key: name for name, key in names.items()}
        self._lanes = lanes
        self._on_failure = on_failure
        self._on_owned = on_owned
        self._owning: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()

    def next_offsets(self) -> dict[tuple[str, int], int]:
        """Where to read on, by the topics' names."""
        wanted = self._lanes.next_inputs()
        return {(self._topic_of[key], p): offset for (key, p), offset in wanted.items()}

    async def own(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - a signal's arguments
        """Awaited by Faust before the streams go on; given up when the next rebalance begins.

        Faust tells of a rebalance from a task of its own, and so may tell of two in a row when
        the second began before the first was told of: what the first began is let go of.
        """
        try:
            async with self._beginning:
                await self.release()
                owning = asyncio.create_task(self._lanes.own(self._assigned()))
                self._owning = owning
            if not await _is_done(owning):
                return
        except Exception as error:
            self._on_failure(error)
            raise
        self._on_owned()

    async def release(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - a signal's arguments
        """Awaited by Faust before the partitions are another worker's."""
        if self._owning is not None and not self._owning.done():
            self._owning.cancel()
            await asyncio.wait([self._owning])
        await self._lanes.release()

    def _assigned(self) -> set[int]:
        """The partitions that are ours, with all their input topics."""
        by_topic: dict[str, set[int]] = {name: set() for name in self._names}
        for tp in self._app.consumer.assignment():
            if tp.topic in by_topic:
                by_topic[tp.topic].add(tp.partition)
        first = next(iter(by_topic.values()))
        if any(partitions != first for partitions in by_topic.values()):
            raise CoPartitioningError(
                f"the topics of one area belong to one worker, and this one was given {by_topic}: "
                "all area topics need the same number of partitions (xiaohe topics diff)"
            )
        return first


async def _is_done(owning: asyncio.Task[None]) -> bool:
    """Wait for a take-over; False where it was given up. Raises what it raised, and
    TakeOverStalledError."""
    await asyncio.wait([owning], timeout=TAKE_OVER_S)
    if not owning.done():
        raise TakeOverStalledError(f"a take-over was not done after {TAKE_OVER_S:.0f} s")
    if owning.cancelled():
        return False
    owning.result()
    return True
