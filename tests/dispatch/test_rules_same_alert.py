"""The same alert: said again, said by another, corrected, superseded."""

from dataclasses import replace

import pytest

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.alerts import REMEMBERED_MS

BRIGADE = """
    member at
    m1     b
    m2     c
    m3     f
"""


def relations(town: Town) -> list[tuple[str, str]]:
    """What was attached to which relation, in order."""
    return [(x.alert_id, x.relation) for x in town.facts(f.AlertAttached)]


def test_the_same_alert_again_changes_nothing_and_says_nothing() -> None:
    """Same id, same content: no fact at all, however often, also when all is over."""
    town = Town(BRIGADE)
    occurred = "2030-01-07T11:59:00+08:00"
    town.alert(at="a", occurred_at=occurred, text="a quarrel")
    for at in ("00:01", "00:30"):
        town.at(at)
        again = town.alert(at="a", occurred_at=occurred, text="a quarrel")
        assert (again.facts, again.refusal) == ((), None)
    town.desk("close")
    assert town.alert(at="a", occurred_at=occurred, text="a quarrel").facts == ()


def test_the_source_does_not_make_it_another_alert() -> None:
    """An alert_id is unique in its area whatever the source: other content is a correction."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", source="police-110")
    town.alert("a1", at="a", source="app")
    assert relations(town) == [("a1", "correction")]
    assert len(town.opened) == 1


def test_another_id_about_the_same_matter_is_attached() -> None:
    """Same category, same road, within 50 m and 120 s of an open incident: `same`."""
    town = Town(BRIGADE)
    town.alert("a1", at="ab@0.5")
    town.at("00:59")
    orders = town.orders()
    town.alert("a2", at="ab@0.6")  # 30 m on
    assert relations(town) == [("a2", "same")]
    assert town.incident().alerts == ("a1", "a2")
    assert town.orders() == orders
    assert len(town.opened) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"category": "fire"}, "another category"),
        ({"at": "ab@0.7"}, "60 m away"),
        ({"at": "be@0.1"}, "another road"),
        ({"at": None, "road_id": "ab"}, "no position to be sure by"),
        ({"drill": True}, "a drill"),
        ({"reported_by": "m3"}, "an own finding"),
        ({"source": "mutual-aid"}, "a neighbour's call has an account of its own"),
    ],
)
def test_anything_less_sure_opens_an_incident_of_its_own(change: dict, why: str) -> None:
    """A doubt is never attached: a person in need may be behind it."""
    town = Town(BRIGADE)
    town.alert("a1", at="ab@0.5")
    town.alert("a2", **{"at": "ab@0.5", **change})
    assert len(town.opened) == 2, why


def test_after_two_minutes_or_when_it_is_over_it_is_another_matter() -> None:
    """`duplicate_s` counts from the first receipt, and only an open incident takes an alert in."""
    town = Town(BRIGADE)
    town.alert("a1", at="ab@0.5")
    town.at("02:00")
    town.alert("a2", at="ab@0.5")
    assert len(town.opened) == 1
    town.at("02:00.001")
    town.alert("a3", at="ab@0.5")
    assert len(town.opened) == 2
    town.desk("cancel")
    town.alert("a4", at="ab@0.5")
    assert len(town.opened) == 3


def test_of_two_open_incidents_the_nearer_takes_the_alert_in() -> None:
    """Two of a kind on one road: the distance tells."""
    town = Town(BRIGADE)
    town.alert("a1", at="ab@0.3")
    town.alert("a2", at="ab@0.5")
    town.alert("a3", at="ab@0.46")
    assert [town.incident(i).alerts for i in town.opened] == [("a1",), ("a2", "a3")]


def test_an_incident_without_a_position_takes_nothing_in() -> None:
    """Known by its road alone, it may be anywhere on it."""
    town = Town(BRIGADE)
    town.alert("a1", at=None, road_id="ab")
    town.alert("a2", at="ab@0.5")
    assert len(town.opened) == 2


def test_an_alert_id_is_forgotten_after_the_topics_retention() -> None:
    """Thirty days on, the id of an alert that is over may come again as another matter."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", occurred_at="then")
    town.desk("close")
    town.now_ms += REMEMBERED_MS + 1
    assert town.alert("a1", at="a", occurred_at="then").facts[0] is not None
    assert len(town.opened) == 2


