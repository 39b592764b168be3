"""Every message of every topic, in both directions: its name, its type, its CloudEvents type.

One list, from which the AsyncAPI document and the files of JSON Schema are made.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from xiaohe.dispatch import inputs
from xiaohe.dispatch.inputs import (
    POSITIONS_IN_BATCH_MAX,
    Datum,
    Identifier,
    Label,
    Latitude,
    Longitude,
    NotNegative,
    Share,
)
from xiaohe.wire import outputs
from xiaohe.wire.cloudevents import type_of

Direction = Literal["in", "out"]


class PositionMessage(Struct, frozen=True, kw_only=True):
    """Where one device was: ``member_id`` or ``device_id`` says whose; a fix as it is sent."""

    member_id: Identifier | None = None
    device_id: Identifier | None = None
    area_id: Identifier | None = None
    lon: Longitude
    lat: Latitude
    fix_time: outputs.Time
    datum: Datum = "wgs84"
    accuracy_m: NotNegative | None = None
    speed_mps: Annotated[float, Meta(ge=-1)] | None = None
    course_deg: Annotated[float, Meta(ge=-360, le=360)] | None = None
    seq: Annotated[int, Meta(ge=0)] | None = None
    battery: Share | None = None
    alarm: Label | None = None


class PositionBatch(Struct, frozen=True, kw_only=True):
    """Up to 1,000 positions of one area in one record; a bad one is refused alone."""

    area_id: Identifier | None = None
    batch: Annotated[
        tuple[PositionMessage, ...], Meta(min_length=1, max_length=POSITIONS_IN_BATCH_MAX)
    ]


class Message(Struct, frozen=True, kw_only=True):
    """One kind of record. ``topic`` is the word under which it stands in ``topics.yaml``.

    ``tag`` tells it from the others of its topic, by the field ``tag_field`` of its type.
    """

    topic: str
    direction: Direction
    name: str
    struct: type[Struct]
    ce_type: str | None = None

    @property
    def what(self) -> str:
        """What it is, in a line: the first of its type's description."""
        return (self.struct.__doc__ or "").partition("\n")[0]

    @property
    def tag(self) -> str | None:
        """The value that tells it from the others of its topic; None where there are no others."""
        tag = self.struct.__struct_config__.tag
        return tag if isinstance(tag, str) else None

    @property
    def tag_field(self) -> str | None:
        """The field that holds ``tag``."""
        return self.struct.__struct_config__.tag_field


def is_one(message: Message, value: Mapping[str, Any]) -> bool:
    """Tell whether a record of the message's topic is one of these."""
    return message.tag_field is None or value.get(message.tag_field) == message.tag


def _in(topic: str, struct: type[Struct]) -> Message:
    return Message(topic=topic, direction="in", name=struct.__name__, struct=struct)


def _out(topic: str, struct: type[Struct], kind: str) -> Message:
    return Message(
        topic=topic, direction="out", name=struct.__name__, struct=struct, ce_type=type_of(kind)
    )


def _events(topic: str, structs: tuple[type[Struct], ...]) -> tuple[Message, ...]:
    return tuple(_out(topic, each, str(each.__struct_config__.tag)) for each in structs)


MESSAGES: Final[tuple[Message, ...]] = (
    _in("alerts", inputs.Alert),
    _in("positions", PositionMessage),
    _in("positions", PositionBatch),
    _in("member_actions", inputs.MemberAction),
    _in("operator_actions", inputs.OperatorAction),
    _in("roster", inputs.RosterEntry),
    *_events("incident_events", outputs.INCIDENT_EVENTS),
    _out("dispatches", outputs.DispatchOrdered, "dispatch.ordered"),
    _out("dispatches", outputs.DispatchEnded, "dispatch.ended"),
    _out("incidents", outputs.IncidentView, "incident"),
    _out("members", outputs.MemberView, "member"),
    *_events("area_events", outputs.AREA_EVENTS),
    _out("dead_letters", outputs.DeadLetter, "dead_letter"),
)
"""All of them. ``matter-events`` and ``matters`` have none yet: nothing is written there."""
