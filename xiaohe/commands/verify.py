"""``xiaohe verify``: the account of what came in and what became of it, from the topics alone."""

import asyncio

from xiaohe.commands.clusters import cluster_of
from xiaohe.commands.options import NOTHING_SAID, DataDir, Json, Kafka, Servers
from xiaohe.places import DATA_DIR
from xiaohe.topics import load_topics
from xiaohe.verify import verify_command


def verify(
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    json: Json = False,
) -> int:
    """Read only the topics and account for every alert: nothing lost, nothing twice, no gaps.

    Exit status 1 where anything does not hold.
    """
    cluster = cluster_of(bootstrap_servers, data_dir, kafka)
    return asyncio.run(verify_command(cluster, load_topics(), json=json))