def test_an_open_incident_never_forgets_its_alert() -> None:
    """As long as it is open, its alert's id cannot open it a second time."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", occurred_at="then")
    town.now_ms += REMEMBERED_MS + 1
    assert town.alert("a1", at="a", occurred_at="then").facts == ()


# --- corrections


def test_other_content_is_a_correction_and_is_decided_again() -> None:
    """The same id at another place: who would not be asked there is stood down."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    assert town.asked() == ["m1"]
    town.at("00:05")
    town.alert("a1", at="f")
    assert relations(town) == [("a1", "correction")]
    assert town.asked() == ["m3"]
    assert town.orders()[0].end == "stood_down"
    assert town.incident().road_id in {"cf", "ef"}
    assert town.clock(town.incident().accept_by_ms) == "01:00"  # no window starts anew


def test_supersedes_names_the_alert_that_it_corrects() -> None:
    """Another id with `supersedes` corrects, and is itself known from then on."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.alert("a2", at="f", supersedes="a1", occurred_at="then")
    assert relations(town) == [("a2", "correction")]
    assert town.incident().alerts == ("a1", "a2")
    assert town.alert("a2", at="f", supersedes="a1", occurred_at="then").facts == ()


def test_an_alert_that_supersedes_nothing_known_opens_and_says_so() -> None:
    """A person in need may be behind it."""
    town = Town(BRIGADE)
    decision = town.alert("a2", at="a", supersedes="gone")
    [opened] = town.facts(f.IncidentOpened)
    assert decision.refusal is None
    assert opened.odd == ("supersedes_unknown",)


def test_whoever_has_accepted_goes_on_after_a_correction() -> None:
    """A corrected alert takes no order back that was accepted."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.member("m1").accepts()
    town.alert("a1", at="f")
    assert town.coming() == ["m1"]
    assert town.asked() == []


def test_an_offer_that_would_be_made_again_stands() -> None:
    """A correction of the text changes no order."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", text="a quarrel")
    orders = town.orders()
    town.alert("a1", at="a", text="a loud quarrel")
    assert town.orders() == orders


def test_who_was_stood_down_by_a_correction_may_be_asked_again() -> None:
    """It was no attempt at this member."""
    town = Town("member at\nm1 b\nm2 f")
    town.alert("a1", at="a")
    town.alert("a1", at="f")
    assert town.asked() == ["m2"]
    town.member("m2").declines()
    assert town.asked() == ["m1"]


def test_while_somebody_is_on_scene_a_correction_is_noted_and_decides_nothing() -> None:
    """Attached, and known; nobody is sent or stood down, then or later."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.member("m1").arrives()
    town.alert("a1", at="a", needed=3, priority=1)
    assert relations(town) == [("a1", "correction")]
    assert [o.member_id for o in town.orders()] == ["m1"]
    town.at("10:00")
    assert [o.member_id for o in town.orders(None) if o.acting == "primary"] == ["m1"]


def test_reinforcement_on_scene_is_somebody_on_scene() -> None:
    """A correction decides nothing while a backup stands there alone."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", priority=1)
    town.member("m2").arrives()
    assert town.incident().state == "on_scene"
    town.alert("a1", at="f", priority=1)
    assert town.asked(role="primary") == ["m1"]


def test_a_correction_to_priority_one_makes_an_emergency_and_orders_backup() -> None:
    """What was urgent becomes most urgent: reinforcement goes out at once."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", priority=3)
    assert town.clock(town.incident().arrive_by_ms) == "15:00"
    town.at("00:10")
    town.alert("a1", at="a", priority=1)
    incident = town.incident()
    assert (incident.mode, incident.priority) == ("emergency", 1)
    assert (town.clock(incident.accept_by_ms), town.clock(incident.arrive_by_ms)) == (
        "01:00",
        "03:00",
    )
    assert town.asked(role="backup") == ["m2"]
    assert town.clock(incident.backup_by_ms) == "05:00"


