"""What an alert's address is on the map, written beside it: the sender's words stay as they are.

A position is added only where the address is sure enough to send somebody there; a road, where
the words name one without doubt. Everything else goes on as it came, with the candidates: the
engine then puts it to a person.
"""

from collections.abc import Iterable
from typing import Final

from xiaohe.gateway.alerts.fields import Fields
from xiaohe.geo.address_points import AddressPoint
from xiaohe.geo.addresses import AddressBook, Candidate, Match
from xiaohe.geo.roads import COORDINATE_DECIMALS, RoadPiece

SCORE_DECIMALS: Final = 2
"""Digits of a score: it is an order, not a measurement."""


class Addresses:
    """The addresses of the gateway's map."""

    def __init__(self, pieces: Iterable[RoadPiece], points: Iterable[AddressPoint]) -> None:
        pieces = tuple(pieces)
        self._book = AddressBook(pieces, points)
        self._roads = frozenset(piece.road_id for piece in pieces)

    def complete(self, fields: Fields) -> Fields:
        """Give an alert with what its address says, where nothing surer says where it is.

        ``fields`` is an alert that the contract's decoder has read.
        """
        address = fields.get("address")
        surer = fields.get("position") or fields.get("road_id") in self._roads
        if surer or not isinstance(address, str) or not address:
            return fields
        area_id = fields.get("area_id")
        match = self._book.resolve(address, area_id if isinstance(area_id, str) else None)
        made = {**fields, "address_match": as_json(match)}
        if match.place is not None:
            lon, lat = (round(degrees, COORDINATE_DECIMALS) for degrees in match.place)
            made["position"] = {"lon": lon, "lat": lat}
        elif match.how == "road" and not match.misspelt:
            made["road_id"] = match.candidates[0].road_id
        elif match.candidates:
            roads = dict.fromkeys(c.road_id for c in match.candidates if c.road_id)
            made["road_candidates"] = list(roads)
        return made


def as_json(match: Match) -> dict[str, object]:
    """Write a match as the alert carries it.

    Without the place that was found: that is the alert's position, which is about a person, and is
    to stand in the field that is known to be.
    """
    candidates = [_candidate(candidate) for candidate in match.candidates]
    if match.how != "several":
        candidates = [{"name": c["name"], "road_id": c.get("road_id")} for c in candidates]
    return {
        "how": match.how,
        "score": round(match.score, SCORE_DECIMALS),
        "misspelt": match.misspelt,
        "candidates": candidates,
    }


def _candidate(candidate: Candidate) -> dict[str, object]:
    stated = {
        "name": candidate.name,
        "road_id": candidate.road_id,
        "lon": candidate.lon,
        "lat": candidate.lat,
    }
    return {name: item for name, item in stated.items() if item is not None}
