"""The demo on the embedded stand-in: a real engine, a real clock, a few seconds."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from xiaohe import demo
from xiaohe.demo import DemoOptions, run_demo
from xiaohe.live_view import JsonView
from xiaohe.sim.bus import Heard
from xiaohe.stand_in import StandIn

CONTRACT = {
    "alerts", "incidents", "orders", "dead_letters", "lost", "within", "alert_to_order_ms",
}  # fmt: skip

SPEED = 40.0
"""Four seconds are 160 simulated ones: the whole story, for its length follows the run's."""


class Watched(JsonView):
    """Collects the lines, and may do something at one of them."""

    def __init__(self, at: Callable[[Mapping[str, Any]], None] = lambda _: None) -> None:
        self.lines: list[dict[str, Any]] = []
        self._at = at
        super().__init__(self._collect)

    def _collect(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        self.lines.append(orjson.loads(line))
        self._at(self.lines[-1])


async def test_a_demo_on_the_stand_in_ends_even_and_with_the_keys_of_the_contract():
    """Nothing lost, exit 0, orders given, each bad record one dead letter; the last line tells."""
    view = Watched()
    status = await run_demo(DemoOptions(seconds=4.0, speed=SPEED, stand_in=True), view)
    last = view.lines[-1]
    assert (status, last["lost"]) == (0, 0)
    assert last.keys() >= CONTRACT
    assert last["within"].keys() == {"accept", "arrive", "backup"}
    assert {"p50", "p99"} <= last["alert_to_order_ms"].keys()
    assert last["orders"] > 0
    assert 0 < last["alert_to_order_ms"]["p50"] <= last["alert_to_order_ms"]["p99"]
    assert last["alerts"] == last["decided"] + last["alerts_dead_lettered"]
    assert (last["alerts_dead_lettered"], last["repeats"]) == (6, 1)
    assert last["alarms"] >= 1  # the device repeats its alarm until somebody comes
    assert (last["dead_letter_reasons"]["unknown_area"], last["unsent"]) == (1, 0)


async def test_the_stand_in_says_what_it_cannot_promise_before_anything_else():
    """The first line is the warning; ready follows, with the stated rate."""
    view = Watched()
    await run_demo(DemoOptions(seconds=0.5, speed=SPEED, stand_in=True), view)
    assert view.lines[0]["event"] == "warning"
    assert "nothing is kept" in view.lines[0]["what"]
    ready = next(line for line in view.lines if line["event"] == "ready")
    assert (ready["stand_in"], ready["members"], ready["rate_per_h"]) == (True, 50, 20.0)


async def test_without_java_the_demo_runs_on_the_stand_in_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """No Java and no Maven on the path: a banner with the remedy, and a run that comes out even."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    view = Watched()
    assert await run_demo(DemoOptions(seconds=1.0, speed=SPEED), view) == 0
    banner = next(line["what"] for line in view.lines if line.get("event") == "warning")
    assert "Java" in banner
    assert "--bootstrap-servers" in banner
    assert view.lines[-1]["stand_in"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
async def test_a_signal_ends_the_demo_with_the_summary_so_far(number: signal.Signals):
    """At the first order the signal comes: exit 0, and the last line is the account."""

    def at(line: Mapping[str, Any]) -> None:
        if line.get("type") == "member.dispatched":
            os.kill(os.getpid(), number)

    view = Watched(at)
    options = DemoOptions(seconds=None, speed=SPEED, stand_in=True)
    status = await asyncio.wait_for(run_demo(options, view), 30)
    assert status == 0
    assert view.lines[-1]["orders"] >= 1
    assert view.lines[-1]["lost"] == 0


async def test_a_signal_while_it_starts_ends_the_demo_at_once():
    """Whoever thinks better of it need not wait: exit 0 and no summary."""

    def at(line: Mapping[str, Any]) -> None:
        if line.get("event") == "progress":
            os.kill(os.getpid(), signal.SIGINT)

    view = Watched(at)
    assert await run_demo(DemoOptions(seconds=None, stand_in=True), view) == 0
    assert all("lost" not in line for line in view.lines)


async def test_an_alert_that_nobody_answers_for_makes_the_demo_fail(
    monkeypatch: pytest.MonkeyPatch,
):
    """The account is drawn from what is heard: a dead letter that never comes is a loss, exit 1."""

    class HardOfHearing(StandIn):
        def listen(self, on_record: Callable[[Heard], None]) -> None:
            def hear(heard: Heard) -> None:
                if b"not_finite" not in (heard.value or b""):
                    on_record(heard)

            super().listen(hear)

    monkeypatch.setattr(demo, "StandIn", HardOfHearing)
    monkeypatch.setattr(demo, "SETTLE_S", (0.2, 0.5))
    view = Watched()
    status = await run_demo(DemoOptions(seconds=3.0, speed=SPEED, stand_in=True), view)
    assert status == 1
    assert view.lines[-1]["lost"] == 1
    ((topic, _, _),) = view.lines[-1]["lost_at"]
    assert topic == "alerts"