def test_a_third_window_begins_where_backup_was_already_required_without_one() -> None:
    """Priority 3 has no third window; raised to 1, the backup that is coming has."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", priority=3)
    town.member("m1").accepts()
    town.member("m1").asks_for_backup()
    assert town.incident().backup_by_ms is None
    town.alert("a1", at="a", priority=1)
    assert town.clock(town.incident().backup_by_ms) == "05:00"
    assert town.incident().due_ms("backup") is not None


def test_nobody_is_put_at_ease_by_a_correction() -> None:
    """From priority 1 down to 3: the incident's emergency stays."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", priority=1)
    town.alert("a1", at="a", priority=3)
    assert (town.incident().mode, town.incident().priority) == ("emergency", 3)


def test_a_correction_that_knows_no_better_place_takes_none_away() -> None:
    """Only the road, the same one, or an address that nobody finds: the place stays."""
    town = Town(BRIGADE)
    town.alert("a1", at="ab@0.2", road_id="ab")
    place = town.incident().place
    town.alert("a1", at=None, road_id="ab")
    assert town.incident().place == place
    town.alert("a1", at=None, address="behind the moon")
    assert town.incident().place == place
    town.alert("a1", at=None, road_id="ef")
    assert town.incident().road_id == "ef"
    assert town.incident().position is None


def test_a_correction_off_every_road_leaves_no_road_behind() -> None:
    """The place moves as a whole: no road answers for a place out on the lake."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.alert("a1", at="c+400+0")
    incident = town.incident()
    assert incident.road_id is None
    assert incident.responsible == f.Responsible()
    assert incident.off_road_m == pytest.approx(400, abs=1)


def test_a_correction_may_ask_for_fewer_and_calls_nobody_back() -> None:
    """Two have accepted, one would do: both go on; an open offer is taken back."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", needed=3)
    town.member("m1").accepts()
    town.member("m2").accepts()
    town.alert("a1", at="a", needed=1)
    assert town.coming() == ["m1", "m2"]
    assert town.asked() == []
    assert town.incident().needed == 2


def test_a_correction_may_ask_for_other_forces_and_skills() -> None:
    """Whoever is not of the force is stood down, and one of the force is asked."""
    town = Town("member at force skills\nm1 b brigade -\ncop c police law")
    town.alert("a1", at="a")
    assert town.asked() == ["m1"]
    town.alert("a1", at="a", forces=("police",), skills=("law",))
    assert town.asked() == ["cop"]


def test_a_correction_of_what_is_over_is_noted_only() -> None:
    """Nobody is sent to a closed incident by a corrected spelling."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.desk("cancel")
    decision = town.alert("a1", at="b")
    assert [f.type_of(x) for x in decision.facts] == ["alert.attached"]


def test_a_correction_to_an_incident_that_was_pruned_opens_its_own() -> None:
    """The file is gone, the alert is known: a well-formed alert is never a dead letter."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.desk("cancel")
    old = town.opened[-1]
    town.state = replace(town.state, incidents=town.state.incidents.remove(old))
    decision = town.alert("a1", at="b")
    assert decision.refusal is None
    assert town.asked() == ["m1"]


# --- merged by hand


