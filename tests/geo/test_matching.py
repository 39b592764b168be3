"""The map matcher: which road somebody is on, and what it does not believe."""

import ast
import os
import subprocess
import sys
from math import nan

import numpy as np
import pytest

from tests.geo import maps
from tests.geo.extracts import loaded
from xiaohe.bench.matching import bench_matching, matched_edges
from xiaohe.geo.files import load_network
from xiaohe.geo.matching import Matcher, Verdict
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES, RoadPiece
from xiaohe.places import ROADS
from xiaohe.sim.tracks import (
    leaping,
    observed,
    repeating,
    shuffled,
    silent,
    travelled,
)

TAKEN, OUT_OF_ORDER, SUSPECT = Verdict.TAKEN, Verdict.OUT_OF_ORDER, Verdict.SUSPECT
EAST, SOUTH, WEST = 90.0, 180.0, 270.0

XIAOHE, _ = load_network(ROADS)


class Rider:
    """Somebody with a device, on a drawn map: fixes are told in metres from a junction."""

    def __init__(self, drawing, mode="car", changes=None, origin="a", network=None):
        self.network = network or maps.network(drawing, changes)
        self.matcher = Matcher(self.network, 1)
        self.mode = mode
        self.origin = maps.CENTRE.to_m(*maps.place(drawing, origin))
        self.clock_s = 0.0

    def fix(self, east_m, south_m=0.0, after_s=5.0, acc=10.0, speed=nan, course=nan):
        """Take a fix; the match, with the road for the edge."""
        self.clock_s += after_s
        x, y = self.origin
        return self.matcher.match(
            0, self.mode, x + east_m, y - south_m, round(1000 * self.clock_s), acc, speed, course
        )

    def road(self, *args, **stated):
        """Take a fix and give the road it puts the member on."""
        match = self.fix(*args, **stated)
        return None if match.edge < 0 else self.network.road_of(match.edge)


FLYOVER = """
    a--b---------------c--d
"""


def flyover():
    """A road a-b-c-d, and 8 m beside its middle a deck on piers: its ramps leave at b and c."""
    (b_x, y), (c_x, _) = (maps.CENTRE.to_m(*maps.place(FLYOVER, name)) for name in "bc")
    deck = ((b_x, y), (b_x + 60, y - 8), (c_x - 60, y - 8), (c_x, y))
    points = tuple(tuple(round(v, 7) for v in maps.CENTRE.to_deg(*point)) for point in deck)
    above = RoadPiece(road_id="deck", points=points, layer=1, modes=frozenset({"car"}))
    return Network.build([*maps.pieces(FLYOVER), above], "flyover", maps.CENTRE)


def test_a_walker_below_is_never_on_the_flyover():
    """Fixes that lie on the flyover's very line are the road's below, for who may not go up."""
    for mode in ("walk", "ebike"):
        rider = Rider(FLYOVER, mode, network=flyover())
        roads = {rider.road(150 + 6 * i, 8, speed=1.2, course=EAST) for i in range(60)}
        assert "deck" not in roads


def test_a_car_below_the_flyover_stays_below_until_a_ramp():
    """Past the ramp on the lower road, later fixes nearer to the deck do not lift the car."""
    rider = Rider(FLYOVER, network=flyover())
    for east_m in (0, 50, 100):
        rider.fix(east_m, speed=10.0, course=EAST)
    for east_m in range(150, 350, 50):
        rider.fix(east_m, -12, speed=10.0, course=EAST, acc=5.0)
    assert {rider.road(350 + 50 * i, 6, speed=10.0, course=EAST) for i in range(8)} == {"bc"}


PARALLEL = """
    a-------------------b
    c-------------------d
"""


