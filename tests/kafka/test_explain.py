"""``xiaohe explain`` on the running product: found by any id, and the same when worked out anew."""

import json
import random
import subprocess
import sys

import pytest

from tests.kafka.city import City
from tests.kafka.outside import Client, Value

pytestmark = pytest.mark.kafka


def explain(servers: str, wanted_id: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    line = [sys.executable, "-m", "xiaohe", "explain", wanted_id, "--bootstrap-servers", servers]
    return subprocess.run([*line, *more], capture_output=True, text=True, timeout=60, check=False)


async def declined(client: Client, city: City) -> tuple[Value, Value]:
    """Two orders of one incident: who was asked first declines."""
    area = client.name("area")
    scene, (near, far) = city.around(random.Random("explain"), [20, 60])
    for spot in (near, far):
        await client.member(area, name="某某", post={"lon": spot.lon, "lat": spot.lat})
    alert_id = await client.alert(area, position={"lon": scene.lon, "lat": scene.lat})
    first = await client.order(alert_id)
    await client.answer(first, "decline", reason="unwell")
    await client.until(lambda: len(client.orders(alert_id)) == 2, "a second order")
    second = client.orders(alert_id)[1]
    await client.event(first["incident_id"], "member.declined")
    await client.answer(second, "complete")
    await client.ended(second)
    return first, second


async def test_an_order_is_explained_by_any_of_its_ids(
    client: Client, servers: str, own_city: City
) -> None:
    """By dispatch_id the one order, by incident_id and alert_id all of the incident; what is told
    is what was published, with the members' names; an id that nobody has is status 1."""
    first, second = await declined(client, own_city)

    one = explain(servers, second["dispatch_id"], "--json")
    assert one.returncode == 0, one.stderr
    [line] = map(json.loads, one.stdout.splitlines())
    given = second.keys() - {"why", "state", "epoch", "origin"}
    assert {name: line[name] for name in given} == {name: second[name] for name in given}
    assert [c["excluded"] for c in line["why"]["candidates"]] == [
        c["excluded"] for c in second["why"]["candidates"]
    ]
    assert (line["state"], line["end"]) == ("ended", "completed")
    assert line["recheck"]["state"] in {"same", "skipped"}, line["recheck"]

    for wanted_id in (first["incident_id"], first["alert_id"]):
        both = explain(servers, wanted_id, "--json")
        ids = [json.loads(line)["dispatch_id"] for line in both.stdout.splitlines()]
        assert ids == [first["dispatch_id"], second["dispatch_id"]]

    told = explain(servers, first["incident_id"])
    assert told.returncode == 0, told.stderr
    for words in ("某某", "某某 declines: unwell", "the order ended after", "it is resolved"):
        assert words in told.stdout
    assert "\x1b" not in told.stdout

    unknown = explain(servers, client.name("nobody"))
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "dispatch_id, an incident_id or an alert_id" in unknown.stderr
