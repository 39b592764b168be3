"""Who may what, cell by cell: every role × every change × every state of what it is about.

The expectation is written here once more, by hand and in another form, so that a slip in the
table cannot be a slip here.
"""

from collections.abc import Mapping
from itertools import product
from typing import get_args

import pytest

from xiaohe.gateway.access.principal import About, Change, Principal, Role
from xiaohe.gateway.access.rules import HOLDS, TABLE, Circumstances, Proviso, refusal_of
from xiaohe.wire.codec_actions import MEMBER_ACTIONS, OPERATOR_ACTIONS, ORDER_ANSWERS

ROLES: tuple[Role, ...] = get_args(Role)
ME, OTHER = "me", "other"

OWN = {"member_id": ME}
STATES: Mapping[str, tuple[dict[str, object], Circumstances]] = {
    "nothing said": ({}, Circumstances()),
    "own area": ({"area_id": "here"}, Circumstances()),
    "another area": ({"area_id": "there"}, Circumstances()),
    "oneself": ({"area_id": "here", **OWN}, Circumstances()),
    "oneself, elsewhere": ({"area_id": "there", **OWN}, Circumstances()),
    "another member": ({"area_id": "here", "member_id": OTHER}, Circumstances()),
    "one of the squad": (
        {"area_id": "here", "member_id": OTHER},
        Circumstances(same_squad=True, same_squadron=True),
    ),
    "one of the squadron": (
        {"area_id": "here", "member_id": OTHER}, Circumstances(same_squadron=True),
    ),
    "own order": ({"area_id": "here", "dispatch_id": "d", **OWN}, Circumstances(order_of=ME)),
    "another's order": (
        {"area_id": "here", "dispatch_id": "d", **OWN}, Circumstances(order_of=OTHER),
    ),
    "own order in another's name": (
        {"area_id": "here", "dispatch_id": "d", "member_id": OTHER}, Circumstances(order_of=ME),
    ),
    "an order not seen": ({"area_id": "here", "dispatch_id": "d", **OWN}, Circumstances()),
    "itself, a device": ({"area_id": "here", "device_id": ME}, Circumstances(device_signs=True)),
    "another device": ({"area_id": "here", "device_id": OTHER}, Circumstances()),
    "another device with a key": (
        {"area_id": "here", "device_id": OTHER}, Circumstances(device_signs=True),
    ),
    "referred": ({"area_id": "here", "incident_id": "i"}, Circumstances(referred=True)),
    "not referred": ({"area_id": "here", "incident_id": "i"}, Circumstances()),
}  # fmt: skip

HERE = {state for state, (said, _) in STATES.items() if said.get("area_id") == "here"}
SELF = {"oneself", "own order", "another's order", "an order not seen"}
NO_OTHER = {"own area", "oneself", "own order", "another's order", "an order not seen",
            "referred", "not referred"}  # fmt: skip
MEMBER = {
    Change.ORDER_ANSWER: {"own order", "an order not seen"},
    Change.DUTY_REPORT: SELF,
    Change.ALERT_REPORT: NO_OTHER,
    Change.POSITION_REPORT: SELF,
    Change.EVENTS_READ: SELF,
}
EXPECTED: Mapping[str, Mapping[Change, set[str]]] = {
    "member": MEMBER,
    "squad_leader": MEMBER | {
        Change.DUTY_REPORT: SELF | {"one of the squad"}, Change.DESK_DECIDE: HERE,
    },
    "squadron_leader": MEMBER | {
        Change.DUTY_REPORT: SELF | {"one of the squad", "one of the squadron"},
        Change.DESK_DECIDE: HERE,
    },
    "duty_lead": {
        Change.ALERT_REPORT: HERE, Change.DUTY_REPORT: HERE, Change.DESK_DECIDE: HERE,
        Change.EVENTS_READ: HERE, Change.DEVICE_MANAGE: HERE, Change.WEBHOOK_MANAGE: HERE,
    },
    "police_room": {
        Change.ALERT_REPORT: HERE, Change.DUTY_REPORT: HERE, Change.DESK_DECIDE: HERE,
        Change.EVENTS_READ: HERE,
    },
    "community_office": {
        Change.ALERT_REPORT: HERE, Change.DESK_DECIDE: HERE, Change.EVENTS_READ: HERE,
    },
    "department": {Change.REFERRAL_ANSWER: {"referred"}, Change.EVENTS_READ: {"referred"}},
    "auditor": {Change.EVENTS_READ: HERE},
    "service": {},
    "device": {
        Change.POSITION_REPORT: {"itself, a device"},
        Change.ALERT_REPORT: {"own area", "itself, a device", "referred", "not referred"},
    },
}  # fmt: skip

WORD = {
    Change.ORDER_ANSWER: "accept",
    Change.DUTY_REPORT: "on_duty",
    Change.DESK_DECIDE: "message",
    Change.REFERRAL_ANSWER: "answer",
}


