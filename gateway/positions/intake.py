"""Where what devices said goes: the one place between the doors and the ``positions`` topic."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.access.principal import Permit
from xiaohe.gateway.positions.raw_fix import Said
from xiaohe.gateway.publisher import NotPublished


class NotTaken(Struct, frozen=True):
    """One thing said that counts for nothing; ``index`` is its place in what was given."""

    index: int
    reason: Reason


class Taken(Struct, frozen=True):
    """What became of what was said: ``accepted`` of it were taken, messages without a fix too."""

    accepted: int
    refused: tuple[NotTaken, ...] = ()


class Intake(Protocol):
    """Takes what devices said: whose it is, whether they may, and on to the topic."""

    async def take(self, permit: Permit, door: str, said: Sequence[Said], raw: bytes) -> Taken:
        """Take what one message said, in its order.

        ``door`` is the name of the door or of the raw topic, for counts and dead letters, and
        ``raw`` the message as it came. A fix of a device that no roster entry claims is refused
        with ``unknown_device``, one of a member who is not in the roster with ``unknown_member``,
        and one whose member is not of the area that the permit is about with ``wrong_area``.
        Returns when all that was accepted is acknowledged; raises NotPublished where it is not,
        and Forbidden where the principal may not speak for a device.
        """
        ...


class NoIntake:
    """The intake of a gateway that has none yet: whoever sends is told to send again."""

    async def take(self, permit: Permit, door: str, said: Sequence[Said], raw: bytes) -> Taken:  # noqa: ARG002
        """Raise NotPublished."""
        raise NotPublished("positions are not taken here yet: send the same again")
