"""The checks in front of every door, with doors made up for it."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.door_bench import client_of
from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.access.principal import Change
from xiaohe.gateway.door import COMMON_STATUSES, PROBLEM, Body, Door, Reply, Visit
from xiaohe.wire.bad_input import BadInput

TOKEN = {"authorization": "Bearer somebody"}
SECRET = "a text that nobody repeats"


async def length(visit: Visit) -> Reply:
    """Say how long the body was, once a permit was given."""
    await visit.permit()
    return Reply(value={"bytes": len(visit.body)})


async def refuse(_: Visit) -> Reply:
    """Refuse whatever comes, as a decoder does."""
    raise BadInput(Reason.MISSING_FIELD, "the value needs the field alert_id")


async def fail(_: Visit) -> Reply:
    """Fail, with what was sent in the message."""
    raise RuntimeError(SECRET)


def door(path: str, handle=length, change: Change | None = Change.ALERT_REPORT) -> Door:
    """A door that takes a hundred bytes of JSON."""
    return Door(
        method="POST", path=path, name=path[1:], what="A door.", change=change, handle=handle,
        bodies=(Body(media_type="application/json", bytes_max=100),),
    )  # fmt: skip


DOORS = (door("/length"), door("/refuse", refuse), door("/fail", fail))


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "reason"),
    [
        ("/length", b"{}", {}, 401, "unauthenticated"),
        ("/length", b"{}", {"authorization": "Bearer denied"}, 403, "forbidden"),
        ("/length", b"x" * 101, TOKEN, 413, "oversize"),
        ("/length", b"{}", TOKEN | {"content-type": "text/xml"}, 415, "media_type"),
        ("/length", b"{}", TOKEN | {"content-encoding": "gzip"}, 415, "encoded"),
        ("/length?" + "a" * 9_000, b"{}", TOKEN, 400, "oversize"),
        ("/length?" + "a&" * 200, b"{}", TOKEN, 400, "oversize"),
        ("/refuse", b"{}", TOKEN, 400, "missing_field"),
        ("/fail", b"{}", TOKEN, 500, "internal"),
        ("/nowhere", b"{}", TOKEN, 404, "no_such_door"),
    ],
)
async def test_whatever_fails_is_one_problem_that_repeats_nothing(
    path: str, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    """Each kind of failure has its status and its code, and none shows what was sent."""
    async with client_of(DOORS) as client:
        answer = await client.post(
            path, content=body, headers={"content-type": "application/json"} | headers
        )
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.headers["content-type"] == PROBLEM
    assert SECRET not in answer.text


async def test_what_is_in_order_reaches_the_door() -> None:
    """A body within the limits comes whole."""
    async with client_of(DOORS) as client:
        answer = await client.post("/length", json={"a": 1}, headers=TOKEN)
    assert answer.json() == {"bytes": 7}


async def test_a_body_in_pieces_is_counted_as_it_comes() -> None:
    """A sender that does not say how much will come is cut off where it is too much."""
    taken = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1_000):
            taken += 1
            yield b"x" * 50

    async with client_of(DOORS) as client:
        headers = TOKEN | {"content-type": "application/json"}
        answer = await client.post("/length", content=pieces(), headers=headers)
    assert answer.status_code == 413


async def test_another_method_is_answered_with_those_that_are() -> None:
    """405 says what is allowed."""
    async with client_of(DOORS) as client:
        answer = await client.get("/length")
    assert (answer.status_code, answer.json()["reason"]) == (405, "method")
    assert answer.headers["allow"] == "POST"


def test_the_statuses_of_all_doors_are_named() -> None:
    """What the checks may answer is what the documents say."""
    assert {400, 401, 403, 408, 413, 415, 500, 503} <= set(COMMON_STATUSES)
