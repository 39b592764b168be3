"""A cluster's topics made to match ``topics.yaml``: ``diff`` shows, ``apply`` mends.

What must not be done on a live cluster (another number of partitions for an area topic, fewer
partitions for any) or cannot be done by a client (another number of copies) is refused, and the
refusal says why and what to do. Topics that ``topics.yaml`` does not know are left alone.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from xiaohe.topics import Topic, Topics
from xiaohe.wire.cluster_access import Cluster, client_options, shown_servers

REQUEST_TIMEOUT_MS = 15_000
"""One question to a cluster; a controller that is just being elected takes some seconds."""

EFFECT_TIMEOUT_S = 15.0
"""From the controller's word until all brokers act upon it; 0.1 s on one machine."""

LOOK_AGAIN_S = 0.02

SET_ON_THE_TOPIC = 1
"""Kafka protocol, DescribeConfigs: the setting was made on the topic, it is no default."""


class ClusterError(Exception):
    """The cluster cannot be asked, or says no; the message says what to do next."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in which the cluster is not as ``topics.yaml`` says."""

    topic: str
    what: str
    """``topic`` (it is missing), ``partitions``, ``replication_factor``, or a setting's name."""
    wanted: str
    found: str | None
    refused: str | None = None
    """Why ``apply`` leaves it as it is, and what to do; None if it mends it."""

    def __str__(self) -> str:
        """One line for people."""
        line = f"{self.topic}: {self.what}: {self.found or 'none'}, should be {self.wanted}"
        return f"{line}\n    not done: {self.refused}" if self.refused else line


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What ``apply`` did, and what it did not."""

    done: tuple[Difference, ...]
    refused: tuple[Difference, ...]


class _Found(msgspec.Struct, frozen=True):
    """A topic as the cluster has it."""

    partitions: int
    replication_factor: int
    configs: dict[str, str]
    own: dict[str, str]
    """Those of the settings that were made on the topic itself."""
    led: bool
    """Whether every partition has a leader."""


async def diff(cluster: Cluster, topics: Topics) -> tuple[Difference, ...]:
    """How the cluster differs from ``topics``; empty if it does not. Raises ClusterError."""
    async with _admin(cluster) as admin:
        return _differences(topics, await _look(admin, topics))


async def apply(cluster: Cluster, topics: Topics) -> Applied:
    """Bring the cluster in line, as far as may be done. Again changes nothing.

    Returns when the brokers act upon it and every partition has a leader. Raises ClusterError.
    """
    async with _admin(cluster) as admin:
        found = await _look(admin, topics)
        differences = _differences(topics, found)
        todo = tuple(each for each in differences if each.refused is None)
        by_name = {topic.name: topic for topic in topics}

        def having(*whats: str) -> list[Topic]:
            return list({d.topic: by_name[d.topic] for d in todo if d.what in whats}.values())

        missing, few = having("topic"), having("partitions")
        await _create(admin, missing)
        await _add_partitions(admin, few)
        altered = having(*{key for topic in topics for key in topic.configs})
        await _alter(admin, altered, found)
        refused = await _await_effect(admin, topics)
    left = {(each.topic, each.what) for each in refused}
    return Applied(
        done=tuple(each for each in todo if (each.topic, each.what) not in left), refused=refused
    )


@asynccontextmanager
async def _admin(cluster: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(cluster), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            raise ClusterError(
                f"No Kafka answers at {shown_servers(cluster)}: {error}. "
                "See that it runs and that --bootstrap-servers names it."
            ) from error
        try:
            yield admin
        except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
            raise ClusterError(
                f"This principal may not see or make topics on the Kafka at "
                f"{shown_servers(cluster)} ({error}). "
                "Name one that may, with --kafka-user or --kafka-cert."
            ) from error
        except KafkaError as error:
            raise ClusterError(
                f"The Kafka at {shown_servers(cluster)} could not do it: {error}. "
                "It is safe to try again: what is done already is left alone."
            ) from error
    finally:
        await admin.close()


async def _await_effect(admin: AIOKafkaAdminClient, topics: Topics) -> tuple[Difference, ...]:
    """Wait until all is as wanted, and led; return what is refused.

    The controller answers before the brokers know, and what they serve until then is the past.
    """
    deadline = time.monotonic() + EFFECT_TIMEOUT_S
    while True:
        found = await _look(admin, topics)
        differences = _differences(topics, found)
        waiting = {each.topic for each in differences if each.refused is None}
        waiting |= {name for name, each in found.items() if not each.led}
        if not waiting:
            return differences
        if time.monotonic() > deadline:
            raise ClusterError(
                f"After {EFFECT_TIMEOUT_S:.0f} s, not yet so or without a leader: "
                f"{', '.join(sorted(waiting))}. See that all brokers run, then try again."
            )
        await asyncio.sleep(LOOK_AGAIN_S)


async def _look(admin: AIOKafkaAdminClient, topics: Topics) -> dict[str, _Found]:
    """Those of ``topics`` that exist, by name."""
    described = {
        each["topic"]: each["partitions"]
        for each in await admin.describe_topics()
        if each["error_code"] == 0
    }
    names = [topic.name for topic in topics if topic.name in described]
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, _Found] = {}
    for answer in await admin.describe_configs(asked):
        for code, message, _, name, entries in answer.resources:
            if for_code(code) is UnknownTopicOrPartitionError:
                continue  # this broker has not heard of it yet, the one before had
            if code:
                raise for_code(code)(f"{name}: {message}")
            partitions: list[dict[str, Any]] = described[name]
            found[name] = _Found(
                partitions=len(partitions),
                replication_factor=min(len(each["replicas"]) for each in partitions),
                led=all(each["error_code"] == 0 and each["leader"] >= 0 for each in partitions),
                configs={key: value for key, value, *_ in entries},
                own={
                    key: value
                    for key, value, _, source, *_ in entries
                    if source == SET_ON_THE_TOPIC
                },
            )
    return found


def _differences(topics: Topics, found: dict[str, _Found]) -> tuple[Difference, ...]:
    counts = sorted({found[t.name].partitions for t in topics.area_topics if t.name in found})
    return tuple(
        each
        for topic in topics
        for each in (
            _of_one(topic, found[topic.name])
            if topic.name in found
            else [_missing(topic, area_counts=counts)]
        )
    )


def _missing(topic: Topic, *, area_counts: list[int]) -> Difference:
    refused = None
    if topic.is_area and any(count != topic.partitions for count in area_counts):
        refused = (
            f"the area topics of this cluster have {area_counts} partitions, and one with "
            f"{topic.partitions} would take areas from their owners; "
            f"set area_partitions to {area_counts[0]}"
        )
    wanted = f"{topic.partitions} partitions, {topic.replication_factor} copies"
    return Difference(topic=topic.name, what="topic", wanted=wanted, found=None, refused=refused)


def _of_one(topic: Topic, found: _Found) -> Iterable[Difference]:
    if found.partitions != topic.partitions:
        yield Difference(
            topic=topic.name,
            what="partitions",
            wanted=str(topic.partitions),
            found=str(found.partitions),
            refused=_why_not_partitions(topic, found),
        )
    if found.replication_factor != topic.replication_factor:
        yield Difference(
            topic=topic.name,
            what="replication_factor",
            wanted=str(topic.replication_factor),
            found=str(found.replication_factor),
            refused="copies are moved between brokers by the cluster's operator, with "
            "kafka-reassign-partitions.sh; or set replication_factor to what is there",
        )
    for key, wanted in topic.configs.items():
        if found.configs.get(key) != wanted:
            yield Difference(
                topic=topic.name, what=key, wanted=wanted, found=found.configs.get(key)
            )


def _why_not_partitions(topic: Topic, found: _Found) -> str | None:
    if topic.is_area:
        return (
            "with another number, records of one area would lie in two partitions and two workers "
            "would own it, so an area topic's number never changes on a live cluster; set "
            f"area_partitions to {found.partitions}, or begin on new topics (another prefix)"
        )
    if found.partitions > topic.partitions:
        return f"Kafka cannot take partitions away; set partitions to {found.partitions}"
    return None


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic]) -> None:
    if not topics:
        return
    new = [
        NewTopic(
            topic.name, topic.partitions, topic.replication_factor, topic_configs=topic.configs
        )
        for topic in topics
    ]
    answer = await admin.create_topics(new)
    for name, code, message in answer.topic_errors:
        error = for_code(code)
        if code == 0 or error is TopicAlreadyExistsError:
            continue  # somebody else has just made it, from the same topics.yaml
        if error is InvalidReplicationFactorError:
            brokers = len((await admin.describe_cluster())["brokers"])
            raise ClusterError(
                f"{topics[0].replication_factor} copies of each topic are wanted, and the cluster "
                f"has {brokers} broker(s). Start more brokers, or set XIAOHE_REPLICATION_FACTOR "
                f"to {brokers} or less."
            )
        raise error(f"{name}: {message}")


async def _add_partitions(admin: AIOKafkaAdminClient, topics: list[Topic]) -> None:
    if topics:
        await admin.create_partitions({t.name: NewPartitions(t.partitions) for t in topics})


async def _alter(admin: AIOKafkaAdminClient, topics: list[Topic], found: dict[str, _Found]) -> None:
    """Set our settings, and with them those that others made on the topic.

    The client has only Kafka's older request, which takes back every setting that it does not
    name; so what was set by hand and is none of ours is said again.
    """
    if not topics:
        return
    resources = [
        ConfigResource(
            ConfigResourceType.TOPIC, topic.name, {**found[topic.name].own, **topic.configs}
        )
        for topic in topics
    ]
    for answer in await admin.alter_configs(resources):
        for code, message, _, name in answer.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")
