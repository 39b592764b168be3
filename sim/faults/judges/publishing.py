"""What is published is what was decided: nothing else (S5), all of it (S8), always the same (S4).

Sequences of incident-events are unbroken, copies differ in nothing but the epoch, and every
refusal has its dead letter.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from xiaohe.sim.faults.evidence import Place, Violation
from xiaohe.sim.faults.judges.reading import DECIDING, Output, Reading
from xiaohe.streams.ports import INPUTS, POSITIONS, Publication, Raw

if TYPE_CHECKING:
    from xiaohe.sim.faults.judges.log_reading import Counted

DECIDED_TOPICS: Final = ("incident_events", "dispatches", "incidents", "area_events")
"""Output topics that hold what was decided, and nothing else but the notices of ``UNDECIDED``."""

UNDECIDED: Final = ("roster.changed", "duty.")
"""Area events that tell what was read, not what was decided."""

FAILED_REPEATEDLY: Final = "failed_repeatedly"
"""The reason of a dead letter for an input that was set aside."""


def nothing_is_published_that_was_not_decided(reading: Reading) -> Iterator[Violation]:
    """Each record of an output topic is, to the byte, what a decision of the log that counts says.

    Where somebody publishes before their decision is acknowledged, or after they lost the area,
    there is one that no decision explains.
    """
    expected = _rendered(reading)
    for topic in DECIDED_TOPICS:
        for output in reading.outputs(topic):
            if str(output.value.get("type", "")).startswith(UNDECIDED):
                continue
            values = expected.get((topic, output.ce))
            if values is None:
                told = "was published, and no decision that counts in the log says so"
            elif output.raw.value not in values:
                told = "was published otherwise than the log's decision says"
            else:
                continue
            yield Violation("S5", f"{output.where}: {output.ce_id} {told}", _at(output))


def everything_decided_is_published(reading: Reading) -> Iterator[Violation]:
    """Whatever a decision owes lies in its topic, whoever had to publish it again."""
    shown = {
        (topic, output.ce) for topic in DECIDED_TOPICS for output in reading.outputs(topic)
    } | {("dead_letters", output.ce) for output in reading.outputs("dead_letters")}
    sent = {
        (topic, partition, raw.key, raw.value)
        for topic in INPUTS
        for raw in reading.evidence.topics.read_all(topic)
        for partition in (raw.partition, None)
    }
    for decided, publications in _all_published(reading):
        for each in publications:
            if each.topic in INPUTS:
                there = _sent(reading, each) in sent
            else:
                there = (each.topic, _ce(each)) in shown
            if not there:
                told = (
                    f"{_name(each)} follows from decision {decided.seq} and is not on {each.topic}"
                )
                yield Violation("S8", told, decided.at_ms)


def copies_are_equal(reading: Reading) -> Iterator[Violation]:
    """What is sent twice says the same, the epoch apart."""
    for topic in (*DECIDED_TOPICS, "dead_letters"):
        known: dict[tuple[bytes, bytes], tuple[bytes | None, Output]] = {}
        for output in reading.outputs(topic):
            first = known.setdefault(output.ce, (output.raw.value, output))
            if first[0] != output.raw.value and _said(first[1]) != _said(output):
                told = f"was sent twice and says something else at {first[1].where}"
                yield Violation("S4", f"{output.where}: {output.ce_id} {told}", _at(output))


def events_are_numbered_through(reading: Reading) -> Iterator[Violation]:
    """Incident-events come as 1, 2, 3 … to a consumer, each under an event_id of its own."""
    last: dict[str, int] = {}
    for output in reading.consumed("incident_events"):
        incident_id, seq = str(output.value.get("incident_id")), output.value.get("seq")
        wanted = last.get(incident_id, 0) + 1
        if seq != wanted:
            told = f"event {seq} comes where {wanted} was to come"
            yield Violation("S8", f"{output.where}: {incident_id}: {told}", _at(output))
        last[incident_id] = max(wanted - 1, seq if isinstance(seq, int) else 0)
        if output.ce_id != output.value.get("event_id") or output.ce_id != f"{incident_id}:{seq}":
            told = f"its ce_id is {output.ce_id}, and it is event {seq} of {incident_id}"
            yield Violation("S4", f"{output.where}: {told}", _at(output))


def every_input_is_decided_once(reading: Reading) -> Iterator[Violation]:
    """Every record of a deciding topic has one decision that counts, no more and no fewer.

    A wake-up that was overtaken by one with an earlier deadline may be read over at a take-over,
    for its deadline is still open then and it is written again; so none is decided twice.
    """
    for partition, log in reading.logs.items():
        decided = Counter((each.topic, each.offset) for each in log.counted)
        for topic in reading.deciding_topics():
            end = reading.evidence.topics.end(topic, partition)
            taken = [offset for name, offset in decided if name == topic]
            for offset in sorted(taken):
                where = f"{topic}[{partition}]@{offset}"
                if decided[topic, offset] > 1:
                    times = decided[topic, offset]
                    yield Violation("S8", f"{where} was decided {times} times in the log")
                if not 0 <= offset < end:
                    yield Violation("S5", f"{where} was decided and is not in the topic")
            if topic in DECIDING:
                for offset in sorted(set(range(max(taken, default=-1))) - set(taken)):
                    told = "has no decision, and later records of the topic have"
                    yield Violation("S8", f"{topic}[{partition}]@{offset} {told}")


def decisions_of_one_record_are_whole(reading: Reading) -> Iterator[Violation]:
    """The several decisions of a packed positions record end with the last of them."""
    for partition, log in reading.logs.items():
        last = {each.offset: each for each in log.counted if each.topic == POSITIONS}
        for offset, each in sorted(last.items()):
            if each.more:
                told = "further decisions were to follow decision"
                yield Violation(
                    "S8", f"positions[{partition}]@{offset}: {told} {each.seq}, and none did"
                )


def refusals_have_one_dead_letter(reading: Reading) -> Iterator[Violation]:
    """Whatever the log refuses is dead-lettered under its id; nothing else is."""
    due = {}
    for partition, log in reading.logs.items():
        for each in log.counted:
            letter = each.record.get("dead_letter")
            where = f"{each.topic}[{partition}]@{each.offset}"
            if letter is not None:
                due[_letter_id(letter)] = where
            elif each.decision.get("refusal"):
                told = (
                    f"was refused ({each.decision['refusal'].get('reason')}), without a dead letter"
                )
                yield Violation("S8", f"{where} {told}", each.at_ms)
    shown = {each.ce_id: each for each in reading.outputs("dead_letters")}
    for ce_id, where in sorted(due.items()):
        if ce_id not in shown:
            yield Violation("S8", f"{where}: its dead letter {ce_id} was never published")
    roster = reading.evidence.shared.topic_names.get("roster", "roster")
    for ce_id, each in sorted(shown.items()):
        if ce_id not in due and each.value.get("topic") != roster:
            told = f"dead letter {ce_id} is of a record that no decision refused"
            yield Violation("S8", f"{each.where}: {told}", _at(each))


def unreadable_inputs_are_refused(reading: Reading) -> Iterator[Violation]:
    """A record without a key, or that is no JSON object, is refused; by another reading."""
    for partition, log in reading.logs.items():
        accepted = {
            (each.topic, each.offset)
            for each in log.counted
            if each.record.get("dead_letter") is None and each.record.get("forward") is None
        }
        for topic in DECIDING:
            for raw in reading.evidence.topics.read(topic, partition):
                if (topic, raw.offset) in accepted and not _is_object(raw):
                    told = "cannot be read, and was decided without a dead letter"
                    yield Violation("S8", f"{topic}[{partition}]@{raw.offset} {told}")


def answers_about_no_order_are_refused(reading: Reading) -> Iterator[Violation]:
    """An answer that names an order which there never was has a dead letter, heard at first."""
    orders = {
        str(fact["dispatch_id"])
        for log in reading.logs.values()
        for each in log.counted
        for fact in each.facts
        if "dispatch_id" in fact
    }
    for partition, log in reading.logs.items():
        heard: set[str] = set()
        for each in (each for each in log.counted if each.topic == "member_actions"):
            action_id = str(each.decision.get("action_id"))
            silent = not each.facts and each.record.get("dead_letter") is None
            if each.decision and silent and action_id not in heard:
                raw = reading.input(each.topic, partition, each.offset)
                named = raw and _dispatch_id(raw)
                if named and named not in orders:
                    told = f"is about {named}, which is no order, and was not refused"
                    yield Violation("S8", f"{each.topic}[{partition}]@{each.offset} {told}")
            heard.add(action_id)


def _dispatch_id(raw: Raw) -> str | None:
    try:
        value = orjson.loads(raw.value or b"")
    except orjson.JSONDecodeError:
        return None
    named = value.get("dispatch_id") if isinstance(value, dict) else None
    return named if isinstance(named, str) else None


def _is_object(raw: Raw) -> bool:
    try:
        return raw.key is not None and isinstance(orjson.loads(raw.value or b""), dict)
    except orjson.JSONDecodeError:
        return False


def letter_places(reading: Reading, reason: str) -> set[Place]:
    """Give the inputs that the log refuses for a reason."""
    return {
        Place(each.topic, partition, each.offset)
        for partition, log in reading.logs.items()
        for each in log.counted
        if (each.record.get("dead_letter") or {}).get("reason") == reason
    }


def _letter_id(letter: Mapping[str, Any]) -> str:
    place = f"{letter['topic']}:{letter['partition']}:{letter['offset']}"
    index = letter.get("index")
    return place if index is None else f"{place}:{index}"


def _all_published(
    reading: Reading,
) -> Iterator[tuple["Counted", tuple[Publication, ...]]]:
    for folded in reading.folded.values():
        yield from folded.published


def _rendered(reading: Reading) -> dict[tuple[str, tuple[bytes, bytes]], set[bytes | None]]:
    found: dict[tuple[str, tuple[bytes, bytes]], set[bytes | None]] = {}
    for _, publications in _all_published(reading):
        for each in publications:
            found.setdefault((each.topic, _ce(each)), set()).add(each.value)
    return found


def _ce(publication: Publication) -> tuple[bytes, bytes]:
    headers = dict(publication.headers)
    return headers.get("ce_source", b""), headers.get("ce_id", b"")


def _sent(reading: Reading, each: Publication) -> tuple[str, int | None, object, object]:
    """Give where a sent record should lie (None: wherever its key says), and what it should be; a
    forwarded one is as its original is."""
    if each.original is None:
        return each.topic, each.partition, each.key, each.value
    original = reading.input(*each.original)
    assert original is not None, "the simulated topics forget nothing"
    return each.topic, each.partition, original.key, original.value


def _name(publication: Publication) -> str:
    return _ce(publication)[1].decode(errors="replace") or "a forwarded record"


def _said(output: Output) -> dict[str, Any]:
    """What a record says, the epoch apart; and when a dead letter was written.

    Where a record's decisions came into the log in part, it is decided once more, later.
    """
    apart = {"epoch", "at"} if output.raw.topic == "dead_letters" else {"epoch"}
    return {name: value for name, value in output.value.items() if name not in apart}


def _at(output: Output) -> int:
    return output.raw.timestamp_ms


RULES: tuple[Callable[[Reading], Iterator[Violation]], ...] = (
    nothing_is_published_that_was_not_decided,
    everything_decided_is_published,
    copies_are_equal,
    events_are_numbered_through,
    every_input_is_decided_once,
    decisions_of_one_record_are_whole,
    refusals_have_one_dead_letter,
    unreadable_inputs_are_refused,
    answers_about_no_order_are_refused,
)
