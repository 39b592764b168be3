"""Whose a device is: that of whoever took it for the shift, else of whom the roster names."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from xiaohe.dispatch.inputs import Position
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.times import BadTime, parse_rfc3339

ASSIGNED_STATES: Final = frozenset({"ordered", "accepted", "en_route", "on_scene", "in_distress"})
"""States of a member in the ``members`` view while they have an order, or call for help."""

DUTY_STATES: Final = frozenset({"available", "on_break"})
"""States of a member who is on duty and has no order."""


class Owner(Struct, frozen=True, gc=False):
    """Whose a device is now."""

    member_id: str
    area_id: str


class _View(Struct, frozen=True, gc=False):
    """What counts here of a record of ``members``."""

    area_id: str
    state: str = ""
    device_ids: tuple[str, ...] = ()
    device_ids_until: str | None = None


class _Taken(Struct, frozen=True, gc=False):
    owner: Owner
    until_ms: int | None

    def holds(self, at_ms: int) -> bool:
        return self.until_ms is None or at_ms < self.until_ms


class Owners:
    """Who has which device; follows the roster and the ``members`` view.

    A device that somebody takes for the shift is theirs alone until the shift's end, until they
    go off duty, or until somebody else takes it. The engine decides that and shows it in the
    member's view, within a second; the roster's word counts for all other devices. Of two areas'
    members who took one device the later has it.
    """

    def __init__(self, roster: Roster, roster_changes: Callable[[], int]) -> None:
        self._roster = roster
        self._roster_changes = roster_changes
        self._known_at = -1
        self._by_roster: dict[str, Owner] = {}
        self._taken: dict[str, _Taken] = {}
        self._views: dict[str, _View] = {}

    def of(self, device_ids: Sequence[str], at_ms: int) -> list[Owner | None]:
        """Give the owner of each of many devices, None where it is nobody's."""
        if self._known_at != self._roster_changes():
            self._known_at = self._roster_changes()
            self._by_roster.clear()
        owners = list(map(self._by_roster.get, device_ids))
        if None in owners:
            owners = [o or self._in_roster(d) for o, d in zip(owners, device_ids, strict=True)]
        if self._taken and not self._taken.keys().isdisjoint(device_ids):
            taken = [self._taken.get(device_id) for device_id in device_ids]
            return [
                t.owner if t is not None and t.holds(at_ms) else owner
                for t, owner in zip(taken, owners, strict=True)
            ]
        return owners

    def one(self, device_id: str, at_ms: int) -> Owner | None:
        """Give the owner of one device."""
        return self.of([device_id], at_ms)[0]

    def of_member(self, member_id: str) -> Owner | None:
        """Give a member of the roster as the owner of what they send themselves."""
        area_id = self._roster.area_of(member_id)
        return None if area_id is None else Owner(member_id, area_id)

    def post_of(self, device_id: str, at_ms: int) -> Position | None:
        """Give where whoever has a device stands while no fix is known."""
        owner = self.one(device_id, at_ms)
        member = None if owner is None else self._roster.get(owner.member_id)
        return None if member is None else member.post

    def state_of(self, member_id: str) -> str:
        """Give a member's state as last shown; empty where none has been."""
        view = self._views.get(member_id)
        return "" if view is None else view.state

    def taken_until_ms(self, device_id: str, at_ms: int) -> tuple[bool, int | None]:
        """Tell whether a device is taken for a shift, and until when, if that is known."""
        taken = self._taken.get(device_id)
        if taken is None or not taken.holds(at_ms):
            return False, None
        return True, taken.until_ms

    def _in_roster(self, device_id: str) -> Owner | None:
        member_id = self._roster.by_device(device_id)
        area_id = None if member_id is None else self._roster.area_of(member_id)
        if member_id is None or area_id is None:
            return None
        owner = self._by_roster[device_id] = Owner(member_id, area_id)
        return owner

    def take_view(self, key: bytes | None, value: bytes | None) -> None:
        """Take a record of ``members``; one that cannot be read changes nothing."""
        if key is None:
            return
        member_id = key.decode(errors="replace")
        view = None
        if value is not None:
            try:
                view = _decode_view(value)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return
        self._hand_over(member_id, view)

    def _hand_over(self, member_id: str, view: _View | None) -> None:
        before = self._views.pop(member_id, None)
        had = set() if before is None else set(before.device_ids)
        now = set() if view is None else set(view.device_ids)
        if view is not None:
            self._views[member_id] = view
        for device_id in had - now:
            taken = self._taken.get(device_id)
            if taken is not None and taken.owner.member_id == member_id:
                del self._taken[device_id]
        if view is None:
            return
        until_ms = _moment(view.device_ids_until)
        for device_id in now:
            # A view that is told again gives nothing back that somebody else has taken since.
            held = self._taken.get(device_id)
            if device_id not in had or (held and held.owner.member_id == member_id):
                self._taken[device_id] = _Taken(Owner(member_id, view.area_id), until_ms)


_decode_view = msgspec.json.Decoder(_View).decode


def _moment(text: str | None) -> int | None:
    try:
        return None if text is None else parse_rfc3339(text)
    except BadTime:
        return None
