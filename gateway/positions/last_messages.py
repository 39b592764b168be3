"""The last message of each device that came through a door, for whoever wires it up."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from xiaohe.gateway.positions.raw_fix import Said

KEPT_MAX: Final = 1_000
"""Devices whose last message is kept, in memory alone; some 4 MB at most."""

KEPT_BYTES_MAX: Final = 4 * 1024
"""So much of a message is kept."""


class LastMessage(Struct, frozen=True):
    """The last message of a device that came through a door, and what was read of it."""

    door: str
    received_ms: int
    raw: bytes
    said: tuple[Said, ...]


class LastMessages:
    """Those of the devices that were heard of last; bounded."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, LastMessage] = OrderedDict()

    def keep(self, door: str, now_ms: int, said: Sequence[Said], raw: bytes) -> None:
        """Keep a message; one that speaks for several devices is of none in particular."""
        devices = {each.device_id for each in said if each.device_id}
        if len(devices) != 1:
            return
        device_id = devices.pop()
        self._last[device_id] = LastMessage(door, now_ms, raw[:KEPT_BYTES_MAX], tuple(said[:1]))
        self._last.move_to_end(device_id)
        if len(self._last) > KEPT_MAX:
            self._last.popitem(last=False)

    def get(self, device_id: str) -> LastMessage | None:
        """Give the last message of a device, where it came through a door of late."""
        return self._last.get(device_id)
