"""What is about a person stays out of logs, faults, dead letters, and what is kept for ever."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.streams.station import NOON_MS, Station, member
from xiaohe.dispatch import inputs
from xiaohe.dispatch.times import rfc3339
from xiaohe.topics import Topic, load_topics
from xiaohe.wire.fault_text import told
from xiaohe.wire.personal import personal_fields

CANARY = "canary-4711"

MESSAGES = {
    "alerts": inputs.Alert,
    "positions": inputs.Fix,
    "member_actions": inputs.MemberAction,
    "operator_actions": inputs.OperatorAction,
    "roster": inputs.RosterEntry,
}


@pytest.mark.parametrize("topic", MESSAGES)
def test_the_topics_file_and_the_types_mark_the_same_fields(topic: str) -> None:
    """Who reads either of the two is told the same."""
    assert personal_fields(MESSAGES[topic]) == set(getattr(load_topics(), topic).personal)


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[list[Mapping[str, Any]]]:
    """What is logged through structlog meanwhile."""
    with structlog.testing.capture_logs() as entries:
        yield entries


def good_and_bad() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every input with the canary in each personal field: whole, and spoilt field by field."""
    now = rfc3339(NOON_MS)
    alert = {
        "alert_id": "a1", "source": "police-110", "category": "dispute", "occurred_at": now,
        "position": {"lon": 120.0, "lat": 30.0, "note": CANARY}, "address": CANARY,
        "text": CANARY, "caller_id": CANARY, "callback": CANARY, "evidence": [CANARY],
        "place": {"name": CANARY, "building": CANARY, "floor": CANARY},
    }  # fmt: skip
    action = {"action_id": "x1", "at": now, "text": CANARY, "reason": "r"}
    inputs_of = {
        "alerts": alert,
        "positions": {"device_id": CANARY, "lon": 120.0, "lat": 30.0, "fix_time": now},
        "member_actions": action
        | {"member_id": CANARY, "action": "accept", "dispatch_id": "nothing", "outcome": "o"},
        "operator_actions": action
        | {"operator_id": CANARY, "action": "update", "incident_id": "i", "fields": {"x": CANARY}},
    }
    for topic, value in inputs_of.items():
        yield topic, value
        for name in value:
            for wrong in ([CANARY], {CANARY: CANARY}, CANARY * 2_000, 1e400):
                yield topic, value | {name: wrong}


def test_no_personal_field_is_in_logs_dead_letters_or_the_log_of_decisions(
    logged: list[Mapping[str, Any]],
) -> None:
    """Of an alert's words nothing but its digest goes on; of a bad record not even a head."""
    station = Station(member("m1"))
    station.fix("m1", "b")
    taken = 0
    for topic, value in good_and_bad():
        station.send(topic, value)
        taken += 1
    letters = [p for p in station.published if p.topic == "dead_letters"]
    assert len(letters) > taken / 2
    assert [letter for letter in letters if CANARY in repr(letter)] == []
    assert CANARY not in repr(logged)
    words = {"text", "caller_id", "callback", "address", "evidence"}
    alert = next(value for topic, value in good_and_bad() if topic == "alerts")
    assert words < set(alert)
    opened = Station(member("m1"))
    opened.fix("m1", "b")
    opened.send("alerts", alert | {"position": opened.place("a")})
    assert opened.published
    assert CANARY not in repr([step.record for step in opened.steps])
    leaky = [p for p in opened.published if CANARY in repr(p)]
    assert leaky == []


def test_a_fault_of_a_library_is_told_without_its_message() -> None:
    """Python repeats what it tripped over; ours may not, also not of what a fault came of."""
    try:
        try:
            int(CANARY)
        except ValueError as error:
            raise KeyError(CANARY) from error
    except KeyError as error:
        text = told(error)
    assert CANARY not in text
    assert "ValueError" in text
    assert "KeyError" in text
    assert "test_personal_data.py" in text


LOGGING = f"""
import logging, structlog
from xiaohe.logs import log_to_stderr
log_to_stderr()
logging.basicConfig()
try:
    {{}}["{CANARY}"]
except KeyError as error:
    structlog.get_logger().exception("ours", offset=3)
    logging.getLogger("theirs").exception("crashed %r", error)
raise ValueError("{CANARY}")
"""


def test_the_parts_log_faults_without_what_was_sent() -> None:
    """structlog, the standard logging with a fault as argument, and what nobody caught."""
    ran = subprocess.run(
        [sys.executable, "-c", LOGGING], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert ran.stdout + ran.stderr != ""
    assert CANARY not in ran.stdout + ran.stderr
    assert ran.stderr.count("KeyError") >= 2
    assert "ValueError" in ran.stderr


PAGE = (Path(__file__).parent.parent / "docs" / "personal-data.md").read_text(encoding="utf-8")


def kept(topic: Topic) -> str:
    """How long, in words."""
    if topic.compacted:
        return "the last of each key, until that is null"
    if topic.retention_ms < 0:
        return "for ever"
    hours = topic.retention_ms // 3_600_000
    return f"{hours // 24} d" if hours % 24 == 0 else f"{hours} h"


def test_the_page_has_every_topic_with_what_is_personal_in_it() -> None:
    """The table is what topics.yaml says."""
    for topic in load_topics():
        fields = ", ".join(f"`{name}`" for name in topic.personal) or "nothing"
        assert f"| `{topic.name}` | {fields} | {kept(topic)} |" in PAGE
