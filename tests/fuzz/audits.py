"""The audit of the topics: whatever lies in them is accounted for, and ends no audit.

An input is a number of records. The first byte of each says of which topic it is, the second in
which partition and whether its headers fit what it says; the rest is the value.
"""

from random import Random
from typing import Any, Final

import msgspec
import orjson

from tests.fuzz.mutation import JsonMutator
from tests.fuzz.story import a_story
from tests.fuzz.target import Target
from tests.streams.station import AREA, PARTITIONS, names
from xiaohe.audit.ledger import CE_HEADERS, Ledger
from xiaohe.audit.records import Record
from xiaohe.verify import account_of

SEPARATOR: Final = b"\x1e"
TOPICS: Final = ("incident_events", "dispatches", "incidents", "dead_letters", "alerts")
RECORDS_MAX: Final = 60
FITTING: Final = 200
"""Of 256 second bytes so many mean that the record's ce_id is what the contract wants."""


def audits(data: bytes) -> bool:
    """Records of all topics, in any order and of any content."""
    ledger = Ledger(names()["alerts"], PARTITIONS)
    takes = (ledger.event, ledger.dispatch, ledger.view, ledger.dead_letter, ledger.alert)
    parts = [part for part in data.split(SEPARATOR)[:RECORDS_MAX] if len(part) > 1]
    for offset, part in enumerate(parts):
        takes[part[0] % len(takes)](_record(part, offset))
    ledger.cut()
    for offset, part in enumerate(parts[:3]):
        takes[part[0] % len(takes)](_record(part, len(parts) + offset))
    account = account_of(ledger)
    assert account.as_text()
    assert msgspec.json.encode(account.as_json())
    for number in (account.alerts_in, account.decided, account.dead_lettered, account.lost):
        assert 0 <= number <= len(parts) + 3
    assert ledger.is_settled or not account.holds
    return account.incidents > 0


def _record(part: bytes, offset: int) -> Record:
    topic, how, value = TOPICS[part[0] % len(TOPICS)], part[1], part[2:]
    headers = dict.fromkeys(CE_HEADERS, b"x")
    if how < FITTING:
        headers["ce_id"] = _ce_id(topic, value)
    if how == 255:
        headers = {}
    key = None if how == 254 else b"\xff" if how == 253 else AREA.encode()
    return Record(how % PARTITIONS, offset, key, value or None, headers)


def _ce_id(topic: str, value: bytes) -> bytes:
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return b"x"
    if not isinstance(found, dict):
        return b"x"
    if topic == "incident_events":
        wanted = f"{found.get('event_id')}"
    elif topic == "dispatches":
        wanted = f"{found.get('dispatch_id')}:{found.get('state')}"
    elif topic == "incidents":
        wanted = f"{found.get('incident_id')}@{found.get('last_seq')}"
    else:
        wanted = ":".join(str(found.get(name)) for name in ("topic", "partition", "offset"))
    return wanted.encode()


def _parts() -> list[bytes]:
    """Give what a story publishes, and the alerts that it was told."""
    station = a_story()
    published = [p for p in station.published if p.topic in TOPICS and p.value]
    chosen = []
    for topic in TOPICS[:-1]:
        mine = [p.value for p in published if p.topic == topic][:8]
        chosen += [bytes([TOPICS.index(topic), station.partition]) + value for value in mine]
    alert = {"alert_id": "a1", "source": "app", "category": "fire", "occurred_at": "then"}
    return [*chosen, bytes([4, station.partition]) + orjson.dumps(alert)]


class _AuditMutator:
    """Changes a record, or the order and number of them."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts
        self._json = JsonMutator([orjson.loads(part[2:]) for part in parts], (*TOPICS, "ordered"))

    def __call__(self, data: bytes, rng: Random) -> bytes:
        """Give another set of records."""
        parts = data.split(SEPARATOR)
        for _ in range(rng.randint(1, 4)):
            at, what = rng.randrange(len(parts)), rng.randrange(8)
            if what == 0:
                parts.insert(at, rng.choice(self._parts))
            elif what == 1 and len(parts) > 1:
                del parts[at]
            elif what == 2:
                other = rng.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            elif what == 3 and parts[at]:
                parts[at] = bytes([rng.randrange(256), rng.randrange(256)]) + parts[at][2:]
            else:
                parts[at] = parts[at][:2].ljust(2, b"\0") + self._json(parts[at][2:], rng)
        return SEPARATOR.join(parts[:RECORDS_MAX])


def _seeds(parts: list[bytes]) -> list[bytes]:
    return [SEPARATOR.join(parts), *parts]


_PARTS: Final = _parts()
_HOW: Final[dict[str, Any]] = {"bytes_max": 32_768, "quick": 1_000}

TARGETS: Final = (Target("audits", audits, _seeds(_PARTS), _AuditMutator(_PARTS), **_HOW),)