def ruling(role: Role, change: Change, state: str, **more: object) -> bool:
    """Whether somebody of this role, at home in ``here``, may."""
    said, known = STATES[state]
    settings = {"area_ids": frozenset({"here"})} | more
    action = settings.pop("action", WORD.get(change))
    who = Principal(principal_id=ME, role=role, **settings)
    return refusal_of(who, change, About(**said, action=action), known) is None


@pytest.mark.parametrize("role", ROLES)
def test_every_role_with_every_change_in_every_state(role: Role) -> None:
    """What is allowed is exactly what is written here; all else is denied."""
    for change, state in product(Change, STATES):
        expected = state in EXPECTED[role].get(change, set())
        assert ruling(role, change, state) == expected, f"{role}, {change}, {state}"


def test_every_area_is_what_managing_access_takes() -> None:
    """Who lets others in could else give themselves another area."""
    for role, state in product(ROLES, STATES):
        may = ruling(role, Change.ACCESS_MANAGE, state, area_ids=None)
        assert may == (role == "duty_lead"), role


def test_who_has_every_area_need_not_name_one() -> None:
    """Nothing said is every area to them, and to nobody else."""
    assert ruling("auditor", Change.EVENTS_READ, "nothing said", area_ids=None)
    assert not ruling("auditor", Change.EVENTS_READ, "nothing said")
    assert not ruling("auditor", Change.EVENTS_READ, "own area", area_ids=frozenset())


@pytest.mark.parametrize("change", Change)
def test_a_service_may_what_its_key_names_and_no_more(change: Change) -> None:
    """Any other scope is as good as none, and two things no scope gives."""
    every = frozenset(c.value for c in Change)
    never = {Change.ORDER_ANSWER, Change.ACCESS_MANAGE, Change.REFERRAL_ANSWER}
    may = ruling("service", change, "own area", scopes=every)
    assert may == (change not in never)
    assert not ruling("service", change, "own area", scopes=every - {change.value})
    assert not ruling("service", change, "another area", scopes=every)


def test_an_open_door_gives_positions_of_keyless_devices_and_nothing_else() -> None:
    """What cannot prove its name may not take the name of what can."""
    may = {
        (change, state)
        for change, state in product(Change, STATES)
        if ruling("device", change, state, trusted=False)
    }
    assert may == {
        (Change.POSITION_REPORT, state)
        for state in HERE
        if state not in {"itself, a device", "another device with a key"}
    }


def test_a_referrals_link_is_for_one_thing() -> None:
    """The department's other referrals stay shut to whoever holds a link."""
    here = {"area_ids": frozenset()}
    assert ruling("department", Change.REFERRAL_ANSWER, "referred", scopes=frozenset("i"), **here)
    assert not ruling(
        "department", Change.REFERRAL_ANSWER, "referred", scopes=frozenset("j"), **here
    )


DESK_WORDS = {
    "duty_lead": set(OPERATOR_ACTIONS),
    "police_room": set(OPERATOR_ACTIONS) - {"set_mode"},
    "community_office": {"triage", "sign", "return", "answer", "refer", "return_visit", "message"},
    "squad_leader": {"acknowledge", "message"},
    "squadron_leader": {"acknowledge", "message"},
}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_with_every_word_of_a_desk(role: Role) -> None:
    """Each word of operator-actions is some role's by name; one that is none is nobody's."""
    said = {a for a in OPERATOR_ACTIONS if ruling(role, Change.DESK_DECIDE, "own area", action=a)}
    assert said == DESK_WORDS.get(role, set())
    assert not ruling(role, Change.DESK_DECIDE, "own area", action="no_such_word")


def test_leaders_speak_for_others_of_their_duty_alone() -> None:
    """A finding or a note is whose it is."""
    for word in MEMBER_ACTIONS - ORDER_ANSWERS:
        may = ruling("squad_leader", Change.DUTY_REPORT, "one of the squad", action=word)
        assert may == (word in {"on_duty", "off_duty", "break", "resume"})


def test_a_department_only_answers_signs_or_returns() -> None:
    """No other word of a desk comes through a referral."""
    may = {
        a
        for a in OPERATOR_ACTIONS
        if ruling("department", Change.REFERRAL_ANSWER, "referred", action=a)
    }
    assert may == {"answer", "sign", "return"}


def test_every_proviso_is_looked_at_and_used() -> None:
    """None is written down in vain."""
    assert set(HOLDS) == set(Proviso)
    assert {p for row in TABLE for p in row.provisos} == set(Proviso)


def test_a_refusal_names_no_one() -> None:
    """It says what may not be, never about whom."""
    who = Principal(principal_id="zhang-san", role="member", area_ids=frozenset({"here"}))
    about = About(area_id="here", member_id="li-si", dispatch_id="d-9", action="accept")
    refusal = refusal_of(who, Change.ORDER_ANSWER, about, Circumstances(order_of="li-si"))
    assert refusal
    assert not any(name in refusal for name in ("zhang", "li-si", "d-9", "here"))
