"""``xiaohe demo``: a simulated brigade at work, on everything real."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from xiaohe.commands.clusters import named_cluster
from xiaohe.commands.options import NOTHING_SAID, Json, Kafka, Servers, Speed, positive
from xiaohe.demo import SECONDS, DemoOptions, run_demo
from xiaohe.sim.calls import RATE_PER_H

Seconds = Annotated[
    float,
    Parameter(name="--seconds", help="Wall time after which it ends.", validator=positive),
]
Rate = Annotated[
    float,
    Parameter(name="--rate", help="Alerts in an hour of the brigade.", validator=positive),
]
Http = Annotated[str, Parameter(name="--http", help="Where the gateway listens, HOST:PORT.")]
Folder = Annotated[
    Path | None, Parameter(name="--data-dir", help="Keep broker and logs in this folder.")
]


def demo(
    *,
    seconds: Seconds = SECONDS,
    speed: Speed = 1.0,
    rate: Rate = RATE_PER_H,
    seed: int = 1,
    data_dir: Folder = None,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    http: Http = "127.0.0.1:0",
    stand_in: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Run 50 simulated members, alerts at a stated, exaggerated rate, and a live view.

    Ctrl-C ends it with the summary so far; exit status 1 where an alert was lost.

    Parameters
    ----------
    seed
        The same seed makes the same brigade and the same calls.
    stand_in
        Run on the embedded stand-in though there may be a Kafka.
    """
    options = DemoOptions(
        seconds=seconds,
        speed=speed,
        rate=rate,
        seed=seed,
        data_dir=data_dir,
        cluster=named_cluster(bootstrap_servers, kafka),
        json=json,
        http=http,
        stand_in=stand_in,
    )
    return asyncio.run(run_demo(options))
