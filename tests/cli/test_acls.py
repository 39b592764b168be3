"""Rights follow from topics.yaml alone."""

from pathlib import Path

import msgspec
import pytest

from xiaohe.acls import Acl, Operation, Pattern, Permission, Resource, acls_of, difference
from xiaohe.topics import TOPICS_FILE, Topics, load_topics


@pytest.fixture(scope="module")
def topics() -> Topics:
    """The topics as a user gets them."""
    return load_topics()


def about_topics(topics: Topics, operation: Operation) -> set[tuple[str, str]]:
    """The derived rules as pairs of principal and topic."""
    return {
        (acl.principal, acl.name)
        for acl in acls_of(topics)
        if acl.resource is Resource.TOPIC and acl.operation is operation
    }


def test_each_writes_and_reads_what_the_file_says_and_nothing_else(topics: Topics) -> None:
    """The rules on topics are the file's two lists, no more and no less."""
    assert about_topics(topics, Operation.WRITE) == {
        (f"User:{name}", topic.name) for topic in topics for name in topic.written_by
    }
    assert about_topics(topics, Operation.READ) == {
        (f"User:{name}", topic.name) for topic in topics for name in topic.read_by
    }
    assert {acl.operation for acl in acls_of(topics) if acl.resource is Resource.TOPIC} == {
        Operation.READ,
        Operation.WRITE,
    }


def test_nobody_has_rights_on_the_cluster_or_to_write_in_transactions(topics: Topics) -> None:
    """Beside topics there are only groups: one's own, and those that one watches."""
    others = {acl for acl in acls_of(topics) if acl.resource is not Resource.TOPIC}
    assert {acl.resource for acl in others} == {Resource.GROUP}
    assert Acl("User:worker", Resource.GROUP, "xiaohe", Operation.READ) in others
    assert Acl("User:auditor", Resource.GROUP, "xiaohe", Operation.DESCRIBE) in others
    own = Acl("User:member-apps", Resource.GROUP, "member-apps", Operation.READ, Pattern.PREFIXED)
    assert own in others


def test_a_superuser_needs_no_rules(topics: Topics) -> None:
    """The administrator stands in none."""
    assert not [acl for acl in acls_of(topics) if acl.principal == "User:admin"]


def test_the_log_is_written_by_the_worker_alone(topics: Topics) -> None:
    """Nobody else may write a decision, an order, or an event; the auditor writes nowhere."""
    for topic in (topics.decisions, topics.dispatches, topics.incident_events, topics.wakeups):
        assert topic.written_by == ("worker",)
    assert not [name for name, _ in about_topics(topics, Operation.WRITE) if "auditor" in name]


def test_a_new_source_needs_nothing_but_its_lines(tmp_path: Path) -> None:
    """A feed of its own is written by devices and read by the gateway."""
    entry = (
        "  trackers: {name: raw.trackers, what: Traccar, format: traccar, datum: wgs84, "
        "timezone: UTC, trust: 0.9}\n"
    )
    file = tmp_path / "topics.yaml"
    file.write_text(TOPICS_FILE.read_text() + entry)
    more = acls_of(load_topics(file)) - acls_of(load_topics())
    assert more == {
        Acl("User:devices", Resource.TOPIC, "raw.trackers", Operation.WRITE),
        Acl("User:gateway", Resource.TOPIC, "raw.trackers", Operation.READ),
    }


def test_a_difference_tells_ours_from_somebody_elses(topics: Topics) -> None:
    """Missing, beyond the file, and foreign on our topics; what is about nothing of ours is not
    looked at."""
    wanted = acls_of(topics)
    missing = min(wanted)
    beyond = Acl("User:auditor", Resource.TOPIC, "alerts", Operation.WRITE)
    cluster_wide = Acl("User:worker", Resource.CLUSTER, "kafka-cluster", Operation.ALTER)
    hole = Acl("User:*", Resource.TOPIC, "*", Operation.READ)
    prefixed = Acl("User:backup", Resource.TOPIC, "dead-", Operation.READ, Pattern.PREFIXED)
    unrelated = Acl("User:shop", Resource.TOPIC, "orders", Operation.ALL)
    found = (wanted - {missing}) | {beyond, cluster_wide, hole, prefixed, unrelated}
    told = difference(topics, found)
    assert told.missing == (missing,)
    assert set(told.beyond) == {beyond, cluster_wide}
    assert set(told.foreign) == {hole, prefixed}


def test_a_denial_of_ours_is_beyond_the_file_too(topics: Topics) -> None:
    """It takes a right that the file gives."""
    denied = msgspec.structs.replace(min(acls_of(topics)), permission=Permission.DENY)
    assert difference(topics, acls_of(topics) | {denied}).beyond == (denied,)
    assert "may not" in str(denied)
