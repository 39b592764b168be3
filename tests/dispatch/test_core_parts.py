"""The parts that the rules stand on: life cycles, policy, snapshots, identifiers."""

from dataclasses import replace
from functools import reduce

import pytest
from rpds import HashTrieMap

from tests.dispatch.town import NOON_MS, POLICY, Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import fold
from xiaohe.dispatch.evolve import Stamp, evolve
from xiaohe.dispatch.ids import aid_alert_id_of, alarm_alert_id_of, incident_id_of
from xiaohe.dispatch.inputs import Fix
from xiaohe.dispatch.lifecycle import (
    INCIDENT,
    LIVE,
    ORDER,
    IllegalTransition,
    IncidentState,
    OrderState,
    live_state,
    next_incident_state,
    next_order_state,
)
from xiaohe.dispatch.policy import DURATIONS, PolicyError, load_policy
from xiaohe.dispatch.remembered import digest_of_id
from xiaohe.dispatch.snapshot import from_rows, pruned, rows
from xiaohe.dispatch.state import AreaState, Holding
from xiaohe.dispatch.world import WATCHED_ENDED_MAX, RoadMap, Watch

ORDER_STATES: tuple[OrderState, ...] = ("ordered", "accepted", "en_route", "arrived", "ended")
INCIDENT_STATES: tuple[IncidentState, ...] = (*LIVE, "resolved", "closed", "cancelled", "merged")


def test_a_pair_that_is_not_in_the_table_of_orders_is_illegal() -> None:
    """Every state with every fact: the table's arrow, or IllegalTransition."""
    for state in ORDER_STATES:
        for fact in {fact for _, fact in ORDER}:
            if (state, fact) in ORDER:
                assert next_order_state(state, None, fact) == ORDER[state, fact]
            else:
                with pytest.raises(IllegalTransition, match=fact):
                    next_order_state(state, "declined", fact)


def test_one_arrow_leads_out_of_an_end() -> None:
    """A lapsed order may be accepted, and no other."""
    assert next_order_state("ended", "lapsed", "member.accepted") == "accepted"
    for end in ("completed", "declined", "stood_down", "cancelled"):
        with pytest.raises(IllegalTransition):
            next_order_state("ended", end, "member.accepted")  # type: ignore[arg-type]


def test_a_pair_that_is_not_in_the_table_of_incidents_is_illegal() -> None:
    """Every state with every fact: the table's arrow, or IllegalTransition."""
    for state in INCIDENT_STATES:
        for fact in {fact for _, fact in INCIDENT}:
            if (state, fact) in INCIDENT:
                assert next_incident_state(state, fact) == INCIDENT[state, fact]
            else:
                with pytest.raises(IllegalTransition, match=fact):
                    next_incident_state(state, fact)


def test_an_incident_stands_where_its_furthest_primary_stands() -> None:
    """Nobody: open; and whoever is on scene, in whatever role, puts it on scene."""
    assert live_state([]) == "open"
    assert live_state([("primary", "ended"), ("backup", "en_route")]) == "open"
    assert live_state([("primary", "ordered"), ("primary", "en_route")]) == "en_route"
    assert live_state([("primary", "ordered"), ("backup", "arrived")]) == "on_scene"


# --- policy


def test_a_faster_clock_divides_every_duration_and_nothing_else() -> None:
    """`speed` 10: a minute is six seconds, a metre stays a metre."""
    slow = load_policy(POLICY).rules(2, "peacetime", "any", "xiaohe")
    fast = load_policy(POLICY, speed=10).rules(2, "peacetime", "any", "xiaohe")
    for name in type(slow).__struct_fields__:
        before, now = getattr(slow, name), getattr(fast, name)
        assert now == (before / 10 if name in DURATIONS and before is not None else before), name


def test_an_overlay_sets_what_it_names_where_it_matches() -> None:
    """By priority, mode, category and area, the later entry over the earlier."""
    over = b"""
rules:
  - {set: {offer_s: 5}}
  - {when: {category: [fire, smoke], area: east}, set: {needed: 4}}
dead_letters: {keep_heads: true}
"""
    policy = load_policy(over, base=POLICY)
    assert policy.rules(2, "peacetime", "fire", "east").needed == 4
    assert policy.rules(2, "peacetime", "fire", "west").needed == 1
    assert policy.rules(2, "peacetime", "fire", "west").offer_s == 5
    assert policy.keep_heads
    assert not load_policy(POLICY).keep_heads
    assert policy.version != load_policy(POLICY).version


