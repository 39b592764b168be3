"""A receiver of webhooks, on the loopback: checks signatures by itself, answers as it is told."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

WAIT_S = 20.0


@dataclass(frozen=True)
class Delivery:
    """One attempt as it came."""

    delivery_id: str
    event: dict[str, Any]
    is_signed: bool
    at_s: float

    @property
    def event_id(self) -> str:
        """The id of the CloudEvent."""
        return str(self.event["id"])


@dataclass
class Receiver:
    """What came; ``answer`` says the status for each delivery."""

    url: str
    answer: Callable[[Delivery], int] = lambda _: 204
    secret: str = ""
    got: list[Delivery] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.Response:
        """Take one delivery."""
        body = await request.read()
        delivery = Delivery(
            request.headers["webhook-id"], json.loads(body), self._is_signed(request, body),
            time.monotonic(),
        )  # fmt: skip
        self.got.append(delivery)
        status = self.answer(delivery)
        async with self.came:
            self.came.notify_all()
        location = {"location": "http://127.0.0.1:1/"} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=location)

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        head = request.headers
        signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
        right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        is_new = abs(time.time() - int(head["webhook-timestamp"])) < 300
        return is_new and f"v1,{right}" in head["webhook-signature"].split(" ")

    async def until(self, wanted: Callable[[], object]) -> None:
        """Wait until something holds of what came."""
        async with asyncio.timeout(WAIT_S), self.came:
            await self.came.wait_for(wanted)

    async def ids(self, count: int) -> list[str]:
        """Wait for so many deliveries; give the ids of their events."""
        await self.until(lambda: len(self.got) >= count)
        return [each.event_id for each in self.got]


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    made = Receiver("")
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield made
    finally:
        await runner.cleanup()
