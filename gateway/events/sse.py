"""Server-Sent Events: an area's events as they come, and from where a client left off."""

from collections.abc import AsyncIterator
from typing import Final

from xiaohe.gateway.access.principal import (
    About,
    Change,
    Forbidden,
    Principal,
    Unauthenticated,
)
from xiaohe.gateway.door import Answer, Door, Parameter, Refusal, Reply, Visit
from xiaohe.gateway.events.entry import wants
from xiaohe.gateway.events.feed import FeedClosed
from xiaohe.gateway.events.position import CHARACTERS_MAX, BadPosition, Position, read_position
from xiaohe.gateway.events.visible import may_see, sees_their_own
from xiaohe.gateway.parts import Parts

EVENT_STREAM: Final = "text/event-stream"

HEARTBEAT_S: Final = 15.0
"""A stream is never silent for longer: proxies close what is silent for a minute, and the position
moves on with what the client does not see."""

COME_AGAIN_MS: Final = 2_000
"""How long a client waits before it connects again, as it is told."""

STREAMS_UNDER_WAY_MAX: Final = 500
"""Streams at once: a quarter of the connections, so that alerts and answers find a door."""

RECHECK_MS: Final = 60_000
"""So often a stream asks again who it is and whether they may: who is let in no more sees no more.
"""

KINDS_MAX: Final = 50
"""Types that a filter may name; there are some 35."""


def doors(parts: Parts) -> tuple[Door, ...]:
    """Give the one door of this room's streams."""
    streams = Streams(parts)
    return (
        Door(
            method="GET", path="/v1/areas/{area_id}/events", name="area_events",
            what="The events of an area, as they come (Server-Sent Events). Each `data` is a "
            "CloudEvent; `id` is the position after it, to be handed back in Last-Event-ID.",
            change=Change.EVENTS_READ, handle=streams.open, room="events",
            parameters=(
                Parameter(
                    name="Last-Event-ID", where="header",
                    what="The id of the last event that was taken: what follows it comes first.",
                    schema={"type": "string", "maxLength": CHARACTERS_MAX},
                ),
                Parameter(
                    name="last_event_id", where="query",
                    what="The same, for clients that cannot set a header.",
                    schema={"type": "string", "maxLength": CHARACTERS_MAX},
                ),
                Parameter(
                    name="type", where="query",
                    what="Only these types, separated by commas: `incident.opened,member.*`.",
                ),
            ),
            answers=(
                Answer(
                    status=200, what="A stream without end.", media_type=EVENT_STREAM,
                    schema={"type": "string"},
                ),
                Answer(status=404, what="No such area."),
            ),
        ),
    )  # fmt: skip


class Streams:
    """The streams that are open."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open = 0

    async def open(self, visit: Visit) -> Reply:
        """Begin a stream. Raises Refusal: no such area, a bad position, too many streams."""
        area_id = visit.path_parameters["area_id"]
        await visit.permit(_about(visit, area_id))
        if not self._parts.known.has_area(area_id):
            raise Refusal(404, "unknown_area", "no area has this id: ask for one that is known")
        kinds = _kinds(visit.parameter("type"))
        partition = self._parts.feed.partition_of(area_id)
        position, gap = await self._begin(partition, visit)
        if self._open >= STREAMS_UNDER_WAY_MAX:
            raise Refusal(503, "too_many_streams", "come again in a while", {"retry-after": "5"})
        stream = self._stream(visit, area_id, kinds, position, gap=gap)
        headers = {"x-accel-buffering": "no"}  # nginx would keep events until it has enough
        return Reply(stream=stream, media_type=EVENT_STREAM, headers=headers)

    async def _begin(self, partition: int, visit: Visit) -> tuple[Position, bool]:
        text = visit.header("last-event-id") or visit.parameter("last_event_id")
        now = self._parts.feed.now(partition)
        if not text:
            return now, False
        try:
            return await self._parts.feed.usable(partition, now.but(read_position(text)))
        except BadPosition as bad:
            raise Refusal(400, "bad_position", str(bad)) from None

    async def _stream(
        self,
        visit: Visit,
        area_id: str,
        kinds: frozenset[str],
        position: Position,
        *,
        gap: bool,
    ) -> AsyncIterator[bytes]:
        """Write what comes. A client that takes nothing keeps only its own position waiting."""
        parts = self._parts
        partition = parts.feed.partition_of(area_id)
        checked_ms = parts.now_ms()
        self._open += 1
        try:
            yield f"retry: {COME_AGAIN_MS}\nid: {position}\n\n".encode()
            while True:
                if parts.now_ms() - checked_ms >= RECHECK_MS:
                    checked_ms = parts.now_ms()
                    visit.principal = await parts.access.identify(visit)
                    await visit.permit(_about(visit, area_id))
                if gap:
                    yield b": some events are kept no more\nevent: gap\ndata: {}\n\n"
                batch = await parts.feed.read(partition, position, HEARTBEAT_S)
                pieces = []
                for entry in batch.entries:
                    position = position.after((entry,))
                    if (
                        entry.area_id == area_id
                        and wants(kinds, entry.kind)
                        and may_see(_who(visit), entry, parts.incidents)
                    ):
                        event = entry.cloudevent(position).decode()
                        pieces.append(f"event: {entry.kind}\nid: {position}\ndata: {event}\n\n")
                position, gap = batch.position, batch.gap
                # An id without data moves the client on, past what it does not see.
                yield "".join(pieces).encode() or f": still here\nid: {position}\n\n".encode()
        except FeedClosed:
            yield f": the gateway ends\nretry: {COME_AGAIN_MS}\n\n".encode()
        except (Unauthenticated, Forbidden):
            yield b": say again who you are\n\n"
        finally:
            self._open -= 1


def _about(visit: Visit, area_id: str) -> About:
    """A member asks for what is about themselves, a desk for its whole area."""
    principal = _who(visit)
    own = principal.principal_id if sees_their_own(principal) else None
    return About(area_id=area_id, member_id=own)


def _who(visit: Visit) -> Principal:
    assert visit.principal is not None, "the application identifies before it hands over"
    return visit.principal


def _kinds(text: str | None) -> frozenset[str]:
    kinds = frozenset(each.strip() for each in (text or "").split(",") if each.strip())
    if len(kinds) > KINDS_MAX:
        raise Refusal(400, "oversize", f"name {KINDS_MAX} types at most")
    return kinds
