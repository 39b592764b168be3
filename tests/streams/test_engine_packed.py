"""A packed record is taken in runs, and leads to what its positions lead to one after the other."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from tests.streams.station import AREA, Station, member, values
from xiaohe.dispatch.eligibility import exclusion
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.times import rfc3339
from xiaohe.dispatch.tracking import concerned, concerns
from xiaohe.dispatch.world import World
from xiaohe.geo.live import Track
from xiaohe.streams.ports import Raw, Step
from xiaohe.wire.codec_positions import decode_positions
from xiaohe.wire.fix_columns import COLUMNS_MIN, FixColumns

MEMBERS = 48
JUNCTIONS = "abcdef"


@contextmanager
def one_by_one() -> Iterator[None]:
    """No record is long enough for columns in here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xiaohe.wire.codec_positions.COLUMNS_MIN", 10_000)
        yield


def brigade(busy_share: float) -> Station:
    """Members of this area, some with trackers, one of another area; a share is off duty."""
    entries = [
        member(
            f"m{n:02}",
            device_ids=[f"cam-{n}"] if n % 4 == 0 else [],
            **({"shifts": []} if n < busy_share * MEMBERS else {}),
        )
        for n in range(MEMBERS)
    ]
    return Station(*entries, member("abroad", area_id="east"))


class Story:
    """A random past: records of positions between alerts and answers, by one seed."""

    def __init__(self, seed: int, busy_share: float) -> None:
        self.chance = random.Random(seed)
        self.here = brigade(busy_share)
        self.packed: list[Raw] = []

    def run(self) -> Station:
        """Play it."""
        for tick in range(14):
            self.here.now_ms += 4_000
            if tick % 3 == 1:
                self.here.alert(
                    f"a{tick}",
                    self.chance.choice(JUNCTIONS),
                    category=f"c{tick}",
                    priority=self.chance.choice((1, 3)),
                )
            if tick == 2:
                self.here.says("m09", "on_duty", device_ids=["cam-lent"])
            self.answers()
            raw = self.here.raw("positions", {"batch": self.fixes()})
            self.packed.append(raw)
            self.here.take(raw)
            if tick % 5 == 4:
                # Older than what is known by now, but for what it alarms of.
                self.here.take(msgspec.structs.replace(self.packed[tick - 1], replayed=True))
                self.here.take(self.packed[tick - 2])
        return self.here

    def answers(self) -> None:
        """Half of those who were asked accept."""
        state = self.here.engine.states().get(AREA)
        for member_id in sorted(state.holding) if state is not None else ():
            if self.chance.random() < 0.5:
                self.here.says(member_id, "accept")

    def fixes(self) -> list[dict[str, Any]]:
        """Positions of nearly everybody, of several moments, and a few that are nobody's."""
        return [self.fix() for _ in range(self.chance.randrange(COLUMNS_MIN, 70))]

    def fix(self) -> dict[str, Any]:
        """One position."""
        chance = self.chance
        spot = self.here.place(chance.choice(JUNCTIONS))
        said: dict[str, Any] = {
            "member_id": f"m{chance.randrange(MEMBERS):02}",
            "lon": spot["lon"] + chance.choice((0, 0, 2e-4)),
            "lat": spot["lat"],
            "fix_time": rfc3339(self.here.now_ms - chance.randrange(-500, 6_000)),
            "accuracy_m": chance.choice((None, 5, 60)),
            "speed_mps": chance.choice((None, -1, 2.5)),
            "course_deg": chance.choice((None, -1, 270)),
        }
        drawn = chance.random()
        if drawn < 0.1:
            device = chance.choice(("cam-0", "cam-8", "cam-lent", "lost", "gone"))
            said |= {"member_id": None, "device_id": device}
        elif drawn < 0.14:
            said["member_id"] = chance.choice(("abroad", "nobody"))
        elif drawn < 0.16:
            said["alarm"] = chance.choice(("sos", "fall", "low_battery"))
        elif drawn < 0.17:
            said["lat"] = 99
        return said


def tracks(here: Station) -> dict[str, Track | None]:
    """Where everybody is."""
    live = here.engine._areas[AREA].world.live
    return {f"m{n:02}": live.track(f"m{n:02}") for n in range(MEMBERS)}


def decided(here: Station) -> list[Any]:
    """All facts that positions led to."""
    records: list[Any] = [step.record for step in here.steps]
    of_positions = [each for each in records if each["cause"]["topic"] == "positions"]
    return [fact for each in of_positions for fact in each.get("decision", {}).get("facts", ())]


def told(steps: list[Step]) -> Counter[str]:
    """How often each fact was decided, and each reason of a refusal, because of positions."""
    found: Counter[str] = Counter()
    for step in steps:
        record: Any = step.record
        if record["cause"]["topic"] == "positions":
            found.update(fact["type"] for fact in record.get("decision", {}).get("facts", ()))
            if "dead_letter" in record:
                found[record["dead_letter"]["reason"]] += 1
    return found


