"""``xiaohe up``: what it promises about its parts, from the first line to the last."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from tests.kafka.outside import Program
from xiaohe.broker import Broker

pytestmark = pytest.mark.kafka

GONE_S = 20.0
OWNED_S = 60.0
"""How long all areas may take to be owned again after the broker was killed, on a busy machine."""


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the program to its end."""
    line = [sys.executable, "-m", "xiaohe", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def processes_of(ready: dict[str, object]) -> list[psutil.Process]:
    """Give the parts' processes."""
    pids = ready["pids"]
    assert isinstance(pids, dict)
    return [psutil.Process(pid) for pid in (pids["broker"], *pids["worker"], pids["gateway"])]


def all_gone(parts: list[psutil.Process]) -> bool:
    """Wait until none of them runs; one that only waits to be reaped has ended."""
    _, left = psutil.wait_procs(parts, timeout=GONE_S)
    return all(part.status() == psutil.STATUS_ZOMBIE for part in left)


def status_when_owned(data_dir: Path, partitions: range) -> dict[str, Any]:
    """Give what ``xiaohe status`` shows once all areas are owned again."""
    deadline_s = time.monotonic() + OWNED_S
    while True:
        shown = program("status", "--data-dir", data_dir, "--json")
        assert shown.returncode == 0, shown.stderr
        found: dict[str, Any] = json.loads(shown.stdout)
        owned = [p for given in found.get("owned", {}).values() for p in given]
        if sorted(owned) == list(partitions) and not found["unowned"]:
            return found
        assert time.monotonic() < deadline_s, found


def test_parts_are_kept_up_and_end_with_the_program(broker: Broker, tmp_path: Path) -> None:
    """A killed worker and a killed broker are started again at the same address; a second start
    on the folder is refused; the status tells who owns what; SIGTERM ends every part."""
    up = Program("--data-dir", tmp_path, "--http", "127.0.0.1:0")
    try:
        ready = up.ready
        servers = ready["bootstrap_servers"]
        with urlopen(f"http://{ready['http']}/readyz") as answer:
            assert answer.status == 200

        again = program("up", "--data-dir", tmp_path, "--http", "127.0.0.1:0")
        assert again.returncode == 1
        assert "already runs" in again.stderr

        os.kill(ready["pids"]["worker"][0], signal.SIGKILL)
        up.restarted("worker")
        os.kill(ready["pids"]["broker"], signal.SIGKILL)
        new_broker = up.restarted("broker")
        assert Broker.status(tmp_path / "broker").bootstrap_servers == servers

        shown = status_when_owned(tmp_path, range(16))
        assert shown["pids"]["broker"] == new_broker
        assert shown["open_incidents"] == 0
        assert set(shown["lag"].values()) == {0}
        parts = psutil.Process(up.process.pid).children(recursive=True)
    finally:
        status = up.end()
    assert status == 0
    assert all_gone(parts)
    assert program("status", "--data-dir", tmp_path).returncode == 1


def test_no_part_outlives_a_program_that_is_killed(broker: Broker, tmp_path: Path) -> None:
    """SIGKILL of `xiaohe up` takes broker, worker and gateway with it."""
    up = Program("--data-dir", tmp_path, "--http", "127.0.0.1:0")
    try:
        parts = processes_of(up.ready)
        up.process.kill()
        up.process.wait()
        assert all_gone(parts)
    finally:
        up.end()
