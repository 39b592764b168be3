"""Pages that are drawn from code are as the code says."""

from xiaohe.diagrams import PAGE, page_with_diagrams


def test_the_diagrams_are_those_of_the_tables() -> None:
    """ARCHITECTURE.md shows the life cycles that the engine follows."""
    page = PAGE.read_text()
    assert page_with_diagrams(page) == page, "run `python -m xiaohe.diagrams`"
