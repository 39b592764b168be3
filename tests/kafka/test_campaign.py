"""A slice of the campaign with every commit: the real workers and the real broker, killed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from xiaohe.broker import Broker
from xiaohe.campaign.faults import Round
from xiaohe.campaign.judging import keep_evidence
from xiaohe.campaign.slices import Plan, run_slice
from xiaohe.campaign.small_disk import can_mount
from xiaohe.output import say
from xiaohe.topics import Topics

pytestmark = pytest.mark.kafka

SEED = 20261125

SLICE: Round = {"worker_kill": 10, "broker_kill": 2, "zombie": 2, "rebalance": 4}

HANGS_S = 600
"""Far longer than a slice takes: a test that hangs ends."""


async def slice_of(one_round: Round, evidence: Path) -> dict[str, Any]:
    """Run one round of faults; what the ledger would say of it."""
    plan = Plan(SEED, faults=sum(one_round.values()), one_round=one_round)
    return await run_slice(plan, say, asyncio.Event(), evidence)


def nothing_is_wrong(line: dict[str, Any]) -> None:
    """What must hold whatever was killed."""
    wrong = ("lost", "duplicate", "contradictory", "stuck")
    assert {name: line[name] for name in wrong} == dict.fromkeys(wrong, 0), line["findings"]
    assert line["holds"], line
    assert line["alerts"] == line["verify"]["decided"] > 0


@pytest.mark.timeout(HANGS_S)
async def test_nothing_is_lost_or_told_twice_whatever_is_killed(broker: Broker, tmp_path: Path):
    """Ten workers and two brokers killed, two zombies, four rebalances: every alert that the
    broker took is decided once, and no two records about an order contradict each other."""
    line = await slice_of(SLICE, tmp_path)
    nothing_is_wrong(line)
    assert line["faults"] == SLICE
    say(f"recovery_s {line['recovery_s']}")


@pytest.mark.timeout(HANGS_S)
async def test_a_full_disk_loses_nothing(broker: Broker, tmp_path: Path):
    """The broker's disk fills up under load and is emptied: what was acknowledged is decided."""
    if not can_mount(tmp_path / "disk"):
        pytest.skip(
            "no small file system can be mounted here: run as root, or under `unshare -Urm`"
        )
    line = await slice_of({"disk_full": 1}, tmp_path)
    nothing_is_wrong(line)
    assert line["faults"] == {"disk_full": 1}


async def test_what_a_broken_slice_leaves_can_be_read(
    broker: Broker, topics: Topics, tmp_path: Path
):
    """The topics' records as lines, whether there are any or not."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        await producer.send_and_wait(topics.alerts.name, b'{"alert_id":"a"}', b"quarter", 0)
    await keep_evidence(broker.bootstrap_servers, topics, tmp_path)
    (line,) = (tmp_path / f"{topics.alerts.name}.jsonl").read_text().splitlines()
    assert '"value":{"alert_id":"a"}' in line
