"""What came of a replay, for people."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table

from xiaohe.replay.account import Account, Partition
from xiaohe.replay.again import Difference

HASH_CHARACTERS: Final = 12
"""Of a hash in the table; --json has it whole."""

INPUT_CHARACTERS: Final = 240
"""Of an input whose decision differs."""


def picture(account: Account) -> RenderableType:
    """Draw the account: a table of the partitions, then what differs, then the verdict."""
    return Group(_table(account), *_lines(account))


def _table(account: Account) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("partition", justify="right")
    for name in ("decisions", "take-overs", "snapshots"):
        table.add_column(name, justify="right")
    table.add_column("state, from the beginning")
    table.add_column("from the newest snapshot")
    for name in ("equal", "differ", "not comparable"):
        table.add_column(name, justify="right")
    for each in account.partitions:
        table.add_row(*_row(each))
    return table


def _row(each: Partition) -> Iterator[str]:
    folded, compared = each.folded, each.compared
    yield str(each.partition)
    yield from (f"{n:,}" for n in (folded.decisions, folded.fences, folded.snapshots))
    yield folded.hash[:HASH_CHARACTERS]
    again = folded.hash_from_snapshot
    yield "—" if again is None else again[:HASH_CHARACTERS]
    if compared is not None:
        differ = compared.differing + compared.unrecorded
        for n in (compared.equal, differ, compared.not_comparable.total()):
            yield f"{n:,}"


def _lines(account: Account) -> Iterator[str]:
    yield ""
    for doubt, count in account.not_comparable.most_common():
        yield f"{count:,} not comparable: {doubt}"
    yield from account.faults
    for told in account.differences:
        yield from _difference(told)
    left = account.count("differing") + account.count("unrecorded") - len(account.differences)
    if left > 0:
        yield f"… and {left:,} more that differ"
    yield f"hash {account.hash}"
    yield "NOT the same" if account.exit_status else _verdict(account)


def _verdict(account: Account) -> str:
    if not account.compared:
        return "every way of folding gives the same state"
    return "every way of folding gives the same state; whatever can be decided again is the same"


def _difference(told: Difference) -> Iterator[str]:
    at = datetime.fromtimestamp(told.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    where = f"{told.topic}[{told.partition}] at offset {told.input_offset}"
    record = f"decision {told.seq}, record {told.offset}" if told.seq >= 0 else "no decision"
    yield f"DIFFERS: {record} of partition {told.partition}, {at}, on {where}"
    yield f"  first at   {told.place.where or 'the whole'}"
    yield f"  recorded   {told.place.recorded}"
    yield f"  now        {told.place.again}"
    yield f"  the input  {told.input[:INPUT_CHARACTERS]}"
