"""What ``xiaohe explain`` says: words for every code, the place of each line, the check anew."""

import json
from collections.abc import Iterable
from datetime import UTC
from typing import Any, get_args

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.geo import maps
from tests.streams.station import AREA, STREETS, Station, member, values
from xiaohe.commands.explain import order_line
from xiaohe.dispatch import deadlines
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.choice import FARTHER
from xiaohe.dispatch.eligibility import Excluded
from xiaohe.dispatch.lifecycle import OrderEnd, Role
from xiaohe.explain import words
from xiaohe.explain.faults import ExplainError
from xiaohe.explain.picture import order_picture, story_picture
from xiaohe.explain.recheck import Recheck, recheck
from xiaohe.explain.story import Event, Order, Story, story_of, verdict
from xiaohe.explain.telling import Teller, words_of
from xiaohe.geo.roads import MODES
from xiaohe.geo.snap import Snapper
from xiaohe.streams.ports import Publication

CONTRACT_RULES = {"owner", "team", "nearest", "mutual_aid", "operator"}
NAMES = {"m1": "赵某", "m2": "欧阳某某", "m3": "Ann Example"}
SCENE = "a"
ALONE = "areas: [{area_id: town, name: Town}]"
"""No neighbour to be asked for aid."""

A_TO_B_S, A_TO_C_S = 54.0, 108.0
"""300 m and 600 m by e-bike at 20 km/h."""


def told(codes: Iterable[str], table: Iterable[str]) -> set[str]:
    """The codes that have no words."""
    return set(codes) - set(table)


class TestWords:
    """Every code of a closed list has words in both languages."""

    def test_every_reason_for_passing_somebody_over_has_words(self):
        """Whoever adds a reason adds what a person reads of it, alone and behind a number."""
        assert told(Excluded, words.EXCLUDED) == set()
        assert told([*Excluded, FARTHER], words.LEFT_OUT) == set()

    def test_every_event_has_words(self):
        """All types of incident-events."""
        assert told(map(f.type_of, get_args(f.IncidentFact)), words.EVENTS) == set()

    @pytest.mark.parametrize(
        ("codes", "table"),
        [
            (CONTRACT_RULES, words.RULES),
            (get_args(Role), words.ROLES),
            (get_args(OrderEnd), words.ENDS),
            (MODES, words.MODES),
            ({"no_place", "no_members"}, words.UNFILLED),
            ({each for name, each in vars(deadlines).items() if name.isupper()}, words.DEADLINES),
        ],
    )
    def test_every_code_of_an_order_has_words(self, codes: Iterable[str], table: dict[str, object]):
        """Rules, roles, ends, modes of travel, and why nobody can go."""
        assert told(codes, table) == set()

    def test_all_words_are_in_both_languages(self):
        """The Chinese is Chinese, the English is plain, and neither is empty."""
        everything = vars(words).values()
        tables = [each for each in everything if isinstance(each, dict) and Excluded not in each]
        tables = [each for each in tables if isinstance(next(iter(each.values())), words.Words)]
        assert len(tables) >= 10
        for table in tables:
            for code, (en, zh) in table.items():
                assert en.replace("{who}", "").isascii(), code
                assert any("\u4e00" <= letter <= "\u9fff" for letter in zh), code

    def test_an_unknown_code_is_shown_as_it_is(self):
        """A newer engine's reason is told, not hidden."""
        assert words.in_words(words.EXCLUDED, "on_the_moon").en == "on the moon"

    def test_what_an_engine_says_in_earnest_is_told_without_a_code(self):
        """No event of a busy hour is told with an underscore in it."""
        here = Station(member("m1"), member("m2"), member("m3"), overlay=ALONE)
        for member_id, junction in (("m1", "b"), ("m2", "c"), ("m3", "f")):
            here.fix(member_id, junction)
        here.alert("a1", "a", priority=1, needed=2)
        here.says("m1", "accept")
        here.says("m2", "decline", reason="unwell")
        here.run_to(700)
        stories = stories_of(here.published)
        lines = [TELLER.event(event) for story in stories for event in story.events]
        assert len(lines) > 12
        assert [line for line in lines if "_" in line] == []


LONG_WAY = [
    *("塘上河沿/赵伍路-莫干山路", "塘上河沿/湖墅北路-赵伍路", "湖墅北路/小河直街-大关路"),
    *("湖墅北路/小河路-小河直街", "小河路/湖墅北路-登云路", "小河路/登云路-桥弄街", "明真宫路"),
    *("桥西直街/登云路-拱宸桥", "桥西直街/拱宸桥-桥弄街"),
]
"""Road names that are long, and two columns a character."""

