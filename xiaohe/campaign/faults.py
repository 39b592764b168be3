"""The faults of a campaign, and the order in which a seed draws them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, get_args

Kind = Literal[
    "worker_kill", "broker_kill", "zombie", "rebalance", "disk_full", "restart_all"
]  # fmt: skip

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Round = Mapping[Kind, int]
"""How often each kind comes before all are mixed anew."""

ROUND: Final[Round] = {
    "worker_kill": 20,
    "broker_kill": 2,
    "zombie": 4,
    "rebalance": 8,
    "disk_full": 1,
    "restart_all": 1,
}

PAUSE_S_MAX: Final = 1.5
"""A fault comes so soon after the one before has been recovered from."""

AT_ONCE: Final = 0.5
"""Share of the faults that come while the one before is being recovered from: harder, and twice as
many in the same time. Their recoveries are counted apart."""

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


def draw(seed: int, one_round: Round = ROUND) -> Iterator[Fault]:
    """Give a seed's faults, round after round without end; the same seed gives the same."""
    assert any(one_round.values()), "a round has faults"
    lots = Random(f"faults:{seed}")  # noqa: S311 - a campaign must be repeatable
    number = 0
    while True:
        kinds = [kind for kind, count in one_round.items() for _ in range(count)]
        lots.shuffle(kinds)
        for kind in kinds:
            number += 1
            yield Fault(
                number=number,
                kind=kind,
                pick=lots.random(),
                lot=lots.random(),
                pause_s=PAUSE_S_MAX * lots.random(),
                waits=lots.random() >= AT_ONCE,
                replaced=lots.random() < REPLACED,
            )
