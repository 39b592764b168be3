"""How a long piece of work tells how far it is, without knowing who looks."""

from typing import Protocol


class Watch(Protocol):
    """Called now and then with what is being done, how much is done, and of how much if known."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take note of it."""


def unwatched(stage: str, done: int, total: int | None) -> None:
    """Take no note: nobody looks."""
