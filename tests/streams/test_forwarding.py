"""A record in the wrong partition is sent on; the log keeps where it lies, and not what it says."""

import json

import msgspec

from tests.streams.station import AREA, NOON_MS, PARTITIONS, Station, member
from xiaohe.streams.clocks import VirtualClock
from xiaohe.streams.memory_log import MemoryLog, MemoryTopics
from xiaohe.streams.ports import Publication
from xiaohe.streams.step_record import FIRST_RECEIPT
from xiaohe.streams.takeover import owed_of_originals

CANARY = "canary-4711"
ALERT = {
    "alert_id": "a1", "area_id": AREA, "source": "app", "category": "x", "occurred_at": "now",
    "address": CANARY, "text": CANARY, "caller_id": CANARY,
}  # fmt: skip


def misrouted() -> tuple[MemoryTopics, Station, Publication, bytes]:
    """An alert that lies in another partition than its key's, taken by that one's engine."""
    here = Station(member("m1"))
    topics = MemoryTopics(VirtualClock(NOON_MS), PARTITIONS)
    wrong = (here.partition + 1) % PARTITIONS
    raw = topics.append(
        "alerts", AREA.encode(), json.dumps(ALERT).encode(), [("ce_id", b"e1")], wrong
    )
    [step] = here.engine.take(raw, here.now_ms, 7)
    [sent] = step.publications
    return topics, here, sent, msgspec.json.encode(step.record)


def test_the_log_never_holds_what_a_forwarded_record_says() -> None:
    """It may be about a person, and the log keeps everything for ever."""
    _, _, sent, record = misrouted()
    assert json.loads(sent.value or b"") == ALERT
    assert CANARY.encode() not in record


async def test_a_take_over_sends_on_the_same_bytes_again() -> None:
    """Read from where the record lies, with the same headers and first receipt."""
    topics, here, sent, record = misrouted()
    again = Station(member("m1"))
    owed = again.engine.fold(msgspec.json.decode(record), 7)
    made = await owed_of_originals(MemoryLog(topics), owed)
    assert list(made) == [sent]
    assert dict(sent.headers) == {"ce_id": b"e1", FIRST_RECEIPT: str(NOON_MS).encode()}
    assert sent.partition == here.partition


async def test_a_record_that_its_topic_has_forgotten_is_told_of() -> None:
    """Nothing else is held up by it."""
    topics, _, _, record = misrouted()
    again = Station(member("m1"))
    [owed] = again.engine.fold(msgspec.json.decode(record), 7)
    gone = msgspec.structs.replace(owed, original=("alerts", 0, 99))
    assert list(await owed_of_originals(MemoryLog(topics), [gone])) == []
