"""docs/messages.md says what the code does: every word is there, and its examples are played."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from tests.streams.station import AREA, Station, headers, member, values
from xiaohe.dispatch import facts as f
from xiaohe.dispatch import inputs
from xiaohe.dispatch.eligibility import Excluded
from xiaohe.dispatch.lifecycle import IncidentState, OrderEnd, OrderState, Role
from xiaohe.dispatch.operators import OPERATOR_RULE, DispatchFields, UpdateFields
from xiaohe.dispatch.reasons import Reason
from xiaohe.topics import load_topics
from xiaohe.wire.codec import (
    MEMBER_ACTIONS,
    OPERATOR_ACTIONS,
    RosterEntry,
    decode_alert,
    decode_member_action,
    decode_operator_action,
    decode_positions,
    decode_roster,
)
from xiaohe.wire.outputs import UNPUBLISHED

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "messages.md").read_text()
LINES_MAX = 350
"""One readable page."""

EXAMPLE = re.compile(r"^```json (\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| (`[^|]*) \| (.*) \|$", re.MULTILINE)
UNSUPPORTED = re.compile(
    r"^\| (member actions .*) \| dead letter `not_supported` \|$", re.MULTILINE
)
CODE = re.compile(r"`([^`\n]+)`")

PROSE = EXAMPLE.sub("", PAGE)
WORDS = {word for span in CODE.findall(PROSE) for word in re.findall(r"[\w.*-]+", span)}
EXAMPLES: dict[str, Any] = {name: json.loads(body) for name, body in EXAMPLE.findall(PAGE)}

INPUTS = {
    "alerts": inputs.Alert,
    "member-actions": inputs.MemberAction,
    "operator-actions": inputs.OperatorAction,
    "roster": inputs.RosterEntry,
}
PARTS = (
    inputs.Position,
    inputs.Premises,
    inputs.AidOrigin,
    inputs.RoadRole,
    inputs.Shift,
    UpdateFields,
    DispatchFields,
    f.Why,
    f.Candidate,
    f.Responsible,
)
"""Objects inside messages."""

INCIDENT_FACTS = get_args(f.IncidentFact)
AREA_FACTS = get_args(f.AreaFact)


def said_of(struct: type[msgspec.Struct]) -> set[str]:
    """The names of a struct's fields."""
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def tag_of(fact: type[msgspec.Struct]) -> str:
    """The event type of a fact."""
    return str(fact.__struct_config__.tag)


def published(name: str) -> str:
    """How the field of a fact is called in ``data``."""
    if name.endswith("_by_ms"):
        return name.removesuffix("_ms")
    return f"{name.removesuffix('_ms')}_at" if name.endswith("_ms") else name


def part(heading: str) -> str:
    """What the page says under a heading."""
    found = re.search(rf"^### {heading}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the page has no part on {heading}"
    return EXAMPLE.sub("", found[1])


def rows(heading: str, cell: str) -> str:
    """The row of a part whose first column names ``cell``."""
    named = [row for row in ROW.findall(part(heading)) if cell in CODE.findall(row[0])]
    assert len(named) == 1, f"{heading}: {len(named)} rows on {cell}"
    return str(named[0][1])


def test_it_is_one_page() -> None:
    """It can be read in one go."""
    assert len(PAGE.splitlines()) <= LINES_MAX


def test_every_topic_is_on_it() -> None:
    """With its key, its partitions and how long it is kept."""
    topics = load_topics()
    for topic in topics:
        assert topic.name in WORDS, f"no word on the topic {topic.name}"
    section = PAGE.split("## 2. Topics")[1].split("## 3.")[0]
    told = {cell: row for cells, row in ROW.findall(section) for cell in CODE.findall(cells)}
    for name in INPUTS | EXAMPLES:
        topic = next(t for t in topics if t.name == name.split()[0])
        assert f"| {topic.partitions} |" in told[topic.name], f"partitions of {topic.name}"


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("excluded", {str(reason.value) for reason in Excluded}),
        ("end", set(get_args(OrderEnd))),
        ("why.rule", {"owner", "team", "nearest", "mutual_aid", OPERATOR_RULE}),
    ],
)
def test_the_row_of_a_closed_list_has_its_words(cell: str, kind: set[str]) -> None:
    """All of them, and no others."""
    (row,) = [told for cells, told in ROW.findall(part("dispatches")) if cells == f"`{cell}`"]
    assert set(CODE.findall(row)) == kind


