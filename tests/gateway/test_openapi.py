"""The OpenAPI document says what the doors do, and a fuzzer that reads it finds nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema_rs
import pytest
import schemathesis
from schemathesis import checks

from tests.gateway.door_bench import client_of, parts_for
from tests.gateway.running import connected_parts, running_gateway
from xiaohe.broker import Broker
from xiaohe.gateway.door import COMMON_STATUSES
from xiaohe.gateway.doors import doors_of
from xiaohe.gateway.openapi import openapi
from xiaohe.topics import Topics

TOKEN = {"Authorization": "Bearer fuzzer"}
EXAMPLES_A_DOOR = 12
STREAMS = "text/event-stream"
"""A door that answers with a stream without end is not for a fuzzer that reads answers whole."""


def document() -> dict[str, Any]:
    """The document of all doors, as it is served."""
    return json.loads(json.dumps(openapi(doors_of(parts_for()))))


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and what is said of each door."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_door_is_in_it_once() -> None:
    """Path, method, and a name of its own."""
    doors = doors_of(parts_for())
    told = list(operations())
    assert len(told) == len(doors)
    assert len({operation["operationId"] for _, _, operation in told}) == len(doors)


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    """Bodies, parameters and answers have schemas that a validator takes."""
    text = json.dumps(document())
    for found in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', text):
        assert found in document()["components"]["schemas"], found
    for path, method, operation in operations():
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        schemas = [kind["schema"] for each in contents for kind in each.get("content", {}).values()]
        schemas += [parameter["schema"] for parameter in operation.get("parameters", ())]
        for schema in schemas:
            if "$ref" not in json.dumps(schema):
                jsonschema_rs.meta.validate({**schema})
        assert operation["responses"], (path, method)


def test_who_must_say_who_they_are_is_told() -> None:
    """A door with a change names a security scheme and the statuses that all such doors share."""
    for door in doors_of(parts_for()):
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", door.path)
        operation = document()["paths"][path][door.method.lower()]
        assert bool(operation["security"]) == (door.change is not None)
        if door.change is not None:
            assert {"401", "403", "429", "500", "503"} <= set(operation["responses"])
            if door.bodies:
                assert {str(status) for status in COMMON_STATUSES} <= set(operation["responses"])


async def test_anybody_may_read_it() -> None:
    """It is served without a name."""
    async with client_of(doors_of) as client:
        answer = await client.get("/openapi.json")
    assert (answer.status_code, answer.json()) == (200, document())


@pytest.mark.kafka
@pytest.mark.filterwarnings("ignore")  # the fuzzer's own, of the libraries that it stands on
async def test_a_fuzzer_finds_no_fault_and_nothing_untold(
    broker: Broker, topics: Topics, tmp_path: Path
) -> None:
    """Each door, sent what its schema allows and what it does not: no 5xx, no status untold."""
    servers = broker.bootstrap_servers
    with running_gateway(lambda: connected_parts(servers, topics)) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()
            if STREAMS not in json.dumps(operation.definition.raw):
                _fuzz(operation)


def _fuzz(operation: Any) -> None:
    """Try one door; raises what the fuzzer found."""

    @hypothesis.given(case=operation.as_strategy() | _negative(operation))
    @hypothesis.settings(
        max_examples=EXAMPLES_A_DOOR,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def tried(case: schemathesis.Case) -> None:
        answer = case.call(headers=TOKEN)
        case.validate_response(
            answer,
            checks=[
                checks.not_a_server_error,
                schemathesis.checks.CHECKS.get_one("status_code_conformance"),
                schemathesis.checks.CHECKS.get_one("content_type_conformance"),
            ],
        )

    tried()


def _negative(operation: Any) -> Any:
    return operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
