"""Calls without end: one of everything again and again, and ordinary ones at a steady rate."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from xiaohe.sim.calls import STORY_S_MAX, Call, Calls, Landmark
from xiaohe.sim.streets import Streets

ROUND_S: Final = 1200.0
"""After so long an area has one of everything again: the bad records, the repeat, the burst, the
call for help, the own finding."""

STORY_ALERTS: Final = 16
"""Alerts of a story, the unreadable ones included."""

ROUND_NUMBERS: Final = 10_000
"""Calls of a round are numbered from here on: more than there are in one."""


class Stories:
    """Rounds of ``sim.Calls``, one after the other; ``shift_s`` of the first one is over."""

    def __init__(
        self,
        streets: Streets,
        landmarks: Sequence[Landmark],
        seed: int,
        rate_per_s: float,
        shift_s: float = 0.0,
    ) -> None:
        """``rate_per_s``: alerts a second, those of the story included."""
        assert shift_s >= 0, "a round that has not begun is not over"
        self._streets = streets
        self._landmarks = landmarks
        self._seed = seed
        self._rate_per_h = 3600 * max(0.0, rate_per_s - STORY_ALERTS / ROUND_S)
        self._round = 0
        self._begins_s = -shift_s
        self._calls = self._made()
        self._missed = {call.number for call in self._calls.due(shift_s)}

    def _made(self) -> Calls:
        seed = self._seed * ROUND_NUMBERS + self._round
        return Calls(self._streets, self._landmarks, seed, self._rate_per_h, STORY_S_MAX)

    def due(self, passed_s: float) -> Iterator[Call]:
        """Give the calls that have happened by now and were not given yet, in order."""
        while passed_s - self._begins_s >= ROUND_S:
            yield from self._renumbered(ROUND_S)
            self._round += 1
            self._begins_s += ROUND_S
            self._calls = self._made()
            self._missed = set()
        yield from self._renumbered(passed_s - self._begins_s)

    def _renumbered(self, into_s: float) -> Iterator[Call]:
        begin = self._round * ROUND_NUMBERS
        for call in self._calls.due(into_s):
            if call.repeats in self._missed:
                continue  # what it repeats was before the beginning
            yield replace(
                call,
                number=begin + call.number,
                at_s=self._begins_s + call.at_s,
                repeats=None if call.repeats is None else begin + call.repeats,
            )
