"""``xiaohe worker`` and ``xiaohe gateway``: one part alone, against a running Kafka."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from xiaohe.commands.access import secret_path
from xiaohe.commands.ca import ca_folder
from xiaohe.commands.options import (
    DEFAULT_HTTP,
    NOTHING_SAID,
    THIS_MACHINE,
    DataDir,
    Feeds,
    Http,
    Json,
    Kafka,
    NeededServers,
    Outside,
    PolicyFile,
    Roads,
    Services,
    Speed,
)
from xiaohe.dispatch.policy import load_policy
from xiaohe.geo.files import load_addresses, load_pieces
from xiaohe.logs import log_to_stderr
from xiaohe.output import note, say_json
from xiaohe.places import DATA_DIR, DOORS, POLICY, ROADS, SERVICES, read_file
from xiaohe.topics import GATEWAY, load_topics
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
    outside: Outside = THIS_MACHINE,
    roads: Roads = None,
    policy: PolicyFile = None,
    feeds: Feeds = None,
    services: Services = None,
    data_dir: DataDir = DATA_DIR,
    json: Json = False,
) -> int:
    """Run one gateway until SIGTERM.

    Beyond this machine only with TLS, of its own or of a proxy in front.
    """
    from xiaohe.gateway.access.secret import open_secret  # noqa: PLC0415 - HTTP is slow to load
    from xiaohe.gateway.alerts.feed_file import load_feeds  # noqa: PLC0415 - the same
    from xiaohe.gateway.alerts.open311 import read_services  # noqa: PLC0415 - the same
    from xiaohe.gateway.known import Known  # noqa: PLC0415 - the same
    from xiaohe.gateway.parts import Parts  # noqa: PLC0415 - the same
    from xiaohe.gateway.serve import (  # noqa: PLC0415 - the same
        Protection,
        address_of,
        is_loopback,
        listen,
        run_gateway,
    )
    from xiaohe.gateway.settings import load_settings  # noqa: PLC0415 - the same

    log_to_stderr()
    pieces, _ = load_pieces(roads or ROADS)
    rules = load_policy(read_file(policy or POLICY), base=read_file(POLICY) if policy else None)
    settings = load_settings(read_file(outside.doors or DOORS))
    protection = Protection(
        cert=outside.tls_cert, key=outside.tls_key, behind_proxy=outside.behind_proxy
    )
    protection.check(http)
    protection.context()
    secret = open_secret(secret_path(data_dir, outside.secret_file))
    cluster = kafka.access(bootstrap_servers)
    seen = [topic.name for topic in load_topics().of(GATEWAY)]
    asyncio.run(reach(cluster, seen, wait_s=BROKER_WAIT_S))
    houses = load_addresses(roads or ROADS)
    asked_for = read_services(read_file(services or SERVICES), str(services or SERVICES))
    mapped = load_feeds(feeds) if feeds else {}
    listener = listen(http)
    ca = ca_folder(data_dir) / "ca.pem"
    made: list[Parts] = []

    def parts() -> Parts:
        made.append(
            Parts(
                cluster=cluster,
                topics=load_topics(),
                known=Known(rules, pieces),
                addresses=houses,
                feeds=mapped,
                services=asked_for,
                now_ms=lambda: time.time_ns() // 1_000_000,
                settings=settings,
                secret=secret,
                secure=protection.secure,
                authority=ca.read_bytes() if ca.exists() else None,
            )
        )
        return made[-1]

    def on_ready() -> None:
        address = address_of(listener)
        url = f"{'http' if protection.cert is None else 'https'}://{address}"
        # Behind a proxy, others could look as if they were on this machine.
        alone = is_loopback(address) and protection.behind_proxy is None
        token = made[-1].first_link if alone else None
        first = None if token is None else f"{url}/v1/login/link?token={token}"
        if json:
            say_json({"event": "ready", "http": address, "first_login": first})
        else:
            note(f"listening on {url}/")
            if first is not None:
                note(f"nobody is let in yet; the first operator, once, on this machine: {first}")

    run_gateway(listener, parts, on_ready, protection)
    return 0


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
