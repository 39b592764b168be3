"""Invented members with devices, and what a Traccar server forwards of them."""

import json
from typing import Any

from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.positions.inflow import Inflow
from xiaohe.gateway.positions.owners import Owners
from xiaohe.wire.codec import Gone, decode_roster

NOON_MS = 1_780_000_000_000


class Fleet:
    """A roster to which members are added, and the inflow that knows it."""

    def __init__(self, **devices: str) -> None:
        """Each member of area ``a`` has the device of that name: ``m1="T1"``."""
        self.roster = Roster()
        self.changes = 0
        for member_id, device_id in devices.items():
            self.member(member_id, device_id)
        self.owners = Owners(self.roster, lambda: self.changes)
        self.inflow = Inflow(self.owners)

    def member(self, member_id: str, *device_ids: str, area_id: str = "a", **more: Any) -> None:
        """Put a member into the roster."""
        entry = entry_of(member_id, *device_ids, area_id=area_id, **more)
        read = decode_roster(member_id.encode(), json.dumps(entry).encode())
        assert not isinstance(read, Gone)
        self.changes += 1
        self.roster.put(read, self.changes)

    def view(self, member_id: str, *device_ids: str, area_id: str = "a", **more: Any) -> None:
        """Show a member's view, as the engine publishes it."""
        value = {"member_id": member_id, "area_id": area_id, "state": "available"}
        value |= {"device_ids": device_ids, **more}
        self.owners.take_view(member_id.encode(), json.dumps(value).encode())


def entry_of(member_id: str, *device_ids: str, area_id: str = "a", **more: Any) -> dict[str, Any]:
    """A roster entry, on duty round the clock."""
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    always = [{"days": days, "start": "00:00", "end": "00:00", "timezone": "UTC"}]
    stated = {"member_id": member_id, "area_id": area_id, "name": "Invented", "team": "none"}
    return {**stated, "device_ids": device_ids, "shifts": always, **more}


def forwarded(
    device_id: str = "T1",
    *,
    at_ms: int = NOON_MS,
    lon: float = 120.14,
    lat: float = 30.31,
    attributes: dict[str, Any] | None = None,
    **position: Any,
) -> bytes:
    """What a Traccar server forwards of a position, as it is."""
    time = rfc3339(at_ms).replace("Z", "+00:00")
    stated = {
        "id": 0,
        "attributes": {"batteryLevel": 71.0, "motion": True, **(attributes or {})},
        "deviceId": 7,
        "protocol": "osmand",
        "serverTime": time,
        "deviceTime": time,
        "fixTime": time,
        "valid": True,
        "latitude": lat,
        "longitude": lon,
        "altitude": 0.0,
        "speed": 2.5,
        "course": 90.0,
        "address": None,
        "accuracy": 8.0,
        "network": None,
        "geofenceIds": None,
    }
    device = {"id": 7, "attributes": {}, "name": "invented", "uniqueId": device_id, "phone": None}
    return json.dumps({"position": stated | position, "device": device}).encode()
