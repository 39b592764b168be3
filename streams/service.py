"""One worker of the product, put together: map, policy, roster, engines, lanes.

Everything that a decision looks at is loaded before the worker joins its group, so that it is
never given an area that it could not decide for.
"""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from xiaohe.dispatch.policy import Policy, load_policy
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.files import load_network
from xiaohe.geo.network import Network
from xiaohe.geo.warming import warm_up
from xiaohe.streams.app import WorkerSettings
from xiaohe.streams.engine import AreaEngine, Shared, roster_letter
from xiaohe.streams.kafka_log import broker_there
from xiaohe.streams.ports import Core, Publication, Raw
from xiaohe.streams.roads_watch import RoadsWatch
from xiaohe.streams.roster_reader import RosterReader
from xiaohe.streams.worker import Worker, run_worker
from xiaohe.topics import WORKER, Topics
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec import Gone, decode_roster

_log = structlog.get_logger(__name__)

ROSTER = "roster"
"""Key in topics.yaml of the roster."""

GC_ALLOCATIONS = 20_000
"""New containers before the youngest of them are looked through: some hundred decisions' worth."""

TELLS_OF_ROSTER = 0
"""The partition whose owner publishes the dead letters of the roster, which is no area topic."""

BAD_ENTRIES_MAX = 10_000
"""Dead letters of the roster that a worker keeps, some 10 MB, while it does not own that partition
and so cannot tell whether they were published: a whole roster of a large city. Of more the oldest
are left to the owner, who has read them as well."""


Owned = Callable[[frozenset[int], Mapping[str, int]], None]


@dataclass(frozen=True)
class ServiceSettings:
    """What one worker is made of. ``speed`` divides durations and multiplies speeds (a demo)."""

    worker: WorkerSettings
    topics: Topics
    roads: Path
    policy: Path
    policy_base: Path
    speed: float = 1.0


class Service:
    """The parts of one worker that know the product; ``streams.worker`` knows only lanes."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Load map and policy. Raises RoadsFileError, PolicyError, OSError."""
        self._settings = settings
        self.roster = Roster()
        self._engines: dict[int, AreaEngine] = {}
        self._loaded = False
        self._untold: deque[Publication] = deque(maxlen=BAD_ENTRIES_MAX)
        topics = settings.topics
        # Begun before the file is read, so that no change between is missed.
        self.roads_watch = RoadsWatch(settings.roads, settings.speed, self.on_roads)
        self.shared = Shared(
            policy=_policy(settings),
            roster=self.roster,
            roads=RoadMap(*load_network(settings.roads, settings.speed)),
            topic_names={topic.id: topic.name for topic in topics},
            personal=frozenset(topic.id for topic in topics if topic.personal),
            partitions=topics.area_partitions,
        )
        warm_up(self.shared.roads.snapper)

    def network(self) -> Network:
        """Give the network that is decided on."""
        return self.shared.roads.network

    def on_roads(self, roads: RoadMap) -> None:
        """Let all engines decide on another map from now on."""
        self.shared = replace(self.shared, roads=roads)
        for engine in self._engines.values():
            engine.take_roads(roads)

    def make_core(self, partition: int) -> Core:
        """Make the engine of a partition that was given to this worker."""
        engine = AreaEngine(partition, self.shared)
        self._engines[partition] = engine
        self._tell_bad_entries()
        return engine

    def own(self, partitions: frozenset[int]) -> None:
        """Let go of the engines of partitions that others have now."""
        self._engines = {p: engine for p, engine in self._engines.items() if p in partitions}

    def on_roster(self, raw: Raw) -> None:
        """Take a record of the roster topic; a bad one changes nothing and is dead-lettered."""
        self.roster.version = f"{ROSTER}@{raw.offset + 1}"
        try:
            entry = decode_roster(raw.key, raw.value, raw.headers)
            if isinstance(entry, Gone):
                self.roster.remove(entry.member_id)
            else:
                self.roster.put(entry, raw.timestamp_ms)
        except BadInput as bad:
            self._refuse(raw, bad)
        except Exception:  # noqa: BLE001 - see _set_aside
            self._set_aside(raw)
        else:
            for engine in self._engines.values():
                self._tell_engine(engine, entry.member_id, raw)

    def _tell_engine(self, engine: AreaEngine, member_id: str, raw: Raw) -> None:
        try:
            engine.roster_changed(member_id, raw, tell=self._loaded)
        except Exception:  # noqa: BLE001 - see _set_aside
            self._set_aside(raw)

    def _set_aside(self, raw: Raw) -> None:
        """Go on without an entry that the engine failed on.

        The roster is read anew at every start, by every worker: to leave would be to leave for
        ever, and with all areas.
        """
        _log.critical("roster_entry_set_aside", page=True, offset=raw.offset, exc_info=True)
        self._refuse(raw, BadInput(Reason.FAILED_REPEATEDLY, "the entry cannot be put to use"))

    def _refuse(self, raw: Raw, bad: BadInput) -> None:
        if len(self._untold) == self._untold.maxlen:
            _log.critical("bad_roster_entry_not_told", page=True)  # the first that waits
        self._untold.append(roster_letter(raw, bad, self.shared))
        self._tell_bad_entries()

    def roster_loaded(self) -> None:
        """Note that what follows in the roster is news, not what is read again at a start."""
        self._loaded = True

    def _tell_bad_entries(self) -> None:
        """Every worker reads the whole roster; the one with the first partition tells of it."""
        teller = self._engines.get(TELLS_OF_ROSTER)
        if teller is not None:
            teller.tell(self._untold)
            self._untold.clear()


