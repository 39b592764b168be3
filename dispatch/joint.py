"""Who goes where when several incidents compete for the same members: the best assignment.

Theory of operation
-------------------
Each *want* is one member that one incident lacks, with a ranking of those who may go. Nearest
first, one by one, is not best for all: the first may take the only member who could have reached
the second in time. Whole assignments are compared level by level, the first difference decides:

1. priority by priority, the most urgent first: wants that had somebody in time and would not any
   more, wants left alone although they have waited long, wants left alone, wants served late;
2. how late, seconds, those of a more urgent incident counting more;
3. the contract's order of rules (owner in time, squad in time, nearest);
4. travel in all, seconds; moving an offer that was made counts as ``even_s`` more.

Because what is taken away counts before what is gained, and each priority before the next, nobody
who was served in time is served late for the sake of an incident that is no more urgent.

The levels are laid out in one integer, each digit as wide as this assignment can need, and the
assignment problem is solved exactly over those integers. A want's first ``n`` options are enough
for ``n`` wants: whatever lies behind them could be exchanged for one of them that is left.

What is equal to all this (``even_s`` of travel in all) goes to those who have had fewer orders and
more rest, then to those who leave more of the area covered: ``evened``.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from msgspec import Struct
from scipy.optimize import linear_sum_assignment

from xiaohe.dispatch.ranking import ORDER_OF_RULES, Option

PRIORITIES: Final = (1, 2, 3, 4)
EXACT_MAX: Final = 2**52
"""Integers below this are exact as floats, which is what the solver computes with."""

FINEST_PER_S: Final = 10
"""Travel times are compared to a tenth of a second, as they are published."""

COVER_LOOKS_MAX: Final = 8
"""Alternatives whose cover is computed: it breaks ties, and costs a search each."""

Assignment = tuple[Option | None, ...]
"""Who goes for each want, in the order of the wants; None where nobody is left."""


class Want(Struct, frozen=True):
    """One member whom an incident lacks, or was offered and has not answered: ``had``.

    ``limit_s`` is the time that is left of its arrival window; ``waited`` says that it has been
    left alone so long that no further one may go before it. ``options`` are in the contract's
    order, and all may go.
    """

    incident_id: str
    priority: int
    limit_s: float
    options: tuple[Option, ...]
    had: Option | None = None
    waited: bool = False

    @property
    def had_in_time(self) -> bool:
        """Somebody was asked who could still be there in time."""
        return self.had is not None and self.had.in_time


Levels = tuple[int, ...]


def assign(wants: Sequence[Want], even_s: float = 0.0) -> Assignment:
    """Give the best assignment; of a single want the first option, always."""
    if len(wants) <= 1:
        return tuple(want.options[0] if want.options else None for want in wants)
    members = sorted({o.member_id for want in wants for o in want.options})
    column = {member_id: n for n, member_id in enumerate(members)}
    cost = np.full((len(wants), len(members) + len(wants)), np.inf)
    for row, cells in enumerate(_encoded(wants, even_s)):
        cost[row, len(members) + row] = cells[-1]
        for option, value in zip(wants[row].options, cells, strict=False):
            cost[row, column[option.member_id]] = value
    rows, columns = linear_sum_assignment(cost)
    gets = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    return tuple(
        next((o for o in want.options if column[o.member_id] == gets[row]), None)
        for row, want in enumerate(wants)
    )


def lateness(wants: Sequence[Want], assignment: Assignment) -> Levels:
    """Count who is worse off, left alone or late, the most urgent first: less is better."""
    return _sum(_lateness(want, option) for want, option in zip(wants, assignment, strict=True))


def travel_s(assignment: Assignment) -> float:
    """Add the travel of all who go, seconds."""
    return sum(option.eta_s for option in assignment if option is not None)


def _encoded(wants: Sequence[Want], even_s: float) -> list[list[int]]:
    """Give one exact integer for every option of every want, and last for nobody."""
    per_s: float = FINEST_PER_S
    while True:
        levels = [
            [_levels(want, option, even_s, per_s) for option in (*want.options, None)]
            for want in wants
        ]
        spans = _sum(tuple(max(column) for column in zip(*cells, strict=True)) for cells in levels)
        weights = [1]
        for span in reversed(spans):
            weights.append(weights[-1] * (span + 1))
        if weights[-1] < EXACT_MAX or per_s < 1 / 3600:
            break
        # Too many and too late for one number: count times more coarsely.
        per_s /= FINEST_PER_S
    weights = weights[-2::-1]
    return [
        [sum(w * level for w, level in zip(weights, cell, strict=True)) for cell in cells]
        for cells in levels
    ]


def _levels(want: Want, option: Option | None, even_s: float, per_s: float) -> Levels:
    if option is None:
        return (*_lateness(want, None), 0, 0, 0)
    late_s = 0.0 if option.in_time else max(0.0, option.eta_s - want.limit_s)
    moved = want.had is not None and want.had.member_id != option.member_id
    urgency = PRIORITIES[-1] + 1 - want.priority
    return (
        *_lateness(want, option),
        round(late_s * per_s) * urgency,
        ORDER_OF_RULES[option.rule],
        round((option.eta_s + (even_s if moved else 0.0)) * per_s),
    )


def _lateness(want: Want, option: Option | None) -> Levels:
    alone = option is None
    late = option is None or not option.in_time
    mine = (
        int((want.had_in_time and late) or (want.had is not None and alone)),
        int(want.waited and alone),
        int(alone),
        int(late),
    )
    nothing = (0,) * len(mine)
    return tuple(n for p in PRIORITIES for n in (mine if p == want.priority else nothing))


def _sum(levels: Iterator[Levels]) -> Levels:
    return tuple(sum(column) for column in zip(*levels, strict=True))


# --- what is as good for the incidents


class Load(Struct, frozen=True, order=True):
    """What a member has done lately: fewer orders and more rest go first."""

    orders: int = 0
    unrest_ms: int = 0
    """Milliseconds since the last order ended, below zero: the longer the rest, the less."""


def evened(
    wants: Sequence[Want],
    best: Assignment,
    even_s: float,
    load: Callable[[str], Load],
    cover: Callable[[frozenset[str]], float],
) -> Assignment:
    """Give an assignment as good for the incidents that is fairer, or leaves more cover.

    ``load`` tells what a member has done; ``cover`` which share of the area can be reached when
    these members are gone. Nothing is evened for a single incident, whose choice the contract
    states, nor by moving an offer that was made.
    """
    if len({want.incident_id for want in wants}) < 2:  # noqa: PLR2004 - one alone
        return best
    most_s = travel_s(best) + even_s
    while True:
        fairer = min(
            (a for a in _alike(wants, best, most_s) if _fairness(a, load) < _fairness(best, load)),
            key=lambda a: (_fairness(a, load), travel_s(a), _names(a)),
            default=None,
        )
        if fairer is None:
            break
        best = fairer
    equal = [a for a in _alike(wants, best, most_s) if _fairness(a, load) == _fairness(best, load)]
    equal.sort(key=lambda a: (travel_s(a), _names(a)))
    if not equal:
        return best
    return max((best, *equal[:COVER_LOOKS_MAX]), key=lambda a: cover(frozenset(_names(a))))


def _alike(wants: Sequence[Want], best: Assignment, most_s: float) -> Iterator[Assignment]:
    """Give what one exchange makes of an assignment, where the incidents are as well served."""
    goal = _served(wants, best)
    taken = set(_names(best))
    for n, want in enumerate(wants):
        for option in want.options:
            if option.member_id not in taken and best[n] is not None and want.had is None:
                other = (*best[:n], option, *best[n + 1 :])
                if travel_s(other) <= most_s and _served(wants, other) == goal:
                    yield other
    for a, b in combinations(range(len(wants)), 2):
        exchanged = _swapped(wants, best, a, b)
        if exchanged is None or travel_s(exchanged) > most_s:
            continue
        if _served(wants, exchanged) == goal:
            yield exchanged


def _swapped(wants: Sequence[Want], best: Assignment, a: int, b: int) -> Assignment | None:
    one, two = best[a], best[b]
    if one is None or two is None or wants[a].had is not None or wants[b].had is not None:
        return None
    for_a = next((o for o in wants[a].options if o.member_id == two.member_id), None)
    for_b = next((o for o in wants[b].options if o.member_id == one.member_id), None)
    if for_a is None or for_b is None:
        return None
    exchange = {a: for_a, b: for_b}
    return tuple(exchange.get(n, option) for n, option in enumerate(best))


def _served(wants: Sequence[Want], assignment: Assignment) -> Levels:
    """Give the levels above travel, lateness to the second."""
    return _sum(
        _levels(want, option, 0.0, 1.0)[:-1] for want, option in zip(wants, assignment, strict=True)
    )


def _fairness(assignment: Assignment, load: Callable[[str], Load]) -> tuple[int, int]:
    loads = [load(member_id) for member_id in _names(assignment)]
    return sum(each.orders for each in loads), sum(each.unrest_ms for each in loads)


def _names(assignment: Assignment) -> tuple[str, ...]:
    return tuple(option.member_id for option in assignment if option is not None)
