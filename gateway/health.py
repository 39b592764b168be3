"""Whether the gateway lives, and whether the broker and its topics are there: open to anybody."""

from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from xiaohe.gateway.door import Answer, Door, Reply, Visit
from xiaohe.gateway.parts import Parts
from xiaohe.topics import GATEWAY, Topics
from xiaohe.wire.cluster_access import Cluster, client_options

ANSWER_TIMEOUT_MS: Final = 2_000
"""How long the broker may take to answer before the gateway calls itself not ready."""


def doors(parts: Parts) -> tuple[Door, ...]:
    """Give the three doors that need no name."""

    async def index(_: Visit) -> Reply:
        return Reply(
            value={
                "name": "xiaohe",
                "topics": {topic.id: topic.name for topic in parts.topics},
                "health": "/healthz",
                "ready": "/readyz",
            }
        )

    async def healthz(_: Visit) -> Reply:
        return Reply(value={"alive": True})

    async def readyz(_: Visit) -> Reply:
        missing = await _missing_topics(parts.cluster, parts.topics)
        if missing is None:
            return Reply(503, {"ready": False, "why": "the broker does not answer"})
        if missing:
            why = f"topics are missing: {', '.join(missing)}; run `xiaohe topics apply`"
            return Reply(503, {"ready": False, "why": why})
        return Reply(value={"ready": True})

    ready = {
        "type": "object",
        "required": ["ready"],
        "properties": {"ready": {"type": "boolean"}, "why": {"type": "string"}},
    }
    return (
        Door(
            method="GET", path="/", name="index", what="What is here.", change=None,
            handle=index, answers=(Answer(status=200, what="The doors' index."),),
        ),
        Door(
            method="GET", path="/healthz", name="healthz", what="Whether the gateway lives.",
            change=None, handle=healthz, answers=(Answer(status=200, what="It does."),),
        ),
        Door(
            method="GET", path="/readyz", name="readyz",
            what="Whether the broker answers and has every topic.", change=None, handle=readyz,
            answers=(
                Answer(status=200, what="Ready.", schema=ready),
                Answer(status=503, what="Not ready, and why.", schema=ready),
            ),
        ),
    )  # fmt: skip


async def _missing_topics(cluster: Cluster, topics: Topics) -> list[str] | None:
    """Give those of the gateway's topics that the cluster lacks (others it may not be allowed to
    see), or None where it does not answer."""
    admin = AIOKafkaAdminClient(**client_options(cluster), request_timeout_ms=ANSWER_TIMEOUT_MS)
    try:
        await admin.start()
        found = set(await admin.list_topics())
    except (KafkaError, OSError):
        return None
    finally:
        await admin.close()
    return sorted(topic.name for topic in topics.of(GATEWAY) if topic.name not in found)