def _policy(settings: ServiceSettings) -> Policy:
    base = settings.policy_base.read_bytes()
    if settings.policy.samefile(settings.policy_base):
        return load_policy(base, speed=settings.speed)
    return load_policy(settings.policy.read_bytes(), base=base, speed=settings.speed)


class _ServiceWorker(Worker):
    """A worker that has read the whole roster before it is given an area."""

    def __init__(
        self,
        service: Service,
        settings: ServiceSettings,
        on_owned: Owned,
    ) -> None:
        super().__init__(
            settings.worker,
            settings.topics,
            service.make_core,
            on_owned=self._tell_owned,
        )
        self._service = service
        self._tell = on_owned

    def _tell_owned(self) -> None:
        partitions = frozenset(lane.partition for lane in self.lanes.lanes)
        self._service.own(partitions)
        self._tell(partitions, self.lanes.took_ms)

    async def run(self) -> BaseException | None:
        """Find the broker, read the roster, then work; see ``Worker.run``."""
        cluster = self._settings.cluster
        seen = [topic.name for topic in self._topics.of(WORKER)]
        if not await self._unless_ended(broker_there(cluster, seen)):
            return self._reason
        topic = self._topics.roster.name
        async with RosterReader(cluster, topic, self._service.on_roster, self._end) as reader:
            if not await self._unless_ended(reader.ready()):
                return self._reason
            self._service.roster_loaded()
            self._gate = reader.caught_up
            watch = self._service.roads_watch.run(self._service.network)
            watching = asyncio.create_task(watch, name="roads")
            watching.add_done_callback(self._ended_by)
            try:
                return await super().run()
            finally:
                watching.cancel()

    async def _unless_ended(self, work: Coroutine[None, None, None]) -> bool:
        """Do something before the work begins; False where the worker is to end meanwhile."""
        doing, ending = asyncio.create_task(work), asyncio.create_task(self._ending.wait())
        await asyncio.wait([doing, ending], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.wait([doing])
            return False
        doing.result()
        return True


def run_service(settings: ServiceSettings, on_owned: Owned) -> int:
    """Run one worker until SIGTERM or SIGINT; give its exit status.

    ``on_owned`` is told the partitions whenever they have been taken over, and how many ms each
    stage of that took for the slowest of those that are new. Raises what ``Service`` raises where
    the worker cannot begin.
    """
    service = Service(settings)
    # Map and modules live as long as the process: a full collection that walks them all stops the
    # worker for a quarter of a second, in the middle of an alert.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS)
    return run_worker(_ServiceWorker(service, settings, on_owned))
