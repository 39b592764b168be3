"""The slow check of a choice: it agrees with the engine where that is right, and only there."""

import random

import pytest
from msgspec.structs import replace

from tests.dispatch.town import Town
from tests.geo import maps, oracle
from xiaohe.dispatch import decide as deciding
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import Decision
from xiaohe.dispatch.inputs import Received
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.world import World
from xiaohe.geo.geometry import Spot
from xiaohe.geo.roads import MODES
from xiaohe.sim.faults.judges import choice

BRIGADE = """
    member at owns helps mode
    m1     b  ab   -     ebike
    m2     c  -    ab    ebike
    m3     f  -    -     walk
    m4     e  -    -     ebike
"""
STREETS = """
    a-----b-----c
    |     |     |
    d-----e-----f
"""

Seen = list[tuple[AreaState, World, Received, Decision]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """All that a town decides from now on, each held to the check at once."""
    kept: Seen = []
    decide = deciding.decide

    def deciding_too(state: AreaState, received: Received, at_ms: int, world: World) -> Decision:
        decision = decide(state, received, at_ms, world)
        assert choice.check(state, world, received, decision) == []
        kept.append((state, world, received, decision))
        return decision

    monkeypatch.setattr("tests.dispatch.town.decide", deciding_too)
    return kept


def orders(decision: Decision) -> list[f.MemberDispatched]:
    """The orders of a decision."""
    return [fact for fact in decision.facts if isinstance(fact, f.MemberDispatched)]


def given_to(decision: Decision, member_id: str) -> Decision:
    """The same decision with its orders given to somebody else."""
    facts = (
        replace(fact, member_id=member_id) if isinstance(fact, f.MemberDispatched) else fact
        for fact in decision.facts
    )
    return replace(decision, facts=tuple(facts))


def a_story(town: Town) -> None:
    """Several alerts, a decline, a closed road, somebody off duty, nobody left."""
    town.alert(at="ab@0.4")
    town.at("00:05")
    town.member(orders(town.decisions[0])[0].member_id).declines(reason="unwell")
    town.desk("close_road", road_id="be")
    town.at("00:30")
    town.alert("a2", at="f", priority=1)
    town.at("01:30")
    town.alert("a3", at="d", category="theft")
    town.at("05:00")


def test_the_check_agrees_with_the_engine(seen: Seen) -> None:
    """Owners, squads, the nearest, closed roads, and that nobody can go: all the same."""
    a_story(Town(BRIGADE))
    rules = {order.why.rule for *_, decision in seen for order in orders(decision)}
    assert rules >= {"owner", "nearest"}
    assert any(isinstance(x, f.IncidentUnfilled) for *_, d in seen for x in d.facts)


@pytest.mark.parametrize("other", ["m2", "m3", "m4"])
def test_an_order_to_somebody_else_is_seen(seen: Seen, other: str) -> None:
    """Whoever is not first may be near, of the squad, or on foot."""
    Town(BRIGADE).alert(at="ab@0.4")
    state, world, received, decision = seen[0]
    (found, *_) = choice.check(state, world, received, given_to(decision, other))
    assert found.rule == "S6"
    assert other in found.what


def test_an_order_to_somebody_who_is_bound_is_seen(seen: Seen) -> None:
    """Who has an open order may not be sent, however near."""
    town = Town(BRIGADE)
    town.alert(at="b")
    town.alert("a2", at="b", category="theft")
    *_, (state, world, received, decision) = seen
    busy = orders(seen[0][3])[0].member_id
    wrong = given_to(decision, busy)
    told = next(n for n, x in enumerate(wrong.facts) if isinstance(x, f.MemberDispatched))
    wrong = replace(wrong, facts=wrong.facts[: told + 1])
    with pytest.raises(AssertionError, match="one open order"):
        choice.check(state, world, received, wrong)


def test_a_wrong_travel_time_is_seen(seen: Seen) -> None:
    """What is told of the way is what the whole graph says."""
    Town(BRIGADE).alert(at="a")
    state, world, received, decision = seen[0]
    facts = tuple(
        replace(x, eta_s=x.eta_s + 5) if isinstance(x, f.MemberDispatched) else x
        for x in decision.facts
    )
    (found, *_) = choice.check(state, world, received, replace(decision, facts=facts))
    assert "are told" in found.what


def test_saying_that_nobody_can_go_is_seen(seen: Seen) -> None:
    """Somebody can."""
    Town(BRIGADE).alert(at="a")
    state, world, received, decision = seen[0]
    opened = next(x for x in decision.facts if isinstance(x, f.IncidentOpened))
    nobody = f.IncidentUnfilled(incident_id=opened.incident_id, reasons=("busy",))
    (found, *_) = choice.check(state, world, received, replace(decision, facts=(opened, nobody)))
    assert "nobody can go (busy), and m1 can" in found.what


@pytest.mark.parametrize("mode", MODES)
def test_travel_times_are_those_of_the_other_oracle(mode: str) -> None:
    """Two readings of the rules of travel, with one-ways and closed roads, agree."""
    network = maps.network(STREETS, {"ab": {"oneway": "yes"}, "be": {"highway": "footway"}})
    chance = random.Random(7)
    for _ in range(60):
        ends = [
            Spot(chance.randrange(network.edge_count), chance.choice((0.0, 0.3, 0.5, 1.0)))
            for _ in range(2)
        ]
        start, site = (network.usable(end, mode) for end in ends)
        if start is None or site is None:
            continue
        closed = frozenset(chance.sample(["ab", "bc", "de", "cf"], chance.randrange(3)))
        found = choice.travel_s(network, start, site, mode, closed)
        assert found == pytest.approx(oracle.travel_s(network, start, site, mode, closed))
