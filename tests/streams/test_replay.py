"""The same raw records give the same decisions, choices and all, byte for byte, on a fresh engine.

That is what makes an explanation worth something: whoever has the log can come to the same order.
"""

import json
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.streams.station import AREA, Station, member, values
from xiaohe.streams.engine import AreaEngine
from xiaohe.streams.ports import Publication, Raw, Step

EPOCH = 7
JUNCTIONS = "abcdef"
PEOPLE = (
    member("m1", roads=[{"road_id": "ab", "role": "owner"}]),
    member("m2"),
    member("m3", team="blue", travel_mode="walk"),
    member("m4", team="blue", post={"lon": 120.141, "lat": 30.319}),
    member("m5", shifts=[]),
)
"""An owner, their squad, somebody on foot, somebody at a post, somebody off duty."""

MOMENTS = 40
"""Of an invented hour: enough for orders, refusals, asking on, backup and the ends of windows."""

Taken = list[tuple[Raw, int]]
"""The records as they lay in the log, each with the worker's time when it was taken."""


class Recorder(Station):
    """A station that keeps what it was fed with."""

    def __init__(self, *members: dict[str, Any]) -> None:
        self.taken: Taken = []
        super().__init__(*members)

    def take(self, raw: Raw, epoch: int = EPOCH) -> list[Publication]:
        """Let the engine decide it, and keep it."""
        self.taken.append((raw, self.now_ms + 3))
        return super().take(raw, epoch)


def an_hour(seed: int, *, batched: bool) -> Recorder:
    """An invented hour: people move, alerts come, people answer, deadlines pass."""
    chance = random.Random(seed)
    here = Recorder(*PEOPLE)
    for moment in range(MOMENTS):
        here.run_to(moment * 15)
        fixes = [
            here.fix_value(f"m{n}", chance.choice(JUNCTIONS), accuracy_m=chance.choice([5, 30]))
            for n in (1, 2, 3)
        ]
        if batched:
            here.send("positions", {"area_id": AREA, "batch": fixes})
        else:
            for fix in fixes:
                here.send("positions", fix)
        if chance.random() < 0.4:
            here.alert(f"a{moment}", chance.choice(JUNCTIONS), priority=chance.randint(1, 4))
        for member_id in ("m1", "m2", "m3", "m4"):
            if chance.random() < 0.3:
                here.says(member_id, chance.choice(["accept", "decline", "arrive", "complete"]))
    here.run_to(MOMENTS * 15 + 600)
    return here


def replayed(here: Recorder) -> list[Step]:
    """Feed the same records to an engine that has seen nothing."""
    fresh = AreaEngine(here.partition, here.shared)
    return [step for raw, now_ms in here.taken for step in fresh.take(raw, now_ms, EPOCH)]


def bytes_of(steps: Sequence[Step]) -> list[bytes]:
    """The decisions as they lie in the log."""
    return [msgspec.json.encode(step.record) for step in steps]


def published(steps: Sequence[Step]) -> list[Publication]:
    """What is published of some steps."""
    return [publication for step in steps for publication in step.publications]


@pytest.fixture(scope="module", params=[(1, True), (1, False), (2, True), (3, False)])
def hour(request: pytest.FixtureRequest) -> Recorder:
    """Some invented hours, positions batched or one a record."""
    seed, batched = request.param
    return an_hour(seed, batched=batched)


def test_an_hour_is_worth_replaying(hour: Recorder) -> None:
    """Orders by more than one rule, answers, backup and deadlines are in it."""
    orders = values(hour.published, "dispatches")
    assert len({order["why"]["rule"] for order in orders}) >= 2
    kinds = {event["type"] for event in values(hour.published, "incident_events")}
    assert {"member.accepted", "backup.dispatched", "acceptance.overdue"} <= kinds


def test_two_fresh_engines_decide_the_same_bytes(hour: Recorder) -> None:
    """Every choice with its whole why, every deadline, every refusal."""
    first, second = replayed(hour), replayed(hour)
    assert bytes_of(first) == bytes_of(second) == bytes_of(hour.steps)
    assert published(first) == published(second) == hour.published


def test_folding_the_log_publishes_the_same(hour: Recorder) -> None:
    """A take-over asks no map and no roster, and says what was said."""
    fold = AreaEngine(hour.partition, hour.shared)
    again: list[Publication] = []
    for raw in bytes_of(hour.steps):
        again += fold.fold(msgspec.json.decode(raw), EPOCH)
    assert again == hour.published
    assert fold.snapshot() == hour.engine.snapshot()


@pytest.mark.parametrize("seed", [1, 2])
def test_batched_positions_choose_as_single_ones_do(seed: int) -> None:
    """How a gateway packs the fixes of one moment is nobody's reason to go."""
    batched, single = (an_hour(seed, batched=how) for how in (True, False))
    assert chosen(batched) == chosen(single)


def chosen(here: Recorder) -> list[dict[str, Any]]:
    """All orders, with who was compared and why."""
    return [json.loads(p.value or b"") for p in here.published if p.topic == "dispatches"]
