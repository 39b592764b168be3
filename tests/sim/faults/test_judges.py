"""What the judges say of a run that went well, and of the same run with one thing wrong."""

import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from xiaohe.sim.faults.evidence import Ended, Evidence, Peak, Place
from xiaohe.sim.faults.judges import RULES, judge
from xiaohe.sim.faults.run import World
from xiaohe.streams.engine import AreaEngine
from xiaohe.streams.memory_log import Stored
from xiaohe.streams.ports import POSITIONS

SEEDS_MAX = 60
"""So many runs are looked through for one in which all that is to be changed occurs."""

OCCURS = (b"member.completed", b'"state":"ended"', b"fix_age_s")


@cache
def a_full_run() -> Evidence:
    """A run that breaks nothing, with answers, ends, ages of fixes and dead letters in it."""
    for seed in range(SEEDS_MAX):
        found = World(seed).play()
        said = b"".join(
            raw.value or b""
            for topic in ("incident_events", "dispatches")
            for raw in found.topics.read(topic, busiest(found))
        )
        letters = found.topics.read_all("dead_letters")
        enough = len(found.topics.read(POSITIONS, busiest(found))) > 10
        if all(each in said for each in OCCURS) and letters and enough and not judge(found):
            return found
    raise AssertionError("no run has it all")


def busiest(evidence: Evidence) -> int:
    """The partition with the most orders."""
    topics = evidence.topics
    return max(range(topics.partitions), key=lambda p: len(topics.read("dispatches", p)))


@pytest.fixture
def evidence() -> Evidence:
    """A run whose topics may be changed."""
    found = a_full_run()
    topics = copy.copy(found.topics)
    topics._records = {where: list(kept) for where, kept in topics._records.items()}
    return replace(found, topics=topics)


def lane(evidence: Evidence, topic: str) -> list[Stored]:
    """The records of a topic that are looked at, to be changed."""
    records = evidence.topics._records
    if topic == "dead_letters":
        return next(kept for where, kept in records.items() if where[0] == topic and kept)
    return records[topic, busiest(evidence)]


def first(kept: list[Stored], wanted: Callable[[dict[str, Any]], object]) -> int:
    """Where the first record lies of which this is true."""
    return next(at for at, each in enumerate(kept) if wanted(json.loads(each.value or b"{}")))


def altered(stored: Stored, **said: Any) -> Stored:
    """The same record, saying something else."""
    return replace(stored, value=json.dumps({**json.loads(stored.value or b""), **said}).encode())


def named(stored: Stored, ce_id: str) -> Stored:
    """The same record under another id."""
    headers = tuple((n, ce_id.encode() if n == "ce_id" else v) for n, v in stored.headers)
    return replace(stored, headers=headers)


def rules(evidence: Evidence) -> set[str]:
    """The promises that are broken."""
    return {found.rule for found in judge(evidence)}


def test_a_run_that_goes_well_breaks_no_promise(evidence: Evidence) -> None:
    """What is judged below is judged well as long as nothing is changed in it."""
    assert judge(evidence) == []


def test_every_rule_is_listed_once_and_says_what_it_holds() -> None:
    """No rule is forgotten in the one list, and each has its claim."""
    names = [rule.__name__ for rule in RULES]
    assert len(set(names)) == len(names)
    assert all(rule.__doc__ for rule in RULES)


# --- one thing wrong


def an_accepted_alert_is_lost(evidence: Evidence) -> Evidence:
    """S1: the sender was told, and nobody has decided it."""
    alerts = lane(evidence, "alerts")
    place = Place("alerts", busiest(evidence), len(alerts))
    alert = altered(alerts[0], alert_id="lost", category="another")
    alerts.append(replace(alert, timestamp_ms=evidence.healed_ms - 60_000))
    return replace(evidence, accepted=evidence.accepted | {place})


def a_second_order_while_one_is_open(evidence: Evidence) -> Evidence:
    """S2: the member is ordered again before the end of the first order is shown."""
    kept = lane(evidence, "dispatches")
    ordered = kept[first(kept, lambda v: v["state"] == "ordered")]
    kept.insert(1, named(altered(ordered, dispatch_id="other-1"), "other-1:ordered"))
    return evidence


def more_accept_than_are_needed(evidence: Evidence) -> Evidence:
    """S3: the incident needs nobody, and somebody has accepted."""
    kept = lane(evidence, "incident_events")
    accepted = first(
        kept, lambda v: v["type"] == "member.accepted" and v["data"]["role"] == "primary"
    )
    incident_id = json.loads(kept[accepted].value or b"")["incident_id"]
    opened = first(
        kept, lambda v: v["type"] == "incident.opened" and v["incident_id"] == incident_id
    )
    data = json.loads(kept[opened].value or b"")["data"]
    kept[opened] = altered(kept[opened], data={**data, "needed": 0})
    return evidence


def an_order_says_two_things(evidence: Evidence) -> Evidence:
    """S4: the copy of an order names another way."""
    kept = lane(evidence, "dispatches")
    kept.append(altered(kept[0], eta_s=9999.0))
    return evidence


def an_order_ends_that_was_never_given(evidence: Evidence) -> Evidence:
    """S4: an end without its order."""
    kept = lane(evidence, "dispatches")
    del kept[first(kept, lambda v: v["state"] == "ordered")]
    return evidence


def an_event_that_nobody_decided(evidence: Evidence) -> Evidence:
    """S5: the events tell more than the log."""
    kept = lane(evidence, "incident_events")
    value = json.loads(kept[-1].value or b"")
    number = value["seq"] + 1
    event_id = f"{value['incident_id']}:{number}"
    kept.append(named(altered(kept[-1], seq=number, event_id=event_id), event_id))
    return evidence


