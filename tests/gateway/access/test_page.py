"""docs/access.md says what the rules say."""

from pathlib import Path

from xiaohe.campaign.forgeries import FORGERIES
from xiaohe.gateway.access.devices import AHEAD_S, PAST_S
from xiaohe.gateway.access.page import WORDS, page_with_table, table
from xiaohe.gateway.access.principal import Change
from xiaohe.gateway.access.rules import TABLE
from xiaohe.gateway.access.tries import ADDRESS_TRIES, TRIES_FREE

PAGE = Path(__file__).parents[3] / "docs" / "access.md"


def test_the_table_is_made_of_the_rules() -> None:
    """``python -m xiaohe.gateway.access.page`` writes it anew."""
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_table(text) == text
    assert table().count("\n") == len(TABLE) + 2
    assert set(WORDS) == set(Change)


def test_its_figures_are_those_of_the_code() -> None:
    """Where it states a limit, the constant has it."""
    text = PAGE.read_text(encoding="utf-8")
    assert f"may be {PAST_S} s old and {AHEAD_S} s ahead" in text
    assert f"After {TRIES_FREE} wrong tries" in text
    assert f"{ADDRESS_TRIES} times in 15 minutes" in text
    assert f"of {len(FORGERIES)} kinds" in text
