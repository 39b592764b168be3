"""A roster as a file: a JSON array of members, published to the roster topic."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from math import isfinite
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from xiaohe.places import read_file
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.cluster_access import Cluster, client_options
from xiaohe.wire.codec import decode_roster

READ_TIMEOUT_S = 30.0
"""How long reading the roster topic may take."""


class RosterFileError(Exception):
    """The file cannot be used; the message names the entry and what to do."""


def read_roster(path: Path) -> list[dict[str, object]]:
    """Read and check a roster file. Raises RosterFileError with every bad entry, FileUnreadable."""
    try:
        found = json.loads(read_file(path), parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise RosterFileError(f"{path} nests too deep to be a roster") from None
    except ValueError as fault:
        raise RosterFileError(f"{path} is not JSON: {fault}") from None
    if not isinstance(found, list):
        raise RosterFileError(f"{path} must be a JSON array of members")
    problems = [problem for n, entry in enumerate(found) if (problem := _problem(n, entry))]
    if problems:
        raise RosterFileError(f"{path}:\n  " + "\n  ".join(problems))
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:20]} is no number that can be written again")
    return number


def _problem(n: int, entry: object) -> str | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("member_id"), str):
        return f"entry {n}: a member needs a member_id"
    try:
        decode_roster(entry["member_id"].encode(), orjson.dumps(entry))
    except (orjson.JSONEncodeError, UnicodeEncodeError) as fault:
        return f"entry {n}: cannot be written as a record ({fault})"
    except BadInput as bad:
        return f"entry {n} ({entry['member_id']}): {bad.reason.value}: {bad.detail}"
    return None


async def publish(cluster: Cluster, topic: str, entries: Iterable[dict[str, object]]) -> int:
    """Publish members, each in place of an earlier record; give how many."""
    producer = AIOKafkaProducer(**client_options(cluster), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        sent = [
            await producer.send(topic, orjson.dumps(entry), str(entry["member_id"]).encode())
            for entry in entries
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return len(sent)


async def publish_missing(
    cluster: Cluster, topic: str, entries: Iterable[dict[str, object]]
) -> int:
    """Publish those members that the topic lacks; what was changed there since is kept."""
    known = await known_members(cluster, topic)
    missing = [entry for entry in entries if entry["member_id"] not in known]
    return await publish(cluster, topic, missing) if missing else 0


async def known_members(cluster: Cluster, topic: str) -> set[str]:
    """Give the members that the roster topic has."""
    consumer = AIOKafkaConsumer(**client_options(cluster), enable_auto_commit=False)
    await consumer.start()
    try:
        where = TopicPartition(topic, 0)
        consumer.assign([where])
        await consumer.seek_to_beginning(where)
        end = (await consumer.end_offsets([where]))[where]
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await _read_members(consumer, where, end)
    finally:
        await consumer.stop()


async def _read_members(consumer: AIOKafkaConsumer, where: TopicPartition, end: int) -> set[str]:
    known: set[str] = set()
    while await consumer.position(where) < end:
        batches: dict[TopicPartition, Sequence[object]] = await consumer.getmany(timeout_ms=200)
        for record in batches.get(where, ()):
            member_id = (record.key or b"").decode(errors="replace")  # type: ignore[attr-defined]  # aiokafka has no types
            if record.value is None:  # type: ignore[attr-defined]
                known.discard(member_id)
            else:
                known.add(member_id)
    return known
