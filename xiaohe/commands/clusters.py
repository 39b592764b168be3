"""Which Kafka a command talks to: the one named, or the one-machine broker of the data folder."""

import asyncio
from pathlib import Path

from xiaohe.broker import Broker
from xiaohe.commands.options import Kafka
from xiaohe.java import BrokerUnavailable
from xiaohe.topics import AUDITOR
from xiaohe.wire.cluster_access import ClusterAccess
from xiaohe.wire.reaching import reach


def cluster_of(
    bootstrap_servers: str | None, data_dir: Path, kafka: Kafka, principal: str = AUDITOR
) -> ClusterAccess:
    """Give the access to the cluster, which has let this command in.

    A secure broker of the data folder is come to as ``principal`` where nothing else was said.
    Raises BrokerUnavailable where no cluster is named and none runs, and what ``reach`` raises.
    """
    access = named_cluster(bootstrap_servers, kafka)
    if access is not None:
        return access
    broker = Broker.attach(data_dir / "broker")
    if broker is None:
        raise BrokerUnavailable(
            f"no broker runs on {data_dir}",
            "name a running Kafka with --bootstrap-servers, or start one: `xiaohe broker start`",
        )
    access = own_cluster(broker, kafka, principal)
    asyncio.run(reach(access))
    return access


def own_cluster(broker: Broker, kafka: Kafka, principal: str = AUDITOR) -> ClusterAccess:
    """Give the access to a broker of one's own, as ``principal`` where nothing else was said."""
    return kafka.access(broker.bootstrap_servers) if kafka.said else broker.access(principal)


def named_cluster(bootstrap_servers: str | None, kafka: Kafka) -> ClusterAccess | None:
    """Give the access to the cluster that was named, which has let this command in.

    None where none was named. Raises what ``reach`` raises.
    """
    if bootstrap_servers is None:
        return None
    access = kafka.access(bootstrap_servers)
    asyncio.run(reach(access))
    return access
