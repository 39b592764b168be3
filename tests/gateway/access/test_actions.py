"""What members answer, what desks decide, and what a department says to what was referred to it."""

import pytest

from tests.gateway.access.gatehouse import Gate
from xiaohe.dispatch.inputs import MemberAction, OperatorAction
from xiaohe.wire.codec_actions import decode_member_action, decode_operator_action


async def gate_with_everybody() -> Gate:
    """Two members with an order each, their leader, both desks, a department."""
    gate = Gate()
    for member_id, team, unit in (("m1", "t1", "1/1"), ("m2", "t1", "1/1"), ("m3", "t2", "1/2")):
        gate.member(member_id, team=team, unit=unit)
    gate.member("far", area_id="there")
    await gate.add("m1", "member")
    await gate.add("m2", "squad_leader")
    await gate.add("lin", "duty_lead", area_ids=("here",))
    await gate.add("he", "police_room", area_ids=("here",))
    await gate.add("drains", "department", area_ids=())
    await gate.order("d1", "m1")
    await gate.order("d2", "m2")
    await gate.order("d9", "m1", area_id="there")
    return gate


def written(gate: Gate, topic: str) -> list[MemberAction | OperatorAction]:
    """What lies on a topic, as the worker reads it."""
    decode = decode_member_action if topic == "member-actions" else decode_operator_action
    records = [r for r in gate.cluster.records if r.topic == topic]
    return [decode(r.key, r.value, r.headers) for r in records]


async def post(gate: Gate, who: str, path: str, **said: object):
    """Say something at a door."""
    head = await gate.let_in(who)
    async with gate.client() as client:
        return await client.post(path, json={"action_id": "a1", **said}, headers=head)


async def test_a_member_answers_their_order_in_their_own_name() -> None:
    """Name, time and area need not be stated; the answer says where it was written."""
    gate = await gate_with_everybody()
    answer = await post(gate, "member:m1", "/v1/member-actions", action="accept", dispatch_id="d1")
    assert answer.status_code == 202
    assert answer.json()["area_id"] == "here"
    (action,) = written(gate, "member-actions")
    assert (action.member_id, action.action, action.dispatch_id) == ("m1", "accept", "d1")


async def test_an_answer_carries_the_area_of_the_order() -> None:
    """Somebody who helps the neighbours answers there."""
    gate = await gate_with_everybody()
    answer = await post(gate, "member:m1", "/v1/member-actions", action="arrive", dispatch_id="d9")
    assert answer.json()["area_id"] == "there"


@pytest.mark.parametrize(
    ("who", "said", "status"),
    [
        ("member:m1", {"action": "accept", "dispatch_id": "d2"}, 403),
        ("member:m1", {"action": "accept", "dispatch_id": "d2", "member_id": "m2"}, 403),
        ("member:m2", {"action": "accept", "dispatch_id": "d1", "member_id": "m1"}, 403),
        ("member:m1", {"action": "off_duty", "member_id": "m2"}, 403),
        ("member:m2", {"action": "off_duty", "member_id": "m1"}, 202),
        ("member:m2", {"action": "off_duty", "member_id": "m3"}, 403),
        ("member:m2", {"action": "off_duty", "member_id": "far"}, 403),
        ("member:m2", {"action": "note", "text": "x", "member_id": "m1"}, 403),
        ("member:m1", {"action": "accept"}, 400),
        ("member:m1", {"action": "accept", "dispatch_id": "d1", "area_id": "there"}, 400),
        ("member:m1", {"action": "dance"}, 400),
        ("member:m1", {"action": "on_duty", "member_id": "nobody"}, 400),
        ("operator:lin", {"action": "off_duty", "member_id": "m1"}, 202),
        ("operator:lin", {"action": "off_duty", "member_id": "far"}, 403),
        ("operator:lin", {"action": "accept", "dispatch_id": "d1", "member_id": "m1"}, 403),
    ],
)
async def test_nobody_speaks_for_another_but_a_leader_of_duty(
    who: str, said: dict, status: int
) -> None:
    """What is refused is not written."""
    gate = await gate_with_everybody()
    answer = await post(gate, who, "/v1/member-actions", **said)
    assert answer.status_code == status, answer.text
    assert len(written(gate, "member-actions")) == (status == 202)


async def test_an_operator_decides_in_their_own_name_and_area() -> None:
    """The area is that of the incident, else the only one of the operator."""
    gate = await gate_with_everybody()
    answer = await post(
        gate, "operator:lin", "/v1/operator-actions", action="dispatch", incident_id="i-d1",
        member_id="m3", reason="knows the house",
    )  # fmt: skip
    assert answer.status_code == 202
    (action,) = written(gate, "operator-actions")
    assert (action.operator_id, action.member_id) == ("lin", "m3")


