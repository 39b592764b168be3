"""The names of everything that can fall due, and what then has to be looked at.

A deadline is a row in an incident. The worker that owns the area writes a wake-up into the log
when one is due and decides it like any input. A row that is no longer there, or was moved, makes
its wake-up nothing: so wake-ups may come twice, or late.
"""

from typing import Final

ACCEPT: Final = "accept"
"""The first window: somebody has accepted."""

ARRIVE: Final = "arrive"
"""The second window: somebody is on scene."""

BACKUP: Final = "backup"
"""The third window: reinforcement is on scene."""

RETRY: Final = "retry"
"""Nobody could go: decide again."""

LADDER: Final = "ladder"
"""The command ladder's next rung."""

OFFER: Final = "offer"
"""An offer is old enough for the next member to be asked as well. One an order."""

LAPSE: Final = "lapse"
"""An unanswered order runs out. One an order."""

PROGRESS: Final = "progress"
"""A member who accepted should have been heard of, and be nearer. One an order."""

NO_SHOW: Final = "no_show"
"""A member who accepted and never arrived is given up. One an order."""


def of_order(name: str, dispatch_id: str) -> str:
    """Give the name of a deadline that belongs to one order."""
    return f"{name}:{dispatch_id}"


def split(deadline: str) -> tuple[str, str]:
    """Give the name, and the order it belongs to (empty: to the incident)."""
    name, _, dispatch_id = deadline.partition(":")
    return name, dispatch_id
