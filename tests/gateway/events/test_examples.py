"""docs/subscribers.md and its worked examples, run as a subscriber would run them."""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.door_bench import parts_for
from tests.gateway.events.published import Engine
from xiaohe.broker import Broker
from xiaohe.gateway.doors import doors_of
from xiaohe.gateway.events.settings import WebhookSettings
from xiaohe.topics import Topics

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs" / "examples"
PAGE = (ROOT / "docs" / "subscribers.md").read_text()
WAIT_S = 30.0

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="the example needs node")


class Run:
    """An example that runs, and the lines that it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> dict[str, Any]:
        """Wait for the next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            line = await self.process.stdout.readline()
        assert line, "it ended"
        return dict(json.loads(line))


@asynccontextmanager
async def example(*command: str, **environment: str) -> AsyncIterator[Run]:
    """Run an example; end it."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **environment}
    )
    try:
        yield Run(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.kafka
async def test_the_subscriber_in_python_acts_on_each_event_once(
    broker: Broker, topics: Topics
) -> None:
    """Not on a record that was written twice, nor on one of a worker that has been replaced."""
    servers = broker.bootstrap_servers
    name = topics.incident_events.name
    async with Engine(servers, topics) as engine:
        first = await engine.event("inc-1", "incident.opened")
        value = {"incident_id": "inc-1", "area_id": "town", "type": "incident.updated", "seq": 2}
        for epoch, event_id in ((2, "inc-1:2"), (2, "inc-1:2"), (1, "inc-1:3")):
            said = {**value, "event_id": event_id, "epoch": epoch}
            await engine.write("incident_events", "town", said, event_id, "incident.updated")
        last = {**value, "event_id": "inc-1:4", "epoch": 2}
        await engine.write("incident_events", "town", last, "inc-1:4", "incident.updated")
    command = (
        sys.executable, str(EXAMPLES / "subscriber.py"), "--bootstrap-servers", servers,
        "--group", f"{name}-example", "--topic", name, "--most", "3",
    )  # fmt: skip
    async with example(*command) as run:
        assert [(await run.line())["event_id"] for _ in range(3)] == [first, "inc-1:2", "inc-1:4"]


@needs_node
@pytest.mark.kafka
async def test_the_receiver_in_javascript_checks_and_acts_once(url: str, engine: Engine) -> None:
    """It takes what is signed, once however often it comes, and refuses what is not."""
    head = {"authorization": "Bearer desk"}
    async with httpx.AsyncClient(base_url=url, headers=head, timeout=WAIT_S) as client:
        node, script = "node", str(EXAMPLES / "receiver.mjs")
        # The port has to be known before the secret is: a first run finds a free one.
        async with example(node, script, "0", WEBHOOK_SECRET="whsec_") as probe:
            port = (await probe.line())["listening"]
        said = {"url": f"http://127.0.0.1:{port}/", "area_ids": ["town"]}
        hook = (await client.post("/v1/webhooks", json=said)).json()
        path = f"/v1/webhooks/{hook['hook_id']}"
        async with example(node, script, str(port), WEBHOOK_SECRET=hook["secret"]) as run:
            assert (await run.line())["listening"] == port
            first = await engine.event("inc-1", "incident.opened")
            event = await run.line()
            assert (event["id"], event["type"]) == (first, "xiaohe.incident.opened.v1")
            again = {"area_id": "town", "position": "i0.d0.a0.m0"}
            assert (await client.post(f"{path}/replay", json=again)).status_code == 202
            second = await engine.event("inc-1")
            ids = [(await run.line())["id"]]
            while ids[-1] != second:
                ids.append((await run.line())["id"])
            assert first not in ids
            forged = await client.post(
                said["url"], json={}, headers={"webhook-id": "x", "webhook-timestamp": "1"}
            )
            assert forged.status_code == 401
        await client.delete(path)


@needs_node
@pytest.mark.kafka
async def test_the_stream_in_javascript_goes_on_where_it_was(url: str, engine: Engine) -> None:
    """A second run, with the last id of the first, gets what came meanwhile."""
    command = ("node", str(EXAMPLES / "stream.mjs"), url, "town")
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/healthz")).status_code == 200
    first = await engine.event("inc-s")
    async with example(*command, "i0.d0.a0.m0", TOKEN="desk") as run:
        said = await run.line()
        while said["event"]["id"] != first:
            said = await run.line()
    second = await engine.event("inc-s")
    async with example(*command, said["id"], TOKEN="desk") as run:
        assert (await run.line())["event"]["id"] == second


def test_the_page_names_every_door_of_events() -> None:
    """Path and method of each."""
    for door in doors_of(parts_for()):
        if door.room == "events":
            assert f"`{door.method} {door.path}`" in PAGE, door.path


def test_the_page_says_the_settings_as_they_are() -> None:
    """Each value of a webhook's delivery, with its default."""
    settings = WebhookSettings()
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if isinstance(value, float):
            assert re.search(rf"`{name}` {value:g}\b", PAGE), name
        else:
            assert f"`{name}`" in PAGE, name


def test_the_page_shows_the_examples_that_are_run() -> None:
    """Each file is named, and none that is not there."""
    named = set(re.findall(r"examples/([\w.]+)", PAGE))
    assert named == {path.name for path in EXAMPLES.iterdir() if path.is_file()}
