"""``xiaohe bench``: figures with their ratios, each beside its peers in the same run."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from xiaohe.bench.stream import StreamBenchOptions, bench_stream, table
from xiaohe.commands.options import Json, positive
from xiaohe.output import note, say, say_json

Positive = Annotated[float, Parameter(validator=positive)]


def stream_(
    *,
    seconds: Positive = 75.0,
    alerts_per_s: Positive = 50.0,
    positions_per_s: Positive = 1000.0,
    members: int = 1000,
    json: Json = False,
) -> int:
    """Measure alert to order, and positions into the live index, on the one-machine Kafka.

    Beside it, under the same load in the same run: a bare Faust app that passes records through,
    and plain aiokafka.

    Parameters
    ----------
    seconds
        About how long the whole may take, starting included.
    members
        Members of the measured area: enough that somebody is always free.
    """
    options = StreamBenchOptions(
        seconds=seconds,
        alerts_per_s=alerts_per_s,
        positions_per_s=positions_per_s,
        members=members,
        on_progress=lambda what: note(f"… {what}"),
    )
    result = asyncio.run(bench_stream(options))
    if json:
        say_json(result)
    else:
        say(table(result))
    return 0
