"""A cluster's rights made what ``topics.yaml`` says: ``diff_acls`` shows, ``apply_acls`` mends.

What is missing is added. What a principal of ours may do beyond the file is shown, and removed only
where that is asked for. What is somebody else's is never touched. aiokafka's administrator has no
call for this, but its protocol has the requests; theirs take one rule each, ours all at once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    SecurityDisabled,
    for_code,
)
from aiokafka.protocol.admin import (
    CreateAclsRequest_v1,
    DeleteAclsRequest_v1,
    DescribeAclsRequest,
)
from aiokafka.protocol.api import Request

from xiaohe.acls import Acl, AclDifference, Operation, Pattern, Permission, Resource, difference
from xiaohe.cluster import EFFECT_TIMEOUT_S, LOOK_AGAIN_S, REQUEST_TIMEOUT_MS, ClusterError
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster, client_options, shown_servers

ANY: Final = 1
"""Kafka protocol: whatever it is, of a filter."""


class AclsApplied(msgspec.Struct, frozen=True, kw_only=True):
    """What ``apply_acls`` did, and what it left."""

    added: tuple[Acl, ...]
    removed: tuple[Acl, ...]
    left: AclDifference


async def diff_acls(cluster: Cluster, topics: Topics) -> AclDifference:
    """How the cluster's rights differ from ``topics``. Raises ClusterError."""
    async with _client(cluster) as client:
        return difference(topics, await _found(client))


async def apply_acls(cluster: Cluster, topics: Topics, *, prune: bool = False) -> AclsApplied:
    """Give what is missing; with ``prune`` take what our principals have beyond it.

    Returns when the broker that is asked acts upon it. Raises ClusterError.
    """
    async with _client(cluster) as client:
        before = difference(topics, await _found(client))
        if before.missing:
            await _create(client, before.missing)
        removed = before.beyond if prune else ()
        if removed:
            await _delete(client, removed)
        left = await _await_effect(client, topics, set(removed))
        return AclsApplied(added=before.missing, removed=removed, left=left)


@asynccontextmanager
async def _client(cluster: Cluster) -> AsyncIterator[AIOKafkaClient]:
    client = AIOKafkaClient(**client_options(cluster), request_timeout_ms=REQUEST_TIMEOUT_MS)
    where = shown_servers(cluster)
    try:
        await client.bootstrap()
        yield client
    except SecurityDisabled as error:
        raise ClusterError(
            f"The Kafka at {where} asks nobody what they may do: it has no authorizer. "
            "Set authorizer.class.name (docs/kafka.md), or leave --acls out."
        ) from error
    except ClusterAuthorizationFailedError as error:
        raise ClusterError(
            f"This principal may not see or give rights on the Kafka at {where}. "
            "Name one that may (a superuser, or with Alter on the cluster): --kafka-user or "
            "--kafka-cert."
        ) from error
    except (KafkaError, OSError) as error:
        raise ClusterError(
            f"The Kafka at {where} could not do it: {error}. "
            "It is safe to try again: what is done already is left alone."
        ) from error
    finally:
        await client.close()


async def _found(client: AIOKafkaClient) -> tuple[Acl, ...]:
    """Every rule that the cluster has."""
    request = DescribeAclsRequest(ANY, None, ANY, None, None, ANY, ANY)  # type: ignore[arg-type]  # a filter's None is any
    answer = await _send(client, request)
    _check(answer.error_code, answer.error_message)
    return tuple(
        Acl(
            principal=principal,
            resource=Resource(resource),
            name=name,
            operation=Operation(operation),
            pattern=Pattern(pattern),
            permission=Permission(permission),
            host=host,
        )
        for resource, name, pattern, acls in answer.resources
        for principal, host, operation, permission in acls
    )


class _CreateAcls(Request[CreateAclsRequest_v1]):
    """Several rules in one request."""

    API_KEY = CreateAclsRequest_v1.API_KEY

    def __init__(self, acls: Iterable[Acl]) -> None:
        self._acls = acls

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class([_as_sent(acl) for acl in self._acls])


class _DeleteAcls(Request[DeleteAclsRequest_v1]):
    """Several filters in one request, each of which is one whole rule."""

    API_KEY = DeleteAclsRequest_v1.API_KEY

    def __init__(self, acls: Iterable[Acl]) -> None:
        self._acls = acls

    def build(self, request_struct_class: type[DeleteAclsRequest_v1]) -> DeleteAclsRequest_v1:
        return request_struct_class([_as_sent(acl) for acl in self._acls])


async def _create(client: AIOKafkaClient, acls: Iterable[Acl]) -> None:
    answer = await _send(client, _CreateAcls(acls))
    for code, message in answer.creation_responses:
        _check(code, message)


async def _delete(client: AIOKafkaClient, acls: Iterable[Acl]) -> None:
    answer = await _send(client, _DeleteAcls(acls))
    for code, message, *_ in answer.filter_responses:
        _check(code, message)


def _as_sent(acl: Acl) -> tuple[int, str, int, str, str, int, int]:
    return (
        acl.resource,
        acl.name,
        acl.pattern,
        acl.principal,
        acl.host,
        acl.operation,
        acl.permission,
    )


async def _send(client: AIOKafkaClient, request: Any) -> Any:  # noqa: ANN401 - aiokafka's protocol
    return await client.send(client.get_random_node(), request)


def _check(code: int, message: str | None) -> None:
    if code:
        raise for_code(code)(message or "")


async def _await_effect(
    client: AIOKafkaClient, topics: Topics, removed: Iterable[Acl]
) -> AclDifference:
    """Wait until the broker has heard of it: the controller answers before."""
    deadline_s = time.monotonic() + EFFECT_TIMEOUT_S
    gone = set(removed)
    while True:
        found = await _found(client)
        left = difference(topics, found)
        if not left.missing and not gone & set(found):
            return left
        if time.monotonic() > deadline_s:
            raise ClusterError(
                f"After {EFFECT_TIMEOUT_S:.0f} s not all rights are in force. "
                "See that all brokers run, then try again."
            )
        await asyncio.sleep(LOOK_AGAIN_S)