def parallel(apart_m):
    """Two lanes side by side that never meet."""
    ax, ay = maps.CENTRE.to_m(*maps.place(PARALLEL, "a"))
    lanes = []
    for road_id, down_m in (("upper", 0.0), ("lower", apart_m)):
        ends = [maps.CENTRE.to_deg(ax + east, ay - down_m) for east in (0.0, 1000.0)]
        lanes.append(RoadPiece(road_id=road_id, points=tuple(ends)))
    return Network.build(lanes, "parallel", maps.CENTRE)


def test_noise_does_not_throw_a_walker_into_the_next_lane():
    """Lanes 20 m apart, noise of 15 m: nearest snapping flickers, the matcher holds its lane."""
    rider = Rider(PARALLEL, "walk", network=parallel(20.0))
    chance = np.random.default_rng(5)
    roads = [
        rider.road(7.0 * i + chance.normal(0, 15), chance.normal(0, 15), acc=22.7)
        for i in range(100)
    ]
    assert roads[15:].count("upper") >= 0.95 * len(roads[15:])


def test_a_wrong_first_guess_is_given_up():
    """Who was put into the wrong lane by one bad fix is in the right one after a few good ones."""
    rider = Rider(PARALLEL, "walk", network=parallel(20.0))
    assert rider.road(0, 18, acc=10.0) == "lower"
    roads = [rider.road(7.0 * i, 0.0, acc=10.0) for i in range(1, 8)]
    assert roads[-1] == "upper"


CROSS = """
          b
          |
    a-----c-----d
          |
          e
"""


def test_the_course_says_who_has_turned():
    """7 m past a crossing, within noise, the course tells the turn from going straight on."""
    for course, road in ((EAST, "cd"), (SOUTH, "ce")):
        rider = Rider(CROSS, "ebike")
        for east_m in range(200, 300, 25):
            rider.fix(east_m, speed=5.0, course=EAST)
        assert rider.road(305, 5, speed=5.0, course=course) == road


def test_the_course_of_who_stands_says_nothing():
    """A device that lies on a table and turns its needle about stays on its road."""
    rider = Rider(CROSS, "ebike")
    for east_m in (200, 225, 250):
        rider.fix(east_m, speed=5.0, course=EAST)
    roads = {rider.road(252, 3, speed=0.1, course=37.0 * i) for i in range(20)}
    assert roads == {"ac"}


def test_who_stops_at_a_junction_stops_before_it():
    """Fixes a little past the crossing or in its side streets are of who waits at its line."""
    for east_m, south_m in ((306, 0), (301, 8), (306, -6)):
        rider = Rider(CROSS, "ebike")
        for along_m in range(215, 300, 25):
            rider.fix(along_m, speed=5.0, course=EAST)
        assert rider.road(east_m, south_m, speed=0.3) == "ac"


def test_who_stands_past_a_junction_is_there_after_some_fixes():
    """A house just round the corner is not the line: fix after fix says so, and is believed."""
    rider = Rider(CROSS, "ebike")
    for along_m in range(200, 300, 25):
        rider.fix(along_m, speed=5.0, course=EAST)
    roads = [rider.road(300 + i % 2, 14, speed=0.3) for i in range(6)]
    assert roads[-1] == "ce"


def test_a_car_faster_than_its_road_allows_is_on_the_other_one():
    """Two roads 10 m apart, fixes between them: at 90 km/h a car is on the one for 80."""
    ax, ay = maps.CENTRE.to_m(*maps.place(PARALLEL, "a"))
    slow, quick = (
        RoadPiece(
            road_id=road_id,
            points=tuple(maps.CENTRE.to_deg(ax + east, ay - down) for east in (0.0, 1500.0)),
            maxspeed_kmh=allowed_kmh,
        )
        for road_id, down, allowed_kmh in (("slow", 0.0, 40.0), ("quick", 10.0, 80.0))
    )
    rider = Rider(PARALLEL, network=Network.build([slow, quick], "beside", maps.CENTRE))
    roads = {rider.road(125 * i, 4.5, speed=25.0, course=EAST) for i in range(10)}
    assert roads == {"quick"}


