"""A fuzzer that reads the OpenAPI document of the doors of alerts finds no fault in them."""

import contextlib
from collections.abc import Iterable

import hypothesis
import pytest
import schemathesis
from schemathesis import checks

from tests.gateway.alerts.bench import FEEDS, Shelf
from tests.gateway.door_bench import parts_for
from xiaohe.gateway import documents
from xiaohe.gateway.alerts.doors import doors
from xiaohe.gateway.alerts.feed_file import load_feeds
from xiaohe.gateway.alerts.open311 import read_services
from xiaohe.gateway.app import application
from xiaohe.gateway.door import Door
from xiaohe.gateway.parts import Parts
from xiaohe.places import SERVICES

EXAMPLES_A_DOOR = 12
TOKEN = {"Authorization": "Bearer fuzzer"}


def parts() -> Parts:
    """Parts with every feed and service, that write to a shelf."""
    made = parts_for()
    made.publisher = Shelf()
    made.feeds = load_feeds(FEEDS)
    made.services = read_services(SERVICES.read_bytes(), "services")
    return made


def documented(made: Parts) -> Iterable[Door]:
    """The doors of alerts, and the document about them."""
    found = [*doors(made)]
    return (*found, *documents.doors(made, lambda: tuple(found)))


@pytest.mark.filterwarnings("ignore")  # the fuzzer's own, of the libraries that it stands on
def test_a_fuzzer_finds_no_fault_and_nothing_untold() -> None:
    """Each door, sent what its schema allows and what it does not: no 5xx, no status untold."""
    made = parts()
    app = application(made, documented(made))
    app.router.lifespan_context = lambda _: contextlib.nullcontext()  # nothing is connected
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == len(doors(made))
    for operation in operations:
        _fuzz(operation)


def _fuzz(operation: schemathesis.APIOperation) -> None:
    negative = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

    @hypothesis.given(case=operation.as_strategy() | negative)
    @hypothesis.settings(
        max_examples=EXAMPLES_A_DOOR, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    def tried(case: schemathesis.Case) -> None:
        told = [
            checks.not_a_server_error,
            schemathesis.checks.CHECKS.get_one("status_code_conformance"),
            schemathesis.checks.CHECKS.get_one("content_type_conformance"),
        ]
        case.validate_response(case.call(headers=TOKEN), checks=told)

    tried()