@pytest.mark.parametrize("busy_share", [0.0, 0.9])
@pytest.mark.parametrize("seed", range(6))
def test_packed_positions_decide_to_the_byte_what_one_after_the_other_decides(
    seed: int, busy_share: float
) -> None:
    """Orders held, alarms, incidents that wait, strangers, several fixes of one member."""
    packed = Story(seed, busy_share).run()
    with one_by_one():
        single = Story(seed, busy_share).run()
    assert [step.record for step in packed.steps] == [step.record for step in single.steps]
    assert packed.published == single.published
    assert packed.engine.snapshot() == single.engine.snapshot()
    assert tracks(packed) == tracks(single)
    ticks = [here.engine.tick(here.now_ms + 5_000, 7) for here in (packed, single)]
    assert ticks[0] == ticks[1]


def test_the_stories_are_eventful() -> None:
    """Else the comparison would say little."""
    found: Counter[str] = Counter()
    for busy_share in (0.0, 0.9):
        for seed in range(6):
            found += told(Story(seed, busy_share).run().steps)
    expected = {"incident.opened", "member.dispatched", "member.arrived", "unknown_member"}
    expected |= {"unknown_device", "wrong_area", "out_of_range", "incident.unfilled"}
    assert expected <= set(found)


def test_each_object_of_a_batch_decides_what_a_record_of_its_own_decides() -> None:
    """The same facts in the same order, and the same places in the end."""
    story = Story(7, 0.0)
    packed, single = story.here, brigade(0.0)
    for here in (packed, single):
        here.alert("a1", "b", priority=1)
        for _ in range(3):
            for member_id in sorted(here.engine.states()[AREA].holding):
                here.says(member_id, "accept")
    for _ in range(8):
        packed.now_ms += 4_000
        single.now_ms = packed.now_ms
        fixes = story.fixes()
        packed.send("positions", {"batch": fixes})
        for fix in fixes:
            single.send("positions", fix)
    assert decided(packed) == decided(single) != []
    assert tracks(packed) == tracks(single)


def test_a_call_for_help_that_finds_nobody_is_heard_by_the_next_fix_of_its_record() -> None:
    """What a fix decides counts for the fixes behind it: who stood nowhere is asked at once."""
    here = Station(member("m1"), member("m2"))
    caller = here.fix_value("m1", "a", alarm="sos")
    quiet = [here.fix_value("nobody", "b")] * COLUMNS_MIN
    found = here.send("positions", {"batch": [*quiet, caller, *quiet, here.fix_value("m2", "c")]})
    assert [order["member_id"] for order in values(found, "dispatches")] == ["m2"]
    call, order = [step for step in here.steps if "decision" in step.record]
    assert "member.dispatched" not in told([call])
    assert "member.dispatched" in told([order])


@pytest.mark.parametrize("busy_share", [0.0, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_only_a_fix_that_can_decide_nothing_is_passed_over(seed: int, busy_share: float) -> None:
    """Asked of many at once, the rule lets through only whom no waiting incident could get."""
    story = Story(seed, busy_share)
    here = story.run()
    state, world = here.engine.states()[AREA], here.engine._areas[AREA].world
    fixes = [fix | {"lat": 30.3} for fix in story.fixes() if fix["member_id"] is not None]
    record = decode_positions(AREA.encode(), msgspec.json.encode({"batch": (fixes * 2)[:60]}))
    assert isinstance(record.fixes, FixColumns)
    now_ms, ids = here.now_ms, record.fixes.member_ids
    found = set(concerned(state, world, now_ms, ids, record.fixes.alarms, 5))
    for at, fix in enumerate(record.fixes):
        assert fix.member_id is not None
        one_by_one_too = at >= 5 and concerns(state, fix.member_id, fix)
        if at in found:
            assert one_by_one_too
        elif one_by_one_too:
            assert not is_wanted(state, world, fix.member_id, now_ms)


def is_wanted(state: AreaState, world: World, member_id: str, now_ms: int) -> bool:
    """Whether an incident waits for which only the place of this member could be amiss."""
    member = world.roster.get(member_id)
    return member is not None and any(
        exclusion(state, world, state.incidents[i], member, now_ms) in {None, "stale_fix"}
        for i in state.wanting
    )


def test_who_cannot_be_sent_is_moved_while_an_incident_waits() -> None:
    """They decide nothing, and who can be sent is asked with their first fix."""
    here = Station(*[member(f"m{n:02}", shifts=[]) for n in range(MEMBERS)], member("late"))
    here.alert("a1", "a", priority=1)
    assert here.engine.states()[AREA].wanting
    crowd = [here.fix_value(f"m{n:02}", "b") for n in range(MEMBERS)]
    here.now_ms += 1_000
    assert here.send("positions", {"batch": crowd}) == []
    assert all(tracks(here).values())
    here.now_ms += 1_000
    found = here.send("positions", {"batch": [*crowd, here.fix_value("late", "c"), *crowd]})
    assert [order["member_id"] for order in values(found, "dispatches")] == ["late"]
