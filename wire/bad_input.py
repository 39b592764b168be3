"""The sender's error: the only exception that decoding may raise."""

from xiaohe.dispatch.reasons import Reason


class BadInput(Exception):
    """An input that cannot be taken; becomes one dead letter.

    ``detail`` names the field and what is expected there, and never repeats what the field holds,
    for that may be somebody's name, number or words. ``index`` is the place in a batch.
    """

    def __init__(self, reason: Reason, detail: str, index: int | None = None) -> None:
        """Take the code, the detail and, in a batch, the place of the bad object."""
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
        self.index = index

    def at_index(self, index: int) -> "BadInput":
        """Give the same for the object at this place of a batch."""
        return BadInput(self.reason, self.detail, index)
