"""The brigade's roster: who answers for which units, by which shift.

Each beat is owned by one member of each of its squadron's four squads, and the squads relieve
each other to the minute: every unit has one owner and one squad at every moment.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from shapely.geometry import Point

from xiaohe.data.drawing.geojson import to_degrees
from xiaohe.data.drawing.source import AREA_ID, Beat, read_yaml
from xiaohe.data.drawing.units import Unit

DATE_FORMAT = "%Y%m%d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One place on the roster, before it has a name: where, when and as what."""

    squadron: int | None
    squad: int
    beat: Beat | None
    rank: str
    travel_mode: str
    skills: tuple[str, ...]


def make_roster(
    units: Iterable[Unit], beats: Sequence[Beat], posts: Mapping[str, Point], centre: Point
) -> bytes:
    """Return ``roster.json``: one entry a line, in the order of member_id.

    ``posts`` has the place where each beat's member stands, ``centre`` the command centre.
    """
    brigade = read_yaml("brigade.yaml")
    owned = {
        beat.name: [unit.road_id for unit in units_of]
        for beat in beats
        if (units_of := [unit for unit in units if unit.beat.name == beat.name])
    }
    seats = [*_staff(brigade), *_squads(brigade, beats)]
    entries = [
        _entry(
            brigade,
            number,
            seat,
            owned[seat.beat.name] if seat.beat else [],
            posts[seat.beat.name] if seat.beat else centre,
        )
        for number, seat in enumerate(seats)
    ]
    return b"[\n" + b",\n".join(orjson.dumps(entry) for entry in entries) + b"\n]\n"


def _staff(brigade: Mapping[str, Any]) -> Iterator[Seat]:
    for row in brigade["staff"]:
        yield Seat(
            squadron=None,
            squad=row["group"],
            beat=None,
            rank=row["rank"],
            travel_mode=row["travel_mode"],
            skills=tuple(row["skills"]),
        )


def _squads(brigade: Mapping[str, Any], beats: Sequence[Beat]) -> Iterator[Seat]:
    skills = brigade["skills"]
    for squadron in range(1, len(brigade["squadrons"]) + 1):
        own = [beat for beat in beats if beat.squadron == squadron]
        for squad in range(1, len(brigade["squads"]) + 1):
            for beat in own:
                turn = beats.index(beat) + squad - 1
                yield Seat(
                    squadron=squadron,
                    squad=squad,
                    beat=beat,
                    rank=_rank(brigade, beat, squad),
                    travel_mode=_travel_mode(brigade, beat, squad),
                    skills=tuple(skills[turn % len(skills)]),
                )


def _rank(brigade: Mapping[str, Any], beat: Beat, squad: int) -> str:
    if {"beat": beat.name, "squad": squad} in brigade["squadron_leaders"]:
        return "squadron_leader"
    return "squad_leader" if beat.name in brigade["squad_leader_beats"] else "member"


def _travel_mode(brigade: Mapping[str, Any], beat: Beat, squad: int) -> str:
    for row in brigade["travel_modes"]:
        if row["beat"] == beat.name and squad in row["squads"]:
            return str(row["travel_mode"])
    return "ebike"


def _entry(
    brigade: Mapping[str, Any], number: int, seat: Seat, road_ids: list[str], post: Point
) -> dict[str, object]:
    """Return the roster entry of the contract."""
    (lon, lat), *_ = to_degrees([(post.x, post.y)])
    entry: dict[str, object] = {
        "member_id": f"m{number + 1:02}",
        "area_id": AREA_ID,
        "name": brigade["surnames"][number] + brigade["given"],
    }
    if seat.squadron is None:
        entry["team"] = "大队部"
    else:
        squadron = brigade["squadrons"][seat.squadron - 1]
        entry["team"] = squadron + brigade["squads"][seat.squad - 1]
        entry["unit"] = f"{seat.squadron}/{seat.squad}"
    return entry | {
        "rank": seat.rank,
        "force": "brigade",
        "travel_mode": seat.travel_mode,
        "skills": list(seat.skills),
        "roads": [{"road_id": road_id, "role": "owner"} for road_id in road_ids],
        "shifts": _shifts(brigade["rota"], seat.squad),
        "post": {"lon": lon, "lat": lat},
        "device_ids": [f"term-{number + 1:02}"],
    }


def _shifts(rota: Mapping[str, Any], squad: int) -> list[dict[str, str]]:
    first = datetime.strptime(rota["first_day"], DATE_FORMAT)  # noqa: DTZ007 - a date, no moment
    shifts = []
    for row in rota["shifts"]:
        day = (first + timedelta(days=row["day"] + squad - 1)).strftime(DATE_FORMAT)
        rule = (
            f"DTSTART;TZID={rota['timezone']}:{day}T000000\n"
            f"RRULE:FREQ=DAILY;INTERVAL={rota['cycle_days']}"
        )
        shifts.append(
            {
                "rrule": rule,
                "start": row["start"],
                "end": row["end"],
                "timezone": rota["timezone"],
            }
        )
    return shifts
