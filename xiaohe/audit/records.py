"""Records as an audit sees them: read with few assumptions, sent twice or late and then ignored."""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

import orjson
from aiokafka.partitioner import murmur2

Kind = Literal[
    "lost",
    "duplicate_orders",
    "sequence_gaps",
    "forgotten",
    "missing_orders",
    "stale_views",
    "malformed_outputs",
    "contradictory",
]
"""What may be wrong, by the name that its count has in the account."""

Report = Callable[[Kind, str, str], None]
"""Is told a finding: its kind, what it is about, and how so."""

ALERT_FIELDS: Final = (
    *("source", "category", "occurred_at", "position", "road_id", "address", "priority", "text"),
    *("caller_id", "callback", "skills", "needed", "forces", "place", "reported_by"),
    *("confidence", "evidence", "supersedes", "drill", "origin"),
)
"""The contract's fields of an alert that make up its content."""

ALERT_DEFAULTS: Final[Mapping[str, object]] = {"priority": 2, "drill": False, "datum": "wgs84"}
"""A field that says its default says the same as one that is left out."""

NUMBER_DECIMALS: Final = 7
"""Digits of a number that count: about a centimetre for degrees, the finest that is stated."""


class Record(NamedTuple):
    """One record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


class Finding(NamedTuple):
    """One thing that does not hold: of what kind, about what, and how so."""

    kind: Kind
    what: str
    detail: str


class AlertKey(NamedTuple):
    """An alert_id is unique in its area."""

    area_id: str
    alert_id: str


class Place(NamedTuple):
    """Where a record lies in its topic."""

    partition: int
    offset: int


class UnreadableError(Exception):
    """A record of `alerts` that cannot be made out."""


class Fences:
    """Drops what was written by a worker whose area had been taken over.

    «Whoever has seen a higher epoch for an area ignores lower ones», in the order of a partition.
    """

    def __init__(self) -> None:
        self._highest: dict[tuple[int, str], int] = {}
        self.dropped = 0

    def admits(self, partition: int, area_id: str, epoch: object) -> bool:
        """Tell whether a record counts."""
        if not isinstance(epoch, int):
            return True
        if epoch < self._highest.get((partition, area_id), epoch):
            self.dropped += 1
            return False
        self._highest[partition, area_id] = epoch
        return True


class Sent:
    """Drops what was sent already, by its CloudEvents source and id."""

    def __init__(self) -> None:
        self._content: dict[bytes, bytes] = {}
        self.again = 0

    def first(self, identity: bytes, value: Mapping[str, object]) -> bool | None:
        """Tell whether this is the first of its identity; None: the second says something else.

        The epoch is not part of what a record says: a new owner publishes again under its own.
        """
        key = digest(identity)
        content = digest(canonical({k: v for k, v in value.items() if k != "epoch"}))
        known = self._content.get(key)
        if known is None:
            self._content[key] = content
            return True
        self.again += 1
        return False if known == content else None


OF_THE_END: Final = frozenset({"state", "end", "ended_at"})
"""What the record of an order's end says beyond the order, all of which it repeats."""


class Copies:
    """Whether all records about an order agree, those of replaced workers among them.

    Whoever reads may have acted upon any copy before it knew that its writer had been replaced.
    Apart from the epoch, all copies of a record say the same, and an order's end repeats the order.
    """

    def __init__(self) -> None:
        self._said: dict[bytes, bytes] = {}

    def contradiction(self, value: Mapping[str, object]) -> str | None:
        """Give what is wrong with a record in view of those before it, or None."""
        dispatch_id, state = value.get("dispatch_id"), value.get("state")
        whole = {k: v for k, v in value.items() if k != "epoch"}
        order = {k: v for k, v in whole.items() if k not in OF_THE_END}
        if not self._agrees(f"{dispatch_id}:{state}", whole):
            return f"two copies of its record as {state} differ"
        if not self._agrees(f"{dispatch_id}", order):
            return "its end does not repeat its order"
        return None

    def _agrees(self, name: str, said: Mapping[str, object]) -> bool:
        content = digest(canonical(said))
        return self._said.setdefault(digest(name.encode()), content) == content


def read_alert(record: Record) -> tuple[AlertKey, bytes]:
    """Read as much of an alert as tells it from others: its key, and a digest of its content.

    Raises
    ------
    UnreadableError
        where that much cannot be made out.
    """
    if record.key is None:
        raise UnreadableError("it has no key")
    try:
        value = orjson.loads(record.value or b"")
        area_id = record.key.decode()
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        raise UnreadableError("it is not JSON, or not UTF-8") from None
    if isinstance(value, dict) and isinstance(value.get("specversion"), str):
        value = value.get("data")
    if not isinstance(value, dict) or not isinstance(value.get("alert_id"), str):
        raise UnreadableError("it is no object with an alert_id")
    try:
        content = canonical(_plain({name: value[name] for name in ALERT_FIELDS if name in value}))
    except (RecursionError, orjson.JSONEncodeError):
        raise UnreadableError("it nests deeper than can be written again") from None
    return AlertKey(area_id, value["alert_id"]), digest(content)


def _plain(value: object) -> object:
    """Leave out what says nothing, and write numbers in one way."""
    if isinstance(value, dict):
        return {
            name: _plain(item)
            for name, item in value.items()
            if item is not None and item != [] and item != ALERT_DEFAULTS.get(name)
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return round(float(value), NUMBER_DECIMALS)
    return value


def home_partition(area_id: str, partitions: int) -> int:
    """Give the partition where Kafka's own clients put this key."""
    return int(murmur2(area_id.encode()) & 0x7FFFFFFF) % partitions


def canonical(value: object) -> bytes:
    """Write a JSON value in one way."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(raw: bytes) -> bytes:
    """Give 16 bytes that stand for these."""
    return blake2b(raw, digest_size=16).digest()


def seconds_of(text: object) -> float | None:
    """Read an RFC 3339 time as seconds since the epoch; None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
