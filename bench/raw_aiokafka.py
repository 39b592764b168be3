"""A raw pass-through: what Kafka and its Python client cost, without any framework.

Run as a process: ``python -m xiaohe.bench.raw_aiokafka SERVERS PREFIX FOLDER``.
"""

import asyncio
import sys

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from xiaohe.bench.load import MARKER
from xiaohe.topics import Topics, load_topics
from xiaohe.wire.cluster_access import Cluster, client_options


async def run(cluster: Cluster, topics: Topics) -> None:
    """Send alerts on as they come, drop everything else, until the process is ended."""
    names = (topics.alerts.name, topics.positions.name, topics.member_actions.name)
    consumer = AIOKafkaConsumer(
        *names,
        **client_options(cluster),
        group_id=f"{topics.alerts.name}-raw-aiokafka",
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(**client_options(cluster), acks="all")
    async with consumer, producer:
        while True:
            fetched = await consumer.getmany(timeout_ms=1_000)
            for where, records in fetched.items():
                is_alert = where.topic == topics.alerts.name
                for record in records:
                    if is_alert or MARKER in record.headers:
                        await producer.send(
                            topics.dispatches.name, key=record.key, value=record.value
                        )


if __name__ == "__main__":
    servers, prefix, _ = sys.argv[1:]
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(run(servers, load_topics(prefix=prefix)))
