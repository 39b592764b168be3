"""S5 and S9: every decision has its cause, in the order of receipt, and from somebody who may.

Time: nothing is decided before it was received, ``at`` never runs backwards, a deadline is decided
after every record received up to it and before every later one, and once.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, Final

from xiaohe.sim.faults.evidence import Place, Violation
from xiaohe.sim.faults.judges.log_reading import Counted, LogReading
from xiaohe.sim.faults.judges.reading import DECIDING, Reading
from xiaohe.streams.inbox import CLOCK_SKEW_MS_MAX
from xiaohe.streams.ports import ALERTS, POSITIONS, WAKEUPS, Raw
from xiaohe.streams.step_record import FIRST_RECEIPT, FORWARDING_MS_MAX

RETRY: Final = "retry"
"""The one deadline that may be looked at early and often: it only asks again."""

OVERDUE: Final = frozenset({"acceptance.overdue", "arrival.overdue", "backup.overdue"})
"""Events that are written once an incident, unless it is reopened."""

OPENED: Final = "incident.opened"

CLOSES: Final = "deadline.set"
"""The fact that sets a deadline, moves it, or takes it back."""


def every_decision_has_a_cause(reading: Reading) -> Iterator[Violation]:
    """The input that a decision names lies in its topic, received not later than decided."""
    names = reading.evidence.shared.topic_names
    for partition, log in reading.logs.items():
        for each in log.counted:
            where = _where(partition, each)
            raw = reading.input(each.topic, partition, each.offset)
            cause = each.record.get("cause") or {}
            named = (cause.get("topic"), cause.get("partition"), cause.get("offset"))
            told = None
            if raw is None:
                told = "is not in the topic, and was decided"
            elif raw.timestamp_ms != each.received_ms:
                told = f"was received at {raw.timestamp_ms}, its decision says {each.received_ms}"
            elif named != (names[each.topic], partition, each.offset):
                told = f"was decided as {named}"
            elif each.at_ms < raw.timestamp_ms:
                told = f"was decided {raw.timestamp_ms - each.at_ms} ms before it was received"
            elif int(each.decision.get("received_ms", 0)) > each.at_ms:
                told = "was decided before its own receipt"
            if told is not None:
                yield Violation("S5", f"{where} {told}", each.at_ms)


def windows_count_from_the_receipt(reading: Reading) -> Iterator[Violation]:
    """An incident's windows count from when its alert was received, for the first time."""
    for partition, log in reading.logs.items():
        for each in log.counted:
            raw = reading.input(each.topic, partition, each.offset)
            if raw is None or not each.decision or each.topic == WAKEUPS:
                continue
            receipt_ms, said_ms = _first_receipt_ms(raw), int(each.decision["received_ms"])
            opened_ms = [int(x["received_ms"]) for x in each.facts if x.get("type") == OPENED]
            if each.record.get("dead_letter") is None and any(
                ms != receipt_ms for ms in (said_ms, *opened_ms)
            ):
                told = f"was first received at {receipt_ms}, and counts from"
                yield Violation(
                    "S5",
                    f"{_where(partition, each)} {told} {max((said_ms, *opened_ms))}",
                    each.at_ms,
                )


def _first_receipt_ms(raw: Raw) -> int:
    """Give when a record was received, by its header where it was sent on."""
    sent_on = dict(raw.headers).get(FIRST_RECEIPT, b"")
    if not sent_on.isdigit():
        return raw.timestamp_ms
    return max(raw.timestamp_ms - FORWARDING_MS_MAX, min(int(sent_on), raw.timestamp_ms))


