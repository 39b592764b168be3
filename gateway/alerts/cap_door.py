"""``POST /v1/alerts/cap``: a CAP message becomes an alert, a correction, or a cancellation."""

from collections.abc import Iterable
from typing import Final

import orjson

from xiaohe.dispatch.ids import incident_id_of
from xiaohe.gateway.access.principal import About, Change
from xiaohe.gateway.alerts import schemas
from xiaohe.gateway.alerts.cap import AREA_ID, Message, alert_of, family_of, read_message
from xiaohe.gateway.alerts.fields import is_identifier
from xiaohe.gateway.alerts.intake import Intake, Stated, area_of, nothing_sent
from xiaohe.gateway.alerts.xml_text import read_xml
from xiaohe.gateway.door import KIB, PROBLEM, Answer, Body, Door, Parameter, Refusal, Reply, Visit
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.publisher import Record
from xiaohe.wire.codec import decode_operator_action

CAP_BYTES_MAX: Final = 256 * KIB
"""A whole message: a warning in several languages, with its outlines, has some 50 KiB."""

CAP_KINDS: Final = ("application/cap+xml", "application/xml", "text/xml")

LANGUAGE: Final = "zh"
"""Which info block is taken, where the query does not say."""

WITHDRAWN: Final = "withdrawn by its sender"

PARAMETERS: Final = (
    Parameter(name="area_id", where="query", what="The area, where no geocode area_id says it."),
    Parameter(name="language", where="query", what=f"Which info block to take; {LANGUAGE}."),
)

ANSWERS: Final = (
    Answer(status=202, what="Written: an alert or its correction.", schema=schemas.ACCEPTED),
    Answer(status=200, what="Understood; nothing was written.", schema=schemas.NOTHING_SENT),
    Answer(
        status=409, what="Others reported the same: a person has to cancel.",
        media_type=PROBLEM,
    ),
)  # fmt: skip


def doors(intake: Intake, parts: Parts) -> tuple[Door, ...]:
    """Give the door of CAP."""

    async def post(visit: Visit) -> Reply:
        return await _post(intake, parts, visit)

    return (
        Door(
            method="POST",
            path="/v1/alerts/cap",
            name="cap",
            what="A message of the Common Alerting Protocol 1.2.",
            change=Change.ALERT_REPORT,
            handle=post,
            bodies=tuple(Body(media_type=kind, bytes_max=CAP_BYTES_MAX) for kind in CAP_KINDS),
            parameters=PARAMETERS,
            answers=ANSWERS,
            room="alerts",
        ),
    )


async def _post(intake: Intake, parts: Parts, visit: Visit) -> Reply:
    message = read_message(read_xml(visit.body))
    if message.status != "Actual":
        return nothing_sent(f"status {message.status} never sends anybody")
    if message.kind in ("Ack", "Error"):
        return nothing_sent(f"msgType {message.kind} is about another message")
    area_id = area_of(visit, {"area_id": message.geocode(AREA_ID)})
    if message.kind == "Cancel":
        return await _cancel(parts, visit, message, area_id)
    language = visit.parameter("language") or LANGUAGE
    supersedes = _known_first(parts, area_id, message) if message.kind == "Update" else None
    fields = alert_of(message, area_id, language, supersedes)
    accepted = await intake.one(visit, Stated(fields))
    return Reply(202, accepted.as_json())


def _known_first(parts: Parts, area_id: str, message: Message) -> str | None:
    """Give the alert that an update corrects: one that an incident holds, else the last named."""
    named = [reference.alert_id for reference in message.references]
    held = (a for a in reversed(named) if parts.incidents.of_alert(area_id, a) is not None)
    return next(held, named[-1] if named else None)


async def _cancel(parts: Parts, visit: Visit, message: Message, area_id: str) -> Reply:
    """Ask the engine to cancel the incident that holds what is withdrawn.

    To withdraw is a desk's decision: the sender needs the right to it. An incident that others
    reported too is not cancelled by one of them.
    """
    if not message.references:
        raise Refusal(400, "missing_field", "a Cancel needs references to what it withdraws")
    named = [reference.alert_id for reference in message.references]
    views = (parts.incidents.of_alert(area_id, alert_id) for alert_id in named)
    view = next((view for view in views if view is not None), None)
    # Not seen yet: where the alert lies before this in the log, this is the incident it opens.
    incident_id = incident_id_of(area_id, named[-1]) if view is None else view.incident_id
    assert visit.principal is not None, "the application identifies before it hands over"
    about = About(area_id=area_id, incident_id=incident_id, action="cancel")
    permit = await visit.access.authorise(visit.principal, Change.DESK_DECIDE, about)
    if view is not None and view.is_finished:
        return nothing_sent("the incident is over already")
    if view is not None and _others(view.alerts, message):
        detail = "others reported this incident too: a person at a desk has to cancel it"
        raise Refusal(409, "held_by_others", detail)
    operator_id = visit.principal.principal_id
    value = orjson.dumps(
        {
            "action_id": message.itself.alert_id,
            "operator_id": operator_id if is_identifier(operator_id) else "cap",
            "at": message.sent,
            "action": "cancel",
            "incident_id": incident_id,
            "reason": WITHDRAWN,
        }
    )
    decode_operator_action(area_id.encode(), value)
    record = Record(parts.topics.operator_actions, area_id, value)
    written = await parts.publisher.publish(permit, record)
    told = {"status": 202, "cancels": incident_id, "area_id": area_id, "topic": written.topic}
    return Reply(202, told | {"partition": written.partition, "offset": written.offset})


def _others(alerts: Iterable[str], message: Message) -> bool:
    """Tell whether an incident holds alerts of anybody but those whose messages are withdrawn."""
    families = {family_of(reference.sender) for reference in message.references}
    return any(not alert_id.startswith(tuple(families)) for alert_id in alerts)
