"""Delivers webhooks: at least once, in order per incident, until a deadline, then a dead letter.

A webhook has a **lane** for each partition of its areas. A lane reads the feed from its position
and delivers one event after another; the next one goes when the last was taken or given up, so
that what is said of an incident arrives in order. Its position is written every second, and when it
stops: whoever takes over delivers again what had not been noted, under the same delivery id.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog

from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.events import signing
from xiaohe.gateway.events.entry import Entry, wants
from xiaohe.gateway.events.feed import Feed, FeedClosed
from xiaohe.gateway.events.hooks import (
    Hook,
    HookBook,
    HookLetter,
    Progress,
    hook_record,
    letter_record,
    progress_record,
)
from xiaohe.gateway.events.owned import Owned
from xiaohe.gateway.events.parcels import Parcel, Render
from xiaohe.gateway.events.position import BadPosition, Position, read_position
from xiaohe.gateway.events.sender import Came, Outcome, Sender
from xiaohe.gateway.events.settings import WebhookSettings
from xiaohe.gateway.publisher import NotPublished, Publisher, Record
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster

PROGRESS_EVERY_S: Final = 1.0
"""How often positions are written: what a gateway that dies delivers twice."""

LOOK_AGAIN_S: Final = 30.0
"""Lanes that ended by a fault of ours are begun again so often."""

IDLE_S: Final = 60.0
"""How long a lane waits for something to come before it asks again."""

HOOK_UNDER_WAY_MAX: Final = 4
"""Deliveries to one webhook at one time, over all its partitions."""

REFUSED_ATTEMPTS_MAX: Final = 3
"""An event that is refused (400, 404, 422 …) is not what the receiver can take: tried no longer."""

SPREAD_MIN: Final = 0.5
"""Of a pause at least so much is kept."""

DOUBLINGS_MAX: Final = 30
"""A pause is not doubled more often: it has long been the longest."""

AGAIN_S: Final = 1.0
"""Pause before something is written again that the broker did not take."""

log = structlog.get_logger()

KeyOf = Callable[[str], bytes]


def pause_s(
    settings: WebhookSettings, attempts: int, asked_s: float | None, spread: float
) -> float:
    """Give the pause after so many attempts: twice as long each time, up to the longest.

    ``spread`` is the part of it that is kept, so that not all come at once; ``asked_s`` is what the
    receiver asked for.
    """
    doubled = 2.0 ** min(attempts - 1, DOUBLINGS_MAX)
    pause = min(settings.first_pause_s * doubled, settings.pause_s_max)
    return max(pause * spread, asked_s or 0.0)


class Lane:
    """One webhook in one partition: where it is, and the task that goes on from there."""

    def __init__(self, hook: Hook, partition: int, run: int, position: Position) -> None:
        self.hook = hook
        self.partition = partition
        self.run = run
        self.position = position
        self.is_noted = False
        self.task: asyncio.Task[None] | None = None


class _Disabled(Exception):
    """The webhook of this lane is delivered no more."""


class Deliverer:
    """Delivers the webhooks that are this gateway's; an async context manager."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        topics: Topics,
        feed: Feed,
        book: HookBook,
        publisher: Publisher,
        settings: WebhookSettings,
        key_of: KeyOf,
        now_ms: Callable[[], int],
        render: Render,
    ) -> None:
        self.sender = Sender(settings)
        self._topics = topics
        self._feed = feed
        self._book = book
        self._publisher = publisher
        self._settings = settings
        self._key_of = key_of
        self._now_ms = now_ms
        self._render = render
        self._owned = Owned(cluster, topics.webhooks, self._owned_changed)
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._failing_since_ms: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._sorting = asyncio.Lock()
        self._jitter = random.Random()  # noqa: S311 - a spread of pauses, no secret
        self._running = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to deliver."""
        async with contextlib.AsyncExitStack() as starting:
            await starting.enter_async_context(self.sender)
            self._book.on_change = self._changed.set
            starting.push_async_callback(self._end_lanes)
            await starting.enter_async_context(self._owned)
            for doing in (self._mind(), self._note_on()):
                starting.push_async_callback(_ended, asyncio.create_task(doing))
            self._running = starting.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, note how far each has got, and leave the rest to others."""
        await self._running.aclose()

    # --- which lanes there are

    async def _mind(self) -> None:
        """Begin and end lanes whenever webhooks change."""
        while True:
            self._changed.clear()
            await self._sort_out()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._changed.wait()

    async def _owned_changed(self, _: frozenset[int]) -> None:
        await self._sort_out()

    async def _sort_out(self) -> None:
        """Have just the lanes that there should be."""
        async with self._sorting:
            wanted = self._wanted()
            over = [
                key
                for key, lane in self._lanes.items()
                if wanted.get(key) != (lane.hook, lane.run) or _is_over(lane)
            ]
            await self._end(over)
            for key, (hook, run) in wanted.items():
                if key not in self._lanes:
                    self._begin(hook, key[1], run)

    def _wanted(self) -> dict[tuple[str, int], tuple[Hook, int]]:
        found = {}
        for hook in self._book.hooks.values():
            if hook.disabled is None and self._owned.owns(hook.hook_id):
                for partition in self._feed.partitions_of(hook.area_ids):
                    known = self._book.progress(hook.hook_id, partition)
                    run = 0 if known is None else known.run
                    found[hook.hook_id, partition] = (hook, run)
        return found

    def _begin(self, hook: Hook, partition: int, run: int) -> None:
        position = self._feed.now(partition)
        known = self._book.progress(hook.hook_id, partition)
        if known is not None:
            with contextlib.suppress(BadPosition):
                position = position.but(read_position(known.position))
            if known.failing_since_ms is not None:
                self._failing_since_ms.setdefault(hook.hook_id, known.failing_since_ms)
        lane = self._lanes[hook.hook_id, partition] = Lane(hook, partition, run, position)
        self._turns.setdefault(hook.hook_id, asyncio.Semaphore(HOOK_UNDER_WAY_MAX))
        lane.task = asyncio.create_task(self._run(lane), name=f"{hook.hook_id}/{partition}")

    async def _end_lanes(self) -> None:
        async with self._sorting:
            await self._end(list(self._lanes))

    async def _end(self, keys: Iterable[tuple[str, int]]) -> None:
        lanes = [self._lanes.pop(key) for key in keys]
        for lane in lanes:
            assert lane.task is not None, "a lane is made with its task"
            await _ended(lane.task)
        await self._note(lanes)

    # --- how far they have got

    async def _note_on(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            await self._note(list(self._lanes.values()))

    async def _note(self, lanes: Iterable[Lane]) -> None:
        moved = [lane for lane in lanes if not lane.is_noted]
        for lane in moved:
            lane.is_noted = True
        records = [
            progress_record(
                self._topics,
                Progress(
                    hook_id=lane.hook.hook_id,
                    partition=lane.partition,
                    position=str(lane.position),
                    run=lane.run,
                    failing_since_ms=self._failing_since_ms.get(lane.hook.hook_id),
                ),
            )
            for lane in moved
        ]
        try:
            if records:
                await self._publisher.note(records)
        except NotPublished:
            for lane in moved:
                lane.is_noted = False

    # --- one lane

    async def _run(self, lane: Lane) -> None:
        try:
            while True:
                await self._next(lane)
        except (FeedClosed, _Disabled):
            pass
        except Exception as fault:  # noqa: BLE001 - ours; the others go on, and it begins again
            kind = type(fault).__name__  # a traceback could hold what an event says
            log.error("webhook_lane_failed", hook=lane.hook.hook_id, fault=kind)  # noqa: TRY400

    async def _next(self, lane: Lane) -> None:
        batch = await self._feed.read(lane.partition, lane.position, IDLE_S)
        if batch.gap:
            log.warning("webhook_missed_events", hook=lane.hook.hook_id, partition=lane.partition)
        for entry in batch.entries:
            after = lane.position.after((entry,))
            for parcel in await self._parcels(lane.hook, entry, after):
                await self._deliver(lane, entry, after, parcel)
            lane.position, lane.is_noted = after, False
        if batch.position != lane.position:
            lane.position, lane.is_noted = batch.position, False

    async def _parcels(self, hook: Hook, entry: Entry, after: Position) -> Sequence[Parcel]:
        """Give what a webhook is sent of an event: nothing, where it did not ask for it."""
        if entry.topic_id not in hook.topics or not wants(frozenset(hook.types), entry.kind):
            return ()
        if hook.area_ids is not None and entry.area_id not in hook.area_ids:
            return ()
        return await self._render(hook, entry, after)

    async def _deliver(self, lane: Lane, entry: Entry, after: Position, parcel: Parcel) -> None:
        """Return when it was taken or given up."""
        hook = lane.hook
        began_ms = self._now_ms()
        attempts = 0
        while True:
            attempts += 1
            async with self._turns[hook.hook_id]:
                outcome = await self.attempt(hook, parcel)
            now_ms = self._now_ms()
            if outcome.came is Came.TAKEN:
                self._failing_since_ms.pop(hook.hook_id, None)
                return
            since_ms = self._failing_since_ms.setdefault(hook.hook_id, now_ms)
            lane.is_noted = False
            if outcome.came is Came.GONE:
                await self._disable(hook, "gone")
            if now_ms - since_ms >= self._settings.disable_after_s * 1000:
                await self._disable(hook, "failing")
            refused = outcome.came is Came.REFUSED and attempts >= REFUSED_ATTEMPTS_MAX
            if refused or now_ms - began_ms >= self._settings.retry_for_s * 1000:
                letter = self._letter(lane, entry, after, parcel, outcome)
                first_at = rfc3339(began_ms)
                letter = msgspec.structs.replace(letter, attempts=attempts, first_tried_at=first_at)
                await self._write(letter_record(self._topics, letter))
                return
            spread = self._jitter.uniform(SPREAD_MIN, 1.0)
            await asyncio.sleep(pause_s(self._settings, attempts, outcome.retry_after_s, spread))

    async def attempt(self, hook: Hook, parcel: Parcel) -> Outcome:
        """Send once, signed now; the delivery id is the same every time."""
        delivery_id = signing.delivery_id_of(hook.hook_id, parcel.identity)
        key, at_s = self._key_of(hook.hook_id), self._now_ms() // 1000
        headers = signing.headers_of(key, delivery_id, at_s, parcel.body)
        headers |= {"content-type": parcel.media_type, "user-agent": "xiaohe-webhooks/1"}
        outcome = await self.sender.post(hook.url, parcel.body, headers)
        if outcome.came is not Came.TAKEN:
            log.info(
                "webhook_not_taken", hook=hook.hook_id, delivery=delivery_id, why=outcome.reason
            )
        return outcome

    async def redeliver(self, hook: Hook, entry: Entry) -> Outcome | None:
        """Send one event once more, out of turn; None: it is none of this webhook's. Of several
        parcels the first that is not taken tells what came of it."""
        outcome = None
        after = Position({entry.topic_id: entry.offset + 1})
        for parcel in await self._parcels(hook, entry, after):
            outcome = await self.attempt(hook, parcel)
            if outcome.came is not Came.TAKEN:
                break
        return outcome

    def _letter(
        self, lane: Lane, entry: Entry, after: Position, parcel: Parcel, outcome: Outcome
    ) -> HookLetter:
        return HookLetter(
            hook_id=lane.hook.hook_id,
            delivery_id=signing.delivery_id_of(lane.hook.hook_id, parcel.identity),
            area_id=entry.area_id,
            topic=entry.topic_id,
            partition=entry.partition,
            offset=entry.offset,
            position=str(after),
            ce_id=entry.ce["id"],
            reason=outcome.reason,
            status=outcome.status,
            at=rfc3339(self._now_ms()),
        )

    async def _disable(self, hook: Hook, why: str) -> None:
        """Deliver no more; it goes on where it stands when it is replayed. Raises _Disabled."""
        at = rfc3339(self._now_ms())
        log.error("webhook_disabled", hook=hook.hook_id, why=why)
        disabled = msgspec.structs.replace(hook, disabled=why, disabled_at=at)
        # What was replayed or changed meanwhile stands: only the webhook as it was is disabled.
        if self._book.hooks.get(hook.hook_id) == hook:
            await self._write(hook_record(self._topics, disabled))
        raise _Disabled

    async def _write(self, record: Record) -> None:
        """Write what must not be lost: again and again, until the broker takes it."""
        while True:
            try:
                await self._publisher.note([record])
            except NotPublished:
                await asyncio.sleep(AGAIN_S)
            else:
                return


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _is_over(lane: Lane) -> bool:
    return lane.task is not None and lane.task.done()
