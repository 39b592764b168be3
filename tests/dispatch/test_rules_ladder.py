"""The command ladder: squad leader at once, squadron leader, brigade leader and police room."""

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f

LEADERS = """
    member   at shift rank            unit owns
    own      b  none  member          1/2  ab
    squad12  e  none  squad_leader    1/2  -
    squad21  e  none  squad_leader    2/1  -
    ron1     e  none  squadron_leader 1    -
    ron2     e  none  squadron_leader 2    -
    chief    e  none  brigade_leader  -    -
"""


def told(town: Town) -> list[tuple[str | None, str, tuple[str, ...]]]:
    """When which rung was told, and who."""
    return [
        (town.clock(d.at_ms), x.rung, x.who)
        for d in town.decisions
        for x in d.facts
        if isinstance(x, f.CommandNotified)
    ]


def test_each_rung_is_told_in_its_time_while_nobody_acknowledges() -> None:
    """At once, after 60 s, after 120 s; the last rung tells the police room as well."""
    town = Town(LEADERS)
    town.member("own").declares("on_duty")
    town.alert(at="ab@0.5")
    town.member("own").declines()
    town.at("10:00")
    assert told(town) == [
        ("00:00", "squad_leader", ("squad12",)),
        ("01:00", "squadron_leader", ("ron1",)),
        ("02:00", "brigade_leader", ("chief", "police_room")),
    ]


def test_each_notice_says_by_when_to_acknowledge() -> None:
    """The term of the first two rungs is a recorded deadline; the last has none."""
    town = Town(LEADERS)
    town.alert(at="a")
    [first] = town.facts(f.CommandNotified)
    assert town.clock(first.acknowledge_by_ms) == "01:00"
    assert town.clock(town.incident().due_ms("ladder")) == "01:00"
    assert (first.by, first.reason) == ("engine", "unfilled")
    town.at("03:00")
    terms = [town.clock(x.acknowledge_by_ms) for x in town.facts(f.CommandNotified)]
    assert terms == ["01:00", "02:00", None]


def test_nobody_responsible_on_duty_means_all_leaders_of_the_area() -> None:
    """Who leads cannot be told from a road that nobody on duty answers for."""
    town = Town(LEADERS)
    town.alert(at="ef@0.5")
    assert told(town)[0][2] == ("squad12", "squad21")


def test_an_acknowledgement_stops_the_ladder() -> None:
    """A person has taken note: recorded with who and why, and nobody else is told."""
    town = Town(LEADERS)
    town.alert(at="a")
    town.at("00:30")
    town.desk("acknowledge", reason="on it")
    [taken] = town.facts(f.CommandAcknowledged)
    assert (taken.by, taken.reason) == ("desk-1", "on it")
    town.at("10:00")
    assert len(told(town)) == 1
    assert town.desk("acknowledge").facts == ()


def test_there_is_nothing_to_acknowledge_before_anybody_was_told() -> None:
    """An early acknowledgement is nothing, and the ladder begins when it must."""
    town = Town("member at\nm1 b")
    town.alert(at="a")
    assert town.desk("acknowledge").facts == ()
    town.at("01:00")
    assert len(told(town)) == 1


def test_the_ladder_ends_with_the_incident() -> None:
    """Closed before the second rung: nobody is told of what is over."""
    town = Town(LEADERS)
    town.alert(at="a")
    town.desk("close")
    town.at("10:00")
    assert len(told(town)) == 1


def test_an_unmerged_incident_goes_on_up_its_ladder() -> None:
    """Nobody had acknowledged: the next rung is told at once."""
    town = Town(LEADERS)
    town.alert("a1", at="a")
    town.alert("a2", at="f", category="noise")
    one, two = town.opened
    town.desk("merge", incident_id=two, into=one)
    town.at("00:30")
    town.desk("unmerge", incident_id=two)
    town.at("00:31")
    assert [x.rung for x in town.facts(f.CommandNotified) if x.incident_id == two] == [
        "squad_leader",
        "squadron_leader",
    ]


def test_a_rung_without_anybody_is_still_written() -> None:
    """A brigade without leaders: the police room hears of it at the last rung all the same."""
    town = Town("member at shift\nm1 b none")
    town.alert(at="a")
    town.at("05:00")
    assert [(rung, who) for _, rung, who in told(town)] == [
        ("squad_leader", ()),
        ("squadron_leader", ()),
        ("brigade_leader", ("police_room",)),
    ]


def test_unmerging_after_the_last_rung_tells_nobody_again() -> None:
    """Where everybody was told there is no further rung to go on to."""
    town = Town(LEADERS)
    town.alert("a1", at="a")
    town.alert("a2", at="f", category="noise")
    one, two = town.opened
    town.at("04:00")
    town.desk("merge", incident_id=two, into=one)
    before = len(told(town))
    town.desk("unmerge", incident_id=two)
    town.at("06:00")
    assert len(told(town)) == before