def test_an_accuracy_stated_roughly_is_meant_as_usual():
    """After many fixes of 20 m one of 12 or 30 weighs nearly as they did; one of 90 does not."""

    def along_m(acc):
        rider = Rider(PARALLEL, "walk")
        for east_m in range(0, 140, 7):
            rider.fix(east_m, acc=20.0)
        return 1000 * rider.fix(170, acc=acc).frac

    usual_m = along_m(20.0)
    assert along_m(12.0) == pytest.approx(usual_m, abs=2.0)
    assert along_m(30.0) == pytest.approx(usual_m, abs=2.0)
    assert along_m(90.0) < usual_m - 4.0


ONE_WAY = """
    a----->b
           |
    c------d
"""


def test_a_walker_may_go_against_a_one_way():
    """On foot a one-way is a street like any other."""
    rider = Rider(ONE_WAY, "walk")
    roads = [rider.road(300 - 7 * i, 2, speed=1.4, course=WEST) for i in range(20)]
    assert set(roads) == {"ab"}


def test_the_course_tells_carriageways_apart():
    """Two one-way carriageways 16 m apart: the course says which, whatever the noise."""
    ax, ay = maps.CENTRE.to_m(*maps.place(PARALLEL, "a"))
    there, back = (
        RoadPiece(
            road_id=road_id,
            points=tuple(maps.CENTRE.to_deg(ax + east, ay - down) for east in ends),
            oneway="yes",
        )
        for road_id, down, ends in (("there", 0.0, (0.0, 1000.0)), ("back", 16.0, (1000.0, 0.0)))
    )
    rider = Rider(PARALLEL, network=Network.build([there, back], "dual", maps.CENTRE))
    roads = {rider.road(900 - 50 * i, -3, speed=10.0, course=WEST) for i in range(10)}
    assert roads == {"back"}


TUNNEL = """
    a-----b----------c-----d
          |          |
          e----------f
"""


def test_after_a_tunnel_the_way_goes_on():
    """45 s without a fix between b and c, and the car comes out on the road that leads there."""
    rider = Rider(TUNNEL)
    for east_m in range(0, 300, 50):
        rider.fix(east_m, speed=10.0, course=EAST)
    roads = [rider.road(870, after_s=60.0, speed=10.0, course=EAST)]
    roads += [rider.road(870 + 50 * i, speed=10.0, course=EAST) for i in range(1, 5)]
    assert roads == ["cd"] * 5


def test_a_vague_fix_does_not_take_a_member_off_its_road():
    """Between houses a device says 150 m and is 80 m off: the road is held, trusted less."""
    rider = Rider(TUNNEL, "walk")
    for east_m in range(0, 100, 7):
        sure = rider.fix(east_m, speed=1.4, course=EAST)
    vague = rider.fix(110, 80, acc=150.0)
    assert rider.network.road_of(vague.edge) == "ab"
    assert vague.trust < sure.trust
    absurd = rider.fix(700, 0, acc=9e5)
    assert (absurd.edge, absurd.frac) == (vague.edge, vague.frac)


def test_a_jump_moves_nobody_and_a_return_is_taken():
    """One fix two kilometres away leaves the member where he was, with less trust."""
    rider = Rider(TUNNEL, "walk")
    for east_m in range(0, 100, 7):
        before = rider.fix(east_m)
    jump = rider.fix(2000, 500)
    assert jump.verdict is SUSPECT
    assert (jump.edge, jump.frac) == (before.edge, before.frac)
    assert jump.trust < before.trust
    back = rider.fix(105)
    assert back.verdict is TAKEN
    assert rider.network.road_of(back.edge) == "ab"


def test_a_second_fix_there_confirms_a_real_jump():
    """Who really is elsewhere is there with the second fix that says so."""
    rider = Rider(TUNNEL, "walk")
    rider.fix(0)
    assert rider.fix(900).verdict is SUSPECT
    there = rider.fix(905)
    assert there.verdict is TAKEN
    assert rider.network.road_of(there.edge) == "cd"


