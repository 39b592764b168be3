"""The roster of the invented brigade: who is on duty, and that no road is without its people."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from shapely.geometry import LineString, Point
from shapely.ops import unary_union

from xiaohe.data.drawing.source import PLANE
from xiaohe.dispatch.coverage import check_roster
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.shifts import intervals, parse_shifts
from xiaohe.geo.modes import may_use

HOUR_MS = 3_600_000
WEEKS_FROM_MS = [
    int(datetime(2026, month, day, hour, 17, tzinfo=UTC).timestamp() * 1000)
    for month, day, hour in ((1, 1, 0), (11, 23, 9), (12, 28, 22))
]


@pytest.fixture(scope="module")
def book(roster) -> Roster:
    """The roster as decisions read it."""
    book = Roster()
    for entry in roster:
        book.put(entry)
    return book


def moments(roster, from_ms: int) -> list[int]:
    """Give every moment of the coming week at which anybody's shift begins or ends, and one
    minute before each: between two of them nothing changes."""
    bounds = {
        bound
        for entry in roster
        for shift in intervals(parse_shifts(entry.shifts), from_ms, from_ms + 168 * HOUR_MS)
        for bound in shift
    }
    return sorted(at_ms for bound in bounds for at_ms in (bound, bound - 60_000))


def test_fifty_members_in_two_squadrons_of_four_squads(roster):
    """Fifty people, eight squads of six, and two at the command centre."""
    assert len({entry.member_id for entry in roster}) == 50
    assert Counter(entry.unit for entry in roster) == {
        None: 2,
        **{f"{squadron}/{squad}": 6 for squadron in (1, 2) for squad in (1, 2, 3, 4)},
    }
    assert len({entry.team for entry in roster if entry.unit}) == 8
    assert len({device for entry in roster for device in entry.device_ids}) == 50


def test_ranks_make_a_ladder(roster, book):
    """One brigade leader, two squadron leaders, a leader for each squad, each found by its unit."""
    ranks = Counter(entry.rank for entry in roster)
    assert ranks == {"brigade_leader": 1, "squadron_leader": 2, "squad_leader": 8, "member": 39}
    for unit in sorted({entry.unit for entry in roster if entry.unit}):
        for rank in ("squad_leader", "squadron_leader", "brigade_leader"):
            assert len(book.leaders("xiaohe", rank, unit)) == 1


def test_names_are_plainly_made_up(roster):
    """«某» is so-and-so: nobody is meant."""
    names = [entry.name for entry in roster]
    assert len(set(names)) == 50
    assert all(len(name) == 2 and name.endswith("某") for name in names)


@pytest.mark.parametrize("from_ms", WEEKS_FROM_MS)
def test_the_roster_check_finds_nothing(roster, pieces, from_ms):
    """For every road and every minute of a week one owner and one squad."""
    roads = {"xiaohe": {piece.road_id for piece in pieces}}
    assert check_roster(roster, roads, from_ms) == []


@pytest.mark.parametrize("from_ms", WEEKS_FROM_MS)
def test_one_owner_and_one_squad_at_every_change_of_shift(roster, book, pieces, from_ms):
    """The same, asked of the roster as decisions ask it, on both sides of every boundary."""
    road_ids = {piece.road_id for piece in pieces}
    times = moments(roster, from_ms)
    assert len(times) >= 2 * 21
    for at_ms in times:
        on_duty = {m for m in book.members("xiaohe") if book.on_shift(m, at_ms)}
        for road_id in road_ids:
            owners = [m for m in book.owners(road_id, "xiaohe") if m.member_id in on_duty]
            assert len(owners) == 1, (road_id, at_ms)
            squads = {
                m.team for m in book.team_members(road_id, "xiaohe") if m.member_id in on_duty
            }
            assert squads == {owners[0].team}


@pytest.mark.parametrize("from_ms", WEEKS_FROM_MS)
def test_about_a_quarter_is_on_duty_at_any_minute(roster, book, from_ms):
    """Twelve or thirteen of fifty, each shift with a squad leader a squad, a car and first aid."""
    for at_ms in moments(roster, from_ms):
        on_duty = [m for i, m in book.members("xiaohe").items() if book.on_shift(i, at_ms)]
        assert len(on_duty) in {12, 13}
        assert Counter(m.rank for m in on_duty)["squad_leader"] == 2
        assert any(m.travel_mode == "car" for m in on_duty)
        assert {"first_aid", "mediation", "dialect", "fire_safety"} <= {
            skill for m in on_duty for skill in m.skills
        }


def test_a_day_off_follows_every_shift(roster):
    """Eight hours on, at least twenty-four off, round the clock."""
    for entry in roster:
        own = intervals(
            parse_shifts(entry.shifts), WEEKS_FROM_MS[0], WEEKS_FROM_MS[0] + 672 * HOUR_MS
        )
        assert len(own) >= 20
        assert {each.end_ms - each.start_ms for each in own} == {8 * HOUR_MS}
        rests = [b.start_ms - a.end_ms for a, b in pairwise(own)]
        assert min(rests) >= 24 * HOUR_MS


def test_ways_of_travel_are_mixed(roster):
    """Most ride, some walk by the historic quarters, the patrol cars have their drivers."""
    modes = Counter(entry.travel_mode for entry in roster)
    assert modes["ebike"] >= 35
    assert modes["walk"] >= 4
    assert 2 <= modes["car"] <= 5


def test_owners_share_the_roads_fairly(roster):
    """Nobody answers for more than an eighth of the roads."""
    counts = [len(entry.roads) for entry in roster if entry.unit]
    assert min(counts) >= 10
    assert max(counts) <= sum(counts) / 4 / 8


def test_an_owners_roads_lie_together(roster, pieces):
    """Every road of a member is within the reach of three minutes by e-bike from the post."""
    lines: dict[str, list[LineString]] = defaultdict(list)
    for piece in pieces:
        lines[piece.road_id].append(LineString([PLANE.to_m(*point) for point in piece.points]))
    for entry in roster:
        assert entry.post is not None
        at = Point(PLANE.to_m(entry.post.lon, entry.post.lat))
        for road in entry.roads:
            assert unary_union(lines[road.road_id]).distance(at) <= 900


def test_posts_stand_on_a_road(roster, pieces):
    """Who has no fix is looked for where they can set out from by their way of travel."""
    for entry in roster:
        usable = unary_union(
            [
                LineString([PLANE.to_m(*point) for point in piece.points])
                for piece in pieces
                if not piece.layer and may_use(piece, entry.travel_mode)
            ]
        )
        assert usable.distance(Point(PLANE.to_m(entry.post.lon, entry.post.lat))) <= 1
