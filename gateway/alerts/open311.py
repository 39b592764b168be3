"""Open311 GeoReport v2: what is not urgent, asked for in its words and told in its two states.

The services are the operator's; a request becomes an alert of priority 3 or 4. Names, numbers and
addresses of e-mail are read by nobody here and go no further.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

import msgspec
import orjson

from xiaohe.dispatch.inputs import Identifier, Label
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import MS_PER_HOUR, rfc3339
from xiaohe.dispatch.yaml_text import BadYaml, read_yaml
from xiaohe.gateway.alerts.fields import Fields
from xiaohe.gateway.alerts.mapping import text_of
from xiaohe.gateway.incident_views import IncidentView
from xiaohe.wire.bad_input import BadInput

SERVICES_MAX: Final = 200
"""Services of a file: what a person scrolls through."""

DESCRIPTION_CHARACTERS_MAX: Final = 4_000
"""As GeoReport has it, and the contract's text of an alert."""

URL_CHARACTERS_MAX: Final = 500
ADDRESS_CHARACTERS_MAX: Final = 500

ID_DIGITS: Final = 24
"""Hexadecimal digits of the hash in a request's id."""

PREFIX: Final = "o311:"

Format = Literal["json", "xml"]


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that may be asked for."""

    code: Identifier
    name: Label
    category: Label
    description: str = ""
    group: str = ""
    keywords: str = ""
    priority: Literal[3, 4] = 4


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    services: tuple[Service, ...]


class ServicesFileError(Exception):
    """A file of services that cannot be used; the message says what to do."""


def read_services(raw: bytes, name: str) -> tuple[Service, ...]:
    """Read a file of services. Raises ServicesFileError."""
    try:
        services = msgspec.convert(read_yaml(raw), _File).services
    except (BadYaml, msgspec.ValidationError) as fault:
        raise ServicesFileError(f"{name}: {fault}") from None
    codes = {service.code for service in services}
    if not services or len(services) > SERVICES_MAX or len(codes) < len(services):
        raise ServicesFileError(
            f"{name}: 1 to {SERVICES_MAX} services, each with a code of its own"
        )
    return services


def service_json(service: Service) -> Fields:
    """Give a service as GeoReport lists it."""
    return {
        "service_code": service.code,
        "service_name": service.name,
        "description": service.description,
        "metadata": False,
        "type": "realtime",
        "keywords": service.keywords,
        "group": service.group,
    }


# --- in


def request_fields(stated: Mapping[str, object], services: Sequence[Service]) -> Fields:
    """Make the alert of a request, all but its id, its area and its time. Raises BadInput."""
    code = text_of(stated.get("service_code"))
    if not code:
        raise BadInput(Reason.MISSING_FIELD, "the request needs service_code")
    service = next((each for each in services if each.code == code), None)
    if service is None:
        raise BadInput(Reason.UNKNOWN_VALUE, "service_code is not in the list of services")
    url = text_of(stated.get("media_url"))
    made: Fields = {
        "source": "open311",
        "category": service.category,
        "priority": service.priority,
        "text": text_of(stated.get("description"))[:DESCRIPTION_CHARACTERS_MAX],
        "address": text_of(stated.get("address_string"))[:ADDRESS_CHARACTERS_MAX],
        "position": _position(stated),
        "evidence": [url] if 0 < len(url) <= URL_CHARACTERS_MAX else [],
        "open311": {"service_code": service.code},
    }
    return {name: item for name, item in made.items() if item not in (None, "", [])}


def _position(stated: Mapping[str, object]) -> Fields | None:
    """Read ``lat`` and ``long``; both or neither. Raises BadInput."""
    texts = text_of(stated.get("long")), text_of(stated.get("lat"))
    if not any(texts):
        return None
    try:
        lon, lat = (float(text) for text in texts)
    except ValueError:
        raise BadInput(Reason.WRONG_TYPE, "lat and long must both be numbers") from None
    return {"lon": lon, "lat": lat}


def request_id(sender: str, key: str | None, body: bytes, received_ms: int) -> str:
    """Give the id of a request: the same for the same one sent again.

    GeoReport has no id of the client's own. With a key of the client's it is that; else what was
    sent within the same hour of the clock is one request.
    """
    hour = received_ms // MS_PER_HOUR
    what = f"key\x00{key}".encode() if key else b"body\x00%d\x00" % hour + body
    return PREFIX + sha256(sender.encode() + b"\x00" + what).hexdigest()[:ID_DIGITS]


def asked_at(received_ms: int) -> str:
    """Give when it was asked, as far as GeoReport says it: the hour in which it came, so that the
    same request sent again says the same."""
    return rfc3339(received_ms - received_ms % MS_PER_HOUR)


# --- out


def status_json(alert_id: str, view: IncidentView, services: Sequence[Service]) -> Fields:
    """Tell how far a request is: ``open`` or ``closed``, the finer state in ``status_notes``."""
    service = next((each for each in services if each.category == view.category), None)
    times = [at for at in view.timeline.values() if at]
    position = view.position or view.place
    return {
        "service_request_id": alert_id,
        "status": "closed" if view.is_finished else "open",
        "status_notes": view.state,
        "service_code": service.code if service else None,
        "service_name": service.name if service else view.category,
        "requested_datetime": view.timeline.get("received"),
        "updated_datetime": max(times, default=None),
        "expected_datetime": view.deadlines.get("arrive_by"),
        "lat": position.lat if position else None,
        "long": position.lon if position else None,
    }


def rendered(form: Format, root: str, item: str, values: Iterable[Fields]) -> bytes:
    """Write a list as GeoReport does, in JSON or in XML."""
    values = list(values)
    if form == "json":
        return orjson.dumps(values)
    top = Element(root)
    for value in values:
        each = SubElement(top, item)
        for name, found in value.items():
            text = "" if found is None else text_of(found)
            SubElement(each, name).text = "".join(c for c in text if c.isprintable() or c in "\n\t")
    return bytes(tostring(top, encoding="utf-8", xml_declaration=True))
