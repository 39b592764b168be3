"""S1: every alert has its incident, or is refused with a reason; never both, and none is missing.

The account itself is ``xiaohe.audit``: the books that ``xiaohe verify`` keeps on a live cluster.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from xiaohe.audit.incidents import overlooked
from xiaohe.audit.ledger import Ledger
from xiaohe.audit.records import Kind, Record
from xiaohe.sim.faults.evidence import Violation
from xiaohe.sim.faults.judges.reading import Reading
from xiaohe.streams.ports import Raw

KINDS: Final[dict[Kind, str]] = {
    "lost": "S1",
    "sequence_gaps": "S8",
    "missing_orders": "S8",
    "stale_views": "S8",
    "malformed_outputs": "S4",
}
"""The rule that each kind of finding breaks. Orders given twice are ``orders``' to find, and what
was forgotten is looked at by the end of the run below."""


def the_books_balance(reading: Reading) -> Iterator[Violation]:
    """Alerts in = decided + dead-lettered; nothing owed is missing; nothing says two things."""
    ledger = _kept(reading)
    for kind, findings in ledger.findings().items():
        if kind in KINDS:
            for each in findings:
                yield Violation(KINDS[kind], f"{each.what}: {each.detail}")
    accounted = ledger.decided + ledger.dead_lettered
    if ledger.alerts_in != accounted:
        told = f"{ledger.alerts_in} alerts came in, {ledger.decided} are decided"
        yield Violation("S1", f"{told} and {ledger.dead_lettered} dead-lettered")
    yield from _forgotten(reading, ledger)


def _forgotten(reading: Reading, ledger: Ledger) -> Iterator[Violation]:
    """By the end of the run every window, order and lack of members has been seen to."""
    by = min(reading.settled_ms / 1000, ledger.as_of)
    if reading.settled_ms <= reading.evidence.healed_ms:
        return
    for incident in ledger.incidents:
        why = overlooked(incident, by) if incident.is_live else None
        if why is not None:
            yield Violation("L1", f"{incident.incident_id}: {why}")


def accepted_alerts_are_there(reading: Reading) -> Iterator[Violation]:
    """What a sender was told is in the log lies in the topic, and was decided."""
    for place in sorted(reading.evidence.accepted):
        raw = reading.input(*place)
        decided = reading.decided.get(place, 0)
        if raw is None:
            yield Violation("S1", f"{place.topic}[{place.partition}]@{place.offset} is gone")
        elif decided == 0 and raw.timestamp_ms <= reading.settled_ms:
            told = "was accepted, and no decision counts for it"
            yield Violation("S1", f"{place.topic}[{place.partition}]@{place.offset} {told}")


def each_alert_opens_once(reading: Reading) -> Iterator[Violation]:
    """An alert_id of an area opens one incident, once."""
    opened = Counter(
        (str(output.value.get("area_id")), str((output.value.get("data") or {}).get("alert_id")))
        for output in reading.consumed("incident_events")
        if output.value.get("type") == "incident.opened"
    )
    for (area_id, alert_id), times in sorted(opened.items()):
        if times > 1:
            yield Violation("S1", f"alert {alert_id} of {area_id} opened {times} incidents")


def _kept(reading: Reading) -> Ledger:
    topics = reading.evidence.topics
    names = reading.evidence.shared.topic_names
    ledger = Ledger(names["alerts"], topics.partitions)
    takes = (
        ("incident_events", ledger.event),
        ("dispatches", ledger.dispatch),
        ("incidents", ledger.view),
        ("dead_letters", ledger.dead_letter),
        ("alerts", ledger.alert),
    )
    for topic, take in takes:
        for raw in topics.read_all(topic):
            if topic != "alerts" or raw.timestamp_ms <= reading.settled_ms:
                take(_record(raw))
    ledger.cut()
    return ledger


def _record(raw: Raw) -> Record:
    return Record(raw.partition, raw.offset, raw.key, raw.value, dict(raw.headers))


RULES: tuple[Callable[[Reading], Iterator[Violation]], ...] = (
    the_books_balance,
    accepted_alerts_are_there,
    each_alert_opens_once,
)
