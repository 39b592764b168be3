"""What decisions were based on besides inputs: maps and policy at hand, the roster as it was."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from xiaohe.dispatch.policy import Policy
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.files import load_network, read_bytes, version_of
from xiaohe.replay.recording import Recording
from xiaohe.streams.ports import Raw
from xiaohe.streams.service import ROSTER
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec import Gone, decode_roster

OnChange = Callable[[str, Raw], None]
"""Told the member and the record, as the engine is by its worker."""


class AtHand:
    """The maps and the policy that a replay was given."""

    def __init__(self, roads: Sequence[Path], policy: Policy, personal: frozenset[str]) -> None:
        """Look at the files' versions; a map is loaded when a decision asks for it."""
        assert roads, "there is at least the project's own map"
        self.policy = policy
        self.personal = personal
        self._paths: Mapping[str, Path] = {version_of(read_bytes(path)): path for path in roads}
        self._maps: dict[str, RoadMap] = {}

    @property
    def speed(self) -> str:
        """Give the speed as decisions name it."""
        return str(self.policy.speed)

    @property
    def maps(self) -> list[str]:
        """Give the versions of the maps."""
        return list(self._paths)

    def versions(self) -> dict[str, str]:
        """Give what a log is taken to be based on that does not say so."""
        said = {"policy": self.policy.version, "speed": self.speed, "roads": self.maps[0]}
        return {**said, "roster": ""}

    def road_map(self, version: str) -> RoadMap | None:
        """Give the map of a version, or None where it is not at hand. Raises RoadsFileError."""
        if version not in self._maps and version in self._paths:
            self._maps[version] = RoadMap(*load_network(self._paths[version], self.policy.speed))
        return self._maps.get(version)

    def any_map(self) -> RoadMap:
        """Give a map to fold with: a fold asks it nothing."""
        found = self.road_map(next(iter(self._maps or self._paths)))
        assert found is not None, "the first version is one of those at hand"
        return found


class RosterTape:
    """The roster topic of a recording, and the roster as of a version.

    ``version`` says how far its records have been taken, as a worker does.
    """

    def __init__(self, recording: Recording) -> None:
        """Read the topic: it is compacted, and as large as the roster."""
        self._records = list(recording.read(ROSTER, 0))
        self._end = recording.extent(ROSTER, 0).end
        self._taken = 0
        self.roster = Roster()

    @property
    def version(self) -> str:
        """Give how far the topic has been taken."""
        return self.roster.version

    def is_whole(self, version: str) -> bool:
        """Tell whether compaction has left everything that counted at a version.

        Whatever it removed from before has a successor: where that counted already, nothing is
        missing, and it did if the version is the topic's end.
        """
        upto = _next_offset(version)
        left = sum(raw.offset < upto for raw in self._records)
        return left == upto or upto >= self._end

    def to(self, version: str, on_change: OnChange) -> Roster:
        """Give the roster as of a version: a new one where it has gone further already."""
        upto = _next_offset(version)
        if upto < _next_offset(self.version):
            self.roster, self._taken = Roster(), 0
        while self._taken < len(self._records) and self._records[self._taken].offset < upto:
            self._put(self._records[self._taken], on_change)
            self._taken += 1
        self.roster.version = version
        return self.roster

    def _put(self, raw: Raw, on_change: OnChange) -> None:
        self.roster.version = f"{ROSTER}@{raw.offset + 1}"
        try:
            entry = decode_roster(raw.key, raw.value, raw.headers)
        except BadInput:
            return
        if isinstance(entry, Gone):
            self.roster.remove(entry.member_id)
        else:
            self.roster.put(entry, raw.timestamp_ms)
        on_change(entry.member_id, raw)


def _next_offset(version: str) -> int:
    """Give the first offset not taken at a version; 0 before anything was."""
    offset = version.removeprefix(f"{ROSTER}@")
    return int(offset) if offset.isdecimal() else 0
