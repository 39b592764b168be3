"""How people and their devices behave in the simulation: every figure of it in one place.

All of them are invented, chosen so that what happens on a busy evening happens within minutes.
Times are seconds of the simulated clock. Delays of people are lognormal: most are quick, a few take
long, nobody answers before they were asked.
"""

from dataclasses import dataclass
from math import exp, log
from random import Random


@dataclass(frozen=True, slots=True)
class Delay:
    """A lognormal delay: half are below ``median_s``; ``spread`` is the sigma of its logarithm."""

    median_s: float
    spread: float
    least_s: float = 0.0
    most_s: float = 3600.0

    def draw_s(self, chance: Random) -> float:
        """Draw one."""
        drawn_s = exp(chance.gauss(log(self.median_s), self.spread))
        return min(self.most_s, max(self.least_s, drawn_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What members do with an order, and their devices with a position."""

    answer: Delay = Delay(9.0, 0.55, least_s=2.0, most_s=55.0)
    """From the order to the thumb on the button; nine in ten answer within 19 s."""
    declines: float = 0.05
    """Share of orders that are declined."""
    never_answers: float = 0.05
    """Share of orders that nobody looks at: the phone is in a pocket."""

    turn_out: Delay = Delay(10.0, 0.5, least_s=2.0, most_s=60.0)
    """From accepting to moving."""
    slow_share: float = 0.06
    """Share of orders on which somebody sets out late …"""
    slow: Delay = Delay(90.0, 0.4, least_s=45.0, most_s=240.0)
    """… by so much more: a conversation that cannot be broken off."""
    says_under_way: float = 0.8
    """Share of orders on which the button «on the way» is pressed."""

    pace: float = 1.0
    pace_spread: float = 0.08
    """Speed on the way, as a multiple of the speed of road and mode, normally distributed."""
    pace_least: float = 0.75
    pace_most: float = 1.2

    says_arrived: float = 0.7
    """Share of orders on which the button «on scene» is pressed; else the position tells."""
    arrival_button: Delay = Delay(4.0, 0.6, least_s=1.0, most_s=30.0)
    asks_for_backup: float = 0.08
    """Share of a first responder's orders on which they ask for help at the scene."""
    backup_asked: Delay = Delay(40.0, 0.4, least_s=15.0, most_s=120.0)
    handling_spread: float = 0.5
    handling_least_s: float = 40.0
    handling_most_s: float = 1200.0
    """How long handling takes varies about the median of its category by a lognormal spread."""

    patrol_pace: float = 0.55
    """On patrol one goes slowly: a share of the speed of road and mode."""
    patrol_stop: Delay = Delay(25.0, 0.7, least_s=5.0, most_s=180.0)
    """A look into a doorway, a word with a shopkeeper."""
    patrol_at_home: float = 0.95
    """Share of patrol ways that lead to a road of one's own, if one has any."""

    gps_sigma_m: float = 8.0
    """Error of a position, standard deviation on each axis: a phone between buildings."""
    gps_memory_s: float = 30.0
    """The error wanders (first-order Gauss–Markov): after so long two errors correlate by 1/e."""
    fix_assigned_s: float = 5.0
    """Between two positions while there is an order …"""
    fix_patrol_least_s: float = 10.0
    fix_patrol_most_s: float = 15.0
    """… and on patrol."""
    gps_losses_per_h: float = 0.5
    """How often a member on duty has no position for a while: a cellar, an empty battery …"""
    gps_lost: Delay = Delay(100.0, 0.5, least_s=40.0, most_s=300.0)
    """… and for how long."""


HABITS = Habits()