def time_runs_forward(reading: Reading) -> Iterator[Violation]:
    """Decisions of a partition, and so the events of an incident, never go back in time."""
    for partition, log in reading.logs.items():
        last_ms = 0
        for each in log.counted:
            if each.at_ms < last_ms:
                told = f"was decided {last_ms - each.at_ms} ms before the decision ahead of it"
                yield Violation("S5", f"{_where(partition, each)} {told}", each.at_ms)
            last_ms = max(last_ms, each.at_ms)
    last: dict[str, str] = {}
    for output in reading.consumed("incident_events"):
        incident_id, at = str(output.value.get("incident_id")), str(output.value.get("at"))
        if at < last.get(incident_id, ""):
            told = f"{output.ce_id} happened at {at}, after an event of {last[incident_id]}"
            yield Violation("S5", f"{output.where}: {told}", output.raw.timestamp_ms)
        last[incident_id] = max(at, last.get(incident_id, ""))


DATED_AHEAD_MS_MAX: Final = CLOCK_SKEW_MS_MAX + 500
"""A clock that goes 5 % too fast gains so much in the half minute in which nothing of a worker's
is acknowledged, by which it would be put right."""


def nothing_is_dated_ahead(reading: Reading) -> Iterator[Violation]:
    """No decision has a later time than the broker had when it came into the log.

    What is to fall due is counted from that time; a worker's clock may be wrong by hours.
    """
    for partition, log in reading.logs.items():
        for each in log.counted:
            ahead_ms = each.at_ms - each.written_ms
            if ahead_ms > DATED_AHEAD_MS_MAX:
                told = f"is dated {ahead_ms} ms later than it came into the log"
                yield Violation("S5", f"{_where(partition, each)} {told}", each.written_ms)


def deadlines_wait_for_what_was_received(reading: Reading) -> Iterator[Violation]:
    """When a deadline is decided, all that was received up to it has been taken.

    So an answer that was received in time counts, whatever the order of arrival. A retry is no
    deadline of anybody's: it holds nothing, and nothing holds it.
    """
    for partition, log in reading.logs.items():
        receipts = {
            topic: [raw.timestamp_ms for raw in reading.evidence.topics.read(topic, partition)]
            for topic in (*DECIDING, POSITIONS)
        }
        taken = dict.fromkeys(receipts, 0)
        for each in log.counted:
            if _has_effect(each) and _name(each) != RETRY:
                due_ms = int(each.decision["due_ms"])
                for topic, times_ms in receipts.items():
                    # Positions are not decided one by one: the decision says how far they were.
                    at = max(taken[topic], each.positions_next if topic == POSITIONS else 0)
                    if at < bisect_right(times_ms, due_ms):
                        told = f"was decided before {topic}[{partition}]@{at}, received in time"
                        yield Violation("S5", f"{_deadline(partition, each)} {told}", each.at_ms)
            elif each.topic in taken:
                taken[each.topic] = max(taken[each.topic], each.offset + (not each.more))


def records_wait_for_earlier_deadlines(reading: Reading) -> Iterator[Violation]:
    """What was received after a deadline is decided after it; an alert alone goes ahead.

    An alert waits here no longer than ``streams/lane.py`` says (ALERT_WAITS_MS_MAX); how long it
    has waited is not in the log.
    """
    for partition, folded in reading.folded.items():
        for each, due_ms in folded.hasty:
            if each.topic == ALERTS:
                continue
            told = (
                f"was decided while a deadline was open that fell due {each.received_ms - due_ms}"
            )
            yield Violation(
                "S5", f"{_where(partition, each)} {told} ms before its receipt", each.at_ms
            )


def no_deadline_is_early(reading: Reading) -> Iterator[Violation]:
    """A deadline is not decided before it is due by the broker's clock, a clock's skew apart."""
    for partition, log in reading.logs.items():
        for each in log.counted:
            if _has_effect(each) and _name(each) != RETRY:
                early_ms = int(each.decision["due_ms"]) - each.received_ms
                if early_ms > CLOCK_SKEW_MS_MAX:
                    told = f"was decided {early_ms} ms before it was due"
                    yield Violation("S5", f"{_deadline(partition, each)} {told}", each.at_ms)


