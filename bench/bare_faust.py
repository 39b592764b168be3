"""A bare Faust pass-through: what any Faust app costs before it decides anything.

One agent on the same input topics as the product's; alerts go out again as they came in, anything
else is dropped. Run as a process: ``python -m xiaohe.bench.bare_faust SERVERS PREFIX FOLDER``.
"""

import asyncio
import sys
from pathlib import Path

import faust
import uvloop

from xiaohe.bench.load import MARKER
from xiaohe.topics import Topics, load_topics


def build(bootstrap_servers: str, topics: Topics, folder: Path) -> faust.App:
    """Make the app, with the settings of the product's where they cost or save time."""
    app = faust.App(
        f"{topics.alerts.name}-bare-faust",
        broker=f"kafka://{bootstrap_servers}",
        datadir=folder,
        autodiscover=False,
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        producer_linger=0,
    )
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw"}
    names = (topics.alerts.name, topics.positions.name, topics.member_actions.name)
    inputs = app.topic(*names, **raw, value_serializer="raw")
    out = app.topic(topics.dispatches.name, **raw, value_serializer="raw")

    async def pass_through(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            message = event.message
            if message.topic == topics.alerts.name or MARKER in (message.headers or ()):
                await out.send(key=event.message.key, value=event.message.value)

    app.agent(inputs, name="pass_through")(pass_through)
    return app


async def run(app: faust.App) -> None:
    """Work until the process is ended."""
    await app.start()
    await app.wait_until_stopped()


if __name__ == "__main__":
    servers, prefix, where = sys.argv[1:]
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(run(build(servers, load_topics(prefix=prefix), Path(where))))
