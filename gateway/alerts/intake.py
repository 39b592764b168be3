"""The one way of an alert from any door onto the topic: looked at, permitted, written, answered.

What is written is first read by the decoder that the worker reads it with, so that nothing that a
door takes can become a dead letter for its form. Nothing is kept here: the same alert_id again is
the engine's to know.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from xiaohe.dispatch.inputs import Alert
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.access.principal import About, Forbidden, Permit
from xiaohe.gateway.alerts.fields import Fields, encoded, is_identifier
from xiaohe.gateway.door import Reply, Visit
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.publisher import NotPublished, Record, Written
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec import decode_alert

ALERTS_IN_BATCH_MAX: Final = 100
"""Alerts that one request may bring: a call system's backlog of some minutes, and less than a
second's work for the worker of one area."""

Completer = Callable[[Fields], Fields]
"""Adds what can be known of an alert, such as where its address is."""


@dataclass(frozen=True, slots=True)
class Stated:
    """One alert as its sender stated it, and the record headers that go with it.

    ``fault`` is set instead where there is no object to look at.
    """

    fields: Fields
    headers: tuple[tuple[str, bytes], ...] = ()
    fault: BadInput | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """An alert that the broker has acknowledged."""

    fields: Mapping[str, object]
    written: Written

    def as_json(self) -> dict[str, object]:
        """Give what the sender is told."""
        told: dict[str, object] = {
            "status": 202,
            "alert_id": self.fields["alert_id"],
            "area_id": self.fields["area_id"],
            "topic": self.written.topic,
            "partition": self.written.partition,
            "offset": self.written.offset,
            "received_at": rfc3339(self.written.received_ms),
        }
        if "address_match" in self.fields:
            told["address_match"] = self.fields["address_match"]
        return told


@dataclass(frozen=True, slots=True)
class Declined:
    """An alert of which nothing was written, and why."""

    status: int
    reason: str
    detail: str
    alert_id: str | None = None

    def as_json(self, index: int) -> dict[str, object]:
        """Give what the sender is told of the alert at this place of a batch."""
        return {
            "index": index,
            "status": self.status,
            "alert_id": self.alert_id,
            "reason": self.reason,
            "detail": self.detail,
        }


Outcome = Accepted | Declined


@dataclass(frozen=True, slots=True)
class _Ready:
    """An alert that the worker's own decoder reads."""

    fields: Fields
    alert: Alert
    record: Record

    @property
    def about(self) -> About:
        return About(area_id=self.alert.area_id, member_id=self.alert.reported_by)


