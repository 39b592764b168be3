"""Who the members are, area by area: roads they answer for, squads, ranks, shifts, devices.

The rim feeds the roster topic in, decisions read it. Everything that gives several members gives
them in the order of their member_ids, so that a decision does not depend on the order in which
the roster was read; where two records contradict each other (a device claimed twice), the one
received later counts.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import get_args
from weakref import WeakValueDictionary

from xiaohe.dispatch.inputs import Position, RosterEntry, Shift
from xiaohe.dispatch.shifts import Schedule, parse_shifts
from xiaohe.geo.roads import Mode

MODES_IN_ORDER: tuple[Mode, ...] = tuple(sorted(get_args(Mode)))


@dataclass(frozen=True, slots=True)
class Member:
    """One roster entry, read: shifts parsed, roads split by role."""

    member_id: str
    area_id: str
    name: str
    team: str
    unit: str | None
    rank: str
    force: str
    travel_mode: Mode
    skills: frozenset[str]
    owned_roads: frozenset[str]
    team_roads: frozenset[str]
    post: Position | None
    device_ids: tuple[str, ...]
    schedule: Schedule = field(repr=False, compare=False)


class SortedMembers(Mapping[str, Member]):
    """Members by member_id, iterated in that order; a view that follows the roster."""

    __slots__ = ("_by_id", "_ids")

    def __init__(self) -> None:
        """Start empty."""
        self._ids: list[str] = []
        self._by_id: dict[str, Member] = {}

    def __getitem__(self, member_id: str) -> Member:
        """Give the member of this id."""
        return self._by_id[member_id]

    def __iter__(self) -> Iterator[str]:
        """Give the ids in order."""
        return iter(self._ids)

    def __len__(self) -> int:
        """Count the members."""
        return len(self._ids)

    def strangers(self, ids: Iterable[str | None]) -> set[str | None]:
        """Give those of many ids that no member has."""
        return set(ids).difference(self._by_id)

    def _add(self, member: Member) -> None:
        if member.member_id not in self._by_id:
            insort(self._ids, member.member_id)
        self._by_id[member.member_id] = member

    def _discard(self, member_id: str) -> None:
        if self._by_id.pop(member_id, None) is not None:
            del self._ids[bisect_left(self._ids, member_id)]


class _Area:
    """The members of one area, and who is found under which road, squad and rank."""

    __slots__ = ("helpers", "members", "modes", "owners", "ranks", "teams")

    def __init__(self) -> None:
        self.members = SortedMembers()
        self.owners: dict[str, set[str]] = {}
        self.helpers: dict[str, set[str]] = {}
        self.teams: dict[str, set[str]] = {}
        self.ranks: dict[str, set[str]] = {}
        self.modes: dict[str, set[str]] = {}

    def _entries(self, member: Member) -> Iterator[tuple[dict[str, set[str]], str]]:
        for road_id in member.owned_roads:
            yield self.owners, road_id
        for road_id in member.team_roads:
            yield self.helpers, road_id
        yield self.teams, member.team
        yield self.ranks, member.rank
        yield self.modes, member.travel_mode

    def add(self, member: Member) -> None:
        self.members._add(member)  # noqa: SLF001 - the one writer of the view it hands out
        for index, name in self._entries(member):
            index.setdefault(name, set()).add(member.member_id)

    def discard(self, member: Member) -> None:
        self.members._discard(member.member_id)  # noqa: SLF001 - as in add
        for index, name in self._entries(member):
            index[name].discard(member.member_id)
            if not index[name]:
                del index[name]

    def in_order(self, ids: Iterable[str]) -> tuple[Member, ...]:
        return tuple([self.members[member_id] for member_id in sorted(ids)])


class Roster:
    """All members of all areas. One writer (the rim), many readers, one thread.

    ``version`` is the rim's name for how far the roster topic was read; decisions name it.
    """

    def __init__(self) -> None:
        """Start empty, with no version."""
        self.version = ""
        self._members: dict[str, Member] = {}
        self._areas: dict[str, _Area] = {}
        self._received: dict[str, tuple[int, int]] = {}
        self._claims: dict[str, set[str]] = {}
        self._puts = 0
        self._schedules: WeakValueDictionary[tuple[Shift, ...], Schedule] = WeakValueDictionary()

    # --- the rim's side

    def put(self, entry: RosterEntry, received_ms: int = 0) -> Member:
        """Take a roster record in place of the member's earlier one; they may change area.

        ``received_ms`` is when the broker received the record: of two members who claim one
        device, the later one has it, and of two at the same moment the one put later. Raises
        BadShift (and changes nothing) where a shift cannot be read; the rim has seen to that.
        """
        member = self._member(entry)
        self.remove(member.member_id)
        self._puts += 1
        self._received[member.member_id] = (received_ms, self._puts)
        self._members[member.member_id] = member
        self._areas.setdefault(member.area_id, _Area()).add(member)
        for device_id in member.device_ids:
            self._claims.setdefault(device_id, set()).add(member.member_id)
        return member

    def remove(self, member_id: str) -> None:
        """Forget a member; nothing happens where nobody has this id."""
        member = self._members.pop(member_id, None)
        if member is None:
            return
        del self._received[member_id]
        area = self._areas[member.area_id]
        area.discard(member)
        if not area.members:
            del self._areas[member.area_id]
        for device_id in set(member.device_ids):
            self._claims[device_id].discard(member_id)
            if not self._claims[device_id]:
                del self._claims[device_id]

    # --- the decisions' side

    def __len__(self) -> int:
        """Count the members of all areas."""
        return len(self._members)

    def get(self, member_id: str) -> Member | None:
        """Give a member, or None where the roster has none of this id."""
        return self._members.get(member_id)

    def area_of(self, member_id: str) -> str | None:
        """Give the area of a member."""
        member = self._members.get(member_id)
        return None if member is None else member.area_id

    def areas(self) -> tuple[str, ...]:
        """Give the areas that have members, in order."""
        return tuple(sorted(self._areas))

    def members(self, area_id: str) -> SortedMembers:
        """Give an area's members by id, in order: a view, which follows the roster."""
        area = self._areas.get(area_id)
        return SortedMembers() if area is None else area.members

    def modes(self, area_id: str) -> tuple[Mode, ...]:
        """Give the travel modes that an area's members have, in order."""
        area = self._areas.get(area_id)
        return () if area is None else tuple(m for m in MODES_IN_ORDER if m in area.modes)

    def owners(self, road_id: str, area_id: str) -> tuple[Member, ...]:
        """Give the members with the role ``owner`` on a road, on duty or not."""
        area = self._areas.get(area_id)
        return () if area is None else area.in_order(area.owners.get(road_id, ()))

    def team_members(self, road_id: str, area_id: str) -> tuple[Member, ...]:
        """Give those of an owner's squad, and those with the role ``team`` on the road.

        Owners are among them, for they are of their own squad. On duty or not.
        """
        area = self._areas.get(area_id)
        return () if area is None else area.in_order(self.team_ids(road_id, area_id))

    def team_ids(self, road_id: str, area_id: str) -> frozenset[str]:
        """Give the ids of ``team_members``, in no order."""
        area = self._areas.get(area_id)
        if area is None:
            return frozenset()
        teams = {area.members[owner].team for owner in area.owners.get(road_id, ())}
        return frozenset(area.helpers.get(road_id, ())).union(*(area.teams[t] for t in teams))

    def squad(self, team: str, area_id: str) -> tuple[Member, ...]:
        """Give the members of a squad."""
        area = self._areas.get(area_id)
        return () if area is None else area.in_order(area.teams.get(team, ()))

    def leaders(self, area_id: str, rank: str, unit: str | None = None) -> tuple[Member, ...]:
        """Give those of a rank who lead the unit at this path, such as ``2/3``.

        A squad leader leads the whole path, a squadron leader its first part, a brigade leader
        every unit. Without a unit: all of that rank in the area.
        """
        area = self._areas.get(area_id)
        if area is None:
            return ()
        found = area.in_order(area.ranks.get(rank, ()))
        if unit is None or rank == "brigade_leader":
            return found
        led = _led(rank, unit)
        return tuple(m for m in found if m.unit is not None and _led(rank, m.unit) == led)

    def by_device(self, device_id: str) -> str | None:
        """Give the member who has a device; of several claims, the one received last."""
        return max(self._claims.get(device_id, ()), key=self._received.__getitem__, default=None)

    def on_shift(self, member_id: str, at_ms: int) -> bool:
        """Tell whether a shift holds this moment; False for somebody unknown."""
        member = self._members.get(member_id)
        return member is not None and member.schedule.duty_at(at_ms).on_duty

    def next_boundary_ms(self, member_id: str, at_ms: int) -> int | None:
        """Give the moment after ``at_ms`` at which a shift of the member next begins or ends."""
        member = self._members.get(member_id)
        return None if member is None else member.schedule.next_boundary_ms(at_ms)

    def _member(self, entry: RosterEntry) -> Member:
        owned = frozenset(road.road_id for road in entry.roads if road.role == "owner")
        helped = frozenset(road.road_id for road in entry.roads if road.role == "team")
        return Member(
            member_id=entry.member_id,
            area_id=entry.area_id,
            name=entry.name,
            team=entry.team,
            unit=entry.unit,
            rank=entry.rank,
            force=entry.force,
            travel_mode=entry.travel_mode,
            skills=frozenset(entry.skills),
            owned_roads=owned,
            team_roads=helped,
            post=entry.post,
            device_ids=entry.device_ids,
            schedule=self._schedule(entry.shifts),
        )

    def _schedule(self, shifts: tuple[Shift, ...]) -> Schedule:
        """Give the schedule of these shifts: one for all who have the same."""
        schedule = self._schedules.get(shifts)
        if schedule is None:
            schedule = self._schedules[shifts] = Schedule(parse_shifts(shifts))
        return schedule


def _led(rank: str, unit: str) -> str:
    return unit if rank == "squad_leader" else unit.split("/", 1)[0]
