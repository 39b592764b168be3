"""`xiaohe forget` on a real broker: alerts in either form, told once to all who keep anything."""

import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from xiaohe.broker import Broker
from xiaohe.cluster import apply
from xiaohe.topics import load_topics

pytestmark = pytest.mark.kafka

CALLER = "caller-canary-4711"


def alert(alert_id: str, caller_id: str | None) -> dict[str, object]:
    """An alert of somebody."""
    return {
        "alert_id": alert_id, "source": "police-110", "category": "dispute", "occurred_at": "now",
        "address": "1 Invented Road", "caller_id": caller_id, "text": f"words of {caller_id}",
    }  # fmt: skip


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The program."""
    command = [sys.executable, "-m", "xiaohe", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


async def test_a_caller_is_forgotten_wherever_they_are_kept(broker: Broker, tmp_path: Path) -> None:
    """Plain and enveloped, corrected or not: one redaction an alert, and nobody else's."""
    servers = broker.bootstrap_servers
    topics = load_topics()
    await apply(servers, topics)
    envelope = {"specversion": "1.0", "id": "e", "source": "s", "type": "t"}
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        for area, value in (
            ("forget-a", alert("a1", CALLER)),
            ("forget-a", alert("a1", CALLER) | {"priority": 1}),
            ("forget-b", envelope | {"data": alert("b1", CALLER)}),
            ("forget-b", alert("b2", "somebody-else")),
            ("forget-b", alert("b3", None)),
        ):
            await producer.send_and_wait("alerts", orjson.dumps(value), key=area.encode())
        await producer.send_and_wait("alerts", b"\xff{", key=b"forget-b")
    done = run("forget", CALLER, "--by", "desk-7", "--bootstrap-servers", servers, "--json")
    assert done.returncode == 0, done.stderr
    *redactions, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert summary["alerts"] == 2
    assert [each["alert_id"] for each in redactions] == ["a1", "b1"]
    assert CALLER not in done.stdout + done.stderr
    async with AIOKafkaConsumer(bootstrap_servers=servers) as reader:
        place = TopicPartition("redactions", 0)
        reader.assign([place])
        await reader.seek_to_beginning(place)
        found = [record for records in (await reader.getmany(place, timeout_ms=5_000)).values()
                 for record in records]  # fmt: skip
    assert [record.key for record in found] == [b"forget-a:a1", b"forget-b:b1"]
    assert {orjson.loads(record.value)["by"] for record in found} == {"desk-7"}
    assert CALLER.encode() not in b"".join(record.value for record in found)


async def test_a_caller_who_is_not_known_is_nothing_to_forget(broker: Broker) -> None:
    """It is said, and exit status 0; no name at all is an unusable argument."""
    await apply(broker.bootstrap_servers, load_topics())
    servers = ("--bootstrap-servers", broker.bootstrap_servers)
    assert "nothing to forget" in run("forget", "nobody", *servers).stdout
    assert run("forget", "", *servers).returncode == 2
