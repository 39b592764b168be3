"""Live positions."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.geo import maps
from xiaohe.geo.live import LivePositions
from xiaohe.geo.matching import SPEED_MAX_MPS
from xiaohe.geo.roads import MODES
from xiaohe.geo.snap import Snapper

STREET = """
    a----------b..c
"""
NETWORK = maps.network(STREET)
SNAPPER = Snapper(NETWORK)
AB = NETWORK.roads["ab"][0]
BC = NETWORK.roads["bc"][0]


def at(east_m, north_m=0.0):
    """A place so many metres east and north of a."""
    x, y = maps.CENTRE.to_m(*maps.place(STREET, "a"))
    return maps.CENTRE.to_deg(x + east_m, y + north_m)


def test_a_fix_puts_a_member_on_the_road():
    """The track has the place as reported, and the spot, road and distance that belong to it."""
    live = LivePositions(SNAPPER)
    track = live.move("m", *at(275, 8), 1000, accuracy_m=10.0, speed_mps=3.0, course_deg=90.0)
    assert track == live.track("m")
    assert (track.lon, track.lat) == at(275, 8)
    assert (track.fix_ms, track.accuracy_m, track.speed_mps, track.course_deg) == (
        1000,
        10.0,
        3.0,
        90.0,
    )
    assert track.road_id == "ab"
    assert track.off_road_m == pytest.approx(8, abs=0.1)
    assert track.trusted
    assert list(live.on_edge(AB)) == [("m", track.spot.frac, False)]


def test_a_fix_no_newer_than_the_last_changes_nothing():
    """Late and repeated fixes are passed over: the order of arrival is not the order of time."""
    live = LivePositions(SNAPPER)
    track = live.move("m", *at(100), 2000)
    assert live.move("m", *at(110), 2000) is None
    assert live.move("m", *at(110), 1999) is None
    assert live.track("m") == track


def test_a_member_is_on_one_edge_at_a_time():
    """Moving from the street to the footway leaves the street."""
    live = LivePositions(SNAPPER)
    live.move("m", *at(500), 0)
    live.move("m", *at(600), 10_000)
    assert not live.on_edge(AB)
    assert [found[0] for found in live.on_edge(BC)] == ["m"]


def test_off_the_road_a_fix_is_kept_without_a_spot():
    """A member on the water is known to be there, and is on no edge."""
    live = LivePositions(SNAPPER)
    live.move("m", *at(100), 0)
    track = live.move("m", *at(100, 400), 10_000)
    assert (track.spot, track.road_id, track.off_road_m) == (None, None, None)
    assert not live.on_edge(AB)
    assert len(live) == 1


def test_a_leap_is_not_believed_until_confirmed():
    """A fix 500 m away after one second leaves the member where he was; the next one there moves
    him."""
    live = LivePositions(SNAPPER)
    before = live.move("m", *at(0), 0)
    leap = live.move("m", *at(500), 1000)
    assert not leap.trusted
    assert leap.heard_ms == 1000
    assert (leap.lon, leap.lat, leap.fix_ms, leap.spot) == (
        before.lon,
        before.lat,
        before.fix_ms,
        before.spot,
    )
    assert [frac for _, frac, _ in live.on_edge(AB)] == [before.spot.frac]
    confirmed = live.move("m", *at(510), 2000)
    assert confirmed.trusted
    assert confirmed.spot.frac == pytest.approx(510 / 550, abs=1e-3)


def test_a_leap_that_comes_back_was_nothing():
    """One bad fix between good ones moves nobody."""
    live = LivePositions(SNAPPER)
    live.move("m", *at(0), 0)
    live.move("m", *at(500), 1000)
    back = live.move("m", *at(3), 2000)
    assert back.trusted
    assert back.spot.frac == pytest.approx(3 / 550, abs=1e-3)


def test_two_leaps_to_different_places_confirm_nothing():
    """A device that leaps about is nowhere new until it settles."""
    live = LivePositions(SNAPPER)
    live.move("m", *at(0), 0)
    live.move("m", *at(550), 1000)
    track = live.move("m", *at(300), 1001)
    assert not track.trusted
    assert track.fix_ms == 0


def test_a_late_fix_is_late_against_a_leap_too():
    """What is older than the suspect fix is not news."""
    live = LivePositions(SNAPPER)
    live.move("m", *at(0), 0)
    live.move("m", *at(500), 1000)
    assert live.move("m", *at(2), 900) is None


@pytest.mark.parametrize(("accuracy_m", "trusted"), [(5.0, False), (250.0, True), (9e9, False)])
def test_accuracy_excuses_a_leap_up_to_a_limit(accuracy_m, trusted):
    """480 m in a millisecond is within the error of two vague fixes; a claim to be anywhere within
    millions of metres excuses no more than its limit."""
    live = LivePositions(SNAPPER)
    far = 480 if accuracy_m < 1000 else 1100
    live.move("m", *at(0), 0, accuracy_m=accuracy_m)
    assert live.move("m", *at(far), 1, accuracy_m=accuracy_m).trusted is trusted


@pytest.mark.parametrize("absurd", [{"accuracy_m": 1e300}, {"speed_mps": 1e300}])
def test_absurd_figures_of_a_device_put_nobody_off_the_road(absurd):
    """The member is where the fix is, one by one and in a batch."""
    live = LivePositions(SNAPPER)
    assert live.move("m", *at(100), 0, **absurd).spot.edge == AB
    columns = {"accuracy_m": np.array([np.nan]), "speed_mps": np.array([np.nan])}
    columns |= {name: np.array([value]) for name, value in absurd.items()}
    lon, lat = at(120)
    live.move_many(
        ["n"], np.array([lon]), np.array([lat]), np.array([0]), columns["accuracy_m"],
        columns["speed_mps"], np.array([np.nan]),
    )  # fmt: skip
    assert live.track("n").spot.edge == AB


def test_noise_in_quick_fixes_is_no_leap():
    """Ten fixes a second that scatter by 30 m are a telephone between buildings."""
    live = LivePositions(SNAPPER)
    live.move("m", *at(0), 0)
    assert live.move("m", *at(30), 100).trusted
    assert SPEED_MAX_MPS * 0.1 < 30


def test_a_post_stands_beside_the_fix():
    """Both are on their edges, marked apart; the caller knows which one counts."""
    live = LivePositions(SNAPPER)
    site = live.set_post("m", *at(500))
    live.move("m", *at(50), 0)
    assert live.post("m") == site
    assert {from_post for _, _, from_post in live.on_edge(AB)} == {True, False}
    assert len(live) == 1
    live.clear_post("m")
    assert live.post("m") is None
    assert [from_post for _, _, from_post in live.on_edge(AB)] == [False]


def test_a_forgotten_member_is_gone():
    """Fix, post and place on the road; forgetting nobody is no error."""
    live = LivePositions(SNAPPER)
    live.set_post("m", *at(500))
    live.move("m", *at(50), 0)
    live.forget("m")
    live.forget("nobody")
    assert len(live) == 0
    assert list(live.members()) == []
    assert live.track("m") is None
    assert live.post("m") is None
    assert not live.on_edge(AB)


def test_who_is_on_the_footway_is_at_its_mouth_for_a_car():
    """On foot the member is where he is, in a car where the street ends."""
    live = LivePositions(SNAPPER)
    live.enrol("walker", "walk")
    live.enrol("driver", "car")
    for member in ("walker", "driver"):
        live.move(member, *at(600), 0)
    assert [found[0] for found in live.on_edge(BC)] == ["walker"]
    assert list(live.on_edge(AB, "walk")) == []
    assert list(live.on_edge(AB, "car")) == [("driver", 1.0, False)]
    live.move("driver", *at(200), 60_000)
    assert [frac < 1.0 for _, frac, _ in live.on_edge(AB, "car")] == [True]


def test_who_changes_the_vehicle_is_matched_anew():
    """A post and a fix on the footway: by car both are at its mouth, and only a car's search
    finds them."""
    live = LivePositions(SNAPPER)
    live.set_post("m", *at(650))
    live.move("m", *at(600), 0)
    assert len(live.on_edge(BC, "ebike")) == 2
    live.enrol("m", "car")
    assert not live.on_edge(BC)
    assert sorted(live.on_edge(AB)) == [("m", 1.0, False), ("m", 1.0, True)]
    assert not live.on_edge(AB, "ebike")


def test_one_place_counts_where_the_age_of_fixes_is_asked_for():
    """A fresh fix, else the post, else the old fix: so each member is met once."""
    live = LivePositions(SNAPPER)
    live.set_post("both", *at(500))
    live.move("both", *at(50), 1000)
    live.move("lost", *at(60), 1000)
    assert sorted(live.on_edge(AB, "ebike", 1000)) == [
        ("both", pytest.approx(50 / 550, abs=1e-3), False),
        ("lost", pytest.approx(60 / 550, abs=1e-3), False),
    ]
    assert sorted(live.on_edge(AB, "ebike", 1001)) == [
        ("both", pytest.approx(500 / 550, abs=1e-3), True),
        ("lost", pytest.approx(60 / 550, abs=1e-3), False),
    ]


def test_there_is_room_for_everybody():
    """Slots double when they run out, and those of members who left are used again."""
    live = LivePositions(SNAPPER)
    for number in range(500):
        live.move(f"m{number}", *at(number), 0)
    for number in range(0, 500, 2):
        live.forget(f"m{number}")
    for number in range(500, 750):
        live.move(f"m{number}", *at(number - 300), 0)
    assert len(live) == len(live.on_edge(AB)) + len(live.on_edge(BC)) == 500
    assert live.track("m501").lon == at(201)[0]
    assert len(live.modes) < 2 * 512


MODE_OF = dict(zip("pqr", MODES, strict=True))


class LiveMachine(RuleBasedStateMachine):
    """Moves, posts and forgetting in any order, against a plain book of who is where."""

    members = st.sampled_from("pqr")
    east_m = st.floats(-50, 700)

    def __init__(self):
        super().__init__()
        self.live = LivePositions(SNAPPER)
        self.clock_ms = 0
        self.fixes = {}
        self.posts = {}

    @rule(member=members, east_m=east_m)
    def move(self, member, east_m):
        """Somebody moves."""
        self.live.enrol(member, MODE_OF[member])
        self.clock_ms += 60_000
        self.fixes[member] = self.live.move(member, *at(east_m), self.clock_ms).spot

    @rule(member=members, east_m=east_m)
    def post(self, member, east_m):
        """Somebody is posted."""
        self.live.enrol(member, MODE_OF[member])
        spot = self.live.set_post(member, *at(east_m)).spot
        self.posts[member] = NETWORK.usable(spot, MODE_OF[member])

    @rule(member=members)
    def forget(self, member):
        """Somebody leaves."""
        self.live.forget(member)
        self.fixes.pop(member, None)
        self.posts.pop(member, None)

    @invariant()
    def everybody_is_where_the_book_says(self):
        """The edges hold exactly those of the book, for every mode."""
        assert list(self.live.members()) == sorted(self.fixes.keys() | self.posts.keys())
        spots = [(m, spot, False) for m, spot in self.fixes.items()]
        spots += [(m, spot, True) for m, spot in self.posts.items()]
        for mode in MODES:
            found = sorted(
                (member, edge, frac, from_post)
                for edge in range(NETWORK.edge_count)
                for member, frac, from_post in self.live.on_edge(edge, mode)
            )
            assert found == sorted((m, *s, p) for m, s, p in spots if MODE_OF[m] == mode)


TestLiveMachine = LiveMachine.TestCase
TestLiveMachine.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
