"""Incidents as they now stand, from their compacted topic: what an answer about one is made of.

Every live incident is kept, as the engine keeps it. Of those that have ended the newest are, so
that a status can still be asked for; who needs older ones reads the topic.
"""

from collections import OrderedDict
from typing import Final

import msgspec
import structlog
from aiokafka import ConsumerRecord

from xiaohe.wire.outputs import IncidentView

ENDED_KEPT_MAX: Final = 5_000
"""Ended incidents that can still be asked for: a busy sub-district's month; some 2 KB each."""

ENDED: Final = frozenset({"closed", "cancelled", "merged"})
"""States after which an incident only waits to be forgotten; ``resolved`` may yet be reopened."""

log = structlog.get_logger()


class IncidentViews:
    """The newest view of each incident; ``take`` is a Follower's ``on_record``."""

    def __init__(self) -> None:
        self._live: dict[str, IncidentView] = {}
        self._ended: OrderedDict[str, IncidentView] = OrderedDict()
        self._of_alerts: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        """How many are kept, ended ones too."""
        return len(self._live) + len(self._ended)

    def get(self, incident_id: str) -> IncidentView | None:
        """Give an incident as it now stands; None if it is unknown or forgotten."""
        return self._live.get(incident_id) or self._ended.get(incident_id)

    def of_alert(self, area_id: str, alert_id: str) -> IncidentView | None:
        """Give the incident that an alert opened, or was attached to last."""
        incident_id = self._of_alerts.get((area_id, alert_id))
        return None if incident_id is None else self.get(incident_id)

    def take(self, record: ConsumerRecord) -> None:
        """Take one record of the ``incidents`` topic. One that cannot be read is logged."""
        if record.key is None:
            return
        if record.value is None:
            self._forget(record.key.decode(errors="replace"))
            return
        try:
            view = msgspec.json.decode(record.value, type=IncidentView)
        except msgspec.DecodeError:
            log.warning("incident_view_unreadable", offset=record.offset)
            return
        self._put(view)

    def _put(self, view: IncidentView) -> None:
        known = self.get(view.incident_id)
        if known is not None and (known.epoch, known.last_seq) > (view.epoch, view.last_seq):
            return  # a worker that has been replaced wrote it
        self._live.pop(view.incident_id, None)
        self._ended.pop(view.incident_id, None)
        if view.state in ENDED:
            self._ended[view.incident_id] = view
            if len(self._ended) > ENDED_KEPT_MAX:
                self._forget(next(iter(self._ended)))
        else:
            self._live[view.incident_id] = view
        for alert_id in view.alerts:
            self._of_alerts[view.area_id, alert_id] = view.incident_id

    def _forget(self, incident_id: str) -> None:
        view = self.get(incident_id)
        if view is None:
            return
        self._live.pop(incident_id, None)
        self._ended.pop(incident_id, None)
        for alert_id in view.alerts:
            if self._of_alerts.get((view.area_id, alert_id)) == incident_id:
                del self._of_alerts[view.area_id, alert_id]
