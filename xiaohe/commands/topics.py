"""``xiaohe topics apply|diff``: make a cluster's topics and rights what topics.yaml says."""

import asyncio
from collections.abc import Iterable
from typing import Annotated

import msgspec
from cyclopts import Parameter

from xiaohe.acls import Acl, AclDifference
from xiaohe.cluster import Difference, apply, diff
from xiaohe.cluster_acls import apply_acls, diff_acls
from xiaohe.commands.clusters import cluster_of
from xiaohe.commands.options import NOTHING_SAID, DataDir, Json, Kafka, Servers
from xiaohe.output import say, say_json
from xiaohe.places import DATA_DIR
from xiaohe.topics import ADMIN, Topics, load_topics
from xiaohe.wire.cluster_access import Cluster

Acls = Annotated[
    bool, Parameter(name="--acls", negative="", help="The principals' rights (ACLs) as well.")
]
Prune = Annotated[
    bool,
    Parameter(
        name="--prune",
        negative="",
        help="With --acls: take from our principals what the file does not give.",
    ),
]


def apply_(
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    replication_factor: int | None = None,
    acls: Acls = False,
    prune: Prune = False,
    json: Json = False,
) -> int:
    """Make the topics; what may not be changed on a live cluster is shown and left (status 1).

    Rights of principals that topics.yaml does not name are never touched.
    """
    cluster = cluster_of(bootstrap_servers, data_dir, kafka, ADMIN)
    topics = load_topics(replication_factor=replication_factor)
    applied = asyncio.run(apply(cluster, topics))
    _show(applied.done, json=json, done=True)
    _show(applied.refused, json=json, done=False)
    if not json and not applied.done and not applied.refused:
        say("nothing to do: the topics are as topics.yaml says")
    fits = not applied.refused
    if acls or prune:
        fits = _apply_acls(cluster, topics, prune=prune, json=json) and fits
    return 0 if fits else 1


def diff_(
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    replication_factor: int | None = None,
    acls: Acls = False,
    json: Json = False,
) -> int:
    """Show how the cluster differs from topics.yaml; status 1 where it does."""
    cluster = cluster_of(bootstrap_servers, data_dir, kafka, ADMIN)
    topics = load_topics(replication_factor=replication_factor)
    found = asyncio.run(diff(cluster, topics))
    _show(found, json=json, done=False)
    if not json and not found:
        say("the topics are as topics.yaml says")
    fits = not found
    if acls:
        told = asyncio.run(diff_acls(cluster, topics))
        _show_acls("missing", told.missing, json=json)
        fits = _show_left(told, json=json) and not told.missing and fits
    return 0 if fits else 1


def _apply_acls(cluster: Cluster, topics: Topics, *, prune: bool, json: bool) -> bool:
    applied = asyncio.run(apply_acls(cluster, topics, prune=prune))
    _show_acls("given", applied.added, json=json)
    _show_acls("taken", applied.removed, json=json)
    if not json and not applied.added and not applied.removed:
        say("nothing to do: nobody lacks a right that topics.yaml gives")
    return _show_left(applied.left, json=json)


def _show_left(told: AclDifference, *, json: bool) -> bool:
    """Show what there is beyond the file; False where one of our principals has it."""
    _show_acls("beyond", told.beyond, json=json)
    _show_acls("foreign", told.foreign, json=json)
    if told.beyond and not json:
        say("beyond topics.yaml: `xiaohe topics apply --acls --prune` takes it from them")
    return not told.beyond


def _show(differences: Iterable[Difference], *, json: bool, done: bool) -> None:
    for each in differences:
        if json:
            say_json({**msgspec.to_builtins(each), "done": done})
        else:
            say(f"{'done: ' if done else ''}{each}")


def _show_acls(how: str, acls: Iterable[Acl], *, json: bool) -> None:
    for acl in acls:
        if json:
            names = {field: getattr(acl, field).name for field in _NAMED}
            say_json(
                {
                    "acl": {**msgspec.to_builtins(acl), **names},
                    "found": how.split(" ", maxsplit=1)[0],
                }
            )
        else:
            say(f"{how}: {acl}")


_NAMED = ("resource", "operation", "pattern", "permission")
"""What a program reads by Kafka's words rather than by its numbers."""
