"""The faults of a campaign, and the order in which a seed draws them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, get_args

Kind = Literal[
    "worker_kill", "broker_kill", "zombie", "rebalance", "disk_full", "restart_all"
]  # fmt: skip

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

ROUND: Final[tuple[tuple[Kind, int], ...]] = (
    ("worker_kill", 10),
    ("broker_kill", 1),
    ("zombie", 2),
    ("rebalance", 4),
)
"""A round has each of these so often, in an order that is drawn."""

SELDOM: Final[tuple[Kind, ...]] = ("disk_full", "restart_all")
"""One of these is added to every round, in turn."""

PAUSE_S_MAX: Final = 1.5
"""A fault comes so soon after the one before has been recovered from."""

AT_ONCE: Final = 0.2
"""Share of the faults that come while the one before is being recovered from."""

REPLACED: Final = 0.25
"""Share of killed workers that are started again only after others have taken over."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault as drawn.

    ``pick`` and ``lot`` (0..1) choose among what there is when its time comes: which worker, how
    long. ``waits`` says whether the fault before is recovered from first, ``replaced`` whether
    others take over what a killed worker had.
    """

    number: int
    kind: Kind
    pick: float
    lot: float
    pause_s: float
    waits: bool
    replaced: bool


def draw(seed: int, kinds: Collection[str] = KINDS) -> Iterator[Fault]:
    """Give a seed's faults, without end; only of these kinds. The same seed gives the same."""
    draw = Random(f"faults:{seed}")  # noqa: S311 - a campaign must be repeatable
    number = 0
    for turn in range(seed, seed + 1_000_000):
        kinds_of_round: list[Kind] = [kind for kind, count in ROUND for _ in range(count)]
        kinds_of_round.append(SELDOM[turn % len(SELDOM)])
        draw.shuffle(kinds_of_round)
        for kind in kinds_of_round:
            number += 1
            fault = Fault(
                number=number,
                kind=kind,
                pick=draw.random(),
                lot=draw.random(),
                pause_s=PAUSE_S_MAX * draw.random(),
                waits=draw.random() >= AT_ONCE,
                replaced=draw.random() < REPLACED,
            )
            if kind in kinds:
                yield fault
