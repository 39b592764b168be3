"""A worker that is there before its broker."""

import asyncio
from pathlib import Path

import pytest

from tests.conftest import start_broker
from xiaohe.broker import Broker
from xiaohe.streams import kafka_log
from xiaohe.wire.reaching import Unreachable

pytestmark = pytest.mark.kafka


async def test_what_begins_before_the_broker_waits_for_it(
    broker: Broker, free_port: int, tmp_path: Path
):
    """Where all is started at once, nobody leaves because the broker takes longest."""
    waiting = asyncio.create_task(kafka_log.broker_there(f"127.0.0.1:{free_port}"))
    starting = asyncio.to_thread(start_broker, tmp_path, port=free_port)
    with await starting:
        await asyncio.wait_for(waiting, kafka_log.BROKER_WAIT_S)


async def test_a_broker_that_does_not_come_is_not_waited_for_for_ever(
    free_port: int, monkeypatch: pytest.MonkeyPatch
):
    """The worker then leaves, and whoever started it hears why."""
    monkeypatch.setattr(kafka_log, "BROKER_WAIT_S", 0.5)
    with pytest.raises(Unreachable, match="--bootstrap-servers"):
        await kafka_log.broker_there(f"127.0.0.1:{free_port}")
