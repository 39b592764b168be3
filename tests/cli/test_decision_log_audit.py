"""Which entries of the decisions log count, by the auditor's own reading, and what it finds."""

import json
from typing import Any

import pytest

from xiaohe.audit.decision_log import DecisionLogs, Skipped
from xiaohe.audit.records import Record


class Log:
    """The decisions log of one partition, made by hand."""

    def __init__(self, trimmed: bool = False) -> None:
        self.findings: list[tuple[str, str, str]] = []
        self.logs = DecisionLogs(lambda *found: self.findings.append(found), {0} if trimmed else ())
        self.offset = 0
        self.epoch = 0

    def entry(self, **entry: Any) -> int:
        """Append an entry; give its offset."""
        self.logs.take(Record(0, self.offset, None, json.dumps(entry).encode(), {}))
        self.offset += 1
        return self.offset - 1

    def fence(self) -> int:
        """A worker takes over; the epoch of the one before."""
        before = self.epoch
        self.epoch = self.entry(kind="fence")
        return before

    def decides(self, seq: int, offset: int, **more: Any) -> None:
        """A decision about an alert."""
        stated = {"epoch": self.epoch, "seq": seq, "owed_from": seq, "topic": "alerts"}
        self.entry(**{"kind": "decision", **stated, "offset": offset, "more": False, **more})


@pytest.fixture
def log() -> Log:
    """A log in which an owner has decided upon two alerts."""
    log = Log()
    log.fence()
    log.decides(1, 0)
    log.decides(2, 1)
    return log


def test_each_input_decided_once_is_in_order(log: Log) -> None:
    """Nothing is found where the next owner goes on from where the last one stopped."""
    log.fence()
    log.decides(3, 2)
    assert log.findings == []
    assert log.logs.skipped == []
    assert log.logs.next_undecided("alerts", 0) == 3


def test_an_input_decided_twice_is_found(log: Log) -> None:
    """Two counted decisions for one input contradict each other."""
    log.fence()
    log.decides(3, 1)
    assert [(kind, what) for kind, what, _ in log.findings] == [("contradictory", "alerts:0:1")]


def test_a_late_write_does_not_count(log: Log) -> None:
    """What a replaced owner writes behind the new fence is for nobody."""
    before = log.fence()
    log.decides(3, 2, epoch=before)
    log.decides(3, 2)
    assert log.findings == []
    assert log.logs.ignored == 1


def test_several_decisions_upon_one_input_are_no_contradiction(log: Log) -> None:
    """All but the last say that more follow."""
    log.decides(3, 2, more=True)
    log.decides(4, 2)
    log.decides(5, 3)
    assert log.findings == []


def test_decisions_upon_one_input_that_a_fence_cuts_short_do_not_count() -> None:
    """The next owner gives their numbers again, and decides upon their input anew, and later."""
    log = Log()
    log.fence()
    log.decides(1, 0)
    log.decides(2, 0, topic="positions", more=True)
    log.fence()
    log.decides(2, 1)
    log.decides(3, 0, topic="positions", more=True)
    log.decides(4, 0, topic="positions")
    log.decides(5, 2)
    assert log.findings == []
    assert log.logs.skipped == []
    assert log.logs.next_undecided("alerts", 0) == 3
    assert (log.logs.decisions, log.logs.ignored) == (5, 1)


def test_decisions_upon_one_input_with_a_hole_among_them_do_not_count(log: Log) -> None:
    """Their batch was never published, and the input still awaits its decision."""
    log.decides(3, 2, more=True)
    log.decides(5, 2, owed_from=3)
    assert log.logs.next_undecided("alerts", 0) == 2
    log.fence()
    log.decides(3, 2)
    assert log.findings == []
    assert log.logs.next_undecided("alerts", 0) == 3
    assert (log.logs.decisions, log.logs.ignored) == (3, 2)


def test_a_decision_whose_input_has_more_to_come_is_none_yet(log: Log) -> None:
    """Where the log ends with it, its input is undecided."""
    log.decides(3, 2, more=True)
    assert log.logs.next_undecided("alerts", 0) == 2
    assert log.logs.decisions == 2


def test_an_input_that_was_passed_over_is_noted(log: Log) -> None:
    """Every input of a deciding topic has a decision."""
    log.decides(3, 4)
    assert log.logs.skipped == [Skipped("alerts", 0, 2, 3)]


def test_a_batch_that_was_written_in_part_does_not_count(log: Log) -> None:
    """Its first decision is missing, so it was never published; the next owner decides anew."""
    log.decides(4, 3, owed_from=3)
    log.fence()
    log.decides(3, 2)
    assert log.findings == []
    assert log.logs.next_undecided("alerts", 0) == 3


def test_a_recorded_decision_that_is_missing_is_found(log: Log) -> None:
    """A later batch shows that the one before had been written whole."""
    log.decides(4, 3, owed_from=4)
    assert [kind for kind, _, _ in log.findings] == ["sequence_gaps"]


def test_a_log_whose_beginning_is_gone_begins_at_its_snapshot() -> None:
    """What lies before is not missed."""
    log = Log(trimmed=True)
    log.entry(kind="snapshot", epoch=7, seq=40)
    log.epoch = 7
    log.decides(41, 90)
    log.decides(42, 91)
    assert log.findings == []
    assert log.logs.skipped == []
