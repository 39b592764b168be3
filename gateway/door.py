"""A door: one method on one path, what it takes, what it may answer, and who handles it.

Doors are data. The application, the limits, the checks of who may, and the OpenAPI document are
all made from them, so that none of these can say another thing than the others.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

from xiaohe.gateway.access.principal import (
    NOTHING_MORE,
    About,
    Access,
    Change,
    Permit,
    Principal,
)

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"

COMMON_STATUSES: Final = (400, 401, 403, 408, 411, 413, 415, 429, 500, 503)
"""What every door with a change may answer beside its own; the OpenAPI document lists them."""

KIB: Final = 1024

Method = Literal["GET", "POST", "PUT", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One kind of body that a door takes. ``schema`` is JSON Schema, None for what is no JSON."""

    media_type: str
    bytes_max: int
    schema: Mapping[str, Any] | None = None
    example: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of the path, the query or the head."""

    name: str
    where: Literal["path", "query", "header"]
    what: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer that a door may give, beside those that every door may."""

    status: int
    what: str
    media_type: str = JSON
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back. ``value`` is made JSON; ``body`` goes as it is; ``stream`` piece by piece.

    ``cookies`` are whole values of Set-Cookie.
    """

    status: int = 200
    value: object = None
    body: bytes | None = None
    stream: AsyncIterator[bytes] | None = None
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()

    def as_bytes(self) -> bytes:
        """Give the body; empty where there is none."""
        if self.body is not None:
            return self.body
        return b"" if self.value is None else orjson.dumps(self.value)


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request at a door, its body read whole and within the limits."""

    method: str
    path: str
    query: str
    peer: str
    received_ms: int
    body: bytes
    media_type: str
    path_parameters: Mapping[str, str]
    parameters: Mapping[str, list[str]]
    headers: Mapping[str, str]
    access: Access
    change: Change | None
    principal: Principal | None = None

    def header(self, name: str) -> str | None:
        """Give the first header of this name, which is written in any case."""
        return self.headers.get(name.lower())

    def parameter(self, name: str) -> str | None:
        """Give the first parameter of this name of the query."""
        found = self.parameters.get(name)
        return found[0] if found else None

    async def permit(self, about: About = NOTHING_MORE, change: Change | None = None) -> Permit:
        """Ask whether who stands here may make the door's change about this. Raises Forbidden.

        ``change`` stands in for the door's, where only the body says which of several it is.
        """
        assert self.change is not None, "a door that anybody may use changes nothing"
        assert self.principal is not None, "the application identifies before it hands over"
        return await self.access.authorise(self.principal, change or self.change, about)


Handler = Callable[[Visit], Awaitable[Reply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One door. ``change`` None: anybody may, and nothing can be changed behind it."""

    method: Method
    path: str
    name: str
    what: str
    change: Change | None
    handle: Handler
    bodies: tuple[Body, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    answers: tuple[Answer, ...] = ()
    room: str = "gateway"

    @property
    def bytes_max(self) -> int:
        """Give how long the longest body may be."""
        return max((body.bytes_max for body in self.bodies), default=0)


class Refusal(Exception):
    """A visit that ends in a problem: ``status``, a reason code, and a detail for people.

    The detail says what to do and never repeats what was sent.
    """

    def __init__(
        self, status: int, reason: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Take the answer's parts."""
        super().__init__(f"{reason}: {detail}")
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = headers or {}
