"""Life cycles: bytes choose what happens in a town, record by record, through an engine.

Each instruction is a byte that says what happens, and a few that say to whom, where and how. The
records are those of the topics, right and wrong; deadlines are taken as a lane takes them. No
story may end the engine, and what must hold of an area holds after every record.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any, Final

import msgspec

from tests.dispatch.invariants import check_state, looked_up_anew
from tests.fuzz.target import Target
from tests.streams.station import AREA, NOON_MS, Station, member
from xiaohe.dispatch.reasons import Reason
from xiaohe.streams.engine import AreaEngine
from xiaohe.streams.ports import POSITIONS, Publication, Raw, Step
from xiaohe.wire.codec import decode_roster

EVENTS_MAX: Final = 60
"""Instructions of one story that are carried out."""

EPOCH: Final = 7

MEMBERS: Final = ("m1", "m2", "m3", "m4", "m5", "m6")
ENTRIES: Final = tuple(
    member(
        member_id,
        unit=f"1/{1 + n % 2}",
        team=("red", "blue")[n % 2],
        rank=("member", "squad_leader", "squadron_leader", "brigade_leader")[n % 4],
        travel_mode=("ebike", "walk", "car")[n % 3],
        roads=[{"road_id": ("ab", "be", "cf")[n % 3], "role": ("owner", "team")[n // 3]}],
        device_ids=[f"cam-{n}"],
        **({"shifts": []} if n == 5 else {}),
    )
    for n, member_id in enumerate(MEMBERS)
)
JUNCTIONS: Final = "abcdef"
ANSWERS: Final = ("accept", "decline", "en_route", "arrive", "request_backup", "complete")
WORDS: Final = ("on_duty", "off_duty", "break", "resume", "report", "note")
DESK: Final = (
    *("dispatch", "stand_down", "update", "message", "cancel", "close", "reopen", "merge"),
    *("unmerge", "acknowledge", "refer", "return_visit", "triage", "sign", "bulletin"),
)
SECONDS: Final = (1, 5, 19, 20, 21, 45, 60, 61, 120, 180, 300, 400)
TOPICS: Final = ("alerts", "member_actions", "operator_actions", POSITIONS)
BATCH: Final = 40
"""Fixes of a large batch: more than are taken one by one."""


class _Bytes:
    """The instructions, byte by byte; 0 where they have come to their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def number(self, below: int) -> int:
        """The next byte, as a number."""
        value = self._data[self._at] if self.left else 0
        self._at += 1
        return value % below

    def of(self, choices: Sequence[Any]) -> Any:
        """One of these."""
        return choices[self.number(len(choices))]

    def some(self, length: int) -> bytes:
        """The next bytes as they are."""
        found = self._data[self._at : self._at + length]
        self._at += length
        return found


@cache
def _entries() -> tuple[Any, ...]:
    return tuple(
        decode_roster(entry["member_id"].encode(), json.dumps(entry).encode()) for entry in ENTRIES
    )


