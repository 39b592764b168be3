"""What devices said, sorted: packed for the ``positions`` topic, or refused, or nothing new.

The one way in for every format and door. It writes nothing itself: what it gives is written by
the drain of the raw topics and by the doors' intake.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from msgspec import Struct

from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.tracking import DISTRESS_ALARMS
from xiaohe.gateway.positions.devices import Devices
from xiaohe.gateway.positions.last_messages import LastMessages
from xiaohe.gateway.positions.owners import Owner, Owners
from xiaohe.gateway.positions.packing import Packed, pack
from xiaohe.gateway.positions.raw_columns import Mask, RawColumns, ReadMessages, columns_of
from xiaohe.gateway.positions.raw_fix import RawFix
from xiaohe.gateway.positions.unknown_devices import UnknownDevices
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.fix_times import Moments

REFUSED_KEPT: Final = 50
"""Refused messages remembered, by where they lie, for whoever wires a device up."""

NO_TOPIC: Final = -1
"""The partition of what came through another door than a raw topic."""

COUNTS: Final = ("fixes", "published", "again", "history", "no_fix", "unknown_device", "bad")
"""What is counted of each door. ``history`` is among ``published``: it moves nobody back."""


class Feed(Struct, frozen=True):
    """Where messages come from: the raw topic's or the door's name, and how far it is trusted."""

    name: str
    trust: float = 1.0


@dataclass(frozen=True, slots=True)
class Came:
    """When many messages were received, and where they lie; arrays, one number a message."""

    received_ms: Moments
    partitions: Moments
    offsets: Moments

    @classmethod
    def through_a_door(cls, messages: int, received_ms: int) -> "Came":
        """Make that of messages which lie in no topic."""
        return cls(
            np.full(messages, received_ms, dtype=np.int64),
            np.full(messages, NO_TOPIC, dtype=np.int64),
            np.zeros(messages, dtype=np.int64),
        )

    def place(self, at: int) -> tuple[int, int] | None:
        """Give partition and offset of a message; None where it lies in no topic."""
        partition = self.partitions[at].item()
        return None if partition == NO_TOPIC else (partition, self.offsets[at].item())


class Refusal(Struct, frozen=True):
    """A message that counts for nothing; ``aloud`` is False where a dead letter was written of the
    device already within the hour."""

    message: int
    bad: BadInput
    device_id: str | None = None
    aloud: bool = True


class RefusedMessage(Struct, frozen=True):
    """One of the messages refused last."""

    door: str
    place: tuple[int, int] | None
    received_ms: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """What became of many messages."""

    packed: list[Packed] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def told(self) -> list[str]:
        """The unknown devices that are refused aloud."""
        return [r.device_id for r in self.refusals if r.device_id is not None and r.aloud]


class Inflow:
    """Sorts what devices said, and knows what became of it."""

    def __init__(self, owners: Owners) -> None:
        self.owners = owners
        self.devices = Devices()
        self.unknown = UnknownDevices()
        self.last_messages = LastMessages()
        self.refused: deque[RefusedMessage] = deque(maxlen=REFUSED_KEPT)
        self.counts: dict[str, Counter[str]] = {}

    def sort(
        self, read: ReadMessages, came: Came, feed: Feed, only_area: str | None = None
    ) -> Sorted:
        """Sort what many messages said; ``only_area`` is the one that they may speak for."""
        counts = self.counts.setdefault(feed.name, Counter())
        counts["no_fix"] += len(read.no_fixes)
        refusals = [Refusal(at, bad) for at, bad in read.bad]
        fixes = read.fixes
        if read.no_fixes:
            fixes = fixes.joined(self._calls_without_place(read, came))
        counts["fixes"] += len(fixes)
        if not len(fixes):
            return self._sorted(counts, [], refusals, came, feed)
        latest_ms = int(came.received_ms.max())
        owners = self._owners_of(fixes, latest_ms)
        if None in owners:
            refusals += self._strangers(fixes, owners, came, feed)
            kept = [at for at, owner in enumerate(owners) if owner is not None]
            fixes = fixes.only(kept)
            owners = [owner for owner in owners if owner is not None]
        if only_area is not None and any(o and o.area_id != only_area for o in owners):
            detail = "the member belongs to another area than you speak for"
            elsewhere = [at for at, o in enumerate(owners) if o and o.area_id != only_area]
            refusals += [
                Refusal(fixes.places[at], BadInput(Reason.WRONG_AREA, detail)) for at in elsewhere
            ]
            kept = [at for at in range(len(owners)) if at not in set(elsewhere)]
            fixes, owners = fixes.only(kept), [owners[at] for at in kept]
        packed = self._packed(fixes, owners, came, feed, counts)  # type: ignore[arg-type]  # no None
        return self._sorted(counts, packed, refusals, came, feed)

    def _calls_without_place(self, read: ReadMessages, came: Came) -> RawColumns:
        """Give calls for help that come without a place the last one that is known.

        Of the device, else where its member stands while no fix is known; failing that 0, 0, which
        is no place on any map: the incident opens all the same, and a person is told.
        """
        calls = []
        for at, said in read.no_fixes:
            if said.alarm in DISTRESS_ALARMS and said.device_id is not None:
                now_ms = came.received_ms[at].item()
                lon, lat = self._last_place(said.device_id, now_ms)
                fix = RawFix(
                    device_id=said.device_id,
                    lon=lon,
                    lat=lat,
                    fix_ms=now_ms,
                    alarm=said.alarm,
                    age_unknown=True,
                )
                calls.append((at, fix))
        return columns_of(calls)

    def _last_place(self, device_id: str, now_ms: int) -> tuple[float, float]:
        place = self.devices.last_place(device_id)
        if place is not None:
            return place
        post = self.owners.post_of(device_id, now_ms)
        return (0.0, 0.0) if post is None else (post.lon, post.lat)

    def _owners_of(self, fixes: RawColumns, now_ms: int) -> list[Owner | None]:
        owners = self.owners.of(fixes.device_ids, now_ms)
        if fixes.member_ids is None:
            return owners
        return [
            owner if member_id is None else self.owners.of_member(member_id)
            for member_id, owner in zip(fixes.member_ids, owners, strict=True)
        ]

    def _packed(
        self,
        fixes: RawColumns,
        owners: list[Owner],
        came: Came,
        feed: Feed,
        counts: "Counter[str]",
    ) -> list[Packed]:
        if not len(fixes):
            return []
        rows = self.devices.rows(_names(fixes, owners))
        messages = np.asarray(fixes.places, dtype=np.int64)
        received_ms = came.received_ms[messages]
        again, history = self.devices.note(rows, fixes.fix_ms, fixes.lon, fixes.lat, received_ms)
        self.devices.note_places(rows, feed.name, came.partitions[messages], came.offsets[messages])
        counts["history"] += int(history.sum())
        if again.any():
            fixes, owners = _without(again, fixes, owners)
            counts["again"] += len(rows) - len(fixes)
        counts["published"] += len(fixes)
        return list(pack(fixes, owners, feed.name, feed.trust)) if len(fixes) else []

    def _strangers(
        self, fixes: RawColumns, owners: Sequence[Owner | None], came: Came, feed: Feed
    ) -> list[Refusal]:
        """Refuse what no member of the roster has."""
        return [
            self._stranger(fixes, at, came, feed)
            for at, owner in enumerate(owners)
            if owner is None
        ]

    def _stranger(self, fixes: RawColumns, at: int, came: Came, feed: Feed) -> Refusal:
        message, device_id = fixes.places[at], fixes.device_ids[at]
        if fixes.member_ids is not None and fixes.member_ids[at] is not None:
            detail = "the roster has no such member"
            return Refusal(message, BadInput(Reason.UNKNOWN_MEMBER, detail))
        aloud = self.unknown.refuse(
            device_id,
            came.received_ms[message].item(),
            Reason.UNKNOWN_DEVICE,
            feed.name,
            came.place(message),
        )
        bad = BadInput(Reason.UNKNOWN_DEVICE, "give the device to a member in the roster")
        return Refusal(message, bad, device_id, aloud)

    def _sorted(
        self,
        counts: "Counter[str]",
        packed: list[Packed],
        refusals: list[Refusal],
        came: Came,
        feed: Feed,
    ) -> Sorted:
        for refusal in refusals:
            if refusal.device_id is not None:
                counts["unknown_device"] += 1
                continue
            counts["bad"] += 1
            self.refused.append(
                RefusedMessage(
                    feed.name,
                    came.place(refusal.message),
                    came.received_ms[refusal.message].item(),
                    refusal.bad.reason,
                    refusal.bad.detail,
                )
            )
        return Sorted(packed, refusals)

    def not_written(self, told: Sequence[str], device_ids: Sequence[str] | None = None) -> None:
        """Take the same messages again as if they had not come: they may not have been written.

        Of these devices, or of all.
        """
        self.devices.forget_latest(device_ids)
        for device_id in told:
            self.unknown.tell_again(device_id)


def _names(fixes: RawColumns, owners: Sequence[Owner]) -> list[str]:
    """Give the name of each device; where a member is named instead, no identifier begins so."""
    if fixes.member_ids is None:
        return fixes.device_ids
    return [
        device_id or f"@{owner.member_id}"
        for device_id, owner in zip(fixes.device_ids, owners, strict=True)
    ]


def _without(again: Mask, fixes: RawColumns, owners: list[Owner]) -> tuple[RawColumns, list[Owner]]:
    """Leave out what was said before; an alarm is never left out."""
    alarms = fixes.alarms
    kept = [at for at, said in enumerate(again.tolist()) if not said or (alarms and alarms[at])]
    return fixes.only(kept), [owners[at] for at in kept]
