"""The gateway's HTTP application: its doors, each behind the same checks in the same order.

For every request: the body's length and kind, the body itself (bounded in bytes and in time), who
it is, then the door's own handler, which asks for a permit before it changes anything. Whatever
fails becomes one problem (RFC 9457, ``application/problem+json``) with a reason code; what a sender
wrote is never repeated in it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

import orjson
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from xiaohe.gateway.access.principal import Forbidden, Unauthenticated
from xiaohe.gateway.door import PROBLEM, Body, Door, Refusal, Reply, Visit
from xiaohe.gateway.doors import doors_of
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.publisher import NotPublished
from xiaohe.wire.bad_input import BadInput

BODY_READ_TIMEOUT_S: Final = 10.0
"""A body that has not come whole after so long is not waited for: nobody holds a door open."""

QUERY_BYTES_MAX: Final = 8 * 1024
"""A longer query is refused: the longest protocol that uses one sends some hundred bytes."""

QUERY_FIELDS_MAX: Final = 100
"""Fields of a query that are read."""

log = structlog.get_logger()


def build_gateway(parts: Parts) -> Starlette:
    """Make the application of these parts; entering its lifespan starts them."""
    return application(parts, doors_of(parts))


def application(parts: Parts, doors: Iterable[Door]) -> Starlette:
    """Make an application of any doors."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with parts:
            yield

    return Starlette(
        routes=list(_routes(doors, parts)),
        lifespan=lifespan,
        exception_handlers={HTTPException: _not_here, Exception: _ours},
    )


def _routes(doors: Iterable[Door], parts: Parts) -> Iterable[Route]:
    """One route a path, so that another method on it is answered 405 with what is allowed."""
    by_path: dict[str, dict[str, Door]] = {}
    for door in doors:
        by_method = by_path.setdefault(door.path, {})
        assert door.method not in by_method, f"two doors at {door.method} {door.path}"
        by_method[door.method] = door
    for path, by_method in by_path.items():
        yield Route(path, _endpoint(by_method, parts), methods=list(by_method))


def _endpoint(by_method: Mapping[str, Door], parts: Parts):  # noqa: ANN202 - Starlette's own
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        try:
            reply = await _visited(by_method[method], request, parts)
        except Refusal as refusal:
            return problem(refusal.status, refusal.reason, refusal.detail, refusal.headers)
        except BadInput as bad:
            return problem(400, bad.reason.value, bad.detail)
        except Unauthenticated as unknown:
            return problem(401, "unauthenticated", str(unknown), {"www-authenticate": "Bearer"})
        except Forbidden as denied:
            return problem(403, "forbidden", str(denied))
        except NotPublished as failed:
            return problem(503, "not_published", str(failed), {"retry-after": "1"})
        return _response(reply, head=request.method == "HEAD")

    return endpoint


async def _visited(door: Door, request: Request, parts: Parts) -> Reply:
    query = request.url.query
    if len(query) > QUERY_BYTES_MAX:
        raise Refusal(400, "oversize", f"the query has more than {QUERY_BYTES_MAX} bytes")
    media_type, body = await _body(door, request)
    visit = Visit(
        method=door.method,
        path=request.url.path,
        query=query,
        peer=request.client.host if request.client else "",
        received_ms=parts.now_ms(),
        body=body,
        media_type=media_type,
        path_parameters=request.path_params,
        parameters=_parameters(query),
        headers=request.headers,
        access=parts.access,
        change=door.change,
    )
    if door.change is not None:
        visit.principal = await parts.access.identify(visit)
    return await door.handle(visit)


def _parameters(query: str) -> Mapping[str, list[str]]:
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise Refusal(
            400, "oversize", f"the query has more than {QUERY_FIELDS_MAX} fields"
        ) from None


async def _body(door: Door, request: Request) -> tuple[str, bytes]:
    """Read the body, never more of it than the door takes."""
    if door.method == "GET" or not door.bodies:
        return "", b""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Refusal(415, "encoded", "send the body as it is, without a content-encoding")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    taken = _taken(door, media_type)
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > taken.bytes_max:
        raise _oversize(taken)
    return media_type, await _read(request, taken)


def _taken(door: Door, media_type: str) -> Body:
    for body in door.bodies:
        if body.media_type in (media_type, "*/*"):
            return body
    kinds = ", ".join(body.media_type for body in door.bodies)
    raise Refusal(415, "media_type", f"set content-type to one of: {kinds}")


async def _read(request: Request, taken: Body) -> bytes:
    pieces: list[bytes] = []
    length = 0
    try:
        async with asyncio.timeout(BODY_READ_TIMEOUT_S):
            async for piece in request.stream():
                length += len(piece)
                if length > taken.bytes_max:
                    raise _oversize(taken)
                pieces.append(piece)
    except TimeoutError:
        raise Refusal(
            408, "too_slow", f"the body did not come within {BODY_READ_TIMEOUT_S:.0f} s"
        ) from None
    except ClientDisconnect:
        raise Refusal(400, "cut_off", "the connection ended before the body did") from None
    return b"".join(pieces)


def _oversize(taken: Body) -> Refusal:
    detail = f"the body is longer than {taken.bytes_max} bytes"
    # What is still to come is not read: the connection ends instead.
    return Refusal(413, "oversize", detail, {"connection": "close"})


def _response(reply: Reply, *, head: bool) -> Response:
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **reply.headers}
    if reply.stream is not None and head:
        return Response(None, reply.status, media_type=reply.media_type, headers=headers)
    if reply.stream is not None:
        return StreamingResponse(
            reply.stream, reply.status, media_type=reply.media_type, headers=headers
        )
    body = reply.as_bytes()
    media_type = reply.media_type if body else None
    response = Response(body, reply.status, media_type=media_type, headers=headers)
    for cookie in reply.cookies:
        response.headers.append("set-cookie", cookie)
    return response


def problem(
    status: int, reason: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Make a problem of RFC 9457; ``reason`` is the code that programs act on."""
    value = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "reason": reason,
        "detail": detail,
    }
    head = {"cache-control": "no-store", **(headers or {})}
    return Response(orjson.dumps(value), status, media_type=PROBLEM, headers=head)


async def _not_here(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException), "registered for no other"
    reason = {404: "no_such_door", 405: "method"}.get(fault.status_code, "refused")
    return problem(fault.status_code, reason, fault.detail, fault.headers)


async def _ours(request: Request, fault: Exception) -> Response:
    """A fault of ours: told to the log by its kind and place, never with what was sent."""
    log.error("door_failed", path=request.scope.get("path"), fault=type(fault).__name__)
    return problem(500, "internal", "this is a fault of the gateway: tell its operator")