class Story:
    """One town, from noon on."""

    def __init__(self, data: bytes) -> None:
        self.bytes = _Bytes(data)
        self.station = Station()
        for entry in _entries():
            self.station.roster.put(entry, NOON_MS)
        self.raws: list[Raw] = []
        self.seqs: dict[str, int] = defaultdict(int)
        self.began = 0

    @property
    def engine(self) -> AreaEngine:
        """The engine that decides now."""
        return self.station.engine

    def tell(self) -> None:
        """Carry all instructions out."""
        happens: Sequence[Callable[[], None]] = (
            *(self.an_alert, self.an_alert, self.an_answer, self.an_answer, self.a_held_answer),
            *(self.a_held_answer, self.a_position, self.a_position, self.an_alarm, self.a_word),
            *(self.a_roster_change, self.a_desk, self.a_desk, self.the_area, self.time_passes),
            *(self.time_passes, self.time_passes, self.the_worker_is_down, self.a_large_batch),
            *(self.noise, self.something_again, self.a_foreign_wakeup, self.a_restart),
            self.a_takeover,
        )
        for _ in range(EVENTS_MAX):
            if not self.bytes.left:
                break
            self.station.now_ms += 1
            self.bytes.of(happens)()
            self.check()
        self.folds_to_the_same()

    # --- what may happen

    def send(self, topic: str, value: Any, **said: Any) -> None:
        """A record comes in."""
        raw = self.station.raw(topic, value, **said)
        self.raws.append(raw)
        self.take(raw)

    def take(self, raw: Raw) -> None:
        """Let the engine take a record, and look at what it gives."""
        before = len(self.station.steps)
        self.station.take(raw, EPOCH)
        steps = self.station.steps[before:]
        assert len(steps) == 1 or raw.topic == POSITIONS, "a deciding input gives one decision"
        for step in steps:
            for publication in step.publications:
                self.look_at(publication)

    def look_at(self, publication: Publication) -> None:
        """Events are numbered through, refusals have their code."""
        value = json.loads(publication.value or b"null")
        if publication.topic == "incident_events":
            self.seqs[value["incident_id"]] += 1
            assert value["seq"] == self.seqs[value["incident_id"]]
        elif publication.topic == "dead_letters":
            assert value["reason"] in {reason.value for reason in Reason}
            assert value["reason"] != Reason.FAILED_REPEATEDLY

    def an_alert(self) -> None:
        """Something is reported, for the first time or again."""
        b = self.bytes
        said: dict[str, Any] = {"alert_id": f"a{b.number(8)}", "source": "app"}
        said |= {"category": b.of(("dispute", "fire")), "occurred_at": "then"}
        place = b.number(8)
        if place < len(JUNCTIONS):
            said["position"] = self.station.place(JUNCTIONS[place])
        else:
            said |= b.of(({"address": "?"}, {"road_id": "ab"}, {"road_id": "gone"}))
        more = b.number(32)
        if more & 1:
            said["priority"] = 1 + b.number(4)
        if more & 2:
            said["needed"] = 1 + b.number(4)
        if more & 4:
            said["reported_by"] = b.of((*MEMBERS, "ghost"))
        if more & 8:
            said["supersedes"] = f"a{b.number(8)}"
        if more & 16:
            said |= {"skills": ["law"], "drill": True}
        self.send("alerts", said)

    def an_answer(self) -> None:
        """Somebody answers an order, rightly or wrongly."""
        state = self.engine.states().get(AREA)
        incidents = state.incidents.values() if state is not None else ()
        orders = sorted(order.dispatch_id for each in incidents for order in each.orders)
        dispatch_id = self.bytes.of(orders or ["none"])
        self._action(self.bytes.of(MEMBERS), self.bytes.of(ANSWERS), dispatch_id=dispatch_id)

    def a_held_answer(self) -> None:
        """Somebody answers the order that they have."""
        state = self.engine.states().get(AREA)
        holding = sorted(state.holding) if state is not None else []
        if state is not None and holding:
            who = self.bytes.of(holding)
            held = state.holding[who].dispatch_id
            self._action(who, self.bytes.of(ANSWERS), dispatch_id=held)

    def a_word(self) -> None:
        """Somebody comes, goes, takes a break, or says something."""
        who, word = self.bytes.of(MEMBERS), self.bytes.of(WORDS)
        devices = ["cam-1", f"cam-{self.bytes.number(9)}"] if word == "on_duty" else []
        self._action(who, word, device_ids=devices)

    def _action(self, who: str, action: str, **said: Any) -> None:
        said |= {"action_id": f"w{len(self.raws)}", "member_id": who, "action": action}
        if self.bytes.number(4) == 0:
            said["position"] = self.station.place(self.bytes.of(JUNCTIONS))
        at = self.bytes.of(("now", "2030-01-07T04:00:30Z", "9999-12-31T23:59:59Z"))
        self.send("member_actions", said | {"at": at})

    def a_position(self) -> None:
        """A tracker reports; now and then a clock is wrong, or nobody knows whose it is."""
        b = self.bytes
        who = b.of(({"member_id": b.of((*MEMBERS, "ghost"))}, {"device_id": f"cam-{b.number(9)}"}))
        fix = self.station.fix_value("x", b.of(JUNCTIONS))
        del fix["member_id"]
        if b.number(8) == 0:
            fix["fix_time"] = b.of(("2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"))
        self.send(POSITIONS, fix | who)

    def an_alarm(self) -> None:
        """Somebody presses the button."""
        fix = self.station.fix_value(self.bytes.of(MEMBERS), self.bytes.of(JUNCTIONS))
        self.send(POSITIONS, fix | {"alarm": self.bytes.of(("sos", "fall", "low"))})

    def a_large_batch(self) -> None:
        """Many fixes in one record, as a gateway packs them; some of them bad."""
        b, batch = self.bytes, []
        for n in range(BATCH):
            fix = self.station.fix_value(MEMBERS[n % 6], JUNCTIONS[(n * (1 + b.number(5))) % 6])
            batch.append(fix)
        batch[b.number(BATCH)]["alarm"] = "sos"
        batch[b.number(BATCH)]["member_id"] = b.of(("ghost", "", "m1"))
        batch[b.number(BATCH)]["lon"] = b.of((200, None, 120.14))
        self.send(POSITIONS, {"batch": batch})

    def a_roster_change(self) -> None:
        """Somebody is struck off, or comes back with other hours."""
        n, what = self.bytes.number(len(MEMBERS)), self.bytes.number(5)
        if what == 0:
            self.station.roster_record(MEMBERS[n], None, notice=True)
            return
        post = {"post": self.station.place("e")}
        other = ({}, {"shifts": []}, {"area_id": "east"}, {"skills": ["law"]}, post)
        self.station.hire(ENTRIES[n] | self.bytes.of(other), notice=True)

    def a_desk(self) -> None:
        """A desk says something about an incident."""
        b, state = self.bytes, self.engine.states().get(AREA)
        known = sorted(state.incidents) if state is not None else []
        said: dict[str, Any] = {
            "action_id": f"d{len(self.raws)}", "operator_id": "desk-1", "at": "now",
            "action": b.of(DESK), "incident_id": b.of(known or ["none"]),
            "into": b.of(known or ["none"]), "text": "words",
            "member_id": b.of((*MEMBERS, "ghost")),
        }  # fmt: skip
        said["fields"] = b.of(
            (
                *({}, {"priority": 1 + b.number(4)}, {"needed": 1 + b.number(3)}),
                *({"road_id": b.of(("ab", "gone"))}, {"role": b.of(("primary", "backup"))}),
                *({"priority": "x", "needed": -1, "position": 5}, {"position": {"lon": 1}}),
            )
        )
        self.send("operator_actions", said)

    def the_area(self) -> None:
        """A desk says something about the area."""
        b = self.bytes
        said = {"action_id": f"d{len(self.raws)}", "operator_id": "desk-1", "at": "now"}
        said |= {"action": b.of(("set_mode", "close_road", "open_road"))}
        said |= {"mode": b.of(("peacetime", "emergency")), "road_id": b.of(("ab", "be", "gone"))}
        self.send("operator_actions", said)

    def time_passes(self) -> None:
        """Deadlines fall due, and are taken in their order."""
        seconds = (self.station.now_ms - NOON_MS) / 1000 + self.bytes.of(SECONDS)
        before = len(self.station.steps)
        self.station.run_to(seconds)
        for step in self.station.steps[before:]:
            for publication in step.publications:
                self.look_at(publication)

    def the_worker_is_down(self) -> None:
        """Time passes in which nothing is decided."""
        self.station.now_ms += 1000 * self.bytes.of(SECONDS)

    def noise(self) -> None:
        """Anything at all, with the right key or another."""
        key = self.bytes.of((AREA.encode(), AREA.encode(), b"east", b"other", b"\xff", None))
        topic, value = self.bytes.of(TOPICS), self.bytes.some(1 + self.bytes.number(24))
        self.take(self.station.raw(topic, value, key=key))

    def something_again(self) -> None:
        """A client sends the same once more."""
        if self.raws:
            raw = self.bytes.of(self.raws)
            self.take(self.station.raw(raw.topic, raw.value, key=raw.key))

    def a_foreign_wakeup(self) -> None:
        """A wake-up for a deadline that nobody set, or that is not due."""
        state = self.engine.states().get(AREA)
        known = sorted(state.incidents) if state is not None else []
        deadline = self.bytes.of(("accept", "arrive", "retry", "backup", "offer:x", "", "ladder"))
        value = {"incident_id": self.bytes.of([*known, "none"]), "deadline": deadline}
        due_ms = self.bytes.of((0, self.station.now_ms, NOON_MS + 60_000, 2**62))
        self.take(self.station.raw("wakeups", value | {"due_ms": due_ms}))

    def a_restart(self) -> None:
        """The engine goes on from its snapshot; the log before it is no longer looked at."""
        pieces = self.engine.snapshot()
        states = dict(self.engine.states())
        again = AreaEngine(self.station.partition, self.station.shared)
        again.restore(pieces)
        assert again.states() == states
        assert again.next_due_ms() == self.engine.next_due_ms() or self._wanting(states)
        self.station.engine = again
        self.began = None  # type: ignore[assignment]  # the steps before are in the snapshot

    def _wanting(self, states: Any) -> bool:
        """An early retry is not recorded: another engine decides again at the recorded time."""
        return any(state.wanting for state in states.values())

    def a_takeover(self) -> None:
        """Another worker folds the log and goes on."""
        if self.began is not None:
            self.station.engine = self.folded()

    # --- what must hold

    def check(self) -> None:
        """What must hold of every area."""
        for state in self.engine.states().values():
            check_state(state)
            assert looked_up_anew(state) == state

    def folded(self) -> AreaEngine:
        """An engine that has read the log and nothing else; it owes what was owed, to the byte."""
        engine = AreaEngine(self.station.partition, self.station.shared)
        for step in self.station.steps:
            owed = engine.fold(_as_read(step), EPOCH)
            assert owed == step.publications, "a replay publishes something else"
        return engine

    def folds_to_the_same(self) -> None:
        """The log says everything that the engine knows."""
        if self.began is not None:
            assert _without_empty(self.folded()) == _without_empty(self.engine)


