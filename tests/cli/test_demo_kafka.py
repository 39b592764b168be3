"""The demo on the real broker: up, a brigade, down, and everything accounted for."""

import asyncio
import sys
import time
from pathlib import Path

import orjson
import pytest

from xiaohe.broker import Broker
from xiaohe.demo import DemoOptions, run_demo
from xiaohe.live_view import JsonView

FIRST_ORDER_S_MAX = 30.0
"""From a warm machine a demo shows its first order within this."""


@pytest.mark.kafka
async def test_a_demo_on_kafka_ends_even_and_gives_its_first_order_in_time(
    broker: Broker,  # left alone: it makes the test skip where no broker can be had
    tmp_path: Path,
):
    """Broker, worker and gateway of its own: lost 0, exit 0, the first order within 30 s."""
    assert broker.alive
    lines = []
    view = JsonView(lambda line: lines.append(orjson.loads(line)))
    options = DemoOptions(seconds=6.0, speed=20.0, data_dir=tmp_path / "demo")
    began_s = time.monotonic()
    status = await asyncio.wait_for(run_demo(options, view), 90)
    last = lines[-1]
    assert (status, last["lost"], last["stand_in"]) == (0, 0, False), last
    assert last["orders"] > 0
    assert last["alerts"] == last["decided"] + last["alerts_dead_lettered"]
    assert 0 < last["first_order_s"] < min(FIRST_ORDER_S_MAX, time.monotonic() - began_s)
    ready = next(line for line in lines if line.get("event") == "ready")
    assert sys.platform != "linux" or ready["pids"]["broker"]