class Intake:
    """Takes alerts for the doors; ``complete`` is asked of each before it is written."""

    def __init__(self, parts: Parts, complete: Completer = lambda fields: fields) -> None:
        self._parts = parts
        self._complete = complete

    async def one(self, visit: Visit, stated: Stated) -> Accepted:
        """Take one alert. Raises what the application answers with a problem."""
        ready = self._ready(visit, stated)
        permit = await visit.permit(ready.about)
        written = await self._parts.publisher.publish(permit, ready.record)
        return Accepted(ready.fields, written)

    async def many(self, visit: Visit, stated: Sequence[Stated]) -> list[Outcome]:
        """Take a batch: each alert has its own outcome, in the batch's order. Raises BadInput."""
        check_count(len(stated))
        looked_at = []
        for each in stated:
            looked_at.append(self._looked_at(visit, each))
            await asyncio.sleep(0)  # an address takes some ms: others have their turn
        permits: dict[About, Permit | Forbidden] = {}
        for each in looked_at:
            if isinstance(each, _Ready) and each.about not in permits:
                permits[each.about] = await _asked(visit, each.about)
        outcomes: dict[int, Outcome] = {
            at: each for at, each in enumerate(looked_at) if isinstance(each, Declined)
        }
        for about, permit in permits.items():
            alike = [
                (at, each)
                for at, each in enumerate(looked_at)
                if isinstance(each, _Ready) and each.about == about
            ]
            outcomes |= await self._written(permit, alike)
        return [outcomes[at] for at in range(len(stated))]

    async def _written(
        self, permit: Permit | Forbidden, alike: Sequence[tuple[int, _Ready]]
    ) -> dict[int, Outcome]:
        """Write the alerts that one permit is for."""
        if isinstance(permit, Forbidden):
            return {at: _declined(403, "forbidden", str(permit), ready) for at, ready in alike}
        try:
            places = await self._parts.publisher.publish_all(
                permit, [ready.record for _, ready in alike]
            )
        except NotPublished as failed:
            return {at: _declined(503, "not_published", str(failed), ready) for at, ready in alike}
        return {
            at: Accepted(ready.fields, written)
            for (at, ready), written in zip(alike, places, strict=True)
        }

    def _looked_at(self, visit: Visit, stated: Stated) -> "_Ready | Declined":
        try:
            return self._ready(visit, stated)
        except BadInput as bad:
            alert_id = stated.fields.get("alert_id")
            named = alert_id if isinstance(alert_id, str) and is_identifier(alert_id) else None
            return Declined(400, bad.reason.value, bad.detail, named)

    def _ready(self, visit: Visit, stated: Stated) -> _Ready:
        """Make the record of an alert and read it back. Raises BadInput."""
        if stated.fault is not None:
            raise stated.fault
        area_id = area_of(visit, stated.fields)
        if not self._parts.known.has_area(area_id):
            raise BadInput(Reason.UNKNOWN_AREA, Reason.UNKNOWN_AREA.sentence)
        fields = {**stated.fields, "area_id": area_id}
        # Read before anything is made of it: what is completed is of the types of the contract.
        decode_alert(area_id.encode(), encoded(fields))
        fields = self._complete(fields)
        value = encoded(fields)
        alert = decode_alert(area_id.encode(), value)
        topic = self._parts.topics.alerts
        return _Ready(fields, alert, Record(topic, area_id, value, stated.headers))


def check_count(count: int) -> None:
    """Refuse a batch without alerts, or with too many. Raises BadInput."""
    if not count:
        raise BadInput(Reason.EMPTY_BATCH, "the list has no alerts: leave the request out")
    if count > ALERTS_IN_BATCH_MAX:
        raise BadInput(
            Reason.BATCH_TOO_LONG,
            f"the list has {count} alerts; at most {ALERTS_IN_BATCH_MAX} are taken at once",
        )


def area_of(visit: Visit, fields: Mapping[str, object]) -> str:
    """Give the area: as stated, as the query says, or the only one that the sender is for.

    Raises BadInput: missing_field, wrong_type, bad_identifier.
    """
    area_id = fields.get("area_id") or visit.parameter("area_id")
    own = visit.principal.area_ids if visit.principal is not None else None
    if not area_id and own is not None and len(own) == 1:
        (area_id,) = own
    if not area_id:
        raise BadInput(Reason.MISSING_FIELD, "the alert needs the field area_id")
    if not isinstance(area_id, str):
        raise BadInput(Reason.WRONG_TYPE, "area_id must be text")
    if not is_identifier(area_id):
        raise BadInput(Reason.BAD_IDENTIFIER, "area_id is not an identifier")
    return area_id


def reply_to_many(outcomes: Iterable[Outcome]) -> Reply:
    """Answer a batch: 202 where all were taken, else 207 with each one's own status."""
    results = [
        {"index": at, **each.as_json()} if isinstance(each, Accepted) else each.as_json(at)
        for at, each in enumerate(outcomes)
    ]
    accepted = sum(result["status"] == 202 for result in results)  # noqa: PLR2004 - HTTP's own
    status = 202 if accepted == len(results) else 207
    told = {"accepted": accepted, "refused": len(results) - accepted, "results": results}
    return Reply(status, told)


async def _asked(visit: Visit, about: About) -> Permit | Forbidden:
    try:
        return await visit.permit(about)
    except Forbidden as denied:
        return denied


def _declined(status: int, reason: str, detail: str, ready: _Ready) -> Declined:
    return Declined(status, reason, detail, ready.alert.alert_id)


def nothing_sent(why: str) -> Reply:
    """Answer what was understood and is no alert."""
    return Reply(200, {"status": 200, "published": False, "why": why})
