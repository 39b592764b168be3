"""The documents that say what is here: AsyncAPI for Kafka, OpenAPI for HTTP. Open to anybody."""

from collections.abc import Callable, Iterable

from xiaohe.gateway.asyncapi import asyncapi
from xiaohe.gateway.door import Answer, Door, Reply, Visit
from xiaohe.gateway.openapi import openapi
from xiaohe.gateway.parts import Parts


def doors(parts: Parts, all_doors: Callable[[], Iterable[Door]]) -> tuple[Door, ...]:
    """Give the doors of the documents; ``all_doors`` are those that OpenAPI tells of."""

    async def asyncapi_json(_: Visit) -> Reply:
        return Reply(value=asyncapi(parts.topics))

    async def openapi_json(_: Visit) -> Reply:
        return Reply(value=openapi(all_doors()))

    return (
        Door(
            method="GET", path="/asyncapi.json", name="asyncapi",
            what="AsyncAPI 3: every topic and message of Kafka.", change=None,
            handle=asyncapi_json,
            answers=(Answer(status=200, what="The document.", schema={"type": "object"}),),
        ),
        Door(
            method="GET", path="/openapi.json", name="openapi",
            what="OpenAPI 3.1: every door of the gateway.", change=None, handle=openapi_json,
            answers=(Answer(status=200, what="The document.", schema={"type": "object"}),),
        ),
    )  # fmt: skip