TELLER = Teller(lambda member_id: NAMES.get(member_id, member_id), UTC)


def stories_of(published: list[Publication]) -> list[Story]:
    """The stories of all incidents, as read back from the bytes of the topic."""
    events = [
        msgspec.json.decode(json.dumps(value), type=Event)
        for value in values(published, "incident_events")
    ]
    ids = dict.fromkeys(event.incident_id for event in events)
    return [story_of(e for e in events if e.incident_id == incident_id) for incident_id in ids]


def candidate(member_id: str, eta_s: float | None, at: str | None = None, **more: Any) -> dict:
    """A candidate as an order has it, on an e-bike at a junction."""
    found: dict[str, Any] = {"member_id": member_id, "eta_s": eta_s, "excluded": None}
    found["rule"] = "nearest"
    if at is not None:
        lon, lat = maps.place(STREETS, at)
        found |= {"place": {"lon": lon, "lat": lat}, "mode": "ebike", "fix_age_s": 4.2}
    return found | more


def an_order(*candidates: dict, member_id: str = "m1", **more: Any) -> Order:
    """An order for the scene at ``a``, as the topic has it."""
    lon, lat = maps.place(STREETS, SCENE)
    why = {
        "rule": "nearest",
        "candidates": list(candidates),
        "fix_age_s": 4.2,
        "roads_version": "drawn",
        "policy_version": "p1",
        "roster_version": "r1",
        "from_place": {"lon": lon, "lat": lat},
        "off_road_m": 0.0,
        "in_time_s": 150.0,
        "searched_s": 150.0,
    }
    own = next((each for each in candidates if each["member_id"] == member_id), {"eta_s": None})
    data = {
        "dispatch_id": "inc-1-1",
        "alert_id": "a1",
        "member_id": member_id,
        "role": "primary",
        "arrive_by": "2030-01-07T04:02:30Z",
        "eta_s": own["eta_s"],
        "route": LONG_WAY,
        "why": why | more,
    }
    opened = {"category": "dispute", "priority": 2, "road_id": "ab"}
    return story(("incident.opened", opened), ("member.dispatched", data)).orders[0]


def story(*told: tuple[str, dict[str, Any]]) -> Story:
    """A story of these events, a second apart."""
    return story_of(
        Event(
            event_id=f"inc-1:{seq}",
            incident_id="inc-1",
            area_id=AREA,
            seq=seq,
            type=kind,
            at=f"2030-01-07T04:00:{seq - 2:02}Z" if seq > 1 else "2030-01-07T03:59:59Z",
            cause={"topic": "alerts", "partition": 3, "offset": 17},
            data=data,
        )
        for seq, (kind, data) in enumerate(told, 1)
    )


class TestStory:
    """Orders are made of events alone."""

    def test_an_order_is_told_with_what_became_of_it(self):
        """Answers in order, and the end with its time."""
        order = {"dispatch_id": "inc-1-1", "member_id": "m1", "role": "primary", "alert_id": "a1"}
        found = story(
            ("incident.opened", {"category": "dispute"}),
            ("member.dispatched", order),
            ("member.accepted", order),
            ("member.completed", order),
        )
        [given] = found.orders
        assert [event.type for event in given.after] == ["member.accepted", "member.completed"]
        assert (given.end, given.ended_at) == ("completed", "2030-01-07T04:00:02Z")

    def test_a_lapsed_order_that_was_accepted_after_all_is_open(self):
        """The one end out of which an arrow leads."""
        order = {"dispatch_id": "inc-1-1", "member_id": "m1", "role": "primary", "alert_id": "a1"}
        kinds = ("member.dispatched", "member.lapsed", "member.accepted")
        [given] = story(*((kind, order) for kind in kinds)).orders
        assert given.end is None

    def test_an_order_is_explained_by_what_the_incident_was_then(self):
        """A road that was corrected afterwards is not the road that was decided on."""
        order = {"dispatch_id": "inc-1-1", "member_id": "m1", "role": "primary", "alert_id": "a1"}
        found = story(
            ("incident.opened", {"category": "dispute", "road_id": "ab"}),
            ("member.dispatched", order),
            ("incident.updated", {"road_id": "bc"}),
            ("member.dispatched", order | {"dispatch_id": "inc-1-2"}),
        )
        assert [each.about.road_id for each in found.orders] == ["ab", "bc"]

    def test_an_order_without_the_newer_fields_is_told_with_what_is_not_known(self):
        """An old record is explained as far as it goes."""
        order = {"dispatch_id": "inc-1-1", "member_id": "m1", "role": "primary", "alert_id": "a1"}
        [given] = story(("incident.opened", {}), ("member.dispatched", order)).orders
        assert TELLER.searched(given) == "how far was searched is not recorded"
        assert "map not recorded" in TELLER.versions(given)
        assert "does not record" in TELLER.headline(given)
        drawn(order_picture(TELLER, given, check(given), 100), 100)

    def test_an_event_that_is_no_order_is_named(self):
        """Whoever wrote it can find it."""
        with pytest.raises(ExplainError, match="inc-1:1"):
            story(("member.dispatched", {"dispatch_id": "inc-1-1"}))


