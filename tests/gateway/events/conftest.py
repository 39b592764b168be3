"""One gateway on the tests' Kafka for a module; its tests begin where the others ended."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.conftest import AREA_PARTITIONS
from tests.gateway.events.published import Engine, MembersToo
from tests.gateway.running import connected_parts, running_gateway
from xiaohe.broker import Broker
from xiaohe.cluster import apply
from xiaohe.topics import Topics, load_topics


@pytest.fixture(scope="module")
def shared_topics(broker: Broker, request: pytest.FixtureRequest) -> Topics:
    """The topics of one module."""
    prefix = f"{request.module.__name__.rpartition('.')[2]}."
    topics = load_topics(prefix=prefix, area_partitions=AREA_PARTITIONS, replication_factor=1)
    asyncio.run(apply(broker.bootstrap_servers, topics))
    return topics


@pytest.fixture(scope="module")
def url(broker: Broker, shared_topics: Topics) -> Iterator[str]:
    """A running gateway."""
    servers = broker.bootstrap_servers
    with running_gateway(lambda: connected_parts(servers, shared_topics, MembersToo())) as url:
        yield url


@pytest.fixture
async def engine(broker: Broker, shared_topics: Topics) -> AsyncIterator[Engine]:
    """An engine's pen."""
    async with Engine(broker.bootstrap_servers, shared_topics) as engine:
        yield engine
