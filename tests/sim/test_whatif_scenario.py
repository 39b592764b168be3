"""Scenarios: how they are written, and what they make of a brigade."""

from pathlib import Path

import pytest

from tests.geo import maps
from tests.sim.brigades import GRID, call, member, play, setting
from xiaohe.sim.calls import Landmark
from xiaohe.sim.whatif.people import Beats
from xiaohe.sim.whatif.scenario import ScenarioError, changed, parse_scenario, read_scenarios

NETWORK = maps.network(GRID)
SQUARE = Landmark("square", "小广场", "ab", maps.place(GRID, "l"))


def owner(member_id: str, *roads: str, **said: object):
    """A member who answers for these roads."""
    owned = [{"road_id": road_id, "role": "owner"} for road_id in roads]
    return member(member_id, "a", GRID, roads=owned, **said)


BRIGADE = (
    owner("m1", rank="squad_leader", team="red"),
    owner("m2", "ab", team="red"),
    owner("m3", "ab", "bc", team="blue"),
    owner("m4", "cd", team="blue"),
)


def test_a_scenario_is_written_in_a_line() -> None:
    """Keys may come several times where they name squads."""
    found = parse_scenario("move:mode=red>car,mode=walk,move=blue>小广场,rate=1.5,members=3")
    assert found.modes == {"red": "car", "": "walk"}
    assert found.moves == {"blue": "小广场"}
    assert (found.rate, found.members) == (1.5, 3)
    assert found.says == "mode red → car, all → walk, move blue → 小广场, rate 1.5, members 3"


def test_a_file_lists_scenarios_and_names_files_beside_it(tmp_path: Path) -> None:
    """YAML says the same as the option."""
    path = tmp_path / "what.yaml"
    path.write_text("scenarios:\n- {name: a, members: 3, mode: car}\n"
                    "- {name: b, roster: mine.json, move: {blue: ab}}\n")  # fmt: skip
    a, b = read_scenarios(path)
    assert (a.members, a.modes) == (3, {"": "car"})
    assert (b.roster, b.moves) == (tmp_path / "mine.json", {"blue": "ab"})


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("members=45", "NAME:key=value"),
        (":members=45", "NAME:key=value"),
        ("x:members", "key=value"),
        ("x:members=many", "members is a number"),
        ("x:members=0", "members is a number"),
        ("x:members=2.5", "members is a number"),
        ("x:members=1,members=2", "twice"),
        ("x:speed=2", "keys are"),
        ("x:mode=horse", "mode is"),
        ("x:move=somewhere", "TEAM>PLACE"),
        ("x:rate=-1", "rate is a number"),
        ("x:rate=nan", "rate is a number"),
        ("x:posture=lying", "patrol or post"),
    ],
)
def test_a_wrong_word_says_what_to_write(text: str, names: str) -> None:
    """One sentence, with the choice."""
    with pytest.raises(ScenarioError, match=names):
        parse_scenario(text)


@pytest.mark.parametrize("text", ["", "scenarios: []", "- {members: 3}", "- x", "{", "3"])
def test_a_wrong_file_is_refused(text: str, tmp_path: Path) -> None:
    """With its name."""
    path = tmp_path / "what.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"what\.yaml"):
        read_scenarios(path)


def brigade_of(text: str):
    """What a scenario makes of the brigade."""
    return changed(parse_scenario(text), BRIGADE, NETWORK, [SQUARE])


def test_fewer_members_are_those_with_the_most_road_and_the_leaders() -> None:
    """The same ones every time: least road first, of equals the higher id."""
    assert [m.member_id for m in brigade_of("x:members=3").members] == ["m1", "m2", "m3"]
    assert [m.member_id for m in brigade_of("x:members=2").members] == ["m1", "m3"]
    with pytest.raises(ScenarioError, match="roster has 4 members"):
        brigade_of("x:members=5")


def test_a_squad_that_moves_stands_at_the_new_place_or_patrols_the_road() -> None:
    """By a place's name, by degrees, or by a road."""
    named = brigade_of("x:move=red>小广场")
    assert {(m.post.lon, m.post.lat) for m in named.members if m.team == "red"} == {SQUARE.place}
    assert named.at_post == {"m1", "m2"}
    lon, lat = SQUARE.place
    stated = brigade_of(f"x:move=red>{lon} {lat}")
    assert stated == named
    assert brigade_of("x:move=blue>kl").beats == {"m3": "kl", "m4": "kl"}


@pytest.mark.parametrize(
    "text", ["x:move=green>ab", "x:mode=green>car", "x:move=red>nowhere", "x:move=red>999 3"]
)
def test_a_squad_or_a_place_that_is_not_there_is_named(text: str) -> None:
    """Nothing is silently left as it was."""
    with pytest.raises(ScenarioError):
        brigade_of(text)


def test_a_moved_squad_is_met_where_it_was_moved_to() -> None:
    """The order's way begins at the new post."""
    moved = brigade_of("x:move=red>小广场")
    town = setting(*moved.members[:1], drawing=GRID, posture="patrol", at_post=moved.at_post)
    (incident,) = play(town, [call("x", 0, "l", GRID)]).incidents.values()
    assert incident.orders[0].distance_m == pytest.approx(0, abs=1)


def test_a_squad_that_patrols_another_road_is_on_it() -> None:
    """The beat leads along that road alone."""
    town = setting(*BRIGADE, drawing=GRID)
    beat = Beats(town.streets, town.habits, 1).of(BRIGADE[2], "patrol", "kl")
    (west, south), (east, _) = (maps.place(GRID, x) for x in "kl")
    assert beat.round_s > 0
    for second in range(0, 400, 7):
        lon, lat = beat.at(second)
        assert west - 1e-6 <= lon <= east + 1e-6
        assert lat == pytest.approx(south, abs=1e-6)
