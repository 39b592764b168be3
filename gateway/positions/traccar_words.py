"""Traccar's words and units, which its clients, its forwarding and its app share."""

from typing import Final

from xiaohe.gateway.positions.measures import MPS_PER_KNOT, share_of_percent, speed_mps

ALARM_CHARACTERS_MAX: Final = 128
"""The longest alarm that the contract takes."""

ALARM_LIST_CHARACTERS_MAX: Final = 2_048
"""All alarms that Traccar knows, joined, have some 600."""

DISTRESS: Final = {
    "sos": "sos",
    "panic": "sos",
    "falldown": "fall",
    "fall": "fall",
}
"""Alarms that are a call for help, in small letters, and the contract's word; a cry for help goes
before a fall where both are said."""


def alarm_of(stated: object) -> str | None:
    """Give the contract's word for an alarm, or the first of a comma-joined list as it is.

    Of several, a call for help counts. None for nothing said, and for what is no text.
    """
    if not isinstance(stated, str):
        return None
    words = [word.strip() for word in stated[:ALARM_LIST_CHARACTERS_MAX].split(",")]
    words = [word for word in words if word]
    calls = {DISTRESS[word.lower()] for word in words if word.lower() in DISTRESS}
    if calls:
        return "sos" if "sos" in calls else "fall"
    return words[0][:ALARM_CHARACTERS_MAX] if words else None


def knots_mps(stated: object) -> float | None:
    """Give a speed that is stated in knots, in m/s."""
    return speed_mps(stated, MPS_PER_KNOT)


def battery_of(attributes: dict[str, object]) -> float | None:
    """Give the share that a device's battery holds; ``battery`` alone is volts, and says none."""
    return share_of_percent(attributes.get("batteryLevel"))