class TestVerdicts:
    """What became of each candidate."""

    @pytest.mark.parametrize(
        ("rule", "other", "expected"),
        [
            ("nearest", candidate("m2", 60.0), "later"),
            ("owner", candidate("m2", 10.0), "owner_first"),
            ("team", candidate("m2", 10.0), "team_first"),
            ("team", candidate("m2", 60.0, rule="team"), "later"),
            ("operator", candidate("m2", 10.0), "by_hand"),
            ("owner", candidate("m2", None, excluded="busy"), "busy"),
            ("nearest", candidate("m2", 10.0), "passed_over"),
        ],
    )
    def test_a_candidate_is_told_why_they_did_not_go(self, rule: str, other: dict, expected: str):
        """By their own reason, else by the rule, else by the time."""
        order = an_order(candidate("m1", 54.0, rule=rule), other, rule=rule)
        assert [verdict(order, each) for each in order.why.candidates] == ["ordered", expected]

    def test_every_verdict_has_words(self):
        """Whatever the order, no verdict is a code."""
        for reason in Excluded:
            order = an_order(candidate("m1", 54.0), candidate("m2", None, excluded=reason))
            said = TELLER.verdict(order, order.why.candidates[1])
            assert said == words.EXCLUDED[reason]

    def test_who_could_go_and_was_not_chosen_in_a_joint_decision_is_told_so(self):
        """Nobody wonders why a quicker one stayed free."""
        order = an_order(candidate("m1", 54.0), candidate("m2", 10.0), together=["inc-2"])
        assert verdict(order, order.why.candidates[1]) == "jointly"


class TestSentences:
    """The headline and what stands below it."""

    def test_the_headline_says_who_what_and_by_which_rule(self):
        """With the seconds that were left."""
        order = an_order(candidate("m1", 52.3, rule="owner"), rule="owner")
        assert TELLER.headline(order) == (
            "赵某 (m1) was ordered to ab (dispute, priority 2) as primary: "
            "answers for the road, and could be there in 52 s of the 150 s left."
        )

    def test_who_is_ordered_too_late_is_told_so(self):
        """Nobody reads that all was well."""
        assert "200 s away with 150 s left" in TELLER.headline(an_order(candidate("m1", 200.0)))

    def test_the_bound_and_who_is_not_listed_are_told(self):
        """By number and reason."""
        order = an_order(candidate("m1", 52.3), left_out={"off_duty": 8, "busy": 4})
        assert TELLER.searched(order) == (
            "everybody who could be met within 150 s by road; besides those named below: "
            "8 not on duty, 4 with another order"
        )

    def test_a_search_that_ran_out_of_people_saw_everybody(self):
        """No bound is not the same as no record of one."""
        order = an_order(candidate("m1", 52.3), searched_s=None)
        assert TELLER.searched(order) == "everybody there is"

    def test_a_deadline_is_told_by_what_it_is_for(self):
        """And for which order."""
        data = {"dispatch_id": "inc-1-2", "alert_id": "a1", "member_id": "m1", "role": "primary"}
        given = story(("member.dispatched", data)).orders[0]
        due = msgspec.structs.replace(given, cause={"deadline": "offer:inc-1-1"})
        expected = "a deadline: the next one is asked as well (order inc-1-1)"
        assert TELLER.cause(due) == expected

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, "fix 4.2 s old"),
            ({"accuracy_m": 8.0}, "fix 4.2 s old ±8 m"),
            ({"trusted": False}, "fix 4.2 s old, a newer one was a leap"),
            ({"at_post": True, "fix_age_s": None}, "at their post"),
        ],
    )
    def test_it_is_told_how_a_place_is_known(self, fields: dict[str, Any], expected: str):
        """Age, accuracy and trust of a fix, or the post."""
        order = an_order(candidate("m1", 54.0, "b", **fields))
        assert TELLER.known_from(order.why.candidates[0]) == expected

    def test_the_line_for_programs_has_order_why_words_and_recheck(self):
        """One JSON object, with the verdicts in both languages."""
        order = an_order(candidate("m1", A_TO_B_S, "b"), candidate("m2", None, excluded="busy"))
        line = json.loads(json.dumps(order_line(TELLER, order, check(order))))
        assert (line["dispatch_id"], line["state"], line["recheck"]["state"]) == (
            "inc-1-1", "ordered", "same",
        )  # fmt: skip
        assert line["why"]["candidates"][1]["excluded"] == "busy"
        assert line["words"]["verdicts"]["m2"] == words.EXCLUDED[Excluded.BUSY]._asdict()


