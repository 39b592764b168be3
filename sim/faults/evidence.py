"""What a run leaves for its judges: the topics, the last owners' engines, and what was staged.

The world that is run (``run.py``) writes it, the judges (``judges/``) only read it: they know
nothing of workers, faults or chance.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.memory_log import MemoryTopics


class Place(NamedTuple):
    """Where a record lies; ``topic`` is its key in topics.yaml."""

    topic: str
    partition: int
    offset: int


class Ended(Struct, frozen=True):
    """A worker that ended by itself, and what it said. ``input`` is the record it failed on."""

    at_ms: int
    worker: str
    error: str
    input: Place | None = None


class Peak(Struct, frozen=True):
    """The largest size seen of something that has a named limit."""

    size: int
    limit: int


class Violation(Struct, frozen=True, order=True):
    """A promise that was not kept: ``rule`` is S1 … S10, L1 or L2, ``what`` a sentence."""

    rule: str
    what: str
    at_ms: int = 0


class Evidence(Struct, frozen=True):
    """One run, from its beginning to its end.

    Attributes
    ----------
    topics : all records, with the receipt that virtual time gave them.
    shared : policy, roster and map as they are at the end.
    engines : by partition, the engine of its owner at the end.
    accepted : alerts whose sender was told that they are in the log.
    unauthorised : inputs made by somebody who may not.
    poison : inputs on which the core was made to fail, however often it tried.
    stumbling : inputs on which it was made to fail a few times, and then no more.
    ended : workers that ended by themselves.
    peaks : by the name of its limit, the largest size seen.
    healed_ms, ended_ms : when the last fault was over, and when the run was.
    """

    topics: MemoryTopics
    shared: Shared
    engines: Mapping[int, AreaEngine]
    accepted: frozenset[Place]
    unauthorised: frozenset[Place]
    poison: frozenset[Place]
    ended: Sequence[Ended]
    peaks: Mapping[str, Peak]
    healed_ms: int
    ended_ms: int
    stumbling: frozenset[Place] = frozenset()
