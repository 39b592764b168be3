"""The AsyncAPI document: right by the official parser, and it says what the engine does."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from tests.gateway.door_bench import client_of, parts_for
from tests.test_messages_page import EXAMPLES
from tests.wire.test_outputs import message_of, records
from xiaohe.cli import run
from xiaohe.gateway import documents
from xiaohe.gateway.asyncapi import asyncapi, schema_files, schemas
from xiaohe.topics import load_topics
from xiaohe.wire.messages import MESSAGES

HERE = Path(__file__).parent
INSTALL_TIMEOUT_S = 150


@cache
def document() -> dict[str, Any]:
    """The document, as it is served."""
    return json.loads(json.dumps(asyncapi(load_topics())))


@pytest.fixture(scope="session")
def parser() -> list[str]:
    """The command of the official parser; skips, saying why, where it cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("the official AsyncAPI parser needs node and npm")
    if not (HERE / "node_modules" / "@asyncapi" / "parser").is_dir():
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(
                install,
                check=False,
                cwd=HERE,
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not get the AsyncAPI parser in time")
        if done.returncode != 0:
            pytest.skip(f"npm cannot get the AsyncAPI parser: {done.stderr.strip()[-200:]}")
    return ["node", str(HERE / "check.mjs")]


def test_the_official_parser_finds_nothing_wrong(parser: list[str]) -> None:
    """It is valid AsyncAPI 3, and has every topic that is not the engine's own."""
    done = subprocess.run(
        parser, check=False, cwd=HERE, input=json.dumps(document()), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    outside = [topic for topic in load_topics() if topic.kind != "engine"]
    assert set(told) == {topic.name for topic in outside}
    for topic in outside:
        assert int(told[topic.name]) == sum(m.topic == topic.id for m in MESSAGES)


def test_the_parser_would_find_something(parser: list[str]) -> None:
    """A reference to nothing is told: the check can fail."""
    broken = document() | {"operations": {"x": {"action": "send", "channel": {"$ref": "#/no"}}}}
    done = subprocess.run(
        parser, check=False, cwd=HERE, input=json.dumps(broken).encode(), capture_output=True
    )
    assert done.returncode == 1


@cache
def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    """A validator of one type, by the schemas of the document."""
    found = schemas(load_topics(), "#/$defs/{name}")
    return jsonschema_rs.Draft202012Validator({"$defs": found, "$ref": f"#/$defs/{name}"})


@pytest.mark.parametrize("topic", sorted({m.topic for m in MESSAGES if m.direction == "out"}))
def test_what_the_engine_writes_is_valid(topic: str) -> None:
    """Every record of an eventful afternoon fits the schema of its message."""
    for value in records(topic):
        validator(message_of(topic, value).name).validate(value)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("Alert", "alerts"),
        ("PositionBatch", "positions"),
        ("MemberAction", "member-actions"),
        ("OperatorAction", "operator-actions"),
        ("RosterEntry", "roster"),
    ],
)
def test_the_examples_of_inputs_are_valid(name: str, topic: str) -> None:
    """What the page of messages shows to senders fits the schema."""
    validator(name).validate(EXAMPLES[topic])
    assert not validator(name).is_valid({})


def test_an_area_may_be_left_to_the_key_and_a_place_may_not() -> None:
    """The schema of an alert asks for one of three places, and not for the area."""
    alert = {k: v for k, v in EXAMPLES["alerts"].items() if k != "area_id"}
    assert validator("Alert").is_valid(alert)
    assert not validator("Alert").is_valid({k: alert[k] for k in alert if k not in (
        "position", "road_id", "address")})  # fmt: skip


def test_personal_fields_are_marked() -> None:
    """Every field that topics.yaml calls personal is marked in the document."""
    told = document()["components"]["schemas"]
    for message in MESSAGES:
        topic = getattr(load_topics(), message.topic)
        marked = {k for k, v in told[message.name]["properties"].items() if v.get("x-personal")}
        assert marked == set(topic.personal) & set(told[message.name]["properties"])


def test_the_command_and_the_door_give_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """``xiaohe asyncapi --json`` prints what is made from the topics."""
    assert run(["asyncapi", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == document()


async def test_the_door_gives_the_document() -> None:
    """Anybody may read it."""
    async with client_of(documents.doors(parts_for(), tuple)) as client:
        answer = await client.get("/asyncapi.json")
    assert orjson.loads(answer.content) == document()


def test_schemas_come_as_files(tmp_path: Path) -> None:
    """``--schemas`` writes one file a type, each by its name."""
    assert run(["asyncapi", "--schemas", str(tmp_path)]) == 0
    found = {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert found == json.loads(json.dumps(schema_files(load_topics())))
    assert "Alert.schema.json" in found