def check(order: Order) -> Recheck:
    """Judge an order again on the drawn map."""
    network = maps.network(STREETS)
    return recheck(order, network, Snapper(network))


class TestRecheck:
    """The same map and the same places give the same times and the same choice."""

    def test_an_order_that_was_right_comes_out_the_same(self):
        """To the rounding of what is published."""
        found = check(an_order(candidate("m1", A_TO_B_S, "b"), candidate("m2", A_TO_C_S, "c")))
        assert (found.state, found.checked, found.choice) == ("same", 2, "same")
        assert found.differences == ()

    def test_a_time_that_does_not_come_out_is_named(self):
        """With both figures."""
        found = check(an_order(candidate("m1", A_TO_B_S, "b"), candidate("m2", 60.0, "c")))
        [wrong] = found.differences
        assert (wrong.member_id, wrong.recorded_s, wrong.recomputed_s) == (
            "m2", 60.0, pytest.approx(A_TO_C_S, abs=0.05),
        )  # fmt: skip
        assert found.state == "differs"

    def test_a_choice_that_the_rule_does_not_make_is_named(self):
        """The times may be right and the member wrong."""
        order = an_order(
            candidate("m1", A_TO_C_S, "c"), candidate("m2", A_TO_B_S, "b"), member_id="m1"
        )
        found = check(order)
        assert (found.state, found.choice, found.chosen) == ("differs", "differs", "m2")
        assert "the rule names 欧阳某某 (m2) instead" in TELLER.recheck(order, found)

    def test_the_owner_in_time_is_the_choice_though_another_is_quicker(self):
        """The rule is applied, not the least time."""
        owner = candidate("m1", A_TO_C_S, "c", rule="owner")
        found = check(an_order(owner, candidate("m2", A_TO_B_S, "b"), rule="owner"))
        assert (found.state, found.choice) == ("same", "same")

    def test_who_cannot_be_told_apart_is_no_other_choice(self):
        """Two at one junction are equally quick: the order stands."""
        order = an_order(
            candidate("m1", A_TO_B_S, "b"), candidate("m2", A_TO_B_S, "b"), member_id="m2"
        )
        assert check(order).choice == "same"

    def test_a_closed_road_is_closed_again(self):
        """The way round is the way that was decided on: 900 m where the straight one has 700."""
        (lon, north), (_, south) = maps.place(STREETS, "c"), maps.place(STREETS, "f")
        half_way = {"lon": lon, "lat": (north + south) / 2}
        around = candidate("m1", 162.0, "c", place=half_way)
        assert check(an_order(around, closed_roads=["bc"])).state == "same"
        assert check(an_order(around)).state == "differs"

    def test_who_stands_at_a_junction_may_be_on_any_of_its_roads(self):
        """On the closed one, which may be followed to its end, or on the open one, round about."""
        for eta_s in (108.0, 180.0):
            order = an_order(candidate("m1", eta_s, "c"), closed_roads=["bc"])
            assert check(order).state == "same"

    def test_a_person_s_choice_and_a_joint_one_are_not_judged_from_one_order(self):
        """The times are."""
        far = (candidate("m1", A_TO_C_S, "c"), candidate("m2", A_TO_B_S, "b"))
        for more in ({"rule": "operator"}, {"together": ["inc-2"]}):
            found = check(an_order(*far, **more))
            assert (found.state, found.checked, found.choice) == ("same", 2, "not_judged")

    def test_another_map_is_not_judged_on(self):
        """And says which it is."""
        found = check(an_order(candidate("m1", A_TO_B_S, "b"), roads_version="other"))
        assert found.state == "skipped"
        assert "other" in str(found.reason)

    def test_an_order_that_does_not_say_where_they_were_is_not_judged(self):
        """An older one."""
        assert check(an_order(candidate("m1", A_TO_B_S))).state == "skipped"

    def test_a_demo_s_pace_is_recognised(self):
        """All times are a tenth: whoever forgot --speed is told."""
        order = an_order(candidate("m1", 5.4, "b"), candidate("m2", 10.8, "c"))
        found = check(order)
        assert found.pace == pytest.approx(10, rel=0.02)
        assert "--speed" in TELLER.recheck(order, found)