def test_the_mode_in_which_an_area_begins_is_policys_to_say() -> None:
    """An area that it does not name begins in peacetime."""
    policy = load_policy(b"areas: [{area_id: e, name: E, mode: emergency}]", base=POLICY)
    assert (policy.mode_of("e"), policy.mode_of("other")) == ("emergency", "peacetime")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"rules: []", "`rules` is empty"),
        (b"rules: [{set: {offer_s: 5}}]", "missing required field"),
        (b"rules: {", "policy:"),
        (b"rules: [{set: {colour: red}}]", "policy:"),
        (b"rules: [{when: {area: e}, set: {offer_s: 5}}]", "no `when`"),
        (b"colour: red", "unknown field"),
    ],
)
def test_a_policy_that_cannot_be_used_says_where_and_what_to_do(raw: bytes, says: str) -> None:
    """Alone, without the shipped one below it."""
    with pytest.raises(PolicyError, match=says):
        load_policy(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"rules: [{when: {colour: red}, set: {offer_s: 5}}]",
        b"rules: [{set: {offer_s: -1}}]",
        b"rules: [{set: {backup: sometimes}}]",
    ],
)
def test_an_overlay_is_checked_when_it_is_read(raw: bytes) -> None:
    """Not in the middle of the night when the first alert matches it."""
    with pytest.raises(PolicyError):
        load_policy(raw, base=POLICY)


# --- identifiers


def test_identifiers_follow_from_what_they_name() -> None:
    """The same alert in another area is another incident; all of them fit into 64 characters."""
    assert incident_id_of("a", "1") == incident_id_of("a", "1")
    assert incident_id_of("a", "1") != incident_id_of("b", "1")
    assert len(aid_alert_id_of(incident_id_of("a", "1"), 999)) <= 64
    assert alarm_alert_id_of("m1", "2030-01-01T00:00:00Z", 0) == "alarm:m1:2030-01-01T00:00:00Z"
    assert alarm_alert_id_of("m1", "2030-01-01 00:00", 0) == "alarm:m1:1970-01-01T00:00:00.000Z"


# --- snapshots


def eventful() -> Town:
    """A town in which nearly everything has happened."""
    town = Town("member at post\nm1 b -\nm2 c f\nm3 e -")
    town.alert("a1", at="a", priority=1)
    town.member("m1").accepts()
    town.alert("a2", at="ab@0.5", category="noise")
    town.alert("a3", at="ab@0.4", category="theft")
    town.member("m2").declares("break")
    town.member("m3").declares("on_duty", device_ids=("cam-1",))
    town.desk("close_road", road_id="ef")
    town.desk("set_mode", mode="emergency")
    town.at("01:10")
    town.desk("merge", incident_id=town.opened[2], into=town.opened[1])
    town.member("m1").alarms()
    return town


def test_a_snapshot_gives_the_same_state_and_the_same_bytes() -> None:
    """Every look-up is made anew from the rows."""
    town = eventful()
    states = {"town": town.state}
    lines = list(rows(states))
    again = from_rows(lines)
    assert again == states
    assert list(rows(again)) == lines


def test_of_an_order_that_has_ended_the_search_for_it_is_not_kept() -> None:
    """The topics have it; whose order a desk gave is still known, and the state is the same
    from the log and from a snapshot."""
    town = Town("member at post\nm1 b -\nm2 c f")
    town.alert("a1", at="a")
    incident_id = town.opened[0]
    town.desk("dispatch", incident_id=incident_id, member_id="m2")
    town.member("m1").accepts()
    assert len(town.why("m1").candidates) > 1
    assert town.orders()[0].route
    town.member("m1").completes()
    town.desk("return_visit", incident_id=incident_id)
    first, by_hand = town.orders()
    assert (first.route, first.why) == ((), None)
    assert (by_hand.route, by_hand.is_by_hand) == ((), True)
    assert reduce(fold, town.decisions, town.began) == town.state
    assert from_rows(rows({"town": town.state})) == {"town": town.state}


def test_what_is_older_than_the_topics_retention_is_left_out() -> None:
    """Closed incidents, their alerts and actions, a month later; what is open stays."""
    town = eventful()
    closed, still_open = town.opened[0], town.opened[1]
    town.desk("close", incident_id=closed)
    month_later = town.now_ms + 31 * 86_400_000
    again = from_rows(rows({"town": pruned(town.state, month_later)}))["town"]
    assert closed not in again.incidents
    assert still_open in again.incidents
    assert again.alerts.get("a2") is not None
    assert len(again.actions) == 0
    assert again.duty.get("m3") is None
    soon = from_rows(rows({"town": pruned(town.state, NOON_MS + 86_400_000)}))["town"]
    assert closed in soon.incidents


def test_a_remembered_alert_of_an_incident_long_gone_is_left_out_too() -> None:
    """Nothing can refer to it any more."""
    town = eventful()
    first = town.opened[0]
    gone = replace(town.state, incidents=town.state.incidents.remove(first))
    month_later = town.now_ms + 31 * 86_400_000
    assert from_rows(rows({"town": pruned(gone, month_later)}))["town"].alerts.get("a1") is None
    soon = from_rows(rows({"town": pruned(gone, town.now_ms)}))["town"]
    assert soon.alerts.get("a1") is not None


