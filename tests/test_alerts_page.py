"""docs/alerts.md says what the doors do: its examples are played, its figures are the code's."""

import re
from pathlib import Path

import orjson
import pytest

from tests.gateway.alerts.bench import desk
from xiaohe.gateway.alerts.cap import priority_of
from xiaohe.gateway.alerts.feed_file import RULE, read_feed
from xiaohe.gateway.alerts.intake import ALERTS_IN_BATCH_MAX
from xiaohe.gateway.alerts.mapping import fields_of, items_of
from xiaohe.gateway.alerts.results import results_of
from xiaohe.geo.addresses import MISSPELT, SCORES, SURE_SCORE

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```\w+ ([^\n]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
FEED = read_feed(BLOCKS["a mapping file"].encode(), "docs/alerts.md")


async def test_the_first_alert_is_taken() -> None:
    """As it stands on the page."""
    async with desk() as at:
        answer = await at.post("/v1/alerts", BLOCKS["POST /v1/alerts"].encode())
    assert answer.status_code == 202
    for name in ("topic", "partition", "offset", "received_at"):
        assert name in answer.json()


def test_the_mapping_file_makes_an_alert_of_the_sample_and_a_result() -> None:
    """Both directions."""
    document = orjson.loads(BLOCKS["a sample"])
    (item,) = items_of(FEED, document)
    alert = fields_of(FEED, item, document)
    assert (alert["alert_id"], alert["category"], alert["priority"]) == ("my:42", "fight", 1)
    event = {"type": "member.arrived", "at": "2030-01-31T00:02:30.000Z", "data": {}}
    ((_, body),) = results_of(FEED, event, ["my:42"])
    assert body == {"no": "42", "state": "3", "time": "2030-01-31 08:02:30"}


@pytest.mark.parametrize("how", SCORES)
def test_how_sure_an_address_is_stands_there(how: str) -> None:
    """Each way of knowing with its score."""
    assert re.search(rf"^\| `{how}` \| {SCORES[how]:g}(?:\.0)? \|", PAGE, re.MULTILINE)
    assert f"below {SURE_SCORE:g} nobody is sent" in PAGE
    assert MISSPELT == 0.75
    assert f"up to {ALERTS_IN_BATCH_MAX}" in PAGE


def test_every_key_of_a_rule_stands_there() -> None:
    """Whoever writes a file finds each word."""
    table = PAGE.partition("| key of a rule |")[2].partition("\n\n")[0]
    for key in RULE:
        assert f"`{key}" in table, key


def test_the_priorities_of_cap_stand_there() -> None:
    """In the one line about them."""
    said = re.search(
        r"priority: Extreme (\d), Severe (\d), Moderate (\d), Minor (\d), Unknown (\d)", PAGE
    )
    assert said is not None
    words = ("Extreme", "Severe", "Moderate", "Minor", "Unknown")
    assert [priority_of(word, "Immediate", "Observed") for word in words] == list(
        map(int, said.groups())
    )


def test_every_file_that_is_named_is_there() -> None:
    """Paths and links lead somewhere."""
    for name in re.findall(r"`((?:data|tests)/[\w./-]+)`", PAGE):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\((\w[\w./-]+\.md)\)", PAGE):
        assert (ROOT / "docs" / name).exists(), name
