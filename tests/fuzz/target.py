"""What can be fuzzed: a function over bytes that returns, or raises because something is wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.fuzz.mutation import Mutate


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that takes bytes from outside.

    ``run`` returns whether the input was accepted; whatever else it raises is a finding.
    ``seeds`` are good inputs, ``mutate`` makes nearly good ones. ``share`` is its part of the
    time of a run; ``quick`` how many inputs the short run of the tests gives it.
    """

    name: str
    run: Callable[[bytes], bool]
    seeds: Sequence[bytes]
    mutate: Mutate
    bytes_max: int = 4096
    share: float = 1.0
    quick: int = 1_000
