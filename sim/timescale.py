"""The simulated clock and the day's: one runs ``speed`` times as fast as the other.

The rules of the simulation know simulated time alone. What goes over the topics carries the day's
time, because the engine counts its windows by the broker's clock, with durations divided by
``speed``. Both clocks show the same time at the start.
"""

from dataclasses import dataclass

from xiaohe.dispatch.times import parse_rfc3339, rfc3339

MS_PER_S = 1_000


@dataclass(frozen=True, slots=True)
class Timescale:
    """``start_ms`` is where both clocks agree, ms since the epoch; ``speed`` is above 0."""

    start_ms: int
    speed: float = 1.0

    def simulated_ms(self, wall_ms: float) -> int:
        """Give the simulated time at a moment of the day."""
        return round(self.start_ms + (wall_ms - self.start_ms) * self.speed)

    def wall_ms(self, simulated_ms: float) -> int:
        """Give the moment of the day of a simulated time."""
        return round(self.start_ms + (simulated_ms - self.start_ms) / self.speed)

    def stamp(self, simulated_ms: float) -> str:
        """Give a simulated time as the topics have it: the day's, RFC 3339."""
        return rfc3339(self.wall_ms(simulated_ms))

    def read(self, stamp: object) -> int | None:
        """Give the simulated time of a time on a topic; None where there is none.

        Raises BadTime for a text that is not a time.
        """
        return self.simulated_ms(parse_rfc3339(stamp)) if isinstance(stamp, str) else None
