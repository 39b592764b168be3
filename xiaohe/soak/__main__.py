"""``python -m xiaohe.soak``, also ``make soak``: an hour's load on everything real."""

import asyncio
import logging
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import orjson
from cyclopts import App, Parameter

from xiaohe.commands.options import Json, positive
from xiaohe.kernel_cache import keep_kernels
from xiaohe.output import note, say, say_json
from xiaohe.soak.run import SETTLE_S, SoakOptions, soak
from xiaohe.soak.verdict import table
from xiaohe.whole_file import check_writable

Positive = Annotated[float, Parameter(validator=positive)]
Count = Annotated[int, Parameter(validator=positive)]

app = App(name="soak", result_action="return_value")


@app.default
def main(
    *,
    minutes: Positive = 60.0,
    alerts_per_s: Positive = 1.0,
    positions_per_s: Positive = 500.0,
    members: Count = 1000,
    workers: Count = 2,
    settle_s: Positive = SETTLE_S,
    seed: int = 1,
    folder: Path | None = None,
    record: Path | None = None,
    json: Json = False,
) -> int:
    """Keep broker and workers under a steady load, and say whether memory grows, how long
    decisions take, and whether the account holds. Exit status 1 where anything does not.

    Ctrl-C ends it early, with the account so far.

    Parameters
    ----------
    members
        Invented members in all: enough that somebody is free for every alert.
    settle_s
        After the last call the members go on for so long before the account is taken.
    folder
        Where broker, logs and samples are kept; else a folder that is removed in the end.
    record
        A file to which the result is added, as one JSON line.
    """
    if record is not None:  # found out now, not after an hour
        record.parent.mkdir(parents=True, exist_ok=True)
        check_writable(record)
    with tempfile.TemporaryDirectory(prefix="xiaohe-soak-") as name:
        options = SoakOptions(
            folder=folder or Path(name),
            minutes=minutes,
            alerts_per_s=alerts_per_s,
            positions_per_s=positions_per_s,
            members=members,
            workers=workers,
            seed=seed,
            settle_s=settle_s,
            say=lambda what: note(f"… {what}"),
        )
        result = asyncio.run(soak(options))
    if record is not None:
        with record.open("ab") as file:
            file.write(orjson.dumps(result) + b"\n")
    if json:
        say_json(result)
    else:
        say(table(result))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    # Kafka's client logs what it tries again by itself; what fails for good is an exception.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    keep_kernels()
    sys.exit(app(sys.argv[1:]))
