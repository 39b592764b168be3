"""topics.yaml says what the wire contract says, is checked when read, and is the only place."""

import ast
from pathlib import Path

import pytest

from xiaohe.topics import TOPICS_FILE, Topics, TopicsFileError, load_topics

ROOT = Path(__file__).parents[2]

CODE = ("xiaohe", "wire", "streams", "dispatch", "geo", "gateway", "sim", "bench")

DAY_MS = 86_400_000

CONTRACT = {
    "alerts": ("area_id", 30 * DAY_MS, False, 16 * 1024),
    "positions": ("area_id", DAY_MS // 24, False, 256 * 1024),
    "member-actions": ("area_id", 30 * DAY_MS, False, 8 * 1024),
    "operator-actions": ("area_id", 30 * DAY_MS, False, 8 * 1024),
    "roster": ("member_id", -1, True, 256 * 1024),
    "incident-events": ("area_id", -1, False, None),
    "dispatches": ("area_id", 7 * DAY_MS, False, None),
    "incidents": ("incident_id", -1, True, None),
    "matter-events": ("area_id", -1, False, None),
    "matters": ("matter_id", -1, True, None),
    "members": ("member_id", -1, True, None),
    "area-events": ("area_id", -1, False, None),
    "dead-letters": ("source_topic", 30 * DAY_MS, False, None),
}
"""Wire contract v1: key, retention, compacted, largest value. None of these may change."""


@pytest.fixture(scope="module")
def file() -> Topics:
    """The topics as a user gets them."""
    return load_topics()


ADDED = {"redactions": ("area_id:alert_id", -1, True, None)}
"""Topics that the project has added to the contract's."""


def test_the_file_says_what_the_contract_says(file: Topics):
    """Every topic of the contract has its key, retention, cleanup and size limit."""
    ours = {
        topic.name: (topic.key, topic.retention_ms, topic.compacted, topic.value_bytes_max)
        for topic in file
        if topic.kind in ("input", "output")
    }
    assert ours == CONTRACT | ADDED


def test_area_topics_are_partitioned_alike(file: Topics):
    """The worker that owns a partition number owns an area in every area topic, the log too."""
    assert {topic.partitions for topic in file.area_topics} == {file.area_partitions}
    assert {file.decisions, file.wakeups} <= set(file.area_topics)


def test_inputs_are_stamped_by_the_broker(file: Topics):
    """Windows count from receipt; the log, the audit and who may come in have its time, too."""
    stamped = {topic.id for topic in file if topic.received_time}
    assert stamped == {
        *(topic.id for topic in file if topic.kind in ("input", "source")),
        "decisions",
        "wakeups",
        "access",
        "audit",
        "webhooks",
        "webhook_progress",
        "webhook_dead_letters",
    }


def test_the_gateways_own_topics_are_as_they_have_to_be(file: Topics):
    """Who may come in has one order for all gateways; nothing of the audit is ever trimmed."""
    assert (file.access.partitions, file.access.compacted) == (1, True)
    assert file.access.read_by == ("gateway", "access-keeper")
    assert (file.audit.compacted, file.audit.retention_ms) == (False, -1)


def test_the_decision_log_is_never_trimmed(file: Topics):
    """State is folded from it: no record may go, by age, by size, or by compaction."""
    assert file.decisions.configs["cleanup.policy"] == "delete"
    assert file.decisions.configs["retention.ms"] == "-1"
    assert file.decisions.configs["retention.bytes"] == "-1"


def test_deciding_inputs_are_those_with_a_record_of_decision_each(file: Topics):
    """Positions are no deciding input: they come a thousand a second, and carry no answer."""
    assert [topic.id for topic in file.deciding_inputs] == [
        "alerts",
        "member_actions",
        "operator_actions",
        "wakeups",
    ]


def test_a_prefix_goes_before_every_name():
    """Installations with different prefixes share no topic; what code calls them stays."""
    ours, theirs = load_topics(prefix="a."), load_topics(prefix="b.")
    assert not {topic.name for topic in ours} & {topic.name for topic in theirs}
    assert ours.by_name("a.alerts") is ours.alerts
    assert ours.by_name("alerts") is None
    assert [topic.id for topic in ours] == [topic.id for topic in theirs]


def test_copies_come_from_the_argument_then_the_environment(monkeypatch: pytest.MonkeyPatch):
    """Three copies, of which two must have a record; one copy where nothing is said."""
    monkeypatch.delenv("XIAOHE_REPLICATION_FACTOR", raising=False)
    assert load_topics().alerts.configs["min.insync.replicas"] == "1"
    monkeypatch.setenv("XIAOHE_REPLICATION_FACTOR", "3")
    assert load_topics().alerts.replication_factor == 3
    assert load_topics().alerts.configs["min.insync.replicas"] == "2"
    assert load_topics(replication_factor=1).alerts.replication_factor == 1
    monkeypatch.setenv("XIAOHE_REPLICATION_FACTOR", "many")
    with pytest.raises(TopicsFileError, match="XIAOHE_REPLICATION_FACTOR"):
        load_topics()


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("name: alerts\n", "name: al erts\n", r"topics\.yaml: .*name"),
        ("name: alerts\n", "name: positions\n", r"same name for two topics: \['positions'\]"),
        ("retention: 1 h", "retention: one hour", r"topics\.positions\.retention: 'one hour'"),
        ("segment: 10 min", "segment: 10 minutes", r"topics\.positions\.segment"),
        ("area_partitions: 16", "area_partitions: 0", r"area_partitions"),
        ("  alerts:\n", "  alarms:\n", r"missing: \['alerts'\].*not known.*\['alarms'\]"),
        ("    deciding: true", "    decisive: true", "decisive"),
        ("    partitions: 1 ", "    # partitions", r"topics\.roster\.partitions"),
        ("timestamp: received", "timestamp: written", r"topics\.alerts\.timestamp: windows"),
        ("    key: member_id", "    deciding: true\n    key: member_id", r"only an area topic"),
        ("\ntopics:\n", "\ntopics: {\n", r"topics\.yaml: "),
        ("written_by: [worker]", "written_by: [everybody]", r"\['everybody'\].*no principals"),
        ("    watches: [xiaohe,", "    watch: [xiaohe,", "watch"),
        ("  member-apps:\n", "  Member Apps:\n", r"principals"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, good: str, bad: str, message: str):
    """A wrong file gives one error that says where the mistake is."""
    text = TOPICS_FILE.read_text(encoding="utf-8")
    assert good in text
    file = tmp_path / "topics.yaml"
    file.write_text(text.replace(good, bad, 1), encoding="utf-8")
    with pytest.raises(TopicsFileError, match=message):
        load_topics(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    """The error names the path."""
    with pytest.raises(TopicsFileError, match=r"none\.yaml cannot be read"):
        load_topics(tmp_path / "none.yaml")


def test_no_topic_name_is_spelled_in_code(file: Topics):
    """Code says topics.member_actions.name: a name with a dash stands in topics.yaml alone."""
    names = {topic.name for topic in file if "-" in topic.name}
    assert names
    modules = [path for room in CODE for path in (ROOT / room).rglob("*.py")]
    assert modules
    spelled = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    ]
    assert spelled == [], "use load_topics(), and the topic's .name"