def deadlines_are_decided_once(reading: Reading) -> Iterator[Violation]:
    """The same deadline has effect once, and each overdue is written once an incident."""
    for partition, log in reading.logs.items():
        seen: set[tuple[str, str, int]] = set()
        for each in log.counted:
            if _has_effect(each) and _name(each) != RETRY:
                decision = each.decision
                which = (_incident_of(each), str(decision["deadline"]), int(decision["due_ms"]))
                if which in seen:
                    told = "had effect a second time"
                    yield Violation("S5", f"{_deadline(partition, each)} {told}", each.at_ms)
                seen.add(which)
    yield from _overdue_once(reading)


def _overdue_once(reading: Reading) -> Iterator[Violation]:
    written: set[tuple[str, str]] = set()
    for output in reading.consumed("incident_events"):
        incident_id, kind = str(output.value.get("incident_id")), str(output.value.get("type"))
        if kind == "incident.reopened":
            written = {each for each in written if each[0] != incident_id}
        elif kind in OVERDUE:
            if (incident_id, kind) in written:
                told = f"{kind} of {incident_id} is written a second time"
                yield Violation("S5", f"{output.where}: {told}", output.raw.timestamp_ms)
            written.add((incident_id, kind))


def events_name_their_cause(reading: Reading) -> Iterator[Violation]:
    """An incident-event names a deadline, or an input that lies in its topic, not a later one."""
    keys = {name: key for key, name in reading.evidence.shared.topic_names.items()}
    for output in reading.consumed("incident_events"):
        cause = output.value.get("cause")
        if not isinstance(cause, dict) or cause.get("deadline"):
            if not isinstance(cause, dict):
                yield Violation("S5", f"{output.where}: {output.ce_id} names no cause")
            continue
        topic = keys.get(str(cause.get("topic")))
        raw = topic and reading.input(topic, cause.get("partition", -1), cause.get("offset", -1))
        if not raw:
            told = f"{output.ce_id} is said to follow from {cause}, which is in no topic"
            yield Violation("S5", f"{output.where}: {told}", output.raw.timestamp_ms)


def unauthorised_inputs_change_nothing(reading: Reading) -> Iterator[Violation]:
    """What somebody said who may not say so has no facts: it was refused, or is nothing."""
    unauthorised = reading.evidence.unauthorised
    for partition, log in reading.logs.items():
        for each in log.counted:
            if Place(each.topic, partition, each.offset) in unauthorised and each.facts:
                kinds = ", ".join(str(fact.get("type")) for fact in each.facts)
                told = f"{_where(partition, each)} was said by somebody who may not, and led to"
                yield Violation("S9", f"{told} {kinds}", each.at_ms)


def _has_effect(each: Counted) -> bool:
    return each.topic == WAKEUPS and bool(each.facts) and each.decision.get("due_ms") is not None


def _name(each: Counted) -> str:
    return str(each.decision.get("deadline")).partition(":")[0]


def _incident_of(each: Counted) -> str:
    closing = (fact for fact in each.facts if fact.get("type") == CLOSES)
    fact: dict[str, Any] = next(closing, each.facts[0])
    return str(fact.get("incident_id"))


def _deadline(partition: int, each: Counted) -> str:
    return f"deadline {each.decision.get('deadline')} ({_where(partition, each)})"


def _where(partition: int, each: Counted) -> str:
    return f"{each.topic}[{partition}]@{each.offset}"


def taken_of(log: LogReading, topic: str) -> int:
    """Give the first offset of a topic behind all that were decided."""
    if topic == POSITIONS:
        return log.positions_next
    return max((each.offset + 1 for each in log.counted if each.topic == topic), default=0)


RULES: tuple[Callable[[Reading], Iterator[Violation]], ...] = (
    every_decision_has_a_cause,
    windows_count_from_the_receipt,
    time_runs_forward,
    nothing_is_dated_ahead,
    deadlines_wait_for_what_was_received,
    records_wait_for_earlier_deadlines,
    no_deadline_is_early,
    deadlines_are_decided_once,
    events_name_their_cause,
    unauthorised_inputs_change_nothing,
)
