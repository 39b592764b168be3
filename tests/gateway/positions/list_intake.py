"""An intake that keeps what it is given in a list, for tests of the doors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.access.principal import Permit
from xiaohe.gateway.positions.intake import NotTaken, Taken
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Said
from xiaohe.gateway.publisher import NotPublished


@dataclass
class ListIntake:
    """Takes everything but the devices that nobody has; ``broken`` takes nothing."""

    unknown: frozenset[str] = frozenset({"stranger"})
    broken: bool = False
    taken: list[RawFix] = field(default_factory=list)
    told: list[NoFix] = field(default_factory=list)
    permits: list[Permit] = field(default_factory=list)
    doors: list[str] = field(default_factory=list)

    async def take(self, permit: Permit, door: str, said: Sequence[Said], raw: bytes) -> Taken:
        """Keep it."""
        if self.broken:
            raise NotPublished("the broker did not acknowledge")
        self.permits.append(permit)
        self.doors.append(door)
        refused = tuple(
            NotTaken(at, Reason.UNKNOWN_DEVICE)
            for at, each in enumerate(said)
            if isinstance(each, RawFix) and each.device_id in self.unknown
        )
        gone = {each.index for each in refused}
        for at, each in enumerate(said):
            if isinstance(each, NoFix):
                self.told.append(each)
            elif at not in gone:
                self.taken.append(each)
        return Taken(len(said) - len(refused), refused)
