"""The best assignment of members to incidents, held against every assignment there is."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from xiaohe.dispatch.joint import Assignment, Load, Want, assign, evened, lateness, travel_s
from xiaohe.dispatch.ranking import Option
from xiaohe.geo.ways import Reached

LIMIT_S = 180.0
EVEN_S = 5.0
RULES = ("owner", "team", "nearest")


def option(member_id: str, eta_s: float, rule: str = "nearest") -> Option:
    """A way of so many seconds; owner and squad come first only while they are in time."""
    in_time = eta_s <= LIMIT_S
    reached = Reached(member_id, eta_s, eta_s, 0, 0.0, False, 0.0, 0.0, 0, None, True)
    return Option(
        member_id=member_id,
        eta_s=eta_s,
        distance_m=eta_s,
        rule=rule if in_time else "nearest",
        in_time=in_time,
        reached=reached,
        mode="ebike",
    )


def want(name: str, *options: Option, had: str | None = None, **said: object) -> Want:
    """An incident that lacks one member."""
    order = sorted(options, key=lambda o: (RULES.index(o.rule), o.eta_s, o.member_id))
    held = next((o for o in order if o.member_id == had), None)
    given_ = {"priority": 2, "limit_s": LIMIT_S, **said}
    return Want(incident_id=name, options=tuple(order), had=held, **given_)  # type: ignore[arg-type]


def every(wants: tuple[Want, ...], taken: frozenset[str] = frozenset()) -> Iterator[Assignment]:
    """Every assignment in which nobody goes twice."""
    if not wants:
        yield ()
        return
    for choice in (*wants[0].options, None):
        if choice is None or choice.member_id not in taken:
            gone = taken | ({choice.member_id} if choice is not None else set())
            for rest in every(wants[1:], gone):
                yield (choice, *rest)


def badness(wants: tuple[Want, ...], assignment: Assignment) -> tuple[float, ...]:
    """What the order of levels says, told anew: the smaller, the better."""
    pairs = list(zip(wants, assignment, strict=True))
    levels: list[float] = []
    for priority in (1, 2, 3, 4):
        mine = [(w, o) for w, o in pairs if w.priority == priority]
        alone = [w for w, o in mine if o is None]
        late = [w for w, o in mine if o is None or not o.in_time]
        worse = [w for w in late if w.had is not None and (w.had.in_time or w in alone)]
        levels += [len(worse), sum(w.waited for w in alone), len(alone), len(late)]
    come = [(w, o) for w, o in pairs if o is not None]
    levels.append(sum(max(0.0, o.eta_s - w.limit_s) * (5 - w.priority) for w, o in come))
    levels.append(sum(RULES.index(o.rule) for _, o in come))
    moved = sum(w.had is not None and w.had.member_id != o.member_id for w, o in come)
    levels.append(sum(o.eta_s for _, o in come) + EVEN_S * moved)
    return tuple(levels)


@st.composite
def some_wants(draw: st.DrawFn) -> tuple[Want, ...]:
    """One to four incidents and up to five members, some of them offered already."""
    members = [f"m{n}" for n in range(draw(st.integers(1, 5)))]
    held = draw(st.permutations(members))
    wants = []
    for n in range(draw(st.integers(1, 4))):
        ways = [
            option(m, float(draw(st.integers(0, 400))), draw(st.sampled_from(RULES)))
            for m in members
            if draw(st.booleans()) or (n < len(held) and held[n] == m)
        ]
        had = held[n] if n < len(held) and draw(st.booleans()) else None
        priority, waited = draw(st.integers(1, 4)), draw(st.booleans())
        wants.append(want(f"i{n}", *ways, had=had, priority=priority, waited=waited))
    return tuple(wants)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(some_wants())
def test_no_assignment_is_better(wants: tuple[Want, ...]) -> None:
    """Of all assignments that there are, the one given is a best one, level by level."""
    if len(wants) == 1:
        return
    best = assign(wants, EVEN_S)
    names = [o.member_id for o in best if o is not None]
    assert len(names) == len(set(names))
    assert badness(wants, best) == min(badness(wants, each) for each in every(wants))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(some_wants())
def test_nobody_in_time_is_made_late_for_what_is_no_more_urgent(wants: tuple[Want, ...]) -> None:
    """Whoever had somebody in time has so afterwards, unless something more urgent is there."""
    best = assign(wants, EVEN_S)
    for each, gets in zip(wants, best, strict=True):
        if len(wants) > 1 and each.had_in_time and (gets is None or not gets.in_time):
            assert any(other.priority < each.priority for other in wants)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(some_wants())
def test_a_single_incident_gets_the_first_of_the_contracts_order(wants: tuple[Want, ...]) -> None:
    """However fairness, cover and earlier offers are."""
    first = wants[0].options[0] if wants[0].options else None
    best = assign(wants[:1], EVEN_S)
    assert best == (first,)
    assert evened(wants[:1], best, 1000.0, lambda _: Load(), lambda _: 0.0) == best


def test_late_and_far_away_wants_are_still_told_apart() -> None:
    """Hours of travel in a crowd need more digits than a float has: counted coarsely, in order."""
    members = [f"m{n:02}" for n in range(20)]
    wants = tuple(
        want(
            f"i{n:02}",
            *(option(m, 7200.0 + 600.0 * abs(n - k)) for k, m in enumerate(members)),
            priority=1 + n % 4,
        )
        for n in range(20)
    )
    best = assign(wants, EVEN_S)
    assert [o.member_id for o in best if o is not None] == members


def test_fewest_late_goes_before_least_travel() -> None:
    """One by one the second would be late; together both are in time, with more travel in all."""
    wants = (
        want("i1", option("near", 10.0), option("far", 170.0)),
        want("i2", option("near", 100.0), option("far", 190.0)),
    )
    best = assign(wants)
    assert [o.member_id for o in best if o is not None] == ["far", "near"]
    assert lateness(wants, best) < lateness(wants, (wants[0].options[0], wants[1].options[1]))


def test_of_equal_ways_the_less_burdened_and_the_longer_rested_goes() -> None:
    """Within ``even_s`` fairness decides, beyond it travel does."""
    burden = {"busy": Load(orders=3, unrest_ms=-600_000)}

    def load(member_id: str) -> Load:
        return burden.get(member_id, Load(orders=0, unrest_ms=-3_600_000))

    others = want("i2", option("other", 30.0))
    close = (want("i1", option("busy", 60.0), option("rested", 64.0)), others)
    apart = (want("i1", option("busy", 60.0), option("rested", 66.0)), others)
    for wants, goes in ((close, "rested"), (apart, "busy")):
        best = evened(wants, assign(wants), EVEN_S, load, lambda _: 0.0)
        assert best[0] is not None
        assert best[0].member_id == goes


def test_of_equally_fair_ways_the_one_that_leaves_more_cover_is_taken() -> None:
    """Who stays behind counts last."""
    wants = (
        want("i1", option("central", 60.0), option("edge", 63.0)),
        want("i2", option("other", 30.0)),
    )
    left = {"central": 0.4, "edge": 0.7}

    def cover(gone: frozenset[str]) -> float:
        return min(left.get(member_id, 1.0) for member_id in gone)

    best = evened(wants, assign(wants), EVEN_S, lambda _: Load(), cover)
    assert [o.member_id for o in best if o is not None] == ["edge", "other"]
    assert travel_s(best) <= travel_s(assign(wants)) + EVEN_S
