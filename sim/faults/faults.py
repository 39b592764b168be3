"""What can go wrong, and how much of it in one run: all drawn from the run's one seed.

Each run has its own mix, a few kinds of fault and their rates, because faults that are all there
all the time hide each other's traces.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Final

from xiaohe.sim.faults.city import SPEEDS


class Kind(Enum):
    """A kind of fault; the value says what happens."""

    LOSS = "a message is lost before its acknowledgement, and sent again"
    DUPLICATE = "a message comes twice"
    REORDER = "topics and partitions are read and written in another order than they were sent"
    DELAY = "messages take 30 to 100 ms in the mean, some of them seconds"
    CLOG = "nothing goes through between a worker and the broker for up to 5 s, then all of it"
    CUT = "a worker is cut off from the broker, longer than its session or not"
    CRASH = "a worker's process dies at any moment"
    CRASH_IN_GAP = "a worker's process dies between two steps of a turn"
    TORN_BATCH = "a batch of decisions is written in two halves"
    BROKER_CRASH = "the broker dies and comes back; what was not acknowledged may be written"
    ZOMBIE = "a worker stands still, past its session or not, and goes on afterwards"
    ZOMBIE_IN_GAP = "a worker stands still between two steps of a turn"
    REBALANCE = "workers join and leave, and partitions move"
    CLOCK_JUMP = "a machine's clock is wrong by up to an hour"
    CLOCK_DRIFT = "a machine's clock goes up to 5 % too fast or too slow"
    BAD_POSITION = "positions are old, forged, or jump across the city"
    SILENT_MEMBER = "a member on the way to a scene says nothing any more"
    BAD_ANSWER = "answers come late, twice, from somebody else, or about no order"
    POISON = "an input makes the core fail, each time or once"
    MALFORMED = "an input is no JSON, or lies in the wrong partition"
    ROADS_SWAP = "the roads file is exchanged while incidents run"
    ROAD_CLOSED = "a desk closes and opens roads while incidents run"
    ROSTER_CHANGE = "members come, go and change shifts while incidents run"
    OFFSETS_MOVED = "a reader begins again at an older offset"


GAPS: Final = (
    "decided", "appending", "appended", "published_0", "published_1", "published_2",
    "acknowledged", "fence_written", "folded", "wakeup_written",
)  # fmt: skip
"""The places of a turn, and of a take-over, between which a worker can die or stand still."""

SNAPSHOTS_EVERY: Final = (7, 25, 100, 2_000)
"""Decisions between two snapshots, of which each run draws one."""

PIECES_BYTES: Final = (300, 3_000, 512 * 1024)
"""Most bytes of a snapshot's piece, of which each run has one: a row, some rows, and all of so
small a town. Decisions lie between pieces."""


@dataclass
class Plan:
    """What one run is: its size, its faults and their rates.

    Attributes
    ----------
    faults_ms : how long faults are injected, in virtual time.
    snapshot_records, piece_bytes : decisions between two snapshots, bytes of a piece at most.
    partitions, workers, members : of area topics; at the beginning; per area.
    alerts : how many are sent while there are faults.
    speed : how much faster than the day policy and roads are.
    rates : by kind, 0 to 1: how much of it there is.
    gaps : the gaps at which workers die or stand still in this run.
    injected : how often each kind was injected.
    """

    seed: int
    speed: int
    faults_ms: int
    partitions: int
    workers: int
    members: int
    alerts: int
    snapshot_records: int
    piece_bytes: int
    rates: dict[Kind, float]
    gaps: tuple[str, ...]
    injected: Counter[Kind] = field(default_factory=Counter)

    def rate(self, kind: Kind) -> float:
        """Give how much of a kind there is; 0 where this run has none of it."""
        return self.rates.get(kind, 0.0)

    def has(self, kind: Kind) -> bool:
        """Tell whether this run has this kind."""
        return kind in self.rates

    def note(self, kind: Kind) -> None:
        """Count a fault that was injected."""
        self.injected[kind] += 1


def draw_plan(seed: int, chance: Random) -> Plan:
    """Draw a run: mostly small and quick, now and then long or at the day's own speed."""
    speed = chance.choices(SPEEDS, weights=(1, 2, 7))[0]
    length_s = chance.choice((6, 10, 15, 25)) * {1: 4, 4: 2, 10: 1}[speed]
    kinds = chance.sample(list(Kind), chance.choice((0, 1, 2, 2, 3, 4, 6, 9)))
    return Plan(
        seed=seed,
        speed=speed,
        faults_ms=length_s * 1000,
        partitions=chance.choice((2, 2, 2, 3, 4)),
        workers=chance.choice((1, 2, 2, 3)),
        members=chance.choice((1, 2, 2, 3)),
        alerts=chance.choice((1, 2, 3, 3, 4, 8)),
        snapshot_records=chance.choice(SNAPSHOTS_EVERY),
        piece_bytes=PIECES_BYTES[seed % len(PIECES_BYTES)],
        rates={kind: chance.choice((0.1, 0.3, 1.0)) for kind in kinds},
        gaps=tuple(chance.sample(GAPS, chance.choice((1, 1, 2, 4)))),
    )
