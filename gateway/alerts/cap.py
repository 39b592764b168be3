"""OASIS Common Alerting Protocol 1.2: one message read, and the alert that it makes.

CAP writes ``lat,lon``, the other way round than GeoJSON and than this project. A message whose
status is not Actual never becomes an alert. What CAP says in three words (severity, urgency,
certainty) becomes the one priority by ``priority_of``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import Final, Literal, cast
from xml.etree.ElementTree import Element

from shapely import Polygon

from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import BadTime, parse_rfc3339
from xiaohe.gateway.alerts.fields import Fields
from xiaohe.wire.bad_input import BadInput

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"

Status = Literal["Actual", "Exercise", "System", "Test", "Draft"]
MessageType = Literal["Alert", "Update", "Cancel", "Ack", "Error"]
STATUSES: Final = ("Actual", "Exercise", "System", "Test", "Draft")
MESSAGE_TYPES: Final = ("Alert", "Update", "Cancel", "Ack", "Error")

TEXT_CHARACTERS_MAX: Final = 2_000
"""Of headline, description and instruction together: what a member can read on the way, and what
leaves room for the rest of an alert's 16 KiB."""

CATEGORY: Final = "cap"
"""The category of a message that names no event."""

CATEGORY_CHARACTERS_MAX: Final = 128
"""From the contract; an event may be a sentence."""

EVIDENCE_MAX: Final = 10
"""Resources that are passed on."""

URI_CHARACTERS_MAX: Final = 300
"""A longer URI, such as one with the picture inside, is not passed on."""

REFERENCES_MAX: Final = 50
"""Earlier messages that one may name."""

POLYGON_POINTS_MAX: Final = 1_000
"""Points of an outline: a district drawn finely."""

LAT_MAX, LON_MAX = 90.0, 180.0

AREA_ID: Final = "area_id"
ROAD_ID: Final = "road_id"
"""Names of geocodes that are ours."""

_NAME_DIGITS: Final = 12
_MESSAGE_DIGITS: Final = 20
"""Hexadecimal digits of the hashes in an alert_id."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One message by its sender and what that calls it."""

    sender: str
    identifier: str

    @property
    def alert_id(self) -> str:
        """The alert that this message is: a function of the message alone."""
        digest = sha256(f"{self.sender}\x00{self.identifier}".encode()).hexdigest()
        return f"{family_of(self.sender)}{digest[:_MESSAGE_DIGITS]}"


def family_of(sender: str) -> str:
    """Give how the alert_ids of all messages of a sender begin."""
    return f"cap:{sha256(sender.encode()).hexdigest()[:_NAME_DIGITS]}:"


@dataclass(frozen=True, slots=True)
class Area:
    """One area of an info block: what it is called, where it is, how wide."""

    text: str
    lonlat: tuple[float, float] | None
    geocodes: tuple[tuple[str, str], ...]
    unusable: bool = False


