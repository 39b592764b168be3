"""What a webhook is sent of an event: a CloudEvent, or what became of its system's alerts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import orjson
from msgspec import Struct

from xiaohe.gateway.alerts.mapping import Feed
from xiaohe.gateway.alerts.results import results_of
from xiaohe.gateway.door import JSON
from xiaohe.gateway.events.entry import CLOUDEVENT, Entry
from xiaohe.gateway.events.hooks import Hook
from xiaohe.gateway.events.position import Position
from xiaohe.gateway.incident_views import IncidentViews


class Parcel(Struct, frozen=True):
    """One body to be delivered; ``identity`` is what makes its delivery id."""

    identity: str
    body: bytes
    media_type: str


Render = Callable[[Hook, Entry, Position], Awaitable[Sequence[Parcel]]]

VIEW_WAIT_MS: Final = 2_000
"""How long after an event the view of its incident may come: it is written some ms later."""

LOOK_AGAIN_S: Final = 0.05


class Parcels:
    """Makes parcels: of the feeds' mapping files, and of what is known of the incidents."""

    def __init__(
        self, feeds: Mapping[str, Feed], incidents: IncidentViews, now_ms: Callable[[], int]
    ) -> None:
        self._feeds = feeds
        self._incidents = incidents
        self._now_ms = now_ms

    async def of(self, hook: Hook, entry: Entry, after: Position) -> Sequence[Parcel]:
        """Give what a webhook is sent of an event that it asked for."""
        if hook.form == "cloudevents":
            return (Parcel(entry.identity, entry.cloudevent(after), CLOUDEVENT),)
        return await self._results(hook, entry)

    async def _results(self, hook: Hook, entry: Entry) -> Sequence[Parcel]:
        """Give a result for each alert of the webhook's feed that the event is about."""
        feed = self._feeds.get(hook.source or "")
        if feed is None or entry.topic_id != "incident_events":
            return ()
        return [
            Parcel(f"{entry.identity} {alert_id}", orjson.dumps(body), JSON)
            for alert_id, body in results_of(feed, entry.value, await self._alerts_of(entry))
        ]

    async def _alerts_of(self, entry: Entry) -> Sequence[str]:
        """Name the alerts that an incident has as of an event, or has by now."""
        incident_id, seq = entry.incident_id or "", entry.value.get("seq")
        view = self._incidents.get(incident_id)
        while (view is None or view.last_seq < int(seq or 0)) and self._is_new(entry):
            await asyncio.sleep(LOOK_AGAIN_S)
            view = self._incidents.get(incident_id)
        return () if view is None else view.alerts

    def _is_new(self, entry: Entry) -> bool:
        return self._now_ms() - entry.written_ms < VIEW_WAIT_MS