def drawn(picture: Any, width: int) -> list[str]:
    """The lines of a picture; none is wider than asked for."""
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as said:
        console.print(picture)
    lines = [line.rstrip() for line in said.get().splitlines()]
    assert max(map(cell_len, lines)) <= width
    return lines


class TestPicture:
    """What is on the page, at any width."""

    def order(self) -> Order:
        """One with everything that a table may have to hold."""
        passed = [candidate(f"x{n}", None, excluded=reason) for n, reason in enumerate(Excluded)]
        return an_order(
            candidate("m1", A_TO_B_S, "b", rule="owner", accuracy_m=8.0),
            candidate("m2", A_TO_C_S, "c"),
            candidate("m3", A_TO_C_S, "c", trusted=False),
            *passed,
            rule="owner",
            left_out={"off_duty": 3},
            closed_roads=["莫干山路"],
            instead_of="inc-1-0",
        )

    @pytest.mark.parametrize("width", [80, 92, 100, 101, 121, 148, 160])
    def test_nothing_is_cut_off(self, width: int):
        """Every name, every time and every verdict is there whole, over the lines that it takes."""
        order = self.order()
        lines = drawn(order_picture(TELLER, order, check(order), width), width)
        page = " ".join(" ".join(lines).split())
        assert "…" not in page
        for each in order.why.candidates:
            assert TELLER.who(each.member_id) in page
        for word in (*LONG_WAY, "莫干山路", "inc-1-0", "3 not on duty", "recomputed: the same"):
            assert word in page

    @pytest.mark.parametrize("width", [80, 160])
    def test_columns_line_up_whatever_the_script(self, width: int):
        """A Chinese character is two wide: the times end in one column all the same."""
        order = self.order()
        lines = drawn(order_picture(TELLER, order, check(order), width), width)
        ends = {
            cell_len(line[: line.index(" s ") + 2])
            for line in lines
            if "(m" in line and "there in" not in line and ("54.0 s" in line or "108.0 s" in line)
        }
        assert len(ends) == 1

    def test_who_was_ordered_stands_out_without_colour(self):
        """By an arrow."""
        order = self.order()
        lines = drawn(order_picture(TELLER, order, check(order), 160), 160)
        assert [line for line in lines if line.startswith("→")] == [
            line for line in lines if "ordered: answers for the road" in line
        ]

    def test_an_incident_is_told_from_its_first_event_to_its_last(self):
        """Orders in sequence, what happened between them in short."""
        here = Station(member("m1"), member("m2"))
        here.fix("m1", "b")
        here.fix("m2", "c")
        here.alert("a1", "a")
        here.says("m1", "decline", reason="unwell")
        here.says("m2", "accept")
        [found] = stories_of(here.published)
        rechecks = {order.dispatch_id: check(order) for order in found.orders}
        lines = drawn(story_picture(TELLER, found, rechecks, 100), 100)
        wanted = ["incident is opened", "赵某 (m1) was ordered", "赵某 declines: unwell",
                  "欧阳某某 (m2) was ordered", "欧阳某某 accepts"]  # fmt: skip
        at = [next(n for n, line in enumerate(lines) if each in line) for each in wanted]
        assert at == sorted(at)

    def test_an_incident_that_nobody_could_go_to_says_so(self):
        """With the reasons in words."""
        here = Station(member("m1", shifts=[]), overlay=ALONE)
        here.alert("a1", "a")
        [found] = stories_of(here.published)
        page = "\n".join(drawn(story_picture(TELLER, found, {}, 100), 100))
        assert "nobody can go: was not on duty" in page
        assert "No order was given." in page


def test_the_words_of_an_order_are_all_sentences() -> None:
    """By name, for whoever shows them elsewhere."""
    order = an_order(candidate("m1", A_TO_B_S, "b"))
    said = words_of(TELLER, order, check(order))
    assert set(said) == {
        "headline", "rule", "role", "where", "searched", "verdicts", "outcome", "recheck",
    }  # fmt: skip