def test_a_merged_incidents_alerts_count_as_the_others() -> None:
    """Said again they change nothing; corrected they correct the incident that took them in."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", occurred_at="then")
    town.alert("a2", at="f", category="noise", occurred_at="then")
    one, two = town.opened
    town.desk("merge", incident_id=two, into=one, reason="one quarrel")
    assert (town.incident(two).state, town.incident(two).merged_into) == ("merged", one)
    assert town.incident(one).alerts == ("a1", "a2")
    assert town.facts(f.AlertAttached)[-1].relation == "supplement"
    assert town.alert("a2", at="f", category="noise", occurred_at="then").facts == ()
    town.alert("a2", at="c", category="dispute", occurred_at="then")
    assert town.facts(f.AlertAttached)[-1].incident_id == one
    assert town.incident(one).position == town.position("c")


def test_unmerging_gives_an_incident_its_alerts_and_its_windows_back() -> None:
    """It goes on where it was: open, its windows from its own receipt, its members asked again."""
    town = Town("member at\nm1 b\nm2 f")
    town.alert("a1", at="a", occurred_at="then")
    town.alert("a2", at="f", category="noise", priority=1, occurred_at="then")
    one, two = town.opened
    assert town.asked(two) == ["m2"]
    town.desk("merge", incident_id=two, into=one)
    assert town.asked(two) == []
    town.at("00:10")
    town.desk("unmerge", incident_id=two, reason="two after all")
    incident = town.incident(two)
    assert (incident.state, incident.merged_into) == ("dispatched", None)
    assert town.asked(two) == ["m2"]
    assert town.incident(one).alerts == ("a1",)
    due = {d.name: town.clock(d.due_ms) for d in incident.deadlines}
    assert (due["accept"], due["arrive"], due["backup"]) == ("01:00", "03:00", "05:00")
    town.alert("a2", at="e", category="noise", priority=1, occurred_at="then")
    assert town.facts(f.AlertAttached)[-1].incident_id == two


def test_what_was_resolved_before_a_merger_is_resolved_after_it_is_taken_back() -> None:
    """Nobody is sent to what was done."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.alert("a2", at="f", category="noise")
    one, two = town.opened
    order = town.orders(two)[0]
    town.member(order.member_id).says("complete", dispatch_id=order.dispatch_id)
    town.desk("merge", incident_id=two, into=one)
    town.desk("unmerge", incident_id=two)
    assert town.incident(two).state == "resolved"
    assert town.asked(two) == []


def test_mergers_may_be_taken_back_in_any_order() -> None:
    """One into two, two into three: each gets its own alerts back."""
    town = Town(BRIGADE)
    for alert_id, at, category in (("a1", "a", "x"), ("a2", "c", "y"), ("a3", "f", "z")):
        town.alert(alert_id, at=at, category=category)
    one, two, three = town.opened
    town.desk("merge", incident_id=one, into=two)
    town.desk("merge", incident_id=two, into=three)
    assert town.incident(three).alerts == ("a3", "a2", "a1")
    town.desk("unmerge", incident_id=one)
    town.desk("unmerge", incident_id=two)
    assert [town.incident(i).alerts for i in (one, two, three)] == [("a1",), ("a2",), ("a3",)]
    seen = [town.state.alerts.get(alert_id) for alert_id in ("a1", "a2", "a3")]
    assert [each and each.incident_id for each in seen] == [one, two, three]
    assert len(town.state.alerts) == 3


def test_a_merger_that_makes_no_sense_is_refused() -> None:
    """Into itself, into what is merged, into nothing; and only a merged one can be unmerged."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.alert("a2", at="f", category="noise")
    one, two = town.opened
    refused = [
        town.desk("merge", incident_id=one, into=one),
        town.desk("merge", incident_id=one, into="nothing"),
        town.desk("merge", incident_id=one),
        town.desk("unmerge", incident_id=one),
    ]
    town.desk("merge", incident_id=two, into=one)
    refused.append(town.desk("merge", incident_id=one, into=two))
    refused.append(town.desk("merge", incident_id=two, into=one))
    assert [d.refusal and d.refusal.reason for d in refused] == [
        "not_possible",
        "unknown_incident",
        "action_needs_field",
        "not_possible",
        "not_possible",
        "not_possible",
    ]
