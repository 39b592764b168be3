"""What members answer, what desks decide, and what a department says to what was referred to it.

Each word is read by the decoder that the worker reads it with, before it is written; in whose
name it stands is never taken from the body but from who has proved it.
"""

from collections.abc import Mapping
from typing import Any, Final, NoReturn, cast

import orjson

from xiaohe.dispatch.inputs import MemberAction, OperatorAction
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.access.principal import About, Change, Principal
from xiaohe.gateway.door import Answer, Body, Door, Refusal, Reply, Visit
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.publisher import Record
from xiaohe.topics import Topic
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec_actions import (
    ORDER_ANSWERS,
    decode_member_action,
    decode_operator_action,
)
from xiaohe.wire.codec_common import CONTRACT_LIMITS, identifier_of
from xiaohe.wire.json_object import read_object

REFERRED_WORDS: Final = ("answer", "sign", "return")

REFERRED_FIELDS: Final = ("action_id", "at", "action", "reason", "text", "fields")
"""What a department's word may hold; what it is about is the referral's to say."""

Fields = dict[str, Any]


class ActionDoors:
    """The doors, around what the gateway knows."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def member(self, visit: Visit) -> Reply:
        """Take a member's word."""
        principal = _of(visit)
        fields = _fields(visit)
        own = {"member_id": principal.principal_id}
        fields = {**own, "at": rfc3339(visit.received_ms), **fields}
        area_id = self._area_of_member(fields)
        action = decode_member_action(area_id.encode(), _bytes(fields))
        change = Change.ORDER_ANSWER if action.action in ORDER_ANSWERS else Change.DUTY_REPORT
        about = About(
            area_id=area_id, member_id=action.member_id, dispatch_id=action.dispatch_id,
            action=action.action,
        )  # fmt: skip
        return await self._written(
            visit, about, change, self._parts.topics.member_actions, fields, action
        )

    def _area_of_member(self, fields: Fields) -> str:
        """Give the area of the order, else of the roster's entry, else the one stated."""
        dispatch_id, member_id = fields.get("dispatch_id"), fields.get("member_id")
        keeper = self._parts.keeper
        order = (
            keeper.orders.get(dispatch_id)
            if keeper is not None and isinstance(dispatch_id, str)
            else None
        )
        if order is not None:
            return _agreed(fields, order.area_id)
        if dispatch_id is not None and "area_id" in fields:
            return self._known(_stated(fields))
        home = self._parts.known.roster.area_of(member_id) if isinstance(member_id, str) else None
        if home is None:
            raise BadInput(Reason.UNKNOWN_MEMBER, "the roster has no such member")
        return _agreed(fields, home)

    async def operator(self, visit: Visit) -> Reply:
        """Take a desk's word."""
        principal = _of(visit)
        fields = _fields(visit)
        fields = {"at": rfc3339(visit.received_ms), **fields}
        fields["operator_id"] = _own_name(fields, principal)
        area_id = self._area_of_action(fields, principal)
        action = decode_operator_action(area_id.encode(), _bytes(fields))
        change = Change.REFERRAL_ANSWER if principal.role == "department" else Change.DESK_DECIDE
        department_id = _referred_to(action)
        about = _about(area_id, action)
        topic = self._parts.topics.operator_actions
        reply = await self._written(visit, about, change, topic, fields, action)
        keeper, about_id = self._parts.keeper, action.incident_id or action.matter_id
        if department_id is None or keeper is None:
            return reply
        assert about_id is not None, "the decoder asks for one"
        token = await keeper.sessions.refer(
            department_id, about_id, area_id, is_matter=action.incident_id is None
        )
        return Reply(202, {**cast("Fields", reply.value), "referral_token": token})

    def _area_of_action(self, fields: Fields, principal: Principal) -> str:
        """Give the area of the incident where it is known, else the one stated or the only one."""
        incident_id, keeper = fields.get("incident_id"), self._parts.keeper
        if keeper is not None and isinstance(incident_id, str):
            area_id = keeper.orders.area_of(incident_id)
            if area_id is not None:
                return _agreed(fields, area_id)
        if "area_id" not in fields and principal.area_ids and len(principal.area_ids) == 1:
            (only,) = principal.area_ids
            return only
        return self._known(_stated(fields))

    def _known(self, area_id: str) -> str:
        if not self._parts.known.has_area(area_id):
            raise BadInput(Reason.UNKNOWN_AREA, Reason.UNKNOWN_AREA.sentence)
        return area_id

    async def referral(self, visit: Visit) -> Reply:
        """Take a department's word on what was referred to it, with a link or an account."""
        principal = _of(visit)
        stated = _fields(visit)
        about_id = stated.get("about_id") or next(iter(principal.scopes), None)
        referral = (
            self._parts.keeper.directory.referral(
                principal.principal_id, about_id, visit.received_ms
            )
            if self._parts.keeper is not None and isinstance(about_id, str)
            else None
        )
        if referral is None:
            await self._not_referred(visit, stated)
        area_id = referral.area_id
        fields = {
            "at": rfc3339(visit.received_ms),
            **{name: stated[name] for name in REFERRED_FIELDS if name in stated},
            "operator_id": _own_name(stated, principal),
            "matter_id" if referral.is_matter else "incident_id": referral.about_id,
        }
        action = decode_operator_action(area_id.encode(), _bytes(fields))
        topic = self._parts.topics.operator_actions
        about = _about(area_id, action)
        return await self._written(visit, about, Change.REFERRAL_ANSWER, topic, fields, action)

    async def _not_referred(self, visit: Visit, stated: Fields) -> NoReturn:
        """Let the one place that decides say that this is not theirs to answer."""
        action = stated.get("action")
        known = action if isinstance(action, str) and action in REFERRED_WORDS else None
        await visit.permit(About(action=known), Change.REFERRAL_ANSWER)
        raise AssertionError("what was not referred is nobody's to answer")

    async def _written(
        self,
        visit: Visit,
        about: About,
        change: Change,
        topic: Topic,
        fields: Fields,
        action: MemberAction | OperatorAction,
    ) -> Reply:
        permit = await visit.permit(about, change)
        assert about.area_id is not None, "an action has the area of its record"
        record = Record(topic, about.area_id, _bytes({**fields, "area_id": about.area_id}))
        written = await self._parts.publisher.publish(permit, record)
        told = {
            "action_id": action.action_id,
            "area_id": about.area_id,
            "topic": written.topic,
            "partition": written.partition,
            "offset": written.offset,
            "received_at": rfc3339(written.received_ms),
        }
        return Reply(202, told)