def test_two_jumps_to_different_places_confirm_nothing():
    """A device that leaps about moves nobody."""
    rider = Rider(TUNNEL, "walk")
    rider.fix(0)
    verdicts = [rider.fix(east_m, 60).verdict for east_m in (900, 400, 1100)]
    assert verdicts == [SUSPECT] * 3


def test_late_and_repeated_fixes_change_nothing():
    """What is no newer than the newest, believed or not, is out of order."""
    rider = Rider(TUNNEL)
    held = rider.fix(100)
    for after_s in (0.0, -3.0):
        late = rider.fix(200, after_s=after_s)
        rider.clock_s = 5.0
        assert late.verdict is OUT_OF_ORDER
        assert late[:3] == held[:3]
    rider.fix(3000)
    assert rider.fix(105, after_s=-1.0).verdict is OUT_OF_ORDER


def test_a_device_that_repeats_its_place_does_not_stop_its_member():
    """The same place with new times, then the real one: the way between is believed at once."""
    rider = Rider(TUNNEL)
    for east_m in range(0, 200, 50):
        rider.fix(east_m, speed=10.0, course=EAST)
    for _ in range(2):
        assert rider.fix(150, speed=10.0, course=EAST).verdict is TAKEN
    assert rider.road(340, speed=10.0, course=EAST) == "bc"


def test_who_stands_and_falls_silent_goes_on_where_he_is():
    """Ten minutes of standing, ten of silence, then a walk: each on its road."""
    rider = Rider(TUNNEL, "walk")
    chance = np.random.default_rng(2)
    stood = {rider.road(200 + chance.normal(0, 5), chance.normal(0, 5)) for _ in range(120)}
    assert stood == {"ab"}
    assert rider.road(203, 2, after_s=600.0) == "ab"
    assert rider.road(210, 2, speed=1.4, course=EAST) == "ab"


def test_off_the_road_there_is_no_edge():
    """Beyond the reach of snapping the match says so, and finds the road again after it."""
    rider = Rider(PARALLEL, "walk")
    rider.fix(0)
    off = rider.fix(0, -400, after_s=120.0)
    assert (off.edge, off.verdict) == (-1, TAKEN)
    assert rider.road(0, -5, after_s=120.0) == "ab"


def test_without_accuracy_a_fix_is_at_its_nearest_point_of_the_road():
    """Who states no accuracy is taken at his word; who does is placed by all fixes so far."""
    rider = Rider(PARALLEL, "walk")
    rider.fix(100, acc=nan)
    match = rider.fix(130, 8, acc=nan)
    assert match.frac * 1000 == pytest.approx(130, abs=0.1)
    assert match.distance_m == pytest.approx(8, abs=0.1)
    assert 100 < rider.fix(160, acc=60.0).frac * 1000 < 160


def test_time_runs_as_fast_as_the_network_says():
    """At ten times the speed a fix 400 m on after a second is no jump."""
    quick = Network.build(maps.pieces(PARALLEL), "quick", maps.CENTRE, speed_factor=10.0)
    for network, verdict in ((quick, TAKEN), (None, SUSPECT)):
        rider = Rider(PARALLEL, network=network)
        rider.fix(0)
        assert rider.fix(400, after_s=1.0).verdict is verdict


def test_one_by_one_and_in_a_batch_are_the_same():
    """The same fixes give the same numbers either way, slots mixed and faults among them."""
    chance = np.random.default_rng(4)
    truth = travelled(XIAOHE, "ebike", chance, minutes=10)
    seen = shuffled(leaping(observed(truth, 15.0, chance), chance, 0.05, 900.0), chance, 0.05)
    count = len(seen.of)
    slots = chance.integers(0, 3, count)
    modes = np.full(count, MODES.index("ebike"), np.int8)
    together = Matcher(XIAOHE, 3).match_many(
        slots, modes, *seen.place_m.T, seen.fix_ms, seen.accuracy_m, seen.speed_mps, seen.course_deg
    )
    matcher = Matcher(XIAOHE, 3)
    for i in range(count):
        one = matcher.match(
            int(slots[i]), "ebike", *seen.place_m[i], int(seen.fix_ms[i]), seen.accuracy_m[i],
            seen.speed_mps[i], seen.course_deg[i],
        )  # fmt: skip
        assert one == (
            together.edge[i], together.frac[i], together.distance_m[i], together.verdict[i],
            together.trust[i],
        )  # fmt: skip
    assert set(together.verdict.tolist()) == {TAKEN, OUT_OF_ORDER, SUSPECT}


