"""What a decision may look at besides the area's own state: policy, roster, map, positions.

Nothing here is folded: it is how the world is believed to be at the moment of a decision. What a
decision took from it is recorded with the decision, so that a replay needs none of it.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from xiaohe.dispatch.inputs import Position
from xiaohe.dispatch.policy import Policy
from xiaohe.dispatch.roster import Member, Roster
from xiaohe.dispatch.state import AreaState
from xiaohe.geo import compiled_search, search
from xiaohe.geo.compiled_search import CompiledField, travel_field
from xiaohe.geo.kernels import COMPILED
from xiaohe.geo.live import LivePositions
from xiaohe.geo.network import Network
from xiaohe.geo.roads import Mode
from xiaohe.geo.search import TravelFields
from xiaohe.geo.snap import Site, Snapper, Spot

FIELDS_KEPT_MAX = 512
"""Travel fields kept for incidents under way: some tens of kB each, where somebody is near."""

JUNCTIONS_KEPT_MAX = 2_000_000
"""Junctions that all kept fields have reached together, about 200 bytes each. Where nobody is free
each field has searched the whole map."""

WATCHED_ENDED_MAX = 64
"""Orders kept whose member was near the scene when they ended: before they are looked for."""

SITES_KEPT_MAX = 4096
"""Snapped places kept."""


Modes = tuple[Mode, ...]
Walk = compiled_search.Walk | search.Walks
Field = CompiledField | TravelFields
"""Travel times to a site, by the compiled search or by its twin in plain Python."""

_Key = tuple[Spot, Modes, frozenset[str]]


class RoadMap:
    """The roads with what was asked of them lately. One a worker, shared by its areas.

    ``compiled`` False searches in plain Python, which gives the same answers.
    """

    def __init__(self, network: Network, snapper: Snapper, *, compiled: bool = COMPILED) -> None:
        self.network = network
        self.snapper = snapper
        self.version = network.version
        self._compiled = compiled
        self._fields: OrderedDict[_Key, Field] = OrderedDict()
        self._reached: dict[_Key, int] = {}
        self._reached_in_all = 0
        self._handed_out: _Key | None = None
        self._sites: OrderedDict[tuple[float, float, str | None], Site | None] = OrderedDict()

    def site(self, place: Position, road_id: str | None) -> Site | None:
        """Give the access to a place: on the stated road where it is near, however far it is
        otherwise; None where the map has no road at all."""
        key = (place.lon, place.lat, road_id)
        if key not in self._sites:
            self._sites[key] = self.snapper.snap(
                place.lon, place.lat, max_m=inf, prefer_road=road_id
            )
            if len(self._sites) > SITES_KEPT_MAX:
                self._sites.popitem(last=False)
        return self._sites[key]

    def travel_field(self, site: Site, modes: Modes, closed: frozenset[str]) -> Field:
        """Give the travel times to a site's spot, grown further by every question."""
        key = (site.spot, modes, closed)
        if key != self._handed_out:
            self._weigh()
            self._handed_out = key
        found = self._fields.get(key)
        if found is None:
            found = travel_field(self.network, site, modes, closed, compiled=self._compiled)
            self._fields[key] = found
            if len(self._fields) > FIELDS_KEPT_MAX:
                self._forget_oldest()
        else:
            self._fields.move_to_end(key)
        return found

    def _weigh(self) -> None:
        """Note what the field handed out last has grown to since, and forget what is too much."""
        key = self._handed_out
        if key is None or key not in self._fields:
            return
        reached = self._fields[key].junctions_reached
        self._reached_in_all += reached - self._reached.get(key, 0)
        self._reached[key] = reached
        while self._reached_in_all > JUNCTIONS_KEPT_MAX:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        key, _ = self._fields.popitem(last=False)
        self._reached_in_all -= self._reached.pop(key, 0)


@dataclass(slots=True)
class Watch:
    """Since when each order's member has been close to the scene, and until which fix: ms of
    fix time.

    Held in memory only: after a take-over the dwell is counted anew. Of orders that
    have ended at most WATCHED_ENDED_MAX are kept.
    """

    near_ms: dict[str, tuple[int, int]] = field(default_factory=dict)

    def note(self, state: AreaState, dispatch_id: str, since_ms: int, fix_ms: int) -> None:
        """Note that an order's member is near; now and then forget orders that have ended."""
        self.near_ms[dispatch_id] = (since_ms, fix_ms)
        if len(self.near_ms) > len(state.holding) + WATCHED_ENDED_MAX:
            held = {each.dispatch_id for each in state.holding.values()}
            for ended in self.near_ms.keys() - held:
                del self.near_ms[ended]


@dataclass(frozen=True, slots=True)
class World:
    """The world as one area's decisions see it."""

    policy: Policy
    roster: Roster
    roads: RoadMap
    live: LivePositions
    watch: Watch = field(default_factory=Watch)

    def members(self, area_id: str) -> Mapping[str, Member]:
        """Give the area's members in a fixed order."""
        return self.roster.members(area_id)