@dataclass(frozen=True, slots=True)
class Info:
    """One info block: the same matter in one language."""

    language: str
    event: str
    urgency: str
    severity: str
    certainty: str
    headline: str
    description: str
    instruction: str
    occurred_at: str
    event_codes: tuple[str, ...]
    evidence: tuple[str, ...]
    areas: tuple[Area, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One CAP message."""

    itself: Reference
    sent: str
    status: Status
    kind: MessageType
    references: tuple[Reference, ...]
    note: str
    infos: tuple[Info, ...]

    def info(self, language: str) -> Info | None:
        """Give the block in a language (``zh`` finds ``zh-CN``), else the first."""
        wanted = language.casefold()
        for info in self.infos:
            if info.language.casefold().split("-")[0] == wanted.split("-")[0]:
                return info
        return self.infos[0] if self.infos else None

    def geocode(self, name: str) -> str | None:
        """Give the first geocode of this name in any block."""
        return next(
            (
                value
                for info in self.infos
                for area in info.areas
                for found, value in area.geocodes
                if found == name
            ),
            None,
        )


# --- read


def read_message(root: Element) -> Message:
    """Read a message. Raises BadInput, naming the element and never repeating what it holds."""
    if root.tag != f"{{{NAMESPACE}}}alert":
        raise BadInput(
            Reason.UNKNOWN_VALUE, f"the document must be an alert of the namespace {NAMESPACE}"
        )
    itself = Reference(_name(root, "sender"), _name(root, "identifier"))
    sent = _required(root, "sent")
    try:
        parse_rfc3339(sent)
    except BadTime as bad:
        raise BadInput(Reason.BAD_TIME, f"sent: {bad}") from None
    return Message(
        itself=itself,
        sent=sent,
        status=cast("Status", _one_of(root, "status", STATUSES)),
        kind=cast("MessageType", _one_of(root, "msgType", MESSAGE_TYPES)),
        references=tuple(_references(_text(root, "references"))),
        note=_text(root, "note"),
        infos=tuple(_info(block, sent) for block in _all(root, "info")),
    )


def _all(parent: Element, name: str) -> list[Element]:
    return parent.findall(f"{{{NAMESPACE}}}{name}")


def _text(parent: Element, name: str) -> str:
    found = parent.find(f"{{{NAMESPACE}}}{name}")
    return (found.text or "").strip() if found is not None else ""


def _required(parent: Element, name: str) -> str:
    text = _text(parent, name)
    if not text:
        raise BadInput(Reason.MISSING_FIELD, f"the message needs the element {name}")
    return text


def _name(parent: Element, name: str) -> str:
    """Read a sender or identifier, which may hold no space and no comma: references need that."""
    text = _required(parent, name)
    if any(letter.isspace() or letter in ",<&" for letter in text):
        raise BadInput(Reason.BAD_IDENTIFIER, f"{name} may hold no space, comma, < or &")
    return text


def _one_of(parent: Element, name: str, values: Sequence[str]) -> str:
    text = _required(parent, name)
    if text not in values:
        raise BadInput(Reason.UNKNOWN_VALUE, f"{name} must be one of {', '.join(values)}")
    return text


def _references(text: str) -> Iterable[Reference]:
    """Read ``sender,identifier,sent`` triples; what is no triple names nobody."""
    triples = text.split()
    if len(triples) > REFERENCES_MAX:
        raise BadInput(Reason.OVERSIZE, f"references names more than {REFERENCES_MAX} messages")
    for triple in triples:
        sender, _, rest = triple.partition(",")
        identifier, _, _ = rest.partition(",")
        if sender and identifier:
            yield Reference(sender, identifier)


def _info(block: Element, sent: str) -> Info:
    resources = [_text(resource, "uri") for resource in _all(block, "resource")]
    links = [uri for uri in resources if 0 < len(uri) <= URI_CHARACTERS_MAX]
    return Info(
        language=_text(block, "language") or "en-US",
        event=_text(block, "event"),
        urgency=_text(block, "urgency"),
        severity=_text(block, "severity"),
        certainty=_text(block, "certainty"),
        headline=_text(block, "headline"),
        description=_text(block, "description"),
        instruction=_text(block, "instruction"),
        occurred_at=_text(block, "onset") or _text(block, "effective") or sent,
        event_codes=tuple(_text(code, "value") for code in _all(block, "eventCode")),
        evidence=tuple(links[:EVIDENCE_MAX]),
        areas=tuple(_area(area) for area in _all(block, "area")),
    )


def _area(area: Element) -> Area:
    outlines = [(item.text or "") for name in ("circle", "polygon") for item in _all(area, name)]
    places = [_place(text) for text in outlines]
    found = [place for place in places if place is not None]
    return Area(
        text=_text(area, "areaDesc"),
        lonlat=found[0] if found else None,
        geocodes=tuple(
            (_text(code, "valueName"), _text(code, "value")) for code in _all(area, "geocode")
        ),
        unusable=bool(outlines) and not found,
    )


def _place(text: str) -> tuple[float, float] | None:
    """Give a (lon, lat) inside a circle (``lat,lon radius_km``) or a polygon (``lat,lon …``)."""
    parts = text.split()
    if len(parts) > POLYGON_POINTS_MAX:
        raise BadInput(Reason.OVERSIZE, f"an outline has more than {POLYGON_POINTS_MAX} points")
    points = [point for part in parts if (point := _point(part)) is not None]
    if not points:
        return None
    if len(points) < 4 or len(points) != len(parts):  # noqa: PLR2004 - a triangle, closed
        return points[0] if len(parts) <= 2 else None  # noqa: PLR2004 - a centre and its radius
    outline = Polygon(points)
    if not outline.is_valid or outline.area == 0:
        lons, lats = zip(*points, strict=True)
        return sum(lons) / len(lons), sum(lats) / len(lats)
    inside = outline.representative_point()
    return inside.x, inside.y


def _point(pair: str) -> tuple[float, float] | None:
    """Read ``lat,lon``; None where that is not on Earth, as with the two the wrong way round."""
    lat_text, comma, lon_text = pair.partition(",")
    try:
        lat, lon = float(lat_text), float(lon_text if comma else "nan")
    except ValueError:
        return None
    on_earth = isfinite(lat) and isfinite(lon) and abs(lat) <= LAT_MAX and abs(lon) <= LON_MAX
    return (lon, lat) if on_earth else None


# --- the alert

_SEVERITY: Final = {"Extreme": 1, "Severe": 2, "Moderate": 3, "Minor": 4}
_LATER: Final = {"Future": 1, "Past": 2}
_UNSURE: Final = {"Possible": 1, "Unlikely": 2}
LOWEST_PRIORITY: Final = 4
UNSTATED_SEVERITY: Final = 2


def priority_of(severity: str, urgency: str, certainty: str) -> int:
    """Give 1 (highest) to 4: the severity, put off by what is later and by what is less sure.

    Extreme 1, Severe 2, Moderate 3, Minor 4, Unknown 2 (the contract's default); Future one later,
    Past two; Possible one, Unlikely two; Immediate, Expected, Observed, Likely and Unknown none.
    """
    first = _SEVERITY.get(severity, UNSTATED_SEVERITY)
    return min(LOWEST_PRIORITY, first + _LATER.get(urgency, 0) + _UNSURE.get(certainty, 0))


def alert_of(message: Message, area_id: str, language: str, supersedes: str | None) -> Fields:
    """Make the alert of an Actual message of kind Alert or Update. Raises BadInput (no info)."""
    assert message.status == "Actual", "no other status sends anybody"
    info = message.info(language)
    if info is None:
        raise BadInput(Reason.MISSING_FIELD, "the message needs an info block")
    category = (info.event_codes[0] if info.event_codes else "") or info.event or CATEGORY
    text = "\n".join(filter(None, (info.headline, info.description, info.instruction)))
    cap = {
        "sender": message.itself.sender,
        "identifier": message.itself.identifier,
        "sent": message.sent,
        "msg_type": message.kind,
        "language": info.language,
    }
    if any(area.unusable for area in info.areas):
        cap["position"] = "unusable: lat,lon is expected, latitude first"
    stated: Fields = {
        "alert_id": message.itself.alert_id,
        "area_id": area_id,
        "source": "cap",
        "category": category[:CATEGORY_CHARACTERS_MAX],
        "occurred_at": info.occurred_at,
        "priority": priority_of(info.severity, info.urgency, info.certainty),
        "text": text[:TEXT_CHARACTERS_MAX],
        "evidence": list(info.evidence),
        "supersedes": supersedes,
        "cap": cap,
        **_where(message, info),
    }
    return {name: item for name, item in stated.items() if item not in (None, "", [])}


def _where(message: Message, info: Info) -> Fields:
    """Say where: the first area that is a place, the road where one is named, and the words."""
    placed = next((area.lonlat for area in info.areas if area.lonlat is not None), None)
    named = "; ".join(area.text for area in info.areas if area.text)
    return {
        "position": None if placed is None else {"lon": placed[0], "lat": placed[1]},
        "road_id": message.geocode(ROAD_ID),
        "address": named[:TEXT_CHARACTERS_MAX],
    }
