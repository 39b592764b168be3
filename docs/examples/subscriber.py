"""A subscriber of Kafka: every incident event once, in order, also after a restart.

    python subscriber.py --bootstrap-servers localhost:9092 --group my-screens

Prints one JSON object an event. Needs aiokafka and nothing of Xiaohe. What has been seen is kept in
memory here; a subscriber that must not see anything twice after a crash keeps it, and the offsets,
in one transaction of its own database instead.
"""

import argparse
import asyncio
import json
from collections import OrderedDict

from aiokafka import AIOKafkaConsumer

REMEMBERED = 100_000
"""Ids of records that are remembered: a record comes twice within seconds, never after hours."""


class Once:
    """Lets every event through once, and none of a worker that has been replaced."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._epochs: dict[str, int] = {}

    def is_new(self, headers: dict[str, str], value: dict) -> bool:
        """Tell whether an event is to be acted upon."""
        identity = (headers["ce_source"], headers["ce_id"])
        if identity in self._seen:
            return False
        area_id, epoch = value["area_id"], value.get("epoch", 0)
        if epoch < self._epochs.get(area_id, 0):
            return False
        self._epochs[area_id] = epoch
        self._seen[identity] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True


async def subscribe(bootstrap_servers: str, group: str, topic: str, most: int | None) -> None:
    """Read from where the group left off; commit after an event was acted upon, never before."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    once, count = Once(), 0
    await consumer.start()
    try:
        async for record in consumer:
            headers = {name: value.decode() for name, value in record.headers}
            value = json.loads(record.value)
            if once.is_new(headers, value):
                print(json.dumps(value, ensure_ascii=False), flush=True)
                count += 1
            await consumer.commit()
            if most is not None and count >= most:
                return
    finally:
        await consumer.stop()


def main() -> None:
    """Take the arguments and subscribe."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--topic", default="incident-events")
    parser.add_argument("--most", type=int, help="end after so many events")
    said = parser.parse_args()
    asyncio.run(subscribe(said.bootstrap_servers, said.group, said.topic, said.most))


if __name__ == "__main__":
    main()
