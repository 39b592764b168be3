"""A gateway as a process of its own, on a test's topics: to be killed."""

import sys
import time

from tests.conftest import AREA_PARTITIONS
from xiaohe.dispatch.policy import load_policy
from xiaohe.gateway.known import Known
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.serve import listen, run_gateway
from xiaohe.places import POLICY
from xiaohe.topics import load_topics


def main(prefix: str) -> None:
    """Serve until SIGTERM; the servers are the first argument."""
    servers = sys.argv[1]
    topics = load_topics(prefix=prefix, area_partitions=AREA_PARTITIONS, replication_factor=1)

    def parts() -> Parts:
        return Parts(
            cluster=servers,
            topics=topics,
            known=Known(load_policy(POLICY.read_bytes()), ()),
            now_ms=lambda: time.time_ns() // 1_000_000,
        )

    run_gateway(listen("127.0.0.1:0"), parts, lambda: None)
