"""Doors for whoever wires devices up: how they stand, which are nobody's, and giving one away.

The last message of a device, which says where somebody was, is read from its raw topic when it is
asked for, and kept nowhere; only of what came through a door of its own the last is in memory.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import orjson
from aiokafka.errors import KafkaError

from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.access.principal import About, Change
from xiaohe.gateway.door import JSON, Answer, Body, Door, Parameter, Refusal, Reply, Visit
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.positions.device_state import Told, by_area, told_of, told_of_unknown
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Read
from xiaohe.gateway.positions.records import latest_of, record_at
from xiaohe.gateway.positions.source_formats import reader_of
from xiaohe.gateway.publisher import NotPublished, Record
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec import decode_roster
from xiaohe.wire.codec_common import CONTRACT_LIMITS
from xiaohe.wire.json_object import read_object
from xiaohe.wire.typed import typed

LISTED_MAX: Final = 1_000
"""Devices in one answer."""

ADOPT_BYTES_MAX: Final = 1_024

LETTERS_LOOKED_AT: Final = 200
"""The last dead letters of a partition that are looked through for somebody's mistake."""

TRACCAR_HINT: Final = (
    "a Traccar server forwards to the topic `positions`, its default: set "
    "forward.topic to raw.traccar in its traccar.xml, for only the gateway reads its format"
)

UNHEARD: Final = (
    "nothing of this device has come to this gateway: look at the address or topic that it sends "
    "to, and at what it calls itself"
)


class Adoption(msgspec.Struct, frozen=True):
    """Who is to have a device."""

    member_id: str


def doors(parts: Parts) -> tuple[Door, ...]:
    """Give the doors of devices."""
    asked = DeviceDesk(parts)
    device_id = Parameter(name="device_id", where="path", what="What it calls itself.",
                          required=True)  # fmt: skip
    limit = Parameter(name="limit", where="query", what=f"At most; {LISTED_MAX} if not said.",
                      schema={"type": "integer"})  # fmt: skip
    area = Parameter(name="area_id", where="query", what="Only those of this area's members.")
    unknown = Answer(status=404, what="Nothing of this device has come.")
    manage = Change.DEVICE_MANAGE
    return (
        Door(
            method="GET", path="/v1/devices", name="devices", change=manage, handle=asked.all,
            what="Every device that this gateway has heard of, and how often its fixes come.",
            parameters=(area, limit), answers=(Answer(status=200, what="The devices."),),
        ),
        Door(
            method="GET", path="/v1/devices/unknown", name="unknown_devices", change=manage,
            what="Devices that no member has, those refused last first.", handle=asked.unknown,
            parameters=(limit,), answers=(Answer(status=200, what="The devices."),),
        ),
        Door(
            method="GET", path="/v1/devices/{device_id}", name="device", change=manage,
            what="One device: its last message, what was made of it, or why it was refused.",
            handle=asked.one, parameters=(device_id,),
            answers=(Answer(status=200, what="The device."), unknown),
        ),
        Door(
            method="POST", path="/v1/devices/{device_id}/adopt", name="adopt_device",
            what="Give a device to a member: their roster entry is published with it.",
            change=manage, handle=asked.adopt, parameters=(device_id,),
            bodies=(Body(media_type=JSON, bytes_max=ADOPT_BYTES_MAX,
                         schema={"type": "object", "required": ["member_id"],
                                 "properties": {"member_id": {"type": "string"}}},
                         example={"member_id": "m1"}),),
            answers=(Answer(status=200, what="Whose it is now."), unknown,
                     Answer(status=409, what="Somebody has it, or the roster is changing.")),
        ),
    )  # fmt: skip


