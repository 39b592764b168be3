"""Records of ``member-actions`` and ``operator-actions``, and what each action needs."""

from typing import Final, get_args

import msgspec

from xiaohe.dispatch.inputs import MemberAction, OperatorAction, OrderAnswer
from xiaohe.dispatch.reasons import Reason
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.cloudevents import Headers
from xiaohe.wire.codec_common import (
    CONTRACT_LIMITS,
    Limits,
    identifier_of,
    keyed,
    wgs84,
    without_impossible_position,
)
from xiaohe.wire.json_object import read_object
from xiaohe.wire.typed import typed

ORDER_ANSWERS: Final[frozenset[str]] = frozenset(get_args(OrderAnswer))
"""What a member says to one order; each needs its dispatch_id."""

MEMBER_ACTIONS: Final[frozenset[str]] = ORDER_ANSWERS | {
    "on_duty",
    "off_duty",
    "break",
    "resume",
    "report",
    "sighting",
    "check",
    "rectified",
    "note",
}

_ABOUT_ONE: Final = (("incident_id", "matter_id"),)
OPERATOR_ACTIONS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "dispatch": (("incident_id",), ("member_id",)),
    "stand_down": (("incident_id",), ("member_id",)),
    "update": (*_ABOUT_ONE, ("fields",)),
    "message": (("text",),),
    "cancel": (("incident_id",),),
    "close": _ABOUT_ONE,
    "reopen": _ABOUT_ONE,
    "merge": (("incident_id",), ("into",)),
    "unmerge": (("incident_id",),),
    "acknowledge": _ABOUT_ONE,
    "triage": _ABOUT_ONE,
    "sign": _ABOUT_ONE,
    "return": _ABOUT_ONE,
    "answer": _ABOUT_ONE,
    "refer": _ABOUT_ONE,
    "return_visit": _ABOUT_ONE,
    "bulletin": (("text",),),
    "set_mode": (("mode",),),
    "close_road": (("road_id",),),
    "open_road": (("road_id",),),
}
"""What each action of a desk needs: of every group at least one field."""


def decode_member_action(
    key: bytes | None,
    value: bytes | None,
    headers: Headers = None,
    limits: Limits = CONTRACT_LIMITS,
) -> MemberAction:
    """Read a record of ``member-actions``.

    An answer to an order counts without its position where that cannot be on Earth.
    """
    area_id = identifier_of(key, "area_id")
    found = keyed(read_object(value, limits.other_bytes_max, headers), "area_id", area_id)
    stated = found.get("action")
    if isinstance(stated, str) and stated in ORDER_ANSWERS:
        found = without_impossible_position(found)
    action = typed(found, MemberAction)
    if action.action not in MEMBER_ACTIONS:
        raise _unknown_action(MEMBER_ACTIONS)
    if action.action in ORDER_ANSWERS and action.dispatch_id is None:
        raise BadInput(Reason.ACTION_NEEDS_FIELD, f"{action.action} needs dispatch_id")
    return msgspec.structs.replace(action, position=wgs84(action.position))


def decode_operator_action(
    key: bytes | None,
    value: bytes | None,
    headers: Headers = None,
    limits: Limits = CONTRACT_LIMITS,
) -> OperatorAction:
    """Read a record of ``operator-actions``; its ``fields`` are free in form."""
    area_id = identifier_of(key, "area_id")
    found = keyed(read_object(value, limits.other_bytes_max, headers), "area_id", area_id)
    action = typed(found, OperatorAction)
    needs = OPERATOR_ACTIONS.get(action.action)
    if needs is None:
        raise _unknown_action(frozenset(OPERATOR_ACTIONS))
    for group in needs:
        if not any(getattr(action, name) for name in group):
            raise BadInput(Reason.ACTION_NEEDS_FIELD, f"{action.action} needs {' or '.join(group)}")
    return action


def _unknown_action(known: frozenset[str]) -> BadInput:
    return BadInput(Reason.UNKNOWN_ACTION, f"action must be one of {', '.join(sorted(known))}")
