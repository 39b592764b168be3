"""A soak on the real broker: cut short, it still gives its account."""

import asyncio
import os
import signal
from pathlib import Path

import orjson
import pytest

from xiaohe.broker import Broker
from xiaohe.soak.run import SoakOptions, soak
from xiaohe.soak.verdict import table

pytestmark = pytest.mark.kafka

LOADED_S = 10.0
"""How long the load is on before Ctrl-C: some alerts."""


async def test_a_soak_that_is_interrupted_gives_the_account_so_far(
    broker: Broker,  # left alone: it makes the test skip where no broker can be had
    tmp_path: Path,
) -> None:
    """Two workers, every area owned, every alert accounted for, every part looked at; a second
    Ctrl-C ends the settling; of memory nothing is said after so short a time."""
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def say(what: str) -> None:
        if what == "the load is on":
            loop.call_later(LOADED_S, interrupt)
        elif what.startswith("no more calls"):
            loop.call_later(1.0, interrupt)

    options = SoakOptions(
        folder=tmp_path,
        minutes=60.0,
        alerts_per_s=4.0,
        positions_per_s=100.0,
        members=160,
        say=say,
    )
    result = await asyncio.wait_for(soak(options), 150)
    assert result["verify"]["holds"], result["verify"]
    assert result["verify"]["alerts_in"] >= result["counts"]["sent to alerts"] > 0
    assert result["lag_s"]["n"] > 0
    assert result["counts"]["positions"] > 0
    assert (result["restarted"], result["unsent"], result["left_out"]) == ([], 0, 0)
    parts = {"worker-0", "worker-1", "broker", "gateway", "load"}
    assert result["memory"].keys() == result["use"].keys() == parts
    assert not result["memory_judged"]
    assert (tmp_path / "samples.jsonl").read_bytes().count(b"\n") >= 1
    assert orjson.loads(orjson.dumps(result)) == result
    assert "verify: alerts_in" in table(result)
