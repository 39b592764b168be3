"""L1, L2 and S10: it goes on. Nothing is left lying, nobody falls over the same stone for ever."""

from collections import Counter
from collections.abc import Callable, Iterator

from xiaohe.sim.faults.evidence import Place, Violation
from xiaohe.sim.faults.judges.causes import taken_of
from xiaohe.sim.faults.judges.log_reading import ABOUT_TO_BE_TRIED
from xiaohe.sim.faults.judges.publishing import FAILED_REPEATEDLY, letter_places
from xiaohe.sim.faults.judges.reading import DECIDING, GRACE_MS, Reading
from xiaohe.streams.lane import ATTEMPTS_MAX
from xiaohe.streams.ports import POSITIONS


def _is_healed(reading: Reading) -> bool:
    """Whether the run went on for long enough after the last fault to demand anything of it."""
    return reading.evidence.ended_ms - reading.evidence.healed_ms >= GRACE_MS


def every_live_incident_goes_on(reading: Reading) -> Iterator[Violation]:
    """Somebody is ordered to it, or something falls due; and nothing is long overdue."""
    healed = _is_healed(reading)
    for folded in reading.folded.values():
        for area_id, state in folded.engine.states().items():
            for incident in state.incidents.values():
                if not incident.is_live:
                    continue
                where = f"{incident.incident_id} in {area_id}"
                told = "nobody is ordered to it, nothing is to fall due"
                # What was seen to, or put into the hands of a person, waits for their word.
                tended = incident.served("primary") > 0 or incident.set_aside
                if not incident.open_orders() and not incident.deadlines and not tended:
                    yield Violation("L1", f"{where} is {incident.state}, {told}")
                for deadline in incident.deadlines:
                    late_ms = reading.evidence.ended_ms - deadline.due_ms
                    if healed and late_ms >= GRACE_MS:
                        told = f"deadline {deadline.name} is overdue by {late_ms / 1000:.0f} s"
                        yield Violation("L1", f"{where}: {told}, and undecided")


def nothing_is_left_undecided(reading: Reading) -> Iterator[Violation]:
    """No input waits at the end that was received a minute before it."""
    if not _is_healed(reading):
        return
    for partition, log in reading.logs.items():
        for topic in (*DECIDING, POSITIONS):
            first = reading.input(topic, partition, taken_of(log, topic))
            if first is not None and first.timestamp_ms <= reading.settled_ms:
                waited_s = (reading.evidence.ended_ms - first.timestamp_ms) / 1000
                left = reading.evidence.topics.end(topic, partition) - first.offset
                told = f"{left} records wait, the first for {waited_s:.0f} s"
                yield Violation("L1", f"{topic}[{partition}]@{first.offset}: {told}")


def no_input_ends_workers_for_ever(reading: Reading) -> Iterator[Violation]:
    """An input that the core fails on ends a few workers, and is set aside then."""
    failed = Counter(
        Place(trace.topic, partition, trace.offset)
        for partition, log in reading.logs.items()
        for trace in log.traces
        if trace.error != ABOUT_TO_BE_TRIED
    )
    late = Counter(
        each.input
        for each in reading.evidence.ended
        if each.input is not None and each.at_ms > reading.evidence.healed_ms
    )
    for place in sorted(failed.keys() | late.keys()):
        times = max(failed[place], late[place])
        if times > ATTEMPTS_MAX:
            yield Violation(
                "L2", f"{_where(place)} ended {times} workers; {ATTEMPTS_MAX} are enough"
            )


def poison_is_set_aside(reading: Reading) -> Iterator[Violation]:
    """What the core fails on becomes a recorded failure, a dead letter or, of an alert, an incident
    for a person; nothing else does."""
    aside = letter_places(reading, FAILED_REPEATEDLY) | _opened_for_a_person(reading)
    poison, stumbling = reading.evidence.poison, reading.evidence.stumbling
    careful = {
        Place(trace.topic, partition, trace.offset)
        for partition, log in reading.logs.items()
        for trace in log.traces
        if trace.error == ABOUT_TO_BE_TRIED
    }
    for place in sorted(poison - aside):
        raw = reading.input(*place)
        if raw is not None and raw.timestamp_ms <= reading.settled_ms:
            yield Violation("L2", f"{_where(place)} cannot be decided, and was not set aside")
    for place in sorted(aside - poison - stumbling - careful):
        yield Violation("L2", f"{_where(place)} was set aside, and nothing is wrong with it")


def _opened_for_a_person(reading: Reading) -> set[Place]:
    """Where the alerts lie whose incidents no rule has decided."""
    return {
        Place(each.topic, partition, each.offset)
        for partition, log in reading.logs.items()
        for each in log.counted
        if any(fact["type"] == "incident.set_aside" for fact in each.facts)
    }


def nobody_ends_of_a_fault_of_their_own(reading: Reading) -> Iterator[Violation]:
    """The core fails on nothing but what it was made to fail on."""
    expected = reading.evidence.poison | reading.evidence.stumbling
    for each in reading.evidence.ended:
        if each.input is not None and each.input not in expected:
            told = f"{each.worker} ended on {_where(each.input)}: {each.error}"
            yield Violation("L2", told, each.at_ms)


def sizes_stay_within_limits(reading: Reading) -> Iterator[Violation]:
    """State, queues, records and caches keep to the limits that they have."""
    for name, peak in sorted(reading.evidence.peaks.items()):
        if peak.size > peak.limit:
            yield Violation("S10", f"{name} came to {peak.size}; its limit is {peak.limit}")


def _where(place: Place) -> str:
    return f"{place.topic}[{place.partition}]@{place.offset}"


RULES: tuple[Callable[[Reading], Iterator[Violation]], ...] = (
    every_live_incident_goes_on,
    nothing_is_left_undecided,
    no_input_ends_workers_for_ever,
    poison_is_set_aside,
    nobody_ends_of_a_fault_of_their_own,
    sizes_stay_within_limits,
)
