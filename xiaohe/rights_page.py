"""The tables of docs/kafka.md, drawn from ``topics.yaml``: who comes, and who may do what.

``python -m xiaohe.rights_page`` writes them anew; a test fails where the page is stale.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from xiaohe.topics import Topic, Topics, load_topics

PAGE = Path(__file__).parent.parent / "docs" / "kafka.md"


def principals_table(topics: Topics) -> str:
    """Draw who comes, as what, and what they have beside topics."""
    rows = [
        (
            f"`{name}`",
            entry.what,
            f"joins `{entry.group}`" if entry.group else "",
            ", ".join(f"`{group}`" for group in entry.watches),
        )
        for name, entry in topics.principals.items()
        if not entry.superuser
    ]
    return _table(("principal", "who", "group", "looks at"), rows)


def rights_table(topics: Topics) -> str:
    """Draw the matrix: a topic a row, a principal a column, W for writes and R for reads."""
    names = [name for name, entry in topics.principals.items() if not entry.superuser]
    rows = [(f"`{topic.name}`", *(_rights(topic, name) for name in names)) for topic in topics]
    return _table(("topic", *names), rows)


def _rights(topic: Topic, name: str) -> str:
    writes = "W" if name in topic.written_by else ""
    return writes + ("R" if name in topic.read_by else "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page_with_tables(page: str) -> str:
    """Give the page with its tables as ``topics.yaml`` has them now."""
    topics = load_topics()
    drawn = {"principals": principals_table(topics), "rights": rights_table(topics)}
    for name, table in drawn.items():
        begin, end = f"<!-- drawn: {name} -->", "<!-- end -->"
        before, _, rest = page.partition(begin)
        assert rest, f"the page has no place for the table of {name}"
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{table}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
