"""The diagrams of ARCHITECTURE.md, drawn from the life-cycle tables they show.

``python -m xiaohe.diagrams`` writes them anew; a test fails where the page is stale.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path

from xiaohe.dispatch.lifecycle import INCIDENT, INCIDENT_RESTORED, LIVE, ORDER, ORDER_REVIVED

PAGE = Path(__file__).parent.parent / "ARCHITECTURE.md"
DRAWN = {"order": "the life of an order", "incident": "the life of an incident"}


def order_diagram() -> str:
    """Draw the life of an order."""
    first, fact, then = ORDER_REVIVED
    arrows = [(state, event, after) for (state, event), after in ORDER.items()]
    arrows.append((first, f"{fact} (a lapsed order only)", then))
    return _diagram("ordered", arrows)


def incident_diagram() -> str:
    """Draw the life of an incident; while it is live it stands where its furthest primary does."""
    progress = [(a, "", b) for a, b in itertools.pairwise(LIVE)]
    out = {(event, after) for (state, event), after in INCIDENT.items() if state in LIVE}
    arrows = [(state, e, after) for (state, e), after in INCIDENT.items() if state not in LIVE]
    live = "\n".join(f"    {line}" for line in _arrows(progress))
    rest = [("live", event, after) for event, after in sorted(out)]
    arrows.append(INCIDENT_RESTORED)
    back = [(state, event, "live" if after == "open" else after) for state, event, after in arrows]
    lines = ["stateDiagram-v2", "    [*] --> live", "    state live {", "        [*] --> open"]
    lines += ["    " + line for line in live.splitlines()]
    lines += ["    }", *(f"    {line}" for line in _arrows([*rest, *back]))]
    return "\n".join(lines)


def _diagram(start: str, arrows: Iterable[tuple[str, str, str]]) -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {start}"]
    return "\n".join([*lines, *(f"    {line}" for line in _arrows(arrows))])


def _arrows(arrows: Iterable[tuple[str, str, str]]) -> list[str]:
    """Join arrows between the same two states into one."""
    joined: dict[tuple[str, str], list[str]] = {}
    for state, event, after in arrows:
        joined.setdefault((state, after), []).append(event)
    return [
        f"{state} --> {after}" + (f" : {', '.join(events)}" if any(events) else "")
        for (state, after), events in joined.items()
    ]


def page_with_diagrams(page: str) -> str:
    """Give the page with its diagrams as the tables have them now."""
    for name, diagram in {"order": order_diagram(), "incident": incident_diagram()}.items():
        begin, end = f"<!-- drawn: {name} -->", "<!-- end -->"
        before, _, rest = page.partition(begin)
        assert rest, f"the page has no place for the diagram of {DRAWN[name]}"
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n```mermaid\n{diagram}\n```\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(page_with_diagrams(PAGE.read_text()))
