"""Each right asked of a broker directly, as one client: what it answers is the error code alone.

aiokafka's clients try again, wait, or give up in words of their own. Here the requests themselves
are sent, one for all topics, so that a whole row of the matrix is one answer.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol import admin, fetch, group, offset, produce, transaction
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from xiaohe.acls import Acl
from xiaohe.wire.cluster_access import ClusterAccess

TOPIC_REFUSED: Final = 29
GROUP_REFUSED: Final = 30
CLUSTER_REFUSED: Final = 31
TRANSACTION_REFUSED: Final = 53

LOADING: Final = 14
"""Not yet: ask again."""

TIMEOUT_MS: Final = 10_000
TOPIC: Final = 2
"""Kafka's number of the kind of resource."""

Codes = Mapping[str, int]


class Asker:
    """One connection to the broker; an async context manager."""

    def __init__(self, access: ClusterAccess) -> None:
        self._client = AIOKafkaClient(**access.client_options(), request_timeout_ms=TIMEOUT_MS)

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._client.bootstrap()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        await self._client.close()

    async def _ask(self, request: Any) -> Any:
        return await self._client.send(self._client.get_random_node(), request)

    # --- of topics

    async def write(self, topics: Sequence[str]) -> Codes:
        """Write a record into the first partition."""
        batch = bytes(_batch())
        request = produce.ProduceRequest(None, -1, TIMEOUT_MS, [(t, [(0, batch)]) for t in topics])
        return _by_partition((await self._ask(request)).topics)

    async def read(self, topics: Sequence[str]) -> Codes:
        """Fetch from the beginning of the first partition."""
        wanted = [(topic, [(0, 0, 1024)]) for topic in topics]
        answer = await self._ask(fetch.FetchRequest(0, 0, 1024 * 1024, 0, wanted))
        return _by_partition(answer.topics)

    async def look(self, topics: Sequence[str]) -> Codes:
        """Ask for the first partition's end."""
        request = offset.OffsetRequest(-1, 0, [(topic, [(0, -1)]) for topic in topics])
        return _by_partition((await self._ask(request)).topics)

    async def empty(self, topics: Sequence[str]) -> Codes:
        """Delete the records before the first one, which are none."""
        request = admin.DeleteRecordsRequest([(t, [(0, 0)]) for t in topics], TIMEOUT_MS)
        answer = await self._ask(request)
        return {topic: parts[0][2] for topic, parts, *_ in answer.topics}

    async def see_settings(self, topics: Sequence[str]) -> Codes:
        """Ask for the settings."""
        answer = await self._ask(admin.DescribeConfigsRequest([(TOPIC, t, None) for t in topics]))
        return {name: code for code, _, _, name, *_ in answer.resources}

    async def change_settings(self, topics: Sequence[str]) -> Codes:
        """Change a setting; only asked whether one might."""
        settings = [("retention.ms", "1000")]
        request = admin.AlterConfigsRequest([(TOPIC, t, settings) for t in topics], True)
        answer = await self._ask(request)
        return {name: code for code, _, _, name in answer.resources}

    async def add_partitions(self, topics: Sequence[str]) -> Codes:
        """Make more partitions; only asked whether one might."""
        request = admin.CreatePartitionsRequest(
            [(topic, (64, None)) for topic in topics], TIMEOUT_MS, True
        )
        answer = await self._ask(request)
        return {topic: code for topic, code, *_ in answer.topic_errors}

    async def make_another(self, topics: Sequence[str]) -> Codes:
        """Make a topic of a name like it; only asked whether one might."""
        new = [(f"{topic}.more", 1, 1, [], []) for topic in topics]
        answer = await self._ask(admin.CreateTopicsRequest(new, TIMEOUT_MS, True))
        return {name.removesuffix(".more"): code for name, code, *_ in answer.topic_errors}

    async def remove(self, topics: Sequence[str]) -> Codes:
        """Delete the topic. In earnest: nobody but a superuser is to be asked."""
        answer = await self._ask(admin.DeleteTopicsRequest(list(topics), TIMEOUT_MS))
        return dict(answer.topic_error_codes)

    # --- of groups

    async def join(self, groups: Sequence[str]) -> Codes:
        """Speak as a member of a group, which this one is not."""
        return {
            each: (await self._ask(group.HeartbeatRequest(each, 1, "nobody"))).error_code
            for each in groups
        }

    async def watch(self, groups: Sequence[str]) -> Codes:
        """Ask who is in a group."""
        answers = [await self._ask(admin.DescribeGroupsRequest([each])) for each in groups]
        return {answer.groups[0][1]: answer.groups[0][0] for answer in answers}

    # --- of the cluster

    async def write_once(self) -> int:
        """Ask for a producer's id, for writing that a repetition does not double."""
        request = transaction.InitProducerIdRequest(None, TIMEOUT_MS)  # type: ignore[arg-type]
        while (answer := await self._ask(request)).error_code == LOADING:
            continue  # a new broker has its first numbers allotted
        return int(answer.error_code)

    async def write_in_a_transaction(self) -> int:
        """Ask for a transaction."""
        request = transaction.InitProducerIdRequest("anything", TIMEOUT_MS)
        return int((await self._ask(request)).error_code)

    async def see_rights(self) -> int:
        """Ask who may do what."""
        request = admin.DescribeAclsRequest(1, None, 1, None, None, 1, 1)  # type: ignore[arg-type]
        return int((await self._ask(request)).error_code)

    async def give(self, acl: Acl) -> int:
        """Give a right."""
        request = admin.CreateAclsRequest(
            acl.resource, acl.name, acl.pattern, acl.principal, acl.host,
            acl.operation, acl.permission,
        )  # fmt: skip
        [(code, _)] = (await self._ask(request)).creation_responses
        return int(code)


Question = Callable[[Asker, Sequence[str]], Awaitable[Codes]]


def _by_partition(topics: Any) -> Codes:
    return {topic: partitions[0][1] for topic, partitions in topics}


def _batch() -> bytearray:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 4096)
    builder.append(0, int(time.time() * 1000), b"key", b"value", [])
    return builder.build()
