"""From a message at a door to what became of it: read, permitted, taken in, told."""

from collections.abc import Sequence
from typing import Final, TypeGuard

import structlog
from msgspec import Struct

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.access.principal import About
from xiaohe.gateway.door import Visit
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Read, Said
from xiaohe.gateway.positions.receipt import Receipt, receipt_of
from xiaohe.wire.bad_input import BadInput

TOLD_EVERY_MS: Final = 60_000
"""How often the log is told of refusals of one kind at one door: a device sends every second."""

log = structlog.get_logger()


class Refused(Struct, frozen=True):
    """One thing that counts for nothing, as it is told to whoever sent it."""

    index: int
    reason: Reason
    detail: str


class Outcome(Struct, frozen=True):
    """What became of a message: how much of it was taken, and what was not, in order."""

    accepted: int
    refused: tuple[Refused, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Give it as it is answered."""
        return {
            "accepted": self.accepted,
            "refused": [
                {"index": each.index, "reason": each.reason.value, "detail": each.detail}
                for each in self.refused
            ],
        }


def receipt_of_visit(visit: Visit) -> Receipt:
    """Give the circumstances of a visit, with the settings of its address. Raises BadInput."""
    return receipt_of(visit.received_ms, visit.parameter("datum"), visit.parameter("timezone"))


class Taking:
    """Brings what doors read into the gateway's intake."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._told_ms: dict[tuple[str, Reason], int] = {}

    async def take(
        self, visit: Visit, door: str, read: Sequence[Read], area_id: str | None = None
    ) -> Outcome:
        """Ask for the permit and take what can be taken; nothing is asked where nothing can.

        ``area_id`` is the one that the message names. Raises Forbidden, NotPublished.
        """
        refused = [
            Refused(index, each.reason, each.detail)
            for index, each in enumerate(read)
            if isinstance(each, BadInput)
        ]
        good = [(at, each) for at, each in enumerate(read) if _is_of_somebody(each)]
        accepted = len(read) - len(refused) - len(good)
        if good:
            said = [each for _, each in good]
            permit = await visit.permit(self._about(said, area_id))
            taken = await self._parts.intake.take(permit, door, said, visit.body)
            accepted += taken.accepted
            refused += [
                Refused(good[each.index][0], each.reason, each.reason.sentence)
                for each in taken.refused
            ]
        outcome = Outcome(accepted, tuple(sorted(refused, key=lambda each: each.index)))
        self.tell(door, [each.reason for each in refused], visit.received_ms)
        return outcome

    def tell(self, door: str, reasons: Sequence[Reason], now_ms: int) -> None:
        """Tell the log that something was refused, now and then, and never what was sent."""
        for reason in dict.fromkeys(reasons):
            told_ms = self._told_ms.get((door, reason))
            if told_ms is None or now_ms - told_ms >= TOLD_EVERY_MS:
                self._told_ms[door, reason] = now_ms
                log.warning("position_refused", door=door, reason=reason.value)

    def _about(self, said: Sequence[Said], area_id: str | None) -> About:
        """Say whom a message speaks for: the one device or member that it names, and their area.

        Of several nobody is named: who may speak for one only may not send them.
        """
        devices = {each.device_id for each in said if each.device_id}
        members = {each.member_id for each in said if isinstance(each, RawFix) and each.member_id}
        areas = {self._area_of(each) for each in said}
        alone = len(devices) + len(members) == 1
        return About(
            area_id=area_id or (areas.pop() if len(areas) == 1 else None),
            device_id=devices.pop() if alone and devices else None,
            member_id=members.pop() if alone and members else None,
        )

    def _area_of(self, said: Said) -> str | None:
        roster = self._parts.known.roster
        if isinstance(said, RawFix) and said.member_id is not None:
            return roster.area_of(said.member_id)
        member_id = roster.by_device(said.device_id) if said.device_id else None
        return None if member_id is None else roster.area_of(member_id)


def _is_of_somebody(read: Read) -> TypeGuard[Said]:
    """Tell what can be taken in; a message without a fix and a device says nothing of anybody."""
    return isinstance(read, RawFix) or (isinstance(read, NoFix) and read.device_id is not None)
