"""Whose position it is: stated, or by the device that a member took for the shift or owns."""

from collections.abc import Sequence
from typing import Final

from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.state import AreaState
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.fix_columns import FixColumns

UNKNOWN_DEVICE_MS: Final = 3_600_000
"""One dead letter a device and hour, from the contract."""

DEVICES_KEPT_MAX: Final = 50_000
"""Unknown devices remembered, some 10 MB a partition: more than a large city's fleet, sent to the
wrong area by mistake. Of more in an hour, those that were refused first may be told of again."""


def member_of(
    roster: Roster, state: AreaState, member_id: str | None, device_id: str | None, at_ms: int
) -> str:
    """Give the member whose fix it is. Raises BadInput where that is nobody of this area."""
    if member_id is None:
        assert device_id is not None, "a fix names a member or a device"
        member_id = _taken_by(state, device_id, at_ms) or roster.by_device(device_id)
    if member_id is None:
        raise BadInput(Reason.UNKNOWN_DEVICE, "give the device to a member in the roster")
    home = roster.area_of(member_id)
    if home is None:
        raise BadInput(Reason.UNKNOWN_MEMBER, "the roster has no such member_id")
    if home != state.area_id:
        raise BadInput(Reason.WRONG_AREA, f"the member belongs to area {home}")
    return member_id


def members_of(
    roster: Roster, state: AreaState, fixes: FixColumns, at_ms: int
) -> Sequence[str | None]:
    """Give the member of each of many fixes; None where ``member_of`` refuses it."""
    strangers = roster.members(state.area_id).strangers(fixes.member_ids)
    if not strangers:
        return fixes.member_ids

    def who(member_id: str | None, device_id: str | None) -> str | None:
        if member_id not in strangers:
            return member_id
        try:
            return member_of(roster, state, member_id, device_id, at_ms)
        except BadInput:
            return None

    return list(map(who, fixes.member_ids, fixes.device_ids))


def _taken_by(state: AreaState, device_id: str, at_ms: int) -> str | None:
    member_id = state.devices.get(device_id)
    word = state.duty.get(member_id) if member_id is not None else None
    if word is None or (word.until_ms is not None and at_ms >= word.until_ms):
        return None
    return member_id


class RefusedDevices:
    """When each unknown device was last refused aloud, the longest ago first."""

    def __init__(self) -> None:
        self._last_ms: dict[str, int] = {}

    def __len__(self) -> int:
        """Count the devices that are remembered."""
        return len(self._last_ms)

    def note(self, device_id: str, at_ms: int) -> None:
        """Take note of a refusal that the log holds."""
        self._last_ms[device_id] = max(at_ms, self._last_ms.pop(device_id, at_ms))
        if len(self._last_ms) > DEVICES_KEPT_MAX:
            del self._last_ms[next(iter(self._last_ms))]

    def refuse(self, device_id: str, received_ms: int) -> bool:
        """Tell whether a device is to be refused aloud: not within the hour of the last time."""
        last_ms = self._last_ms.get(device_id)
        if last_ms is not None and received_ms - last_ms < UNKNOWN_DEVICE_MS:
            return False
        self.note(device_id, received_ms)
        return True