def a_decision_before_its_input(evidence: Evidence) -> Evidence:
    """S5: the input came later than its decision says."""
    kept = lane(evidence, "member_actions")
    kept[0] = replace(kept[0], timestamp_ms=kept[0].timestamp_ms + 5_000)
    return evidence


def a_candidate_where_they_were_long_before(evidence: Evidence) -> Evidence:
    """S6: the positions that had been taken were newer than those of the order."""
    kept = lane(evidence, "decisions")
    for at, each in enumerate(kept):
        entry = json.loads((each.value or b"").partition(b"\n")[0])
        facts = ((entry.get("record") or {}).get("decision") or {}).get("facts", [])
        for fact in facts:
            for candidate in fact.get("why", {}).get("candidates", []):
                if candidate.get("fix_age_s") is not None and candidate["excluded"] is None:
                    candidate["fix_age_s"] += 60
        kept[at] = replace(each, value=json.dumps(entry).encode())
    return evidence


def an_owner_who_knows_nothing(evidence: Evidence) -> Evidence:
    """S7: the engine of the area is not what its log folds to."""
    partition = busiest(evidence)
    return replace(evidence, engines={partition: AreaEngine(partition, evidence.shared)})


def an_order_is_never_published(evidence: Evidence) -> Evidence:
    """S8: a decision owes it."""
    kept = lane(evidence, "dispatches")
    del kept[first(kept, lambda v: v["state"] == "ended")]
    return evidence


def an_event_is_missing(evidence: Evidence) -> Evidence:
    """S8: the numbers of an incident's events have a gap."""
    kept = lane(evidence, "incident_events")
    del kept[first(kept, lambda v: v["seq"] == 2)]
    return evidence


def an_input_decided_twice(evidence: Evidence) -> Evidence:
    """S8: the log counts two decisions of one answer."""
    kept = lane(evidence, "decisions")
    last = max(at for at, each in enumerate(kept) if b'"kind":"decision"' in (each.value or b""))
    entry = json.loads(kept[last].value or b"")
    actions = lane(evidence, "member_actions")
    twice = altered(
        kept[last],
        seq=entry["seq"] + 1,
        topic="member_actions",
        offset=0,
        received_ms=actions[0].timestamp_ms,
        record={**entry["record"], "decision": None, "dead_letter": None},
    )
    kept.insert(last + 1, twice)
    return evidence


def a_refusal_without_a_dead_letter(evidence: Evidence) -> Evidence:
    """S8: what was refused is told nowhere."""
    del lane(evidence, "dead_letters")[0]
    return evidence


def an_answer_of_somebody_who_may_not(evidence: Evidence) -> Evidence:
    """S9: it was taken all the same."""
    kept = lane(evidence, "decisions")
    entries = [json.loads((each.value or b"").partition(b"\n")[0]) for each in kept]
    answer = next(
        entry
        for entry in entries
        if entry.get("topic") == "member_actions" and entry["record"]["decision"].get("facts")
    )
    place = Place("member_actions", busiest(evidence), answer["offset"])
    return replace(evidence, unauthorised=frozenset({place}))


def a_queue_beyond_its_limit(evidence: Evidence) -> Evidence:
    """S10: more waited than may wait."""
    return replace(evidence, peaks={"INBOX_HIGH": Peak(2_001, 2_000)})


def an_answer_left_lying(evidence: Evidence) -> Evidence:
    """L1: it came, all was well for minutes, and nobody took it."""
    kept = lane(evidence, "member_actions")
    kept.append(replace(kept[-1], timestamp_ms=evidence.ended_ms - 65_000))
    return replace(evidence, healed_ms=evidence.ended_ms - 70_000)


def poison_that_ends_workers_for_ever(evidence: Evidence) -> Evidence:
    """L2: the same input ended four workers when nothing else was wrong."""
    place = Place("alerts", busiest(evidence), 0)
    ended = [Ended(evidence.healed_ms + n, "w", "InputFailedError", place) for n in range(1, 5)]
    return replace(evidence, ended=ended, poison=frozenset({place}))


def a_fault_of_the_core_itself(evidence: Evidence) -> Evidence:
    """L2: a worker ended on an input with which nothing was wrong."""
    return replace(
        evidence, ended=[Ended(0, "w", "KeyError()", Place("alerts", busiest(evidence), 0))]
    )


WRONG = {
    an_accepted_alert_is_lost: "S1",
    a_second_order_while_one_is_open: "S2",
    more_accept_than_are_needed: "S3",
    an_order_says_two_things: "S4",
    an_order_ends_that_was_never_given: "S4",
    an_event_that_nobody_decided: "S5",
    a_decision_before_its_input: "S5",
    a_candidate_where_they_were_long_before: "S6",
    an_owner_who_knows_nothing: "S7",
    an_order_is_never_published: "S8",
    an_event_is_missing: "S8",
    an_input_decided_twice: "S8",
    a_refusal_without_a_dead_letter: "S8",
    an_answer_of_somebody_who_may_not: "S9",
    a_queue_beyond_its_limit: "S10",
    an_answer_left_lying: "L1",
    poison_that_ends_workers_for_ever: "L2",
    a_fault_of_the_core_itself: "L2",
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_one_thing_wrong_is_named(
    wrong: Callable[[Evidence], Evidence], evidence: Evidence
) -> None:
    """The promise that it breaks is among those that are said to be broken."""
    assert WRONG[wrong] in rules(wrong(evidence))