class DeviceDesk:
    """Answers for devices, of what this gateway's inflow knows."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._inflow = parts.inflow

    async def all(self, visit: Visit) -> Reply:
        """List the devices that were heard of."""
        area_id = visit.parameter("area_id")
        await visit.permit(About(area_id=area_id))
        names = [name for name in self._inflow.devices.ids() if not name.startswith("@")]
        told = [self._told(name, visit.received_ms) for name in names]
        if area_id is not None:
            told = [each for each in told if each["area_id"] == area_id]
        return Reply(value={"devices": told[: _limit(visit)], "areas": by_area(told),
                            "counts": self._inflow.counts})  # fmt: skip

    async def unknown(self, visit: Visit) -> Reply:
        """List the devices that nobody has."""
        await visit.permit()
        latest = self._inflow.unknown.latest(_limit(visit))
        return Reply(value={"devices": [told_of_unknown(each) for each in latest]})

    async def one(self, visit: Visit) -> Reply:
        """Tell all of one device."""
        name = visit.path_parameters["device_id"]
        owner = self._inflow.owners.one(name, visit.received_ms)
        await visit.permit(About(area_id=None if owner is None else owner.area_id, device_id=name))
        unknown = self._inflow.unknown.get(name)
        if name in self._inflow.devices:
            told = self._told(name, visit.received_ms)
        elif unknown is not None:
            told = told_of_unknown(unknown)
        else:
            raise Refusal(404, Reason.UNKNOWN_DEVICE, await self._unheard())
        return Reply(value=told | {"last_message": await self._last_message(name)})

    async def adopt(self, visit: Visit) -> Reply:
        """Publish a member's roster entry with the device added."""
        name = visit.path_parameters["device_id"]
        member_id = typed(read_object(visit.body, ADOPT_BYTES_MAX), Adoption).member_id
        known = self._parts.known
        area_id = known.roster.area_of(member_id)
        permit = await visit.permit(About(area_id=area_id, member_id=member_id, device_id=name))
        if area_id is None:
            raise Refusal(404, Reason.UNKNOWN_MEMBER, Reason.UNKNOWN_MEMBER.sentence)
        holder = known.roster.by_device(name)
        if holder is not None:
            raise Refusal(409, "device_taken", "a member has this device: change the roster")
        place = known.roster_places[member_id]
        value = await self._entry_with(name, member_id, place)
        if known.roster_places.get(member_id) != place:
            raise Refusal(409, "roster_changed", "the entry has just changed: ask again")
        await self._parts.publisher.publish(
            permit, Record(self._parts.topics.roster, member_id, value)
        )
        self._inflow.unknown.forget(name)
        return Reply(value={"device_id": name, "member_id": member_id, "area_id": area_id})

    # --- what is told

    def _told(self, name: str, now_ms: int) -> Told:
        figures = self._inflow.devices.figures(name)
        assert figures is not None, "it was heard of"
        return told_of(self._inflow, figures, self._inflow.owners.one(name, now_ms), now_ms)

    async def _last_message(self, name: str) -> Told | None:
        last = self._inflow.last_messages.get(name)
        figures, unknown = self._inflow.devices.figures(name), self._inflow.unknown.get(name)
        at = figures or unknown
        if last is not None:
            return _message(last.door, last.received_ms, last.raw, last.said)
        if at is None or at.place is None:
            return None
        try:
            record = await record_at(self._parts.cluster, at.door, *at.place)
        except KafkaError:
            raise NotPublished("the broker does not answer: ask again") from None
        if record is None:
            return None
        topics = self._parts.topics
        source = next(
            entry
            for key, entry in topics.source_entries.items()
            if topics.sources[key].name == at.door
        )
        read = reader_of(source).read_one(record.value, record.timestamp)
        return _message(at.door, record.timestamp, record.value or b"", read) | {
            "partition": record.partition,
            "offset": record.offset,
        }

    async def _unheard(self) -> str:
        """Say what may be wrong where nothing has come: Traccar's default topic is our own."""
        topics = self._parts.topics
        try:
            letters = await latest_of(self._parts.cluster, topics.dead_letters, LETTERS_LOOKED_AT)
        except KafkaError:
            return UNHEARD
        mistake = Reason.TRACCAR_SHAPE.value.encode()
        if any(mistake in (letter.value or b"") for letter in letters):
            return f"{UNHEARD}. And {TRACCAR_HINT}"
        return UNHEARD

    async def _entry_with(self, name: str, member_id: str, offset: int) -> bytes:
        """Give a member's roster record, as it was written, with the device added."""
        topic = self._parts.topics.roster
        try:
            record = await record_at(self._parts.cluster, topic.name, 0, offset)
        except KafkaError:
            record = None
        if record is None or record.value is None:
            raise NotPublished("the member's roster entry cannot be read now: ask again")
        entry = read_object(record.value, CONTRACT_LIMITS.roster_bytes_max, record.headers)
        stated = entry.get("device_ids") or []
        assert isinstance(stated, list), "the entry was read before"
        value = orjson.dumps({**entry, "device_ids": [*stated, name]})
        decode_roster(member_id.encode(), value)  # raises BadInput where the name is none
        return value


def _limit(visit: Visit) -> int:
    text = visit.parameter("limit") or ""
    return min(int(text), LISTED_MAX) if text.isdecimal() and text else LISTED_MAX


def _message(door: str, received_ms: int, raw: bytes, read: Sequence[Read]) -> Told:
    return {
        "door": door,
        "received_at": rfc3339(received_ms),
        "raw": raw.decode(errors="replace"),
        "read": [_read(each) for each in read],
    }


def _read(read: Read) -> Told:
    """Say what was made of a message, or of one thing in it."""
    if isinstance(read, BadInput):
        return {"refused": read.reason.value, "detail": read.detail}
    if isinstance(read, NoFix):
        return {"no_fix": read.what, "alarm": read.alarm}
    assert isinstance(read, RawFix), "nothing else is read"
    fix = msgspec.to_builtins(read)
    return {"fix": {k: v for k, v in fix.items() if v is not None} | {
        "fix_time": rfc3339(read.fix_ms)}}  # fmt: skip
