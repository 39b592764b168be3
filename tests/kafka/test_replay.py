"""``xiaohe replay`` on the running product: what a real worker decided is decided again, equal."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kafka.city import City
from tests.kafka.outside import READY_S, Client, Program
from xiaohe.broker import Broker

pytestmark = pytest.mark.kafka


def replay(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    line = [sys.executable, "-m", "xiaohe", "replay", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=240, check=False)


async def a_short_run(client: Client, city: City, number: int) -> None:
    """Two members move and answer; one declines, the other comes and completes."""
    area, chance = client.name("area"), random.Random(number)
    scene, spots = city.around(chance, [20, 60])
    members = [await client.member(area, name="Invented") for _ in spots]
    for member_id, spot in zip(members, spots, strict=True):
        await client.fix(area, member_id=member_id, lon=spot.lon, lat=spot.lat)
    await client.first("members", READY_S, member_id=members[0])  # a worker may be starting
    await client.placed(members)
    alert_id = await client.alert(area, position={"lon": scene.lon, "lat": scene.lat})
    first = await client.order(alert_id)
    await client.answer(first, "decline", reason="unwell")
    await client.until(lambda: len(client.orders(alert_id)) == 2, "a second order")
    second = client.orders(alert_id)[1]
    await client.fix(area, member_id=second["member_id"], lon=scene.lon, lat=scene.lat)
    await client.answer(second, "complete")
    await client.ended(second)


async def windows_pass(client: Client, city: City) -> None:
    """Somebody is asked and says nothing: deadlines are decided, too."""
    scene, [spot] = city.around(random.Random(3), [40])
    await client.member("quick", name="Invented", post={"lon": spot.lon, "lat": spot.lat})
    alert_id = await client.alert("quick", position={"lon": scene.lon, "lat": scene.lat})
    order = await client.order(alert_id)
    await client.event(order["incident_id"], "arrival.overdue")


async def test_a_real_run_is_replayed(
    broker: Broker, own_city: City, policy_file: Path, tmp_path: Path
) -> None:
    """Over a worker's kill -9: every decision equal, from Kafka and from the recording made of it,
    with the same hash; with other rules nothing can be compared, and that is no difference."""
    up = Program("--data-dir", tmp_path / "up", "--http", "127.0.0.1:0", "--policy", policy_file)
    try:
        servers = str(up.ready["bootstrap_servers"])
        async with Client(servers) as client:
            await a_short_run(client, own_city, 1)
            os.kill(up.ready["pids"]["worker"][0], signal.SIGKILL)
            up.restarted("worker")
            await a_short_run(client, own_city, 2)
            await windows_pass(client, own_city)
        kept = tmp_path / "kept"
        live = replay("--bootstrap-servers", servers, "--policy", policy_file,
                      "--record", kept, "--json")  # fmt: skip
        assert live.returncode == 0, live.stdout + live.stderr
        line = json.loads(live.stdout)
        assert line["equal"] == line["decisions"] >= 10, line
        assert line["take_overs"] >= 2
    finally:
        up.end()

    again = replay(kept, "--policy", policy_file, "--json")
    assert (again.returncode, again.stdout) == (0, live.stdout)
    other = json.loads(replay(kept, "--json").stdout)
    assert other["hash"] == line["hash"]
    assert (other["equal"], other["reasons"]) == (0, {"other_policy": line["decisions"]})
