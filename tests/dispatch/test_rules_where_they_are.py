"""Where the members are: the last fix, the post, or nowhere that is known."""

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.inputs import Fix

POSTED = """
    member at post
    m1     a  f
"""


def test_a_fresh_fix_says_where_a_member_is() -> None:
    """The order tells how old the fix was."""
    town = Town(POSTED)
    town.jump("00:30")
    town.alert(at="a")
    [order] = town.orders()
    assert (order.eta_s, order.why.fix_age_s) == (0.0, 30.0)


def test_a_fix_of_exactly_two_minutes_still_counts() -> None:
    """`fix_s` 120: older than that it is stale, not as old."""
    town = Town(POSTED)
    town.jump("02:00")
    town.alert(at="a")
    assert town.orders()[0].why.fix_age_s == 120.0


def test_a_stale_fix_falls_back_to_the_post() -> None:
    """Eligible at the post, and `fix_age_s` is null."""
    town = Town(POSTED)
    town.jump("02:00.001")
    town.alert(at="a")
    [order] = town.orders()
    assert (order.eta_s, order.why.fix_age_s) == (144.0, None)


def test_a_member_who_was_never_heard_of_stands_at_the_post() -> None:
    """No tracker at all: the post is where they are."""
    town = Town("member post\nm1 c")
    town.alert(at="a")
    [order] = town.orders()
    assert (order.member_id, order.eta_s, order.why.fix_age_s) == ("m1", 108.0, None)


def test_without_a_post_a_stale_fix_excludes() -> None:
    """`stale_fix` is the reason, of the order as of the unfilled incident."""
    town = Town("member at\nm1 b\nm2 c")
    town.member("m1").falls_silent()
    town.at("02:10")
    decision = town.alert(at="a")
    assert town.asked() == ["m2"]
    assert town.excluded(decision)["m1"] == "stale_fix"


def test_a_post_is_not_where_a_member_with_a_fresh_fix_is() -> None:
    """Nobody stands in two places: the near post of a far member wins nothing."""
    town = Town("member at post\nm1 f b\nm2 c -")
    town.alert(at="a")
    assert town.asked() == ["m2"]


def test_a_member_far_from_every_road_cannot_be_sent() -> None:
    """The fix is fresh, and no road is within 300 m of it."""
    town = Town("member at\nm1 c+600+0")
    town.alert(at="a")
    assert town.incident().unfilled == ("unreachable",)


def test_a_leap_is_not_believed_until_it_is_confirmed() -> None:
    """One wild fix moves nobody."""
    town = Town("member at\nm1 b\nm2 c")
    town.at("00:01")
    wild = town.position("f+20000+0")
    town.take_fix("m1", Fix(member_id="m1", lon=wild.lon, lat=wild.lat, fix_ms=town.now_ms))
    town.alert(at="a")
    assert town.asked() == ["m1"]


def test_each_travels_in_their_own_way() -> None:
    """On foot against a one-way, by e-bike around: who is quicker goes."""
    streets = """
        a<----b
        |     |
        d-----e
    """
    town = Town("member at mode\nfoot a walk\nbike a ebike", streets=streets)
    town.alert(at="ab@0.1")
    assert town.asked() == ["foot"]
    assert town.orders()[0].eta_s == 21.6


def test_a_car_goes_at_the_roads_speed() -> None:
    """30 km/h in a residential street, and the lower of both limits for everybody."""
    changes = {"ab": {"maxspeed_kmh": 10.0}}
    town = Town("member at mode\nm1 b car", streets="a-----b", changes=changes)
    town.alert(at="a")
    assert town.orders()[0].eta_s == 108.0
    town = Town("member at mode\nm1 b car", streets="a-----b")
    town.alert(at="a")
    assert town.orders()[0].eta_s == 36.0


def test_a_device_clock_that_is_ahead_does_not_keep_a_fix_fresh() -> None:
    """A fix is never newer than its receipt."""
    town = Town("member at\nm1 -")
    here = town.position("b")
    fix = Fix(member_id="m1", lon=here.lon, lat=here.lat, fix_ms=town.now_ms + 3_600_000)
    town.take_fix("m1", fix)
    town.at("02:01")
    town.alert(at="a")
    assert town.facts(f.IncidentUnfilled)[0].reasons == ("stale_fix",)