def test_the_reason_codes_are_all_told() -> None:
    """All of them, and no others, in the table under dead-letters."""
    table = part("dead-letters").split("| reason codes |")[1]
    told = {
        code for row in table.splitlines() if row.startswith("| ") for code in CODE.findall(row)
    }
    assert told == {str(reason.value) for reason in Reason}


@pytest.mark.parametrize(
    "kind",
    [
        {tag_of(fact) for fact in (*INCIDENT_FACTS, *AREA_FACTS)},
        {*get_args(OrderState), *get_args(IncidentState), *get_args(Role)},
        {*MEMBER_ACTIONS, *OPERATOR_ACTIONS},
    ],
    ids=["events", "states", "actions"],
)
def test_every_word_that_a_field_may_have_is_on_it(kind: set[str]) -> None:
    """A client that knows the page meets no state and no type it has not read of."""
    assert kind - WORDS == set()


@pytest.mark.parametrize("topic", INPUTS)
def test_every_field_of_an_input_is_on_it(topic: str) -> None:
    """The part on a topic names each field, marked `*` where it is required."""
    text = part(topic)
    for field in msgspec.structs.fields(INPUTS[topic]):
        starred = rf"`{field.encode_name}`\*"
        assert f"`{field.encode_name}`" in text, f"{topic} lacks {field.encode_name}"
        if field.required:
            assert re.search(starred, text), f"{topic}: {field.encode_name} is required"
        else:
            first = [cells for cells, _ in ROW.findall(text) if re.search(starred, cells)]
            assert not first, f"{topic}: {field.encode_name} is not required"


def test_every_field_of_a_position_is_on_it() -> None:
    """As it is sent: a time, not milliseconds."""
    text = part("positions")
    for name in (said_of(inputs.Fix) - {"fix_ms"}) | {"datum", "batch", "area_id"}:
        assert re.search(rf"`\W*{name}\b", text) or f'"{name}"' in text, f"no {name}"


@pytest.mark.parametrize("struct", PARTS, ids=lambda struct: struct.__name__)
def test_every_field_of_an_inner_object_is_on_it(struct: type[msgspec.Struct]) -> None:
    """Objects inside messages are told as well."""
    assert said_of(struct) - WORDS == set()


@pytest.mark.parametrize("fact", INCIDENT_FACTS, ids=tag_of)
def test_the_row_of_an_event_has_its_data(fact: type[msgspec.Struct]) -> None:
    """Each type of incident-events has a row that names all that its data holds."""
    told = set(CODE.findall(rows("incident-events", tag_of(fact))))
    missing = {published(name) for name in said_of(fact) - UNPUBLISHED} - told
    assert missing == set(), f"{tag_of(fact)}: {missing}"


@pytest.mark.parametrize("fact", AREA_FACTS, ids=tag_of)
def test_events_of_an_area_are_told_with_their_data(fact: type[msgspec.Struct]) -> None:
    """Each type of area-events is named, and so is what its data holds."""
    assert {tag_of(fact), *said_of(fact)} <= set(CODE.findall(part("area-events")))


def test_the_examples_of_inputs_are_read() -> None:
    """Each is a record that its decoder takes, and says in full what it can."""
    key = AREA.encode()

    def value(topic: str) -> bytes:
        return json.dumps(EXAMPLES[topic]).encode()

    fixes = decode_positions(key, value("positions"))
    assert (len(fixes.fixes), fixes.bad) == (len(EXAMPLES["positions"]["batch"]), ())
    assert decode_alert(key, value("alerts")).alert_id == EXAMPLES["alerts"]["alert_id"]
    assert decode_member_action(key, value("member-actions")).action == "accept"
    assert decode_operator_action(key, value("operator-actions")).action == "update"
    entry = decode_roster(EXAMPLES["roster"]["member_id"].encode(), value("roster"))
    assert isinstance(entry, RosterEntry)
    for topic, struct in INPUTS.items():
        assert set(EXAMPLES[topic]) <= said_of(struct), f"{topic}: a field nobody knows"


