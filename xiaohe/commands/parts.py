"""``xiaohe worker`` and ``xiaohe gateway``: one part alone, against a running Kafka."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from xiaohe.commands.options import (
    DEFAULT_HTTP,
    NOTHING_SAID,
    DataDir,
    Feeds,
    Http,
    Json,
    Kafka,
    NeededServers,
    PolicyFile,
    Roads,
    Speed,
)
from xiaohe.dispatch.policy import load_policy
from xiaohe.geo.files import load_addresses, load_pieces
from xiaohe.logs import log_to_stderr
from xiaohe.output import note, say_json
from xiaohe.places import DATA_DIR, POLICY, ROADS, read_file
from xiaohe.topics import load_topics
from xiaohe.wire.reaching import BROKER_WAIT_S, reach


def worker(
    *,
    bootstrap_servers: NeededServers,
    kafka: Kafka = NOTHING_SAID,
    roads: Roads = None,
    policy: PolicyFile = None,
    data_dir: DataDir = DATA_DIR,
    instance: str | None = None,
    speed: Speed = 1.0,
    session_timeout_s: float = 6.0,
    json: Json = False,
) -> int:
    """Run one worker until SIGTERM: it decides for the areas that its group gives it.

    Parameters
    ----------
    instance
        A name that stays the same when this worker is started again: it then gets its areas back
        at once. No two workers at a time may have the same.
    session_timeout_s
        After so long without a heartbeat its areas go to another worker.
    """
    from xiaohe.streams.app import WorkerSettings  # noqa: PLC0415 - Faust is slow to load
    from xiaohe.streams.service import ServiceSettings, run_service  # noqa: PLC0415 - the same

    log_to_stderr()
    folder = _folder(data_dir / "faust" / (instance or "worker"))
    settings = ServiceSettings(
        worker=WorkerSettings(
            cluster=kafka.access(bootstrap_servers),
            data_dir=folder,
            instance=instance,
            session_timeout_s=session_timeout_s,
        ),
        topics=load_topics(),
        roads=roads or ROADS,
        policy=policy or POLICY,
        policy_base=POLICY,
        speed=speed,
    )

    def on_owned(partitions: frozenset[int], took_ms: Mapping[str, int]) -> None:
        if json:
            owned = {"partitions": sorted(partitions), "took_ms": took_ms}
            say_json({"event": "owned", **owned})
        else:
            note(f"owns {len(partitions)} of {settings.topics.area_partitions} partitions")

    return run_service(settings, on_owned)


def gateway(
    *,
    bootstrap_servers: NeededServers,
    kafka: Kafka = NOTHING_SAID,
    http: Http = DEFAULT_HTTP,
    roads: Roads = None,
    policy: PolicyFile = None,
    feeds: Feeds = None,
    json: Json = False,
) -> int:
    """Run one gateway until SIGTERM."""
    from xiaohe.gateway.alerts.feed_file import load_feeds  # noqa: PLC0415 - HTTP is slow to load
    from xiaohe.gateway.known import Known  # noqa: PLC0415 - the same
    from xiaohe.gateway.parts import Parts  # noqa: PLC0415 - the same
    from xiaohe.gateway.serve import address_of, listen, run_gateway  # noqa: PLC0415 - the same

    log_to_stderr()
    pieces, _ = load_pieces(roads or ROADS)
    rules = load_policy(read_file(policy or POLICY), base=read_file(POLICY) if policy else None)
    cluster = kafka.access(bootstrap_servers)
    asyncio.run(reach(cluster, wait_s=BROKER_WAIT_S))
    houses = load_addresses(roads or ROADS)
    mapped = load_feeds(feeds) if feeds else {}
    listener = listen(http)

    def parts() -> Parts:
        return Parts(
            cluster=cluster,
            topics=load_topics(),
            known=Known(rules, pieces),
            addresses=houses,
            feeds=mapped,
            now_ms=lambda: time.time_ns() // 1_000_000,
        )

    def on_ready() -> None:
        if json:
            say_json({"event": "ready", "http": address_of(listener)})
        else:
            note(f"listening on http://{address_of(listener)}/")

    run_gateway(listener, parts, on_ready)
    return 0


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
