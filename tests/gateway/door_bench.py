"""An application of any doors, with an access that says what a test wants, and no Kafka."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import httpx

from xiaohe.dispatch.policy import load_policy
from xiaohe.gateway.access.principal import (
    About,
    Access,
    Change,
    Forbidden,
    Permit,
    Principal,
    Unauthenticated,
    Visitor,
)
from xiaohe.gateway.app import application
from xiaohe.gateway.door import Door
from xiaohe.gateway.known import Known
from xiaohe.gateway.parts import Parts
from xiaohe.places import POLICY
from xiaohe.topics import load_topics

NOON_MS = 1_780_000_000_000


class TokenIsName:
    """Whoever gives a bearer token has it as name; ``denied`` may do nothing, all others all."""

    async def identify(self, visitor: Visitor) -> Principal:
        """Take the token for the name."""
        kind, _, name = (visitor.header("authorization") or "").partition(" ")
        if kind != "Bearer" or not name:
            raise Unauthenticated("give a bearer token")
        return Principal(principal_id=name, role="service", area_ids=None)

    async def authorise(self, principal: Principal, change: Change, about: About) -> Permit:
        """Let everybody do everything, but one."""
        if principal.principal_id == "denied":
            raise Forbidden("not you")
        return Permit(principal=principal, change=change, about=about)


def parts_for(access: Access | None = None, now_ms: int = NOON_MS) -> Parts:
    """Parts that are not connected to anything."""
    return Parts(
        cluster="127.0.0.1:1",
        topics=load_topics(),
        known=Known(load_policy(POLICY.read_bytes()), ()),
        now_ms=lambda: now_ms,
        access=access or TokenIsName(),
    )


@asynccontextmanager
async def client_of(
    doors: Callable[[Parts], Iterable[Door]] | Iterable[Door], parts: Parts | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of these doors; its lifespan is not entered."""
    parts = parts or parts_for()
    made = doors(parts) if callable(doors) else doors
    transport = httpx.ASGITransport(application(parts, made), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client
