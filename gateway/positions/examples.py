"""One message of each format, and the shapes of what the doors take and answer, for documents."""

from typing import Any, Final

FIX_TIME: Final = "2030-01-07T04:00:52Z"

POSITION: Final = {
    "device_id": "M07", "lon": 120.1402, "lat": 30.3125, "fix_time": FIX_TIME,
    "accuracy_m": 8, "speed_mps": 1.3, "course_deg": 90, "battery": 0.71,
}  # fmt: skip

TRACCAR: Final[dict[str, Any]] = {
    "position": {
        "id": 0, "attributes": {"batteryLevel": 71.0, "motion": True}, "deviceId": 7,
        "protocol": "osmand", "serverTime": "2030-01-07T04:00:53.123+00:00",
        "deviceTime": "2030-01-07T04:00:52.000+00:00", "fixTime": "2030-01-07T04:00:52.000+00:00",
        "valid": True, "latitude": 30.3125, "longitude": 120.1402, "altitude": 0.0, "speed": 2.5,
        "course": 90.0, "address": None, "accuracy": 8.0, "network": None,
    },
    "device": {"id": 7, "name": "member-07", "uniqueId": "M07", "status": "online"},
}  # fmt: skip

OWNTRACKS: Final = {
    "_type": "location", "topic": "owntracks/m07/phone", "tid": "07", "tst": 1_893_988_852,
    "lat": 30.3125, "lon": 120.1402, "acc": 8, "vel": 5, "cog": 90, "batt": 71, "t": "t",
}  # fmt: skip

OSMAND_JSON: Final = {
    "device_id": "M07",
    "location": {
        "timestamp": FIX_TIME, "is_moving": True,
        "coords": {"latitude": 30.3125, "longitude": 120.1402, "accuracy": 8, "speed": 1.3,
                   "heading": 90, "altitude": 5},
        "battery": {"level": 0.71, "is_charging": False}, "activity": {"type": "walking"},
    },
}  # fmt: skip

TILE38: Final = {
    "command": "set", "group": "5c5203ccf5ec4e4f349fd038", "detect": "inside", "hook": "brigade",
    "key": "members", "time": "2030-01-07T04:00:52.123456789Z", "id": "M07",
    "object": {"type": "Point", "coordinates": [120.1402, 30.3125]},
}  # fmt: skip

POSITION_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["lon", "lat", "fix_time"],
    "properties": {
        "member_id": {"type": "string"},
        "device_id": {"type": "string"},
        "lon": {"type": "number", "minimum": -180, "maximum": 180},
        "lat": {"type": "number", "minimum": -90, "maximum": 90},
        "fix_time": {"type": "string", "format": "date-time"},
        "datum": {"type": "string", "enum": ["wgs84", "gcj02", "bd09"]},
        "accuracy_m": {"type": "number", "minimum": 0},
        "speed_mps": {"type": "number", "minimum": -1},
        "course_deg": {"type": "number", "minimum": -360, "maximum": 360},
        "seq": {"type": "integer", "minimum": 0},
        "battery": {"type": "number", "minimum": 0, "maximum": 1},
        "alarm": {"type": "string", "minLength": 1, "maxLength": 128},
    },
}
BATCH_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "area_id": {"type": "string"},
        "batch": {
            "type": "array", "minItems": 1, "maxItems": 1000, "items": POSITION_SCHEMA,
        },
    },
}  # fmt: skip
OUTCOME: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["accepted", "refused"],
    "properties": {
        "accepted": {"type": "integer"},
        "refused": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "reason"],
                "properties": {
                    "index": {"type": "integer"},
                    "reason": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