@pytest.mark.parametrize(
    ("who", "said", "status"),
    [
        ("operator:lin", {"action": "set_mode", "mode": "emergency"}, 202),
        ("operator:he", {"action": "set_mode", "mode": "emergency"}, 403),
        ("operator:he", {"action": "cancel", "incident_id": "i-d1"}, 202),
        ("operator:he", {"action": "cancel", "incident_id": "i-d1", "operator_id": "lin"}, 403),
        ("operator:lin", {"action": "cancel", "incident_id": "i-d9"}, 403),
        ("operator:lin", {"action": "cancel", "incident_id": "i-d1", "area_id": "there"}, 400),
        ("operator:lin", {"action": "set_mode", "mode": "emergency", "area_id": "there"}, 403),
        ("operator:lin", {"action": "set_mode", "mode": "emergency", "area_id": "mars"}, 400),
        ("operator:lin", {"action": "cancel"}, 400),
        ("operator:lin", {"action": "refer", "incident_id": "i-d1", "fields": {"to": "a b"}}, 400),
        ("member:m2", {"action": "acknowledge", "incident_id": "i-d1"}, 202),
        ("member:m1", {"action": "acknowledge", "incident_id": "i-d1"}, 403),
        ("operator:drains", {"action": "answer", "incident_id": "i-d1", "text": "x"}, 403),
    ],
)
async def test_a_desk_does_what_is_its_own_to_do(who: str, said: dict, status: int) -> None:
    """What is refused is not written."""
    gate = await gate_with_everybody()
    answer = await post(gate, who, "/v1/operator-actions", **said)
    assert answer.status_code == status, answer.text
    assert len(written(gate, "operator-actions")) == (status == 202)


async def refer(gate: Gate, about: str = "i-d1", to: str = "drains") -> str:
    """Let the desk refer something; give the link's token."""
    answer = await post(
        gate, "operator:lin", "/v1/operator-actions", action="refer", incident_id=about,
        fields={"to": to}, action_id=f"r-{about}",
    )  # fmt: skip
    assert answer.status_code == 202
    return answer.json()["referral_token"]


async def test_a_department_answers_what_was_referred_to_it_with_its_account() -> None:
    """And nothing else, nor with another word."""
    gate = await gate_with_everybody()
    await refer(gate)
    path, who = "/v1/referral-answers", "operator:drains"
    said = {"action": "answer", "text": "The drain is cleared."}
    assert (await post(gate, who, path, about_id="i-d2", **said)).status_code == 403
    assert (await post(gate, who, path, about_id="i-d1", action="cancel")).status_code == 403
    assert (await post(gate, who, path, about_id="i-d1", **said)).status_code == 202
    action = written(gate, "operator-actions")[-1]
    assert (action.operator_id, action.incident_id, action.action) == ("drains", "i-d1", "answer")
    other_door = await post(gate, who, "/v1/operator-actions", incident_id="i-d1", **said)
    assert other_door.status_code == 202


async def test_a_department_without_an_account_answers_by_its_link() -> None:
    """The link is for one thing; another of the same department stays shut."""
    gate = await gate_with_everybody()
    token = await refer(gate, to="parks")
    await refer(gate, "i-d2", to="parks")
    head = {"authorization": f"Bearer {token}"}
    async with gate.client() as client:
        said = {"action_id": "p1", "action": "sign"}
        path = "/v1/referral-answers"
        assert (await client.post(path, json=said, headers=head)).status_code == 202
        action = written(gate, "operator-actions")[-1]
        assert (action.operator_id, action.incident_id) == ("parks", "i-d1")
        other = {**said, "about_id": "i-d2"}
        assert (await client.post(path, json=other, headers=head)).status_code == 403
        elsewhere = {"action_id": "p2", "action": "cancel", "incident_id": "i-d1"}
        answer = await client.post("/v1/operator-actions", json=elsewhere, headers=head)
        assert answer.status_code == 403
        for name in ("incident_id", "matter_id", "area_id"):
            slipped = {**said, "action_id": "p3", name: "i-d2"}
            await client.post(path, json=slipped, headers=head)
    for action in written(gate, "operator-actions")[3:]:
        assert action.incident_id == "i-d1"
        assert action.matter_id is None


async def test_a_referral_that_was_taken_back_or_is_old_counts_no_more() -> None:
    """Neither for the link nor for the account."""
    gate = await gate_with_everybody()
    token = await refer(gate, to="parks")
    await gate.keeper.sessions.store("referral:parks/i-d1", None)
    async with gate.client() as client:
        head = {"authorization": f"Bearer {token}"}
        said = {"action_id": "p1", "action": "sign"}
        answer = await client.post("/v1/referral-answers", json=said, headers=head)
        assert answer.status_code == 401
    await refer(gate)
    gate.later(31 * 86_400)
    said = {"about_id": "i-d1", "action": "sign"}
    answer = await post(gate, "operator:drains", "/v1/referral-answers", **said)
    assert answer.status_code == 403