Played = dict[str, tuple[dict[str, Any], dict[str, str]]]


@cache
def played() -> Played:
    """Send the page's inputs to an engine; what it published last of each kind, with headers."""
    station = Station(EXAMPLES["roster"], member("m2"))
    out = station.send("positions", EXAMPLES["positions"])
    out += station.send("alerts", EXAMPLES["alerts"])
    station.now_ms += 4_000
    out += station.send("member_actions", EXAMPLES["member-actions"])
    station.now_ms += 8_000
    out += station.send("operator_actions", EXAMPLES["operator-actions"])
    station.now_ms += 40_000
    out += station.says("m1", "complete", outcome="settled")
    out += station.desk("set_mode", mode="emergency", reason="festival")
    out += station.desk("triage")
    views = station.engine.tick(station.now_ms + 10, epoch=7)
    out += [view for view in views if view.key == b"m1"]
    found: Played = {}
    for publication in out:
        value = json.loads(publication.value or b"null")
        name = station.names[publication.topic]
        if name in ("incident-events", "area-events"):
            name = f"{name} {value['type']}"
        elif name == "dispatches":
            name = f"{name} {value['state']}"
        found[name] = (value, headers(publication))
    return found


def shape(value: object) -> object:
    """The keys of a value, all the way in, and what kind each holds."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


OUTPUTS = sorted(set(EXAMPLES) - set(INPUTS) - {"positions"})


def test_every_output_has_an_example() -> None:
    """One of each topic that is written."""
    assert {name.split()[0] for name in OUTPUTS} == {name.split()[0] for name in played()}


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_example_of_an_output_is_what_the_engine_writes(name: str) -> None:
    """The page's inputs, sent to an engine, give just these fields, ids and states."""
    value, _ = played()[name]
    shown = EXAMPLES[name]
    assert shape(shown) == shape(value)
    same = {"incident_id", "dispatch_id", "event_id", "state", "type", "end", "seq", "reason"}
    for key in same & set(value):
        assert shown[key] == value[key], key


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_field_of_an_output_is_in_its_part(name: str) -> None:
    """The top level of each record is told where the topic is."""
    value, _ = played()[name]
    told = {
        w for span in CODE.findall(part(name.partition(" ")[0])) for w in re.findall(r"\w+", span)
    }
    assert set(value) - told == set()


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_headers_are_told(name: str) -> None:
    """Every header that an output has is named, and its type is of the form that is shown."""
    _, found = played()[name]
    assert set(found) <= WORDS
    topic, _, kind = name.partition(" ")
    row = next(
        line
        for line in PAGE.splitlines()
        if "xiaohe." in line and f"`{topic}`" in line.partition(" | ")[0]
    )
    shown = [span for span in CODE.findall(row) if span.startswith("xiaohe.")]
    assert found["ce_type"] in {span.replace("<type>", kind) for span in shown}


def test_what_is_not_done_yet_is_so() -> None:
    """The actions that the page calls unsupported are refused as such, and no others are."""
    (row,) = UNSUPPORTED.findall(PAGE)
    told = set(CODE.findall(row))
    station = Station(EXAMPLES["roster"])
    station.alert()
    answers = [(a, station.says("m1", a)) for a in sorted(MEMBER_ACTIONS)]
    words = {"text": "Hello.", "road_id": "ab", "mode": "peacetime", "member_id": "m1"}
    words |= {"into": "inc-1"}
    desks = [(a, station.desk(a, fields={"needed": 1}, **words)) for a in sorted(OPERATOR_ACTIONS)]
    refused = {
        action
        for action, out in (*answers, *desks)
        for letter in values(out, "dead_letters")
        if letter["reason"] == Reason.NOT_SUPPORTED
    }
    assert refused == told


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "HACKING.md", "ARCHITECTURE.md"])
def test_it_can_be_found(page: str) -> None:
    """The pages that a stranger opens first lead there."""
    assert "(docs/messages.md)" in (ROOT / page).read_text()
