"""The door of one incident: as it stands, as an EIDO, or as a CAP alert."""

from typing import Final

import msgspec

from xiaohe.gateway.access.principal import About, Change
from xiaohe.gateway.door import Answer, Door, Parameter, Refusal, Reply, Visit
from xiaohe.gateway.events.export import as_cap, as_eido
from xiaohe.gateway.events.visible import sees_their_own
from xiaohe.gateway.incident_views import IncidentView
from xiaohe.gateway.parts import Parts

FORMATS: Final = ("json", "eido", "cap")
CAP_XML: Final = "application/cap+xml"
EIDO_JSON: Final = "application/emergency.eido+json"


class IncidentDoors:
    """What is behind the door."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def one(self, visit: Visit) -> Reply:
        """Give an incident to who may read its area's events; to a member if they are on it."""
        view = self._parts.incidents.get(visit.path_parameters["incident_id"])
        if view is None:
            # Whoever may read nothing does not learn which incidents there are.
            await visit.permit(_about(visit, None))
            raise self._unknown()
        await visit.permit(_about(visit, view))
        principal = visit.principal
        assert principal is not None, "the application identifies before it hands over"
        own = principal.principal_id
        if sees_their_own(principal) and all(x.member_id != own for x in view.assignments):
            raise self._unknown()
        return self._shown(view, visit.parameter("format") or "json", visit.received_ms)

    def _shown(self, view: IncidentView, wanted: str, at_ms: int) -> Reply:
        match wanted:
            case "json":
                return Reply(value=msgspec.to_builtins(view))
            case "eido":
                return Reply(value=as_eido(view, at_ms), media_type=EIDO_JSON)
            case "cap":
                return Reply(body=as_cap(view, at_ms), media_type=CAP_XML)
            case _:
                raise Refusal(400, "unknown_format", f"format is one of {', '.join(FORMATS)}")

    def _unknown(self) -> Refusal:
        return Refusal(404, "no_such_incident", "it is not known here, or was long ago")


def _about(visit: Visit, view: IncidentView | None) -> About:
    principal = visit.principal
    assert principal is not None, "the application identifies before it hands over"
    own = principal.principal_id if sees_their_own(principal) else None
    if view is None:
        # Any of their areas: what is asked for is in none.
        area_id = min(principal.area_ids, default=None) if principal.area_ids else None
        return About(area_id=area_id, member_id=own)
    return About(area_id=view.area_id, incident_id=view.incident_id, member_id=own)


def doors(parts: Parts) -> tuple[Door, ...]:
    """Give the door."""
    made = IncidentDoors(parts)
    return (
        Door(
            method="GET", path="/v1/incidents/{incident_id}", name="incident_get",
            what="An incident as it stands; `format` says in whose words.",
            change=Change.EVENTS_READ, handle=made.one, room="events",
            parameters=(
                Parameter(
                    name="format", where="query", what="json (as it is kept), eido or cap",
                    schema={"type": "string", "enum": list(FORMATS), "default": "json"},
                ),
            ),
            answers=(
                Answer(status=200, what="The incident.", schema={"type": "object"}),
                Answer(status=200, what="The same as an EIDO.", media_type=EIDO_JSON,
                       schema={"type": "object"}),
                Answer(status=200, what="The same as CAP 1.2.", media_type=CAP_XML,
                       schema={"type": "string"}),
                Answer(status=404, what="No such incident, or an old one."),
            ),
        ),
    )  # fmt: skip
