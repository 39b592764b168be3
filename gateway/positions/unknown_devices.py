"""Devices that nobody has: refused aloud once an hour each, and listed for whoever adopts them."""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

from xiaohe.dispatch.reasons import Reason

ALOUD_EVERY_MS: Final = 3_600_000
"""One dead letter a device and hour, from the contract."""

LISTED_MAX: Final = 10_000
"""Devices remembered, some 3 MB: of more, those heard of the longest ago are forgotten."""

ALOUD_MAX: Final = 10_000
"""Dead letters in an hour: whoever makes up a device a message fills no topic with them. The rest
is counted."""


class UnknownDevice(Struct):
    """A device that was refused: when first and last, how often, why, and through which door.

    ``place`` is where its last message lies in the raw topic (partition, offset).
    """

    device_id: str
    first_ms: int
    last_ms: int
    count: int
    reason: Reason
    door: str
    place: tuple[int, int] | None = None
    aloud_ms: int | None = None


class UnknownDevices:
    """The devices refused of late, the longest ago first; bounded."""

    def __init__(self) -> None:
        self._devices: OrderedDict[str, UnknownDevice] = OrderedDict()
        self._hour_ms = 0
        self._aloud = 0

    def __len__(self) -> int:
        """Count the devices that are listed."""
        return len(self._devices)

    def refuse(
        self,
        device_id: str,
        at_ms: int,
        reason: Reason,
        door: str,
        place: tuple[int, int] | None = None,
    ) -> bool:
        """Take note of a refusal; tell whether it is to be a dead letter."""
        device = self._devices.get(device_id)
        if device is None:
            device = UnknownDevice(device_id, at_ms, at_ms, 0, reason, door)
            self._devices[device_id] = device
            if len(self._devices) > LISTED_MAX:
                self._devices.popitem(last=False)
        self._devices.move_to_end(device_id)
        device.last_ms = max(at_ms, device.last_ms)
        device.count += 1
        device.reason, device.door, device.place = reason, door, place
        if device.aloud_ms is not None and at_ms - device.aloud_ms < ALOUD_EVERY_MS:
            return False
        if not self._may_be_aloud(at_ms):
            return False
        device.aloud_ms = at_ms
        return True

    def _may_be_aloud(self, at_ms: int) -> bool:
        if at_ms - self._hour_ms >= ALOUD_EVERY_MS:
            self._hour_ms, self._aloud = at_ms, 0
        self._aloud += 1
        return self._aloud <= ALOUD_MAX

    def tell_again(self, device_id: str) -> None:
        """Refuse a device aloud at its next message: the dead letter may not have been written."""
        device = self._devices.get(device_id)
        if device is not None:
            device.aloud_ms = None

    def get(self, device_id: str) -> UnknownDevice | None:
        """Give one of those that are listed."""
        return self._devices.get(device_id)

    def forget(self, device_id: str) -> None:
        """Take one from the list: somebody has it now."""
        self._devices.pop(device_id, None)

    def latest(self, most: int) -> list[UnknownDevice]:
        """Give those refused last, the latest first."""
        found: list[UnknownDevice] = []
        for device_id in reversed(self._devices):
            if len(found) == most:
                break
            found.append(self._devices[device_id])
        return found
