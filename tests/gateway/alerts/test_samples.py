"""The stored samples of every format give the alerts, or the refusals, that stand beside them."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from tests.gateway.alerts.bench import FEEDS, desk
from tests.gateway.door_bench import parts_for
from xiaohe.gateway.alerts.doors import doors
from xiaohe.gateway.alerts.feed_file import load_feeds
from xiaohe.gateway.alerts.open311 import read_services
from xiaohe.gateway.openapi import openapi
from xiaohe.places import SERVICES

SAMPLES = Path(__file__).parents[2] / "data" / "alerts"
KINDS = {
    "cap.yaml": ("/v1/alerts/cap", "application/cap+xml"),
    "open311.yaml": ("/v1/open311/requests.json", "application/x-www-form-urlencoded"),
    "feeds.yaml": ("/v1/feeds", "application/json"),
}
"""Each file of samples, with where its samples go and what they are unless they say otherwise."""


def samples() -> list[Any]:
    """Every case of every file, named."""
    return [
        pytest.param(name, case, id=f"{name}: {case['name']}")
        for name in KINDS
        for case in yaml.safe_load((SAMPLES / name).read_text(encoding="utf-8"))
    ]


def body_of(case: dict[str, Any]) -> object:
    """What is sent: the case's own body, or a file with changes."""
    if "form" in case:
        return urlencode(case["form"]).encode()
    if "base" not in case:
        return case["body"]
    text = (SAMPLES / case["base"]).read_text(encoding="utf-8")
    for before, after in case.get("change", {}).items():
        assert before in text, f"{before} is not in {case['base']}"
        text = text.replace(before, after)
    return text.encode()


def operations() -> dict[str, set[str]]:
    """What the OpenAPI document says that each door answers to a POST."""
    parts = parts_for()
    parts.feeds = load_feeds(FEEDS)
    parts.services = read_services(SERVICES.read_bytes(), "services")
    paths = openapi(doors(parts))["paths"]
    return {path: set(each["post"]["responses"]) for path, each in paths.items() if "post" in each}


TOLD = operations()


def door_of(path: str) -> str:
    """The door's path as the document has it."""
    patterns = {told: re.sub(r"\\{\w+\\}", "[^/]+", re.escape(told)) for told in TOLD}
    return next(told for told, pattern in patterns.items() if re.fullmatch(pattern, path))


@pytest.mark.parametrize(("file", "case"), samples())
async def test_a_sample_gives_what_stands_beside_it(file: str, case: dict[str, Any]) -> None:
    """Status, reason and every field named in the sample are as it says."""
    path, media_type = KINDS[file]
    path = f"{path}/{case['feed']}" if "feed" in case else path
    path, media_type = case.get("path", path), case.get("type", media_type)
    async with desk() as at:
        query = case.get("query", "area_id=xiaohe")
        answer = await at.post(f"{path}?{query}", body_of(case), media_type)
        written = at.shelf.values()
    told = answer.json()
    told = told[0] if isinstance(told, list) else told
    assert answer.status_code == case["status"], told
    assert str(answer.status_code) in TOLD[door_of(path)], "the OpenAPI document has it"
    assert told.get("reason") == case.get("reason")
    assert case.get("why", "") in told.get("why", "")
    if case["status"] not in (201, 202, 207):
        assert not written
        return
    *_, alert = written
    for name, expected in case["alert"].items():
        found = alert.get(name)
        assert found == (pytest.approx(expected) if name == "position" and expected else expected)
