"""The search held equal to a whole-graph Dijkstra (``oracle``), on drawn-up and on real roads."""

import random
from math import inf

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.geo import extracts, oracle
from xiaohe.geo.compiled_search import CompiledField
from xiaohe.geo.geometry import Spot
from xiaohe.geo.live import LivePositions
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES, RoadPiece
from xiaohe.geo.search import TravelField, TravelFields
from xiaohe.geo.snap import Site, Snapper

JUNCTIONS = [
    (round(120.14 + 0.001 * column, 7), round(30.32 + 0.001 * row, 7))
    for row in range(3)
    for column in range(4)
]
SHARES = st.sampled_from([0.0, 1.0, 0.5, 0.25]) | st.floats(0.0, 1.0)


@st.composite
def road_pieces(draw):
    """A piece between any two junctions, straight or bent, also a loop."""
    start, end = draw(st.sampled_from(JUNCTIONS)), draw(st.sampled_from(JUNCTIONS))
    bend = (draw(st.floats(120.139, 120.145)), draw(st.floats(30.319, 30.324)))
    bent = start == end or draw(st.booleans())
    return RoadPiece(
        road_id=draw(st.sampled_from("rstuw")),
        points=(start, bend, end) if bent else (start, end),
        highway=draw(
            st.sampled_from(["residential", "residential", "primary", "footway", "steps"])
        ),
        oneway=draw(st.sampled_from(["no", "no", "yes", "-1"])),
        oneway_bicycle=draw(st.sampled_from([None, None, "no"])),
        maxspeed_kmh=draw(st.sampled_from([None, None, 10.0, 50.0])),
    )


networks = st.lists(road_pieces(), min_size=1, max_size=18).map(
    lambda pieces: Network.build(pieces, "drawn up")
)


def site_of(network, spot):
    """The site exactly at a spot."""
    lon, lat = network.point_at(spot)
    return Site(lon, lat, spot, network.road_of(spot.edge), 0.0, lon, lat)


def expected_s(network, start, site, mode, closed=frozenset()):
    """What the oracle says, for the places where the mode gets on and off."""
    here, there = network.usable(start, mode), network.usable(site, mode)
    if here is None or there is None:
        return inf
    return oracle.travel_s(network, here, there, mode, closed)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), network=networks, mode=st.sampled_from(MODES))
def test_every_travel_time_is_that_of_the_whole_graph(data, network, mode):
    """Any network, one-ways, loops, parallel pieces, closures, spots at ends and within."""
    spots = st.builds(Spot, st.integers(0, network.edge_count - 1), SHARES)
    closed = frozenset(data.draw(st.sets(st.sampled_from("rstuw"), max_size=2)))
    site = data.draw(spots)
    field = TravelField(network, site_of(network, site), mode, closed)
    for start in data.draw(st.lists(spots, min_size=1, max_size=4)):
        expected = expected_s(network, start, site, mode, closed)
        travel = field.eta(start)
        if travel is None:
            assert expected == inf
            assert field.legs(start) == ()
            continue
        assert travel.eta_s == pytest.approx(expected, rel=1e-9, abs=1e-9)
        legs = field.legs(start)
        assert sum(leg.time_s for leg in legs) == pytest.approx(travel.eta_s, abs=1e-9)
        assert sum(leg.length_m for leg in legs) == pytest.approx(travel.distance_m, abs=1e-6)


class Placed(LivePositions):
    """Members put at spots, without a way through degrees and back."""

    def put(self, member_id, spot, mode, *, post=False):
        """Place a member's fix, or post, exactly at a spot, or where the mode gets on."""
        self.enrol(member_id, mode)
        network = self.snapper.network
        self._stand(2 * self._slot(member_id) + post, network.usable(spot, mode))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), network=networks, mode=st.sampled_from(MODES))
def test_members_are_met_in_the_order_of_the_whole_graph(data, network, mode):
    """All who have a way, each with the time that ``eta`` gives, ordered by (eta_s, id)."""
    spots = st.builds(Spot, st.integers(0, network.edge_count - 1), SHARES)
    closed = frozenset(data.draw(st.sets(st.sampled_from("rstuw"), max_size=2)))
    members = data.draw(st.dictionaries(st.sampled_from("abcdefgh"), spots, max_size=8))
    live = Placed(Snapper(network))
    for member_id, spot in members.items():
        live.put(member_id, spot, mode)
    site = site_of(network, data.draw(spots))
    found = list(TravelField(network, site, mode, closed).members(live))
    fresh = TravelField(network, site, mode, closed)
    travels = {member_id: fresh.eta(spot) for member_id, spot in members.items()}
    expected = sorted((t.eta_s, member_id) for member_id, t in travels.items() if t is not None)
    assert [(reached.eta_s, reached.member_id) for reached in found] == expected


def asked(field, question, spot, limit_s):
    """What a field says of one spot."""
    if question == "e":
        return field.eta(spot, limit_s)
    return field.legs(spot) if question == "l" else (field.route(spot), field.path(spot))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), network=networks, mode=st.sampled_from(MODES))
