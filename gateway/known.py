"""What the gateway knows of the world: areas, roads and, from their topic, members and devices."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from aiokafka import ConsumerRecord

from xiaohe.dispatch.policy import Policy
from xiaohe.dispatch.roster import Roster
from xiaohe.gateway.positions.owners import Owners
from xiaohe.geo.roads import RoadPiece
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec import Gone, decode_roster

log = structlog.get_logger()


@dataclass(slots=True)
class Known:
    """Policy, roads and roster as they now are; ``roster`` follows its topic.

    ``roster_changes`` counts its records, so that what was made of it can be made
    anew; ``roster_places`` are the offsets of each member's latest one.
    """

    policy: Policy
    pieces: Sequence[RoadPiece]
    roster: Roster = field(default_factory=Roster)
    roster_changes: int = 0
    roster_places: dict[str, int] = field(default_factory=dict)
    owners: Owners = field(init=False)
    _areas_of_roads: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Take note of which areas the roads have."""
        self.owners = Owners(self.roster, lambda: self.roster_changes)
        self._areas_of_roads = frozenset(p.area_id for p in self.pieces if p.area_id)

    def has_area(self, area_id: str) -> bool:
        """Tell whether policy, roads file or roster know this area."""
        return (
            area_id in self.policy.areas
            or area_id in self._areas_of_roads
            or len(self.roster.members(area_id)) > 0
        )

    def areas(self) -> tuple[str, ...]:
        """Give all known areas, in order."""
        return tuple(sorted({*self.policy.areas, *self._areas_of_roads, *self.roster.areas()}))

    def take_roster_record(self, record: ConsumerRecord) -> None:
        """Take one record of the roster topic; a bad one is left to the worker to refuse aloud."""
        try:
            entry = decode_roster(record.key, record.value, record.headers)
        except BadInput as bad:
            log.warning("roster_record_refused", reason=bad.reason.value, offset=record.offset)
            return
        if isinstance(entry, Gone):
            self.roster.remove(entry.member_id)
            self.roster_places.pop(entry.member_id, None)
        else:
            self.roster.put(entry, record.timestamp)
            self.roster_places[entry.member_id] = record.offset
        self.roster_changes += 1

    def take_member_record(self, record: ConsumerRecord) -> None:
        """Take one record of the ``members`` view: who took which device for the shift."""
        self.owners.take_view(record.key, record.value)
