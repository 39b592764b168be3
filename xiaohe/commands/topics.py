"""``xiaohe topics apply|diff``: make a cluster's topics what topics.yaml says."""

import asyncio
from collections.abc import Iterable

import msgspec

from xiaohe.cluster import Difference, apply, diff
from xiaohe.commands.clusters import cluster_of
from xiaohe.commands.options import NOTHING_SAID, DataDir, Json, Kafka, Servers
from xiaohe.output import say, say_json
from xiaohe.places import DATA_DIR
from xiaohe.topics import load_topics


def apply_(
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    replication_factor: int | None = None,
    json: Json = False,
) -> int:
    """Make the topics; what may not be changed on a live cluster is shown and left (status 1)."""
    cluster = cluster_of(bootstrap_servers, data_dir, kafka)
    applied = asyncio.run(apply(cluster, load_topics(replication_factor=replication_factor)))
    _show(applied.done, json=json, done=True)
    _show(applied.refused, json=json, done=False)
    if not json and not applied.done and not applied.refused:
        say("nothing to do: the topics are as topics.yaml says")
    return 1 if applied.refused else 0


def diff_(
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    replication_factor: int | None = None,
    json: Json = False,
) -> int:
    """Show how the cluster differs from topics.yaml; status 1 where it does."""
    cluster = cluster_of(bootstrap_servers, data_dir, kafka)
    found = asyncio.run(diff(cluster, load_topics(replication_factor=replication_factor)))
    _show(found, json=json, done=False)
    if not json and not found:
        say("the topics are as topics.yaml says")
    return 1 if found else 0


def _show(differences: Iterable[Difference], *, json: bool, done: bool) -> None:
    for each in differences:
        if json:
            say_json({**msgspec.to_builtins(each), "done": done})
        else:
            say(f"{'done: ' if done else ''}{each}")