def _of(visit: Visit) -> Principal:
    assert visit.principal is not None, "these doors name a change"
    return visit.principal


def _fields(visit: Visit) -> Fields:
    return dict(read_object(visit.body, CONTRACT_LIMITS.other_bytes_max, None))


def _own_name(fields: Fields, principal: Principal) -> str:
    """Give the name in which a desk's word stands. Raises Refusal where another is stated."""
    if fields.get("operator_id", principal.principal_id) != principal.principal_id:
        raise Refusal(403, "forbidden", "operator_id is whoever has logged in: leave it out")
    return principal.principal_id


def _about(area_id: str, action: OperatorAction) -> About:
    return About(
        area_id=area_id, member_id=action.member_id, incident_id=action.incident_id,
        matter_id=action.matter_id, action=action.action,
    )  # fmt: skip


def _referred_to(action: OperatorAction) -> str | None:
    """Give the department that a desk refers to by name, so that it may answer."""
    department_id = action.fields.get("to")
    if action.action != "refer" or department_id is None:
        return None
    if not isinstance(department_id, str):
        raise BadInput(Reason.WRONG_TYPE, "fields.to must be a department's identifier")
    return identifier_of(department_id.encode(errors="replace"), "fields.to")


def _agreed(fields: Fields, area_id: str) -> str:
    if fields.get("area_id", area_id) != area_id:
        raise BadInput(Reason.WRONG_AREA, "area_id is not that of what this is about")
    return area_id


def _stated(fields: Fields) -> str:
    area_id = fields.get("area_id")
    if area_id is None:
        raise BadInput(Reason.MISSING_FIELD, "the value needs the field area_id")
    if not isinstance(area_id, str):
        raise BadInput(Reason.WRONG_TYPE, "area_id must be text")
    return identifier_of(area_id.encode(errors="replace"), "area_id")


