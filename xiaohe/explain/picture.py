"""An explanation set on the page: a headline, what was known, a table of candidates, what came.

Drawn for any width; where it is narrow, what is known of a candidate stands below the verdict.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from xiaohe.dispatch.facts import Candidate
from xiaohe.explain.recheck import Recheck
from xiaohe.explain.story import GIVES_AN_ORDER, Event, Order, Story, seconds_between, verdict
from xiaohe.explain.telling import Teller, mode_words

WIDE_COLUMNS: Final = 110
"""From here on a candidate has all of what is known in columns of its own."""

SIGNS: Final = {"ordered": ("→", "bold green")}
"""How whoever was ordered stands out, in colour and without."""

QUIET = "bright_black"
INDENT: Final = (0, 0, 0, 2)

WHOLE: Final = "fold"
"""What does not fit goes on in the next line: rich cuts a line of wide characters off otherwise."""

VERDICT: Final = "what became of them"


def order_picture(teller: Teller, order: Order, found: Recheck, width: int) -> Group:
    """Draw one order, and what became of it."""
    return Group(*_order(teller, order, found, width, list(order.after)))


def _order(
    teller: Teller, order: Order, found: Recheck, width: int, after: list[Event]
) -> list[RenderableType]:
    title = Text.assemble(
        (order.dispatch_id, "bold"), (f"  {teller.moment(order.ordered_at)}", QUIET)
    )
    return [
        title,
        Text(teller.headline(order), style="bold"),
        Padding(_known(teller, order), INDENT),
        Text(),
        _candidates(teller, order, width),
        Text(),
        Padding(_after(teller, order, after), INDENT),
        Text(),
        _recheck(teller, order, found),
    ]


def story_picture(
    teller: Teller, story: Story, rechecks: Mapping[str, Recheck], width: int
) -> Group:
    """Draw a whole incident: its orders in sequence, and between them in short what happened."""
    orders = {order.dispatch_id: order for order in story.orders}
    parts: list[RenderableType] = []
    between: list[Event] = []
    for event in story.events:
        order = orders.get(event.dispatch_id or "") if event.type in GIVES_AN_ORDER else None
        if order is None:
            between.append(event)
            continue
        parts += _told(teller, story, between)
        parts += [*_order(teller, order, rechecks[order.dispatch_id], width, []), Text()]
        between = []
    parts += _told(teller, story, between)
    if not orders:
        parts.append(Text("No order was given."))
    return Group(*parts)


def _told(teller: Teller, story: Story, events: list[Event]) -> list[RenderableType]:
    """Tell events in short, with the seconds since the incident was opened."""
    if not events:
        return []
    return [_events(teller, events, since=story.events[0].at), Text()]


def _events(teller: Teller, events: list[Event], since: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", style=QUIET, no_wrap=True)
    table.add_column(overflow=WHOLE)
    for event in events:
        after_s = seconds_between(since, event.at)
        table.add_row(teller.clock(event.at), f"+{after_s:.1f} s", Text(teller.event(event)))
    return table


def _known(teller: Teller, order: Order) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style=QUIET, no_wrap=True)
    table.add_column(overflow=WHOLE)
    for name, told in _rows(teller, order):
        table.add_row(name, Text(told))
    return table


def _rows(teller: Teller, order: Order) -> Iterator[tuple[str, str]]:
    why = order.why
    yield "where", teller.where(order)
    yield "looked at", teller.searched(order)
    if why.closed_roads:
        yield "closed roads", ", ".join(why.closed_roads)
    if why.together:
        yield "decided with", ", ".join(why.together)
    if why.instead_of is not None:
        yield "instead of", f"order {why.instead_of}"
    if order.origin is not None:
        yield "aid for", f"{order.origin.get('incident_id')} of {order.origin.get('area_id')}"
    if order.route:
        yield "the way", " → ".join(order.route)
    yield "decided on", teller.versions(order)
    yield "when taking", teller.cause(order)
    yield "for alert", order.alert_id


def _candidates(teller: Teller, order: Order, width: int) -> RenderableType:
    if not order.why.candidates:
        return Padding(Text("Nobody was compared."), INDENT)
    if width >= WIDE_COLUMNS and order.is_whole:
        return _wide(teller, order)
    return _narrow(teller, order)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
    table.add_column("", no_wrap=True, width=1)
    table.add_column("who", no_wrap=True)
    table.add_column("there in", justify="right", no_wrap=True)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column == "distance" else "left",
            no_wrap=column != VERDICT,
            overflow=WHOLE,
        )
    return table


def _wide(teller: Teller, order: Order) -> Table:
    table = _table("distance", "by", "known from", VERDICT)
    for candidate in order.why.candidates:
        first, style = _first(teller, order, candidate)
        cells = (_metres(candidate), mode_words(candidate.mode), teller.known_from(candidate))
        table.add_row(*first, *cells, Text(teller.verdict(order, candidate).en), style=style)
    return table


def _narrow(teller: Teller, order: Order) -> Table:
    table = _table(VERDICT)
    for candidate in order.why.candidates:
        first, style = _first(teller, order, candidate)
        known = (_metres(candidate), mode_words(candidate.mode), teller.known_from(candidate))
        more = ", ".join(each for each in known if each and each != "not recorded")
        told = Text(teller.verdict(order, candidate).en)
        table.add_row(*first, told.append(f"\n{more}" if more else "", style=QUIET), style=style)
    return table


def _first(
    teller: Teller, order: Order, candidate: Candidate
) -> tuple[tuple[str, Text, str], str | None]:
    sign, style = SIGNS.get(verdict(order, candidate), ("", None))
    eta = "—" if candidate.eta_s is None else f"{candidate.eta_s:.1f} s"
    return (sign, Text(teller.who(candidate.member_id)), eta), style


def _metres(candidate: Candidate) -> str:
    return "" if candidate.distance_m is None else f"{candidate.distance_m:.0f} m"


def _after(teller: Teller, order: Order, after: list[Event]) -> RenderableType:
    outcome = Text(teller.outcome(order))
    if not after:
        return outcome
    return Group(_events(teller, after, since=order.ordered_at), outcome)


def _recheck(teller: Teller, order: Order, found: Recheck) -> Text:
    sign, style = {
        "same": ("✓", "green"), "differs": ("✗", "bold red"), "skipped": ("·", QUIET),
    }[found.state]  # fmt: skip
    return Text(f"{sign} {teller.recheck(order, found)}", style=style)
