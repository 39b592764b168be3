"""What an import left out or passed over: how often, why, and some of the things themselves."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

EXAMPLES_MAX: Final = 5
"""Examples kept of each reason: enough to look the matter up in the source."""


@dataclass(slots=True)
class Tally:
    """Counts kept while a source is read.

    ``dropped`` counts what was left out by reason, ``examples`` names some of it; ``doubts``
    counts what was not understood, or not followed, and passed over.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def drop(self, reason: str, what: str) -> None:
        """Count one thing that is left out."""
        self.dropped[reason] += 1
        named = self.examples[reason]
        if len(named) < EXAMPLES_MAX and what not in named:
            named.append(what)
