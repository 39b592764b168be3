"""The gateway's HTTP: whether it lives, whether the broker answers, what stands behind it."""

import contextlib
from collections.abc import AsyncIterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster, client_options, shown_servers

ANSWER_TIMEOUT_MS = 2_000
"""How long the broker may take to answer before the gateway calls itself not ready."""


def build_gateway(cluster: Cluster, topics: Topics) -> Starlette:
    """Make the application. Its routes are the explicit list below."""

    async def index(_: Request) -> JSONResponse:
        return JSONResponse(
            {
                "name": "xiaohe",
                "bootstrap_servers": shown_servers(cluster),
                "topics": {topic.id: topic.name for topic in topics},
                "health": "/healthz",
                "ready": "/readyz",
            }
        )

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"alive": True})

    async def readyz(request: Request) -> JSONResponse:
        missing = await _missing_topics(request.app.state.admin, topics)
        if missing is None:
            return JSONResponse({"ready": False, "why": "the broker does not answer"}, 503)
        if missing:
            why = f"topics are missing: {', '.join(missing)}; run `xiaohe topics apply`"
            return JSONResponse({"ready": False, "why": why}, 503)
        return JSONResponse({"ready": True})

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        admin = AIOKafkaAdminClient(**client_options(cluster), request_timeout_ms=ANSWER_TIMEOUT_MS)
        await admin.start()
        app.state.admin = admin
        try:
            yield
        finally:
            await admin.close()

    routes = [
        Route("/", index),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _missing_topics(admin: AIOKafkaAdminClient, topics: Topics) -> list[str] | None:
    """Give the topics that the cluster lacks, or None where it does not answer."""
    try:
        found = set(await admin.list_topics())
    except (KafkaError, OSError):
        return None
    return sorted(topic.name for topic in topics if topic.name not in found)
