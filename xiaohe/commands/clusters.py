"""Which Kafka a command talks to: the one named, or the one-machine broker of the data folder."""

from pathlib import Path

from xiaohe.broker import Broker
from xiaohe.commands.options import Kafka
from xiaohe.java import BrokerUnavailable
from xiaohe.wire.cluster_access import ClusterAccess


def cluster_of(bootstrap_servers: str | None, data_dir: Path, kafka: Kafka) -> ClusterAccess:
    """Give the access. Raises BrokerUnavailable where none is named and none runs, AccessError."""
    if bootstrap_servers is not None:
        return kafka.access(bootstrap_servers)
    broker = Broker.attach(data_dir / "broker")
    if broker is None:
        raise BrokerUnavailable(
            f"no broker runs on {data_dir}",
            "name a running Kafka with --bootstrap-servers, or start one: `xiaohe broker start`",
        )
    return kafka.access(broker.bootstrap_servers)


def named_cluster(bootstrap_servers: str | None, kafka: Kafka) -> ClusterAccess | None:
    """Give the access to the cluster that was named; None where none was. Raises AccessError."""
    return None if bootstrap_servers is None else kafka.access(bootstrap_servers)