def _bytes(fields: Fields) -> bytes:
    try:
        return orjson.dumps(fields)
    except TypeError:
        raise BadInput(Reason.OUT_OF_RANGE, "a whole number does not fit 64 bits") from None


def doors(parts: Parts) -> tuple[Door, ...]:
    """Give the doors of words that are decided upon."""
    made = ActionDoors(parts)
    taken = Answer(status=202, what="It was written; the engine decides.", schema=_TAKEN)
    return (
        Door(
            method="POST", path="/v1/member-actions", name="member_actions",
            what="A member answers an order, or says whether they are on duty.",
            change=Change.ORDER_ANSWER, handle=made.member, room="access",
            bodies=(_body(_MEMBER, _ACCEPT),), answers=(taken,),
        ),
        Door(
            method="POST", path="/v1/operator-actions", name="operator_actions",
            what="A desk decides by hand. `refer` with `fields.to` lets that department answer.",
            change=Change.DESK_DECIDE, handle=made.operator, room="access",
            bodies=(_body(_OPERATOR, _DISPATCH),), answers=(taken,),
        ),
        Door(
            method="POST", path="/v1/referral-answers", name="referral_answers",
            what="A department answers, signs or returns what was referred to it.",
            change=Change.REFERRAL_ANSWER, handle=made.referral, room="access",
            bodies=(_body(_REFERRAL, _ANSWER),), answers=(taken,),
        ),
    )  # fmt: skip


def _body(schema: Mapping[str, Any], example: Fields) -> Body:
    return Body(
        media_type="application/json", bytes_max=CONTRACT_LIMITS.other_bytes_max, schema=schema,
        example=example,
    )  # fmt: skip


_ID: Final = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"}
_LABEL: Final = {"type": "string", "minLength": 1, "maxLength": 128}
_TEXT: Final = {"type": "string", "maxLength": 4000}
_TIME: Final = {"type": "string", "format": "date-time"}
_COMMON: Final = {
    "action_id": _ID, "area_id": _ID, "at": _TIME, "action": _LABEL, "reason": _LABEL,
    "text": _TEXT,
}  # fmt: skip
_MEMBER: Final = {
    "type": "object",
    "required": ["action_id", "action"],
    "properties": {
        **_COMMON, "member_id": _ID, "dispatch_id": _ID, "outcome": _LABEL,
        "position": {
            "type": "object",
            "required": ["lon", "lat"],
            "properties": {
                "lon": {"type": "number"}, "lat": {"type": "number"},
                "datum": {"enum": ["wgs84", "gcj02", "bd09"]},
            },
        },
        "device_ids": {"type": "array", "items": _ID},
    },
}  # fmt: skip
_OPERATOR: Final = {
    "type": "object",
    "required": ["action_id", "action"],
    "properties": {
        **_COMMON, "operator_id": _ID, "incident_id": _ID, "matter_id": _ID, "member_id": _ID,
        "into": _ID, "mode": {"enum": ["peacetime", "emergency"]}, "road_id": _LABEL,
        "fields": {"type": "object"},
    },
}  # fmt: skip
_REFERRAL: Final = {
    "type": "object",
    "required": ["action_id", "action"],
    "properties": {
        **_COMMON, "action": {"enum": list(REFERRED_WORDS)}, "about_id": _ID,
        "fields": {"type": "object"},
    },
}  # fmt: skip
_ACCEPT: Final = {"action_id": "a-1", "action": "accept", "dispatch_id": "d-1"}
_DISPATCH: Final = {
    "action_id": "o-1", "action": "dispatch", "incident_id": "i-1", "member_id": "m-07",
    "reason": "knows the house",
}  # fmt: skip
_ANSWER: Final = {"action_id": "r-1", "action": "answer", "text": "The drain is cleared."}
_TAKEN: Final = {
    "type": "object",
    "required": ["action_id", "area_id", "topic", "partition", "offset", "received_at"],
    "properties": {
        "action_id": _ID, "area_id": _ID, "topic": {"type": "string"},
        "partition": {"type": "integer"}, "offset": {"type": "integer"}, "received_at": _TIME,
        "referral_token": {"type": "string"},
    },
}  # fmt: skip