def test_a_device_is_forgotten_with_the_word_by_which_it_was_taken() -> None:
    """Whoever takes it for a shift after that is heard, also where no snapshot was read since."""
    stamp, month_ms = Stamp(NOON_MS, NOON_MS), 31 * 86_400_000

    def taken(state: AreaState, by: str, until_ms: int) -> AreaState:
        return evolve(state, f.DutyDeclared(member_id=by, on_duty=True, until_ms=until_ms,
                                            device_ids=("van-1",)), stamp)  # fmt: skip

    state = pruned(taken(AreaState("town", "peacetime"), "m1", NOON_MS), NOON_MS + month_ms)
    assert state == from_rows(rows({"town": state}))["town"]
    state = taken(state, "m2", NOON_MS + month_ms)
    assert state.devices["van-1"] == "m2"


def test_what_was_forgotten_leaves_nothing_behind() -> None:
    """A state that forgets is the one that is read back from what it remembers, look-ups too."""
    town = eventful()
    for days in (1, 31):
        state = pruned(town.state, town.now_ms + days * 86_400_000)
        assert state == from_rows(rows({"town": state}))["town"]


def test_an_incident_whose_alerts_are_forgotten_can_still_be_merged_and_unmerged() -> None:
    """There is nothing left to carry over."""
    town = Town("member at\nm1 b")
    town.alert("a1", at="a")
    town.alert("a2", at="f", category="noise")
    one, two = town.opened
    town.state = replace(town.state, alerts=town.state.alerts.remove(digest_of_id("a1")))
    assert town.desk("merge", incident_id=one, into=two).refusal is None
    assert town.incident(two).alerts == ("a2",)
    assert town.desk("unmerge", incident_id=one).refusal is None
    assert town.incident(one).is_live


# --- what is looked at


def test_travel_and_sites_are_kept_only_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go; the answers stay the same."""
    monkeypatch.setattr("xiaohe.dispatch.world.FIELDS_KEPT_MAX", 2)
    monkeypatch.setattr("xiaohe.dispatch.world.SITES_KEPT_MAX", 2)
    town = Town("member at\nm1 b")
    etas = []
    for n, at in enumerate(("a", "c", "d", "f", "a")):
        town.alert(f"a{n}", at=at, category=f"{n}")
        etas.append(town.orders()[0].eta_s)
        town.member("m1").declines()
    assert etas == [54.0, 54.0, 90.0, 90.0, 54.0]


@pytest.mark.parametrize("compiled", [True, False])
def test_searches_of_the_whole_map_are_not_all_kept(
    monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    """While nobody is free each incident's search takes in all there is: memory has a bound."""
    town = Town("member at shift\nm1 b none")
    whole = town.roads.network.node_count
    monkeypatch.setattr("xiaohe.dispatch.world.JUNCTIONS_KEPT_MAX", 3 * whole)
    roads = RoadMap(town.roads.network, town.roads.snapper, compiled=compiled)
    for n in range(10):
        site = roads.site(town.position(f"ab@0.{n}"), None)
        assert site is not None
        field = roads.travel_field(site, ("ebike",), frozenset())
        assert list(field.members(town.live, fresh_since_ms=NOON_MS)) != []
        assert field.junctions_reached == whole
    assert len(roads._fields) == 4  # three, and the one in hand


def test_in_a_very_large_area_the_reasons_are_those_of_who_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody asks two thousand members why not."""
    monkeypatch.setattr("xiaohe.dispatch.choice.EVERYBODY_MAX", 1)
    town = Town("member at shift\nm1 b none\nm2 c+900+0 all")
    town.alert(at="a")
    assert town.incident().unfilled == ("off_duty",)


def test_in_a_very_large_area_that_nobody_can_leave_the_incident_is_told_as_unfilled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The search met nobody at all: there is a reason all the same, and the command hears of it."""
    monkeypatch.setattr("xiaohe.dispatch.choice.EVERYBODY_MAX", 1)
    town = Town("member\nm1\nm2")
    decision = town.alert(at="a")
    assert town.incident().unfilled == ("unreachable",)
    assert any(isinstance(fact, f.IncidentUnfilled) for fact in decision.facts)


def test_a_fix_is_not_decided_like_other_inputs() -> None:
    """It has to be known to the live index first: a bug of the caller, not of a sender."""
    town = Town("member at\nm1 b")
    with pytest.raises(AssertionError, match="decide_fix"):
        town._decide(Fix(member_id="m1", lon=120.0, lat=30.0, fix_ms=NOON_MS))


def test_a_watch_keeps_few_orders_that_have_ended() -> None:
    """An order that ends while its member is near leaves nothing behind for long."""
    held = HashTrieMap({"m1": Holding("inc-1", "o1")})
    state = replace(AreaState("canal", "peacetime"), holding=held)
    watch = Watch()
    for n in range(5 * WATCHED_ENDED_MAX):
        watch.note(state, f"o{n}", 0, n)
    assert len(watch.near_ms) <= WATCHED_ENDED_MAX + 1
    assert watch.near_ms["o1"] == (0, 1)
