"""The incidents as they now stand, followed from their topic: which one holds an alert, and how far
it is. A copy for answering questions, never for deciding."""

from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog
from aiokafka import ConsumerRecord
from msgspec import Struct

from xiaohe.dispatch.inputs import Position

INCIDENTS_KEPT_MAX: Final = 50_000
"""Incidents that are remembered: a city district's of more than a month, some 100 MiB. Beyond it
those that ended are forgotten first, the longest unchanged of them before others."""

MERGES_FOLLOWED_MAX: Final = 20
"""Merges from one incident into the next that are followed."""

FINISHED: Final = frozenset({"resolved", "closed", "cancelled", "merged"})
"""States in which nobody is on the way any more."""

log = structlog.get_logger()


class Assignment(Struct, frozen=True, kw_only=True, gc=False):
    """One order in an incident."""

    dispatch_id: str
    member_id: str
    role: str
    state: str
    end: str | None = None


class IncidentView(Struct, frozen=True, kw_only=True):
    """What the gateway reads of an ``incidents`` record; times are RFC 3339, null where not yet."""

    incident_id: str
    area_id: str
    state: str
    priority: int
    category: str
    last_seq: int
    epoch: int = 0
    mode: str = "peacetime"
    position: Position | None = None
    place: Position | None = None
    road_id: str | None = None
    alerts: tuple[str, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    timeline: dict[str, str | None] = {}
    deadlines: dict[str, str | None] = {}
    merged_into: str | None = None
    drill: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether nobody is on the way any more."""
        return self.state in FINISHED


@dataclass(slots=True)
class IncidentViews:
    """The latest view of each incident, by its id and by the alerts that it holds."""

    kept_max: int = INCIDENTS_KEPT_MAX
    _live: dict[str, IncidentView] = field(default_factory=dict)
    _finished: dict[str, IncidentView] = field(default_factory=dict)
    _by_alert: dict[tuple[str, str], str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the incidents that are remembered."""
        return len(self._live) + len(self._finished)

    def get(self, incident_id: str) -> IncidentView | None:
        """Give an incident, itself even where it was merged into another."""
        return self._live.get(incident_id) or self._finished.get(incident_id)

    def of_alert(self, area_id: str, alert_id: str) -> IncidentView | None:
        """Give the incident that holds an alert now, following merges."""
        found = self.get(self._by_alert.get((area_id, alert_id), ""))
        for _ in range(MERGES_FOLLOWED_MAX):
            if found is None or found.merged_into is None:
                break
            found = self.get(found.merged_into) or found
        return found

    def take_record(self, record: ConsumerRecord) -> None:
        """Take one record of the topic; what is older than what is known changes nothing."""
        if record.value is None:
            self._forget((record.key or b"").decode(errors="replace"))
            return
        try:
            view = msgspec.json.decode(record.value, type=IncidentView)
        except msgspec.DecodeError:
            log.warning("incident_view_unreadable", offset=record.offset)
            return
        self.put(view)

    def put(self, view: IncidentView) -> None:
        """Take a view, unless one of a later epoch or step is known."""
        known = self.get(view.incident_id)
        if known is not None:
            if (view.epoch, view.last_seq) < (known.epoch, known.last_seq):
                return
            self._forget(view.incident_id)
        (self._finished if view.is_finished else self._live)[view.incident_id] = view
        for alert_id in view.alerts:
            self._claim(view, alert_id)
        if len(self) > self.kept_max:
            self._forget(next(iter(self._finished or self._live)))

    def _claim(self, view: IncidentView, alert_id: str) -> None:
        """A merged incident takes no alert away from the one that it went into."""
        if view.merged_into is None or (view.area_id, alert_id) not in self._by_alert:
            self._by_alert[view.area_id, alert_id] = view.incident_id

    def _forget(self, incident_id: str) -> None:
        view = self._live.pop(incident_id, None) or self._finished.pop(incident_id, None)
        if view is None:
            return
        for alert_id in view.alerts:
            if self._by_alert.get((view.area_id, alert_id)) == incident_id:
                del self._by_alert[view.area_id, alert_id]