def test_the_compiled_search_gives_the_same_bits(data, network, mode):
    """Members, travel times and ways, whatever was asked before and however much at a time."""
    spots = st.builds(Spot, st.integers(0, network.edge_count - 1), SHARES)
    closed = frozenset(data.draw(st.sets(st.sampled_from("rstuw"), max_size=2)))
    live = Placed(Snapper(network))
    for number, spot in enumerate(data.draw(st.lists(spots, max_size=12))):
        live.put(f"m{number % 8}", spot, mode, post=number >= 8)
    site = site_of(network, data.draw(spots))
    twins = [search(network, site, mode, closed) for search in (TravelField, CompiledField)]
    since_ms = data.draw(st.sampled_from([None, 0]))
    for question in data.draw(st.lists(st.sampled_from("emlr"), min_size=1, max_size=4)):
        spot, limit_s = data.draw(spots), data.draw(st.sampled_from([inf, 60.0, 300.0]))
        wanted = data.draw(st.sampled_from([1, 3, 100]))
        plain, compiled = (
            asked(field, question, spot, limit_s)
            if question != "m"
            else list(field.members(live, limit_s, fresh_since_ms=since_ms, wanted=wanted))
            for field in twins
        )
        assert plain == compiled


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), network=networks)
def test_members_of_all_modes_are_met_in_one_order(data, network):
    """The compiled field of all modes gives the bits of one field a mode, merged; with closures."""
    spots = st.builds(Spot, st.integers(0, network.edge_count - 1), SHARES)
    closed = frozenset(data.draw(st.sets(st.sampled_from("rstuw"), max_size=2)))
    live = Placed(Snapper(network))
    people = st.lists(st.tuples(spots, st.sampled_from(MODES)), max_size=12)
    for number, (spot, mode) in enumerate(data.draw(people)):
        live.put(f"m{number}", spot, mode)
    site = site_of(network, data.draw(spots))
    plain, compiled = (
        fields(network, site, MODES, closed) for fields in (TravelFields, CompiledField)
    )
    limits_s = data.draw(st.sampled_from([(inf,), (30.0, inf), (60.0, 120.0)]))
    walks = [field.walk(live, None, 2) for field in (plain, compiled)]
    for limit_s in limits_s:
        first, second = (list(walk.until(limit_s)) for walk in walks)
        assert first == second
    spot, mode = data.draw(spots), data.draw(st.sampled_from(MODES))
    travel = plain.eta(spot, mode=mode)
    assert compiled.eta(spot, mode=mode) == travel
    # Of ways that are equal to the last bit either may be told, by what was asked before.
    legs = compiled.legs(spot, mode)
    assert (travel is None) == (legs == ())
    assert sum(leg.time_s for leg in legs) == pytest.approx(travel.eta_s if travel else 0.0)


def test_equal_times_along_different_streets_are_ordered_by_id():
    """Two exactly as far: z is met from the site's junction, y only from the next, and y is first.

    The coordinates are halves and quarters, so that both times are the same to the last bit.
    """
    a, b, c, d = ((east, 0.0) for east in (0.25, 0.5, 0.75, 1.0))
    pieces = [
        RoadPiece(road_id=name, points=ends)
        for name, ends in [("ab", (a, b)), ("bc", (b, c)), ("cd", (c, d))]
    ]
    network = Network.build(pieces, "drawn up")
    live = Placed(Snapper(network))
    live.put("z", Spot(network.roads["ab"][0], 0.0), "walk")
    live.put("y", Spot(network.roads["cd"][0], 0.0), "walk")
    site = site_of(network, Spot(network.roads["bc"][0], 0.0))
    for search in (TravelField, CompiledField):
        first, second = search(network, site, "walk").members(live)
        assert first.eta_s == second.eta_s
        assert (first.member_id, second.member_id) == ("y", "z")


SITES = 4
MEMBERS = 60


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", extracts.NAMES)
def test_on_real_roads_the_nearest_are_the_nearest(name, mode):
    """Members scattered over a city: order, times and reach agree with the whole graph."""
    network, snapper = extracts.loaded(name)
    dice = random.Random(f"{name} {mode}")
    edges = network.graphs[mode].usable.nonzero()[0].tolist()
    live = Placed(snapper)
    spots = {f"m{i}": Spot(dice.choice(edges), dice.random()) for i in range(MEMBERS)}
    for member_id, spot in spots.items():
        live.put(member_id, spot, mode)
    for _ in range(SITES):
        site = Spot(dice.choice(edges), dice.random())
        found = list(TravelField(network, site_of(network, site), mode).members(live))
        times = oracle.all_travel_s(network, site, mode)
        expected = {
            m: oracle.from_junctions(network, spot, site, mode, times) for m, spot in spots.items()
        }
        reachable = {m: time_s for m, time_s in expected.items() if time_s < inf}
        assert {r.member_id: r.eta_s for r in found} == pytest.approx(reachable, rel=1e-9)
        assert [r.eta_s for r in found] == sorted(r.eta_s for r in found)
