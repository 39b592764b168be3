"""``xiaohe up`` and ``xiaohe status``: everything on this machine, and how it is."""

import asyncio
import signal
from pathlib import Path

from xiaohe.broker import Broker, BrokerStatus
from xiaohe.commands.clusters import named_cluster, own_cluster
from xiaohe.commands.options import (
    DEFAULT_HTTP,
    NOTHING_SAID,
    DataDir,
    Feeds,
    Http,
    Json,
    Kafka,
    PolicyFile,
    Roads,
    RosterFile,
    Secure,
    Servers,
    Workers,
)
from xiaohe.condition import looked_at
from xiaohe.output import note, say, say_json
from xiaohe.places import DATA_DIR
from xiaohe.stack import Event, Stack, StackFailed, StackOptions, read_record
from xiaohe.topics import load_topics
from xiaohe.wire.cluster_access import ClusterAccess


def up(
    *,
    roads: Roads = None,
    roster: RosterFile = None,
    policy: PolicyFile = None,
    feeds: Feeds = None,
    data_dir: DataDir = DATA_DIR,
    http: Http = DEFAULT_HTTP,
    workers: Workers = 1,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    secure: Secure = False,
    json: Json = False,
) -> int:
    """Run broker, topics, worker and gateway in the foreground until Ctrl-C.

    The broker is its own unless --bootstrap-servers names another. A roads file that is raw is
    noded first. A part that dies is started again.
    """
    if secure and bootstrap_servers is not None:
        raise StackFailed(
            "--secure sets up a broker of its own, and --bootstrap-servers names another: "
            "leave one of them out"
        )
    options = StackOptions(
        data_dir=data_dir.absolute(),
        roads=roads,
        roster=roster,
        policy=policy,
        feeds=feeds,
        http=http,
        workers=workers,
        cluster=named_cluster(bootstrap_servers, kafka),
        secure=secure,
    )
    return asyncio.run(_run(options, json=json))


async def _run(options: StackOptions, *, json: bool) -> int:
    asked_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_end.set)

    def on_event(event: Event) -> None:
        if event["event"] == "progress":
            note(f"… {event['what']}")
        elif json and stack.is_ready:  # the first line says that it is ready
            say_json(event)
        else:
            note(f"{event['part']} was started again (process {event['pid']})")

    stack = Stack(options, on_event)
    running = asyncio.create_task(_run_until_failed(stack, json=json))
    asking = asyncio.create_task(asked_to_end.wait())
    await asyncio.wait([running, asking], return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        running.cancel()  # leaving the stack ends all parts, ready or not
    asking.cancel()
    try:
        await running
    except asyncio.CancelledError:
        note("ended")
    return 0


async def _run_until_failed(stack: Stack, *, json: bool) -> None:
    async with stack:
        if json:
            say_json(
                {
                    "event": "ready",
                    "bootstrap_servers": stack.bootstrap_servers,
                    "http": stack.http,
                    "pids": stack.pids,
                }
            )
        else:
            note(f"ready: Kafka on {stack.bootstrap_servers}, http://{stack.http}/; Ctrl-C ends it")
        raise await stack.wait_failed()


def status(*, data_dir: DataDir = DATA_DIR, kafka: Kafka = NOTHING_SAID, json: Json = False) -> int:
    """Show what runs on a data folder and how it is. Exit status 1 where nothing runs."""
    found = _status(data_dir, kafka)
    if json:
        say_json(found)
    else:
        for name, value in found.items():
            say(f"{name:18} {_told(value)}")
    return 0 if found["running"] else 1


def _status(data_dir: Path, kafka: Kafka) -> Event:
    record = read_record(data_dir)
    found: Event = {"running": record is not None}
    for name in ("bootstrap_servers", "http", "pids"):
        found[name] = None if record is None else record[name]
    found["broker"] = _how(Broker.status(data_dir / "broker"))
    if record is not None:
        found |= _condition(_access(data_dir, str(record["bootstrap_servers"]), kafka))
    return found


def _access(data_dir: Path, bootstrap_servers: str, kafka: Kafka) -> ClusterAccess:
    """Give the access to the cluster of a running stack: its own broker, or one that was named."""
    broker = Broker.attach(data_dir / "broker")
    if broker is not None and broker.bootstrap_servers == bootstrap_servers:
        return own_cluster(broker, kafka)
    return kafka.access(bootstrap_servers)


def _condition(cluster: ClusterAccess) -> Event:
    """Give who owns which areas, how far behind they are and what is open."""
    condition, why = asyncio.run(looked_at(cluster, load_topics()))
    if condition is None:
        return {"unknown": why}
    owned = {w.name: list(w.partitions) for w in condition.workers}
    return {
        "owned": owned,
        "unowned": list(condition.unowned),
        "lag": condition.lag,
        "open_incidents": condition.open_incidents,
        "by_state": condition.by_state,
    }


def _told(value: object) -> str:
    """Write a value for people."""
    match value:
        case None | [] | {}:
            return "-"
        case dict():
            return "; ".join(f"{name}: {_told(item)}" for name, item in value.items())
        case list():
            return ", ".join(map(_told, value))
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


def _how(broker: BrokerStatus) -> str:
    if broker.answering:
        return "answers"
    return "does not answer" if broker.running else "does not run"
