"""Scenarios: what is different in each, as ``NAME:key=value,…`` or in a YAML file.

Keys: ``roster``, ``policy``, ``roads`` (files; a policy is laid over the others), ``members=45``,
``mode=ebike`` or ``mode=TEAM>car``, ``move=TEAM>PLACE``, ``rate=1.5``, ``posture=patrol|post``.
``mode`` and ``move`` may come several times. In YAML they are maps::

    scenarios:
      - name: fewer
        members: 45
      - name: south
        move: {一中队一班: 小河直街}
        mode: {一中队一班: car}

**members** drops ordinary members before leaders, and of these whoever owns the least length of
road, the higher member_id first: the same ones every time. **move** gives a squad another post (a
place of the map by its name, or ``LON LAT``) at which its members then stand, or a road that they
then patrol, and takes the others from them; the squad answers for the same roads as before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Final, cast, get_args

from msgspec.structs import replace

from xiaohe.dispatch.inputs import Position, RosterEntry
from xiaohe.dispatch.yaml_text import BadYaml, read_yaml
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES, Mode
from xiaohe.sim.calls import Landmark
from xiaohe.sim.whatif.files import DemandFileError
from xiaohe.sim.whatif.people import Posture

KEYS: Final = ("roster", "policy", "roads", "members", "mode", "move", "rate", "posture")

EVERYBODY: Final = ""
"""Instead of a squad: all."""

RATE_MOST: Final = 100.0
"""A hundred times as many calls as there are is no question about this brigade any more."""

AS_IT_IS: Final = "as it is"
"""The name of what the others are compared with."""


class ScenarioError(DemandFileError):
    """A scenario cannot be played; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is different. ``modes`` and ``moves`` by squad, EVERYBODY for all."""

    name: str
    roster: Path | None = None
    policy: Path | None = None
    roads: Path | None = None
    members: int | None = None
    modes: Mapping[str, Mode] = field(default_factory=dict)
    moves: Mapping[str, str] = field(default_factory=dict)
    rate: float = 1.0
    posture: Posture | None = None
    says: str = ""
    """The changes in the words in which they were given."""


def parse_scenario(text: str) -> Scenario:
    """Read ``NAME:key=value,…``. Raises ScenarioError."""
    name, colon, rest = text.partition(":")
    if not name.strip() or not colon:
        raise ScenarioError(f"{text!r} is no scenario: write NAME:key=value,…, "
                            "such as fewer:members=45")  # fmt: skip
    given: dict[str, Any] = {}
    for part in filter(None, (each.strip() for each in rest.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            raise ScenarioError(f"{name}: {part!r} is not key=value; keys are {', '.join(KEYS)}")
        key, value = key.strip(), value.strip()
        if key in {"mode", "move"}:
            team, arrow, what = value.partition(">")
            pair = (team.strip(), what.strip()) if arrow else (EVERYBODY, value)
            given.setdefault(key, {})[pair[0]] = pair[1]
        elif key in given:
            raise ScenarioError(f"{name}: {key} is given twice")
        else:
            given[key] = value
    return _scenario(name.strip(), given, Path())


def read_scenarios(path: Path) -> tuple[Scenario, ...]:
    """Read a YAML file; files that it names lie beside it. Raises ScenarioError."""
    try:
        found = read_yaml(path.read_bytes())
    except (OSError, BadYaml) as fault:
        raise ScenarioError(f"{path}: {fault}") from None
    listed = found.get("scenarios") if isinstance(found, dict) else found
    if not isinstance(listed, list) or not listed:
        raise ScenarioError(f"{path}: it must list scenarios: [{{name: …, members: 45}}, …]")
    scenarios = []
    for n, each in enumerate(listed):
        name = each.get("name") if isinstance(each, dict) else None
        if not isinstance(name, str) or not name.strip():
            raise ScenarioError(f"{path}: scenario {n + 1} needs a name")
        given = {key: value for key, value in each.items() if key != "name"}
        if isinstance(given.get("mode"), str):
            given["mode"] = {EVERYBODY: given["mode"]}
        scenarios.append(_scenario(name, given, path.parent))
    return tuple(scenarios)


def _scenario(name: str, given: Mapping[str, Any], folder: Path) -> Scenario:
    unknown = given.keys() - set(KEYS)
    if unknown:
        raise ScenarioError(f"{name} knows no {min(map(str, unknown))!r}; keys are "
                            + ", ".join(KEYS))  # fmt: skip
    files = {key: folder / str(given[key]) for key in ("roster", "policy", "roads") if key in given}
    members = None if "members" not in given else _number(name, "members", given["members"], 1)
    posture = given.get("posture")
    if posture is not None and posture not in get_args(Posture):
        raise ScenarioError(f"{name}: posture is patrol or post, not {posture!r}")
    return Scenario(
        name=name,
        **files,
        members=None if members is None else int(members),
        modes=_modes(name, given.get("mode", {})),
        moves=_moves(name, given.get("move", {})),
        rate=_number(name, "rate", given.get("rate", 1), 0, RATE_MOST),
        posture=posture,
        says=", ".join(f"{key} {_words(value)}" for key, value in given.items()),
    )


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{team or 'all'} → {what}" for team, what in value.items())
    return str(value)


def _number(name: str, key: str, value: object, least: float, most: float = 1e6) -> float:
    try:
        number = float(cast("float", value))
    except (OverflowError, TypeError, ValueError):
        number = float("nan")
    if not isfinite(number) or not least <= number <= most or (
        key == "members" and number != int(number)
    ):  # fmt: skip
        raise ScenarioError(f"{name}: {key} is a number from {least:g} to {most:g}, not {value!r}")
    return number


def _modes(name: str, given: object) -> dict[str, Mode]:
    if not isinstance(given, Mapping) or any(mode not in MODES for mode in given.values()):
        raise ScenarioError(f"{name}: mode is {' or '.join(MODES)}, or TEAM>MODE")
    return {str(team): cast("Mode", mode) for team, mode in given.items()}


def _moves(name: str, given: object) -> dict[str, str]:
    if not isinstance(given, Mapping) or EVERYBODY in given:
        raise ScenarioError(
            f"{name}: move is TEAM>PLACE, with a place's name, a road_id or LON LAT"
        )
    return {str(team): str(place) for team, place in given.items()}


# --- what it makes of a brigade


@dataclass(frozen=True, slots=True)
class Brigade:
    """Who they are; ``beats`` and ``at_post`` say who patrols another road, or stands."""

    members: tuple[RosterEntry, ...]
    at_post: frozenset[str] = frozenset()
    beats: Mapping[str, str] = field(default_factory=dict)
    """By member_id the road that they patrol instead of their own."""


def changed(
    scenario: Scenario,
    roster: Sequence[RosterEntry],
    network: Network,
    landmarks: Iterable[Landmark],
) -> Brigade:
    """Give the brigade of a scenario. Raises ScenarioError."""
    members = tuple(sorted(roster, key=lambda each: each.member_id))
    if scenario.members is not None:
        members = _fewer(scenario, members, network)
    teams = {each.team for each in members}
    for team in (*scenario.modes, *scenario.moves):
        if team != EVERYBODY and team not in teams:
            raise ScenarioError(f"{scenario.name}: there is no squad {team!r}; there are "
                                + ", ".join(sorted(teams)))  # fmt: skip
    places = {each.name: each.place for each in landmarks}
    at_post: set[str] = set()
    beats: dict[str, str] = {}
    moved: list[RosterEntry] = []
    for entry in members:
        mode = scenario.modes.get(entry.team, scenario.modes.get(EVERYBODY, entry.travel_mode))
        post, where = entry.post, scenario.moves.get(entry.team)
        if where is not None and where in network.roads:
            beats[entry.member_id] = where
        elif where is not None:
            at_post.add(entry.member_id)
            lon, lat = places[where] if where in places else _lon_lat(scenario.name, where)
            post = Position(lon, lat)
        moved.append(replace(entry, travel_mode=mode, post=post))
    return Brigade(tuple(moved), frozenset(at_post), beats)


def _fewer(
    scenario: Scenario, members: tuple[RosterEntry, ...], network: Network
) -> tuple[RosterEntry, ...]:
    """Keep so many, in the order that the module's head tells."""
    wanted = scenario.members or 0
    if wanted > len(members):
        raise ScenarioError(f"{scenario.name}: the roster has {len(members)} members; for "
                            f"{wanted} give a roster of so many with roster=FILE")  # fmt: skip

    def owned_m(entry: RosterEntry) -> int:
        owned = [road.road_id for road in entry.roads if road.role == "owner"]
        # Whole metres: two roads drawn alike are alike, whatever the projection's last digits.
        return round(sum(network.lengths_m[e] for r in owned for e in network.roads.get(r, ())))

    def worth(entry: RosterEntry) -> tuple[bool, int]:
        return entry.rank != "member", owned_m(entry)

    # Sorting is stable: of equals the lower member_id stays.
    kept = sorted(members, key=worth, reverse=True)[:wanted]
    return tuple(sorted(kept, key=lambda each: each.member_id))


def _lon_lat(name: str, text: str) -> tuple[float, float]:
    try:
        lon, lat = map(float, text.replace("/", " ").split())
    except ValueError:
        raise ScenarioError(
            f"{name}: {text!r} is no place of the map, no road_id, and not LON LAT"
        ) from None
    if not (abs(lon) <= 180 and abs(lat) <= 90):  # noqa: PLR2004 - degrees
        raise ScenarioError(f"{name}: {text!r} is nowhere on earth: write LON LAT")
    return lon, lat