def _as_read(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(step.record))
    return found


def _without_empty(engine: AreaEngine) -> dict[str, Any]:
    """Areas that were named and in which nothing was decided are in no log."""
    return {area_id: state for area_id, state in engine.states().items() if state.incidents}


def a_story(data: bytes = bytes(range(200))) -> Station:
    """Give the town as it is after a story, for those who need one to look at."""
    story = Story(data)
    story.tell()
    return story.station


def stories(data: bytes) -> bool:
    """A story of whatever may happen."""
    story = Story(data)
    story.tell()
    return bool(story.station.steps)


def _retold(data: bytes, rng: Random) -> bytes:
    """Some instructions left out, put in, told again or in another order."""
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randint(0, len(data)), rng.randint(1, 16)
        what = rng.randrange(5)
        if what == 0:
            data = data[:at] + rng.randbytes(length) + data[at:]
        elif what == 1:
            data = data[:at] + data[at + length :]
        elif what == 2:
            data = data[:at] + data[at : at + length] + data[at:]
        elif what == 3:
            data = data[at:] + data[:at]
        else:
            data = data[:at] + rng.randbytes(1) + data[at + 1 :]
    return data[:400]


TARGETS: Final = (
    Target(
        "stories", stories, [bytes(range(120)), bytes(range(0, 240, 2)), bytes(range(250, 0, -1))],
        _retold, bytes_max=400, share=6.0, quick=60,
    ),
)  # fmt: skip
