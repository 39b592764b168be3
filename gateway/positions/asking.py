"""Which devices are asked where they are: once an incident, as soon as it is opened.

Whoever stands still sends seldom, and is then known by a fix that is old, just when the nearest is
sought. A phone that understands it is asked with the answer to whatever it sends next.

Pure: incidents and times come in, devices come out.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.times import BadTime, parse_rfc3339

OPENED: Final = "incident.opened"

ASKED_MS_MAX: Final = 120_000
"""A device that has not sent anything for so long after an incident was opened is not asked: by
then somebody has been ordered, and the answer would drain a battery for nothing."""

DEVICES_AN_INCIDENT_MAX: Final = 200
"""Devices asked for one incident: a brigade of fifty, four times over."""

ASKED_KEPT_MAX: Final = 10_000
"""Devices that may wait to be asked, of all incidents; the longest waiting are not asked."""

INCIDENTS_KEPT_MAX: Final = 10_000
"""Incidents remembered, so that one whose event is read again asks nobody again."""


class Asking:
    """Who is still to be asked, and for how long."""

    def __init__(self) -> None:
        self._until_ms: dict[str, int] = {}
        self._incidents: dict[str, None] = {}

    def opened(
        self, incident_id: str, device_ids: Iterable[str], opened_ms: int, now_ms: int
    ) -> int:
        """Let these devices be asked, unless that was done or is long ago; give how many."""
        until_ms = opened_ms + ASKED_MS_MAX
        if incident_id in self._incidents or until_ms <= now_ms:
            return 0
        self._incidents[incident_id] = None
        _keep(self._incidents, INCIDENTS_KEPT_MAX)
        chosen = list(dict.fromkeys(device_ids))[:DEVICES_AN_INCIDENT_MAX]
        for device_id in chosen:
            self._until_ms.pop(device_id, None)  # again at the end of the line
            self._until_ms[device_id] = until_ms
        _keep(self._until_ms, ASKED_KEPT_MAX)
        return len(chosen)

    def take(self, device_id: str, now_ms: int) -> bool:
        """Tell whether this device is to be asked now; it is not asked again for the same."""
        until_ms = self._until_ms.pop(device_id, None)
        return until_ms is not None and now_ms < until_ms

    def waiting(self, now_ms: int) -> tuple[str, ...]:
        """Give who is still to be asked, for whoever can reach a device unbidden, as MQTT can."""
        return tuple(device for device, until_ms in self._until_ms.items() if now_ms < until_ms)


def _keep(held: dict[str, int] | dict[str, None], most: int) -> None:
    while len(held) > most:
        held.pop(next(iter(held)))


def follow(asking: Asking, event: Mapping[str, object], roster: Roster, now_ms: int) -> int:
    """Take one incident event: an opening asks the devices of the area's members on shift.

    Whoever is off duty is not asked where they are. Gives how many are to be asked now.
    """
    incident_id, area_id, at = event.get("incident_id"), event.get("area_id"), event.get("at")
    if event.get("type") != OPENED:
        return 0
    if not (isinstance(incident_id, str) and isinstance(area_id, str) and isinstance(at, str)):
        return 0
    try:
        opened_ms = parse_rfc3339(at)
    except BadTime:
        return 0
    return asking.opened(incident_id, devices_on_shift(roster, area_id, now_ms), opened_ms, now_ms)


def devices_on_shift(roster: Roster, area_id: str, at_ms: int) -> list[str]:
    """Give the devices of an area's members whose shift it is, in the order of the members."""
    return [
        device_id
        for member in roster.members(area_id).values()
        if roster.on_shift(member.member_id, at_ms)
        for device_id in member.device_ids
    ]
