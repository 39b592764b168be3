"""Mistakes that somebody might have made in the product: functions to be swapped for its own.

Each function here gives what is swapped where; ``plants.py`` says what is wrong with it. They are
small and honest: an acknowledgement too early, a fence not heeded, a snapshot that forgets.
"""

from typing import Any, NamedTuple


class Swap(NamedTuple):
    """What a mistake puts in the place of an attribute of a class or a module."""

    owner: Any
    name: str
    new: Any


Swaps = tuple[Swap, ...]
