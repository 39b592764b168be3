"""Steps fall due in time by the real clock, and a killed worker is late by its recovery at most.

The windows are shortened by policy for the areas `quick` and `quick-killed`.
"""

import os
import random
import signal
import time

import pytest

from tests.kafka.city import City
from tests.kafka.outside import Client, Got, Program, seconds
from tests.kafka.test_outside_client import at
from xiaohe.topics import load_topics
from xiaohe.verify import verify

pytestmark = pytest.mark.kafka

ACCEPT_S, ARRIVE_S, BACKUP_S, OFFER_S = 2.0, 3.0, 4.0, 0.6
"""As the policy of the tests has them."""

LATE_S_MAX = 5.0
"""How late a step may be, from its deadline until the record of it is here, on a machine with other
things to do. How late it is on a quiet one, `xiaohe bench stream` measures."""

RECOVERED_S_MAX = 15.0
"""A worker that was killed is at work again by then, on a machine with other things to do."""


def lateness_s(got: Got) -> float:
    """From the deadline until the event was here, which is after it was appended."""
    return got.here_s - seconds(got.value["data"]["due_at"])


async def test_every_step_falls_due_in_time(client: Client, own_city: City):
    """Nobody answers: asking on, acceptance, arrival and the ladder come at their deadlines."""
    scene, spots = own_city.around(random.Random(11), [20, 40, 60, 90])
    for spot in spots:
        await client.member("quick", post=at(spot), unit="1/1")
    alert_id = await client.alert("quick", position=at(scene))
    opened = await client.opened(alert_id)
    incident_id = opened["incident_id"]
    first = await client.order(alert_id)
    received_s = seconds(opened["data"]["received_at"])

    overdue = [
        await client.event(incident_id, kind)
        for kind in ("acceptance.overdue", "arrival.overdue", "backup.overdue")
    ]

    for got, window_s in zip(overdue, (ACCEPT_S, ARRIVE_S, BACKUP_S), strict=True):
        assert abs(seconds(got.value["data"]["due_at"]) - received_s - window_s) < 0.002
        assert 0 <= got.value["data"]["late_s"] <= LATE_S_MAX
        assert got.value["cause"].keys() == {"deadline"}
        assert 0 <= lateness_s(got) <= LATE_S_MAX
    asked = client.of("dispatches", alert_id=alert_id, state="ordered", role="primary")
    second_s = asked[1].here_s - seconds(first["ordered_at"])
    assert OFFER_S <= second_s <= OFFER_S + LATE_S_MAX
    lapsed = await client.event(incident_id, "member.lapsed")
    assert seconds(lapsed.value["data"]["due_at"]) == pytest.approx(received_s + ACCEPT_S)
    assert lateness_s(lapsed) <= LATE_S_MAX
    rungs = [
        got.value["data"]["rung"]
        for got in client.of("incident-events", incident_id=incident_id, type="command.notified")
    ]
    assert len(rungs) == len(set(rungs))
    await client.operate("quick", "cancel", incident_id=incident_id)
    await client.event(incident_id, "incident.cancelled")


async def test_a_killed_worker_is_late_by_its_recovery_at_most(
    client: Client, product: Program, own_city: City
):
    """kill -9 while deadlines run: the next worker writes them, late by the time it took to come
    back, and nothing is lost or done twice."""
    area = "quick-killed"
    scene, spots = own_city.around(random.Random(12), [20, 40, 60, 90])
    for spot in spots:
        await client.member(area, post=at(spot))
    alert_ids = [await client.alert(area, position=at(scene), category=f"c{n}") for n in range(3)]
    opened = [await client.opened(alert_id) for alert_id in alert_ids]
    os.kill(product.ready["pids"]["worker"][0], signal.SIGKILL)
    killed_s = time.time()
    probe_id = await client.alert(area, position=at(spots[-1]), category="probe")

    probe = await client.opened(probe_id)
    [probed] = [
        got
        for got in client.of("incident-events", incident_id=probe["incident_id"])
        if got.value["seq"] == 1
    ]
    recovered_s = probed.here_s
    assert recovered_s - killed_s <= RECOVERED_S_MAX
    epochs = {event["epoch"] for event in opened}
    assert probe["epoch"] > max(epochs)

    for event in opened:
        for kind in ("acceptance.overdue", "arrival.overdue"):
            got = await client.event(event["incident_id"], kind)
            due_s = seconds(got.value["data"]["due_at"])
            assert got.here_s <= max(due_s, recovered_s) + LATE_S_MAX
            told = client.of("incident-events", incident_id=event["incident_id"], type=kind)
            assert len(told) == 1
    assert product.restarted("worker") != product.ready["pids"]["worker"][0]
    for event in (*opened, probe):
        await client.operate(area, "cancel", incident_id=event["incident_id"])
        await client.event(event["incident_id"], "incident.cancelled")
    account = await verify(client.bootstrap_servers, load_topics())
    assert account.findings == {}
    assert account.alerts_in == account.decided + account.dead_lettered
