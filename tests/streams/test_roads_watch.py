"""A new roads file swaps in without a stop."""

import asyncio
import os
from dataclasses import replace

from tests.geo import maps
from tests.streams.station import AREA, STREETS, Station, member, values
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.roads import write_roads
from xiaohe.geo.snap import Snapper
from xiaohe.streams.roads_watch import RoadsWatch

STREET = "a---b---c"
WITH_A_BRIDGE = "a---b---c---d"


def replaced(path, content):
    """Put a file in the place of another, as an editor or a download does."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    os.replace(beside, path)


IN_USE = maps.network(STREET)


def looked(watch):
    """What one look does."""
    asyncio.run(watch.look(IN_USE))


def test_a_changed_file_is_handed_on_once(tmp_path):
    """Read again when it has changed, and only then."""
    path, maps_seen = tmp_path / "roads.geojson", []
    path.write_bytes(write_roads(maps.pieces(STREET)))
    watch = RoadsWatch(path, 1.0, maps_seen.append)
    looked(watch)
    assert maps_seen == []
    replaced(path, write_roads(maps.pieces(WITH_A_BRIDGE)))
    looked(watch)
    looked(watch)
    (found,) = maps_seen
    assert set(found.network.roads) == {"ab", "bc", "cd"}


def test_a_file_that_cannot_be_used_changes_nothing(tmp_path):
    """Half a file, then none, then a good one: only the good one is handed on."""
    path, maps_seen = tmp_path / "roads.geojson", []
    good = write_roads(maps.pieces(STREET))
    path.write_bytes(good)
    watch = RoadsWatch(path, 1.0, maps_seen.append)
    replaced(path, good[: len(good) // 2])
    looked(watch)
    path.unlink()
    looked(watch)
    assert maps_seen == []
    replaced(path, write_roads(maps.pieces(WITH_A_BRIDGE)))
    looked(watch)
    assert len(maps_seen) == 1


def test_a_map_that_the_check_calls_broken_changes_nothing(tmp_path):
    """Streets that cross without a common end, and a map of another city, stay out."""
    path, maps_seen = tmp_path / "roads.geojson", []
    path.write_bytes(write_roads(maps.pieces(STREET)))
    watch = RoadsWatch(path, 1.0, maps_seen.append)
    (street, *_) = maps.pieces(STREET)
    (lon1, lat1), (lon2, lat2) = street.points
    middle = (lon1 + lon2) / 2
    crossing = replace(street, road_id="x", points=((middle, lat1 - 0.001), (middle, lat2 + 0.001)))
    replaced(path, write_roads([*maps.pieces(STREET), crossing]))
    looked(watch)
    elsewhere = replace(street, points=((lon1 - 30.0, lat1), (lon2 - 30.0, lat2)))
    replaced(path, write_roads([elsewhere]))
    looked(watch)
    assert maps_seen == []


def test_an_engine_decides_on_the_new_map_with_the_members_where_they_are():
    """Where the street has become slow somebody else is nearer; fixes, posts and incidents stay."""
    post = {"lon": maps.place(STREETS, "f")[0], "lat": maps.place(STREETS, "f")[1]}
    here = Station(member("east"), member("south"), member("posted", post=post))
    here.fix("east", "b")
    here.fix("south", "e")
    (before,) = values(here.alert("first", at="a", category="one"), "dispatches")
    network = maps.network(STREETS, {"ab": {"maxspeed_kmh": 1.0}})
    here.says(before["member_id"], "accept")
    here.says(before["member_id"], "complete")
    here.engine.take_roads(RoadMap(network, Snapper(network)))
    (after,) = values(here.alert("second", at="a", category="two"), "dispatches")
    assert (before["member_id"], after["member_id"]) == ("east", "south")
    assert {c["member_id"] for c in after["why"]["candidates"]} == {"east", "south", "posted"}
    assert len(here.engine.states()[AREA].incidents) == 2
