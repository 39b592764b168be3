"""A gateway that really runs: its own loop in a thread, a socket, and the tests' Kafka."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import uvicorn

from tests.gateway.door_bench import TokenIsName
from xiaohe.dispatch.policy import load_policy
from xiaohe.gateway.access.principal import Access
from xiaohe.gateway.app import application
from xiaohe.gateway.door import Door
from xiaohe.gateway.doors import doors_of
from xiaohe.gateway.known import Known
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.serve import address_of, listen
from xiaohe.places import POLICY
from xiaohe.topics import Topics

UP_S = 40.0

AREAS = b"""
areas:
  - {area_id: town, name: Town}
  - {area_id: east, name: East}
"""


def connected_parts(cluster: str, topics: Topics, access: Access | None = None) -> Parts:
    """Parts of the tests' Kafka; whoever gives a token has it as name."""
    return Parts(
        cluster=cluster,
        topics=topics,
        known=Known(load_policy(AREAS, base=POLICY.read_bytes()), ()),
        now_ms=lambda: time.time_ns() // 1_000_000,
        access=access or TokenIsName(),
    )


@contextlib.contextmanager
def running_gateway(
    parts: Callable[[], Parts], doors: Callable[[Parts], Iterable[Door]] = doors_of
) -> Iterator[str]:
    """Serve; give the URL. ``parts`` is called in the gateway's own loop."""
    listener = listen("127.0.0.1:0")
    ready, servers = threading.Event(), []

    async def serve() -> None:
        made = parts()
        config = uvicorn.Config(
            application(made, doors(made)), log_level="error", lifespan="on", ws="none"
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        servers.append(server)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not (server.started or serving.done()):  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
        ready.set()
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(UP_S), "the gateway did not come up"
        yield f"http://{address_of(listener)}"
    finally:
        servers[0].should_exit = True
        thread.join()
