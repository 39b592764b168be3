"""Pages that are drawn from code are as the code says."""

from xiaohe import rights_page
from xiaohe.diagrams import PAGE, page_with_diagrams


def test_the_diagrams_are_those_of_the_tables() -> None:
    """ARCHITECTURE.md shows the life cycles that the engine follows."""
    page = PAGE.read_text()
    assert page_with_diagrams(page) == page, "run `python -m xiaohe.diagrams`"


def test_the_rights_are_those_of_topics_yaml() -> None:
    """docs/kafka.md shows who comes to the broker, and who may do what."""
    page = rights_page.PAGE.read_text(encoding="utf-8")
    assert rights_page.page_with_tables(page) == page, "run `python -m xiaohe.rights_page`"
