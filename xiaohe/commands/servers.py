"""Which Kafka a command talks to: the one named, or the one-machine broker of the data folder."""

from pathlib import Path

from xiaohe.broker import Broker
from xiaohe.java import BrokerUnavailable


def servers_of(bootstrap_servers: str | None, data_dir: Path) -> str:
    """Give the bootstrap servers. Raises BrokerUnavailable where none is named and none runs."""
    if bootstrap_servers is not None:
        return bootstrap_servers
    broker = Broker.attach(data_dir / "broker")
    if broker is None:
        raise BrokerUnavailable(
            f"no broker runs on {data_dir}",
            "name a running Kafka with --bootstrap-servers, or start one: `xiaohe broker start`",
        )
    return broker.bootstrap_servers