INTERPRETED = """
from tests.geo.test_matching import TUNNEL, Rider
rider = Rider(TUNNEL, "ebike")
print([tuple(map(float, rider.fix(20.0 * i, i % 3, speed=4.0, course=90.0))) for i in range(40)])
"""


def test_without_a_compiler_the_answers_are_the_same():
    """The same functions, interpreted, give the same numbers to a rounding of the last digits."""
    plain = subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    rider = Rider(TUNNEL, "ebike")
    compiled = [rider.fix(20.0 * i, i % 3, speed=4.0, course=EAST) for i in range(40)]
    for told, match in zip(ast.literal_eval(plain.stdout), compiled, strict=True):
        assert told == pytest.approx(match, rel=1e-6)


def test_a_forgotten_slot_starts_anew_and_others_stay():
    """Forgetting and growing touch nobody else."""
    rider = Rider(TUNNEL)
    rider.fix(100)
    rider.matcher.reserve(4)
    assert rider.fix(100, after_s=0.0).verdict is OUT_OF_ORDER
    rider.matcher.forget(0)
    assert rider.fix(900, after_s=0.0).verdict is TAKEN


FAULTS = {
    "jumps": lambda seen, chance: leaping(seen, chance, 0.03, 1500.0),
    "silence": lambda seen, chance: silent(seen, chance, 5, 60.0),
    "repeats": lambda seen, chance: repeating(seen, chance, 0.1),
    "late": lambda seen, chance: shuffled(seen, chance, 0.1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_cost_little(fault):
    """With jumps, silences, repeats or late fixes in a tenth of an hour's track the rest holds."""
    chance = np.random.default_rng(9)
    truth = travelled(XIAOHE, "ebike", chance, minutes=60)
    seen = FAULTS[fault](observed(truth, 5.0, chance), chance)
    edges, _ = matched_edges(XIAOHE, "ebike", [seen])
    right = [
        XIAOHE.road_of(e) == XIAOHE.road_of(t)
        for e, t in zip(edges, truth.edge[seen.of], strict=True)
    ]
    assert np.mean(right) >= 0.93


FLOORS = {5.0: 0.985, 15.0: 0.96, 30.0: 0.93}
"""Below what is measured by what chance may take from so few fixes: `xiaohe bench matching`."""

FLOORS_LESS_IN_A_CITY = 0.01


@pytest.mark.parametrize("mode", MODES)
def test_the_right_road_on_xiaohe(mode):
    """By road_id, at 5, 15 and 30 m to each side, and far above the nearest road."""
    figures = bench_matching(XIAOHE, members=4, seed=77, kinds=("independent",), modes=(mode,))
    for figure in figures:
        assert figure.road >= FLOORS[figure.noise_m]
        assert figure.road > figure.nearest_road


@pytest.mark.parametrize("mode", ["ebike", "car"])
def test_the_right_road_in_baltimore(mode):
    """The same on OpenStreetMap's streets, with carriageways, ramps and alleys."""
    network, _ = loaded("baltimore.osm.pbf")
    figures = bench_matching(network, members=3, seed=77, kinds=("independent",), modes=(mode,))
    for figure in figures:
        assert figure.road >= FLOORS[figure.noise_m] - FLOORS_LESS_IN_A_CITY
        assert figure.road > figure.nearest_road
