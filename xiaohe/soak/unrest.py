"""What else happens in an hour: rosters change, desks meddle, strange devices send.

All that somebody might keep for too long: each kind of it comes again and again, at its own rate,
on whatever incidents there are. Some of it cannot be done and is refused; that is meant.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

import orjson

from xiaohe.dispatch.times import rfc3339
from xiaohe.sim.brigade import Outgoing

RECENT: Final = 400
"""Incidents that a desk may have its hands in: those of the last minutes."""

REPEATED: Final = 0.02
"""Share of alerts and words that are sent a second time …"""

REPEATED_AFTER_S: Final = (0.0, 20.0)
"""… after so long, as by a sender that saw no acknowledgement."""

CORRECTED: Final = 0.02
"""Share of alerts that their sender corrects."""

STRANGERS: Final = 40
"""Devices that nobody knows and that send all the time; others send once and never again."""

DESK_WORDS: Final = (
    "message", "message", "update", "stand_down", "cancel", "reopen", "return_visit", "refer",
    "dispatch", "merge", "unmerge", "acknowledge",
)  # fmt: skip

DUTY_WORDS: Final = ("break", "off_duty", "taken_device")
"""Each is taken back after a while, so that nobody is away for good."""

BACK_AFTER_S: Final = 60.0
"""Whatever takes somebody or something away is taken back after so long."""


class Unrest:
    """Gives what is to be sent by a time, seconds since the beginning."""

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        road_ids: Sequence[str],
        *,
        start_ms: int,
        seed: int,
        run_id: str,
    ) -> None:
        self._entries = entries
        self._road_ids = road_ids
        self._start_ms = start_ms
        self._run_id = run_id
        self._chance = Random(f"{seed}:unrest")  # noqa: S311 - a simulation must be repeatable
        self._incidents: deque[tuple[str, str]] = deque(maxlen=RECENT)
        self._said = 0
        self._later: list[tuple[float, Outgoing]] = []
        self._now_s = 0.0
        self.restless = True
        self._kinds: Mapping[Callable[[], Iterator[Outgoing]], float] = {
            self._desk: 4.0,
            self._duty: 6.0,
            self._stranger: 2.0,
            self._own_device: 5.0,
            self._entry_changes: 20.0,
            self._member_leaves: 90.0,
            self._bad_entry: 240.0,
            self._road_closed: 60.0,
            self._emergency: 240.0,
            self._senseless: 15.0,
        }
        self._next_s = {kind: self._chance.uniform(0, s) for kind, s in self._kinds.items()}

    def opened(self, area_id: str, incident_id: str) -> None:
        """Take note of an incident."""
        self._incidents.append((area_id, incident_id))

    def step(self, now_s: float) -> list[Outgoing]:
        """Give what happens by now."""
        self._now_s = now_s
        out = [each for at_s, each in self._later if at_s <= now_s]
        self._later = [later for later in self._later if later[0] > now_s]
        for kind, every_s in self._kinds.items() if self.restless else ():
            while self._next_s[kind] <= now_s:
                self._next_s[kind] += self._chance.expovariate(1 / every_s)
                out.extend(kind())
        return out

    def after(self, sent: Outgoing) -> None:
        """Let a record that was sent be sent again, or be corrected, now and then."""
        if sent.topic not in {"alerts", "member_actions", "operator_actions"}:
            return
        if self._chance.random() < REPEATED:
            self._in(self._chance.uniform(*REPEATED_AFTER_S), sent)
        if sent.topic == "alerts" and sent.alert_id and self._chance.random() < CORRECTED:
            value = orjson.loads(sent.value) | {"text": f"corrected {self._count()}", "needed": 2}
            self._in(self._chance.uniform(*REPEATED_AFTER_S), _out("alerts", sent.key, value))

    # --- kinds

    def _desk(self) -> Iterator[Outgoing]:
        if not self._incidents:
            return
        area_id, incident_id = self._chance.choice(self._incidents)
        word = self._chance.choice(DESK_WORDS)
        others = [i for a, i in self._incidents if a == area_id and i != incident_id]
        more: dict[str, object] = {"incident_id": incident_id, "reason": "soak"}
        match word:
            case "message":
                more["text"] = "said on the radio"
            case "update":
                more["fields"] = {"priority": self._chance.randint(1, 4)}
            case "dispatch":
                more["member_id"] = self._somebody(area_id)["member_id"]
            case "merge":
                more["into"] = self._chance.choice(others) if others else incident_id
            case _:
                pass
        yield self._operator(area_id, word, more)

    def _duty(self) -> Iterator[Outgoing]:
        member = self._somebody()
        match self._chance.choice(DUTY_WORDS):
            case "break":
                yield self._member(member, "break")
                self._in(BACK_AFTER_S, self._member(member, "resume"))
            case "off_duty":
                yield self._member(member, "off_duty")
                self._in(BACK_AFTER_S, self._member(member, "on_duty"))
            case _:
                devices = [f"spare-{self._chance.randrange(STRANGERS)}"]
                yield self._member(member, "on_duty", {"device_ids": devices})

    def _stranger(self) -> Iterator[Outgoing]:
        number = self._chance.randrange(STRANGERS)
        known = self._chance.random() < 0.5  # noqa: PLR2004 - one half each
        device_id = f"stranger-{number}" if known else f"{self._run_id}-once-{self._count()}"
        yield self._fix(self._somebody(), {"device_id": device_id})

    def _own_device(self) -> Iterator[Outgoing]:
        member = self._somebody()
        yield self._fix(member, {"device_id": member["device_ids"][0]})

    def _entry_changes(self) -> Iterator[Outgoing]:
        yield self._entry(self._somebody(), {"skills": [f"skill-{self._chance.randrange(9)}"]})

    def _member_leaves(self) -> Iterator[Outgoing]:
        member = self._somebody()
        yield Outgoing("roster", str(member["member_id"]).encode(), b"")
        self._in(BACK_AFTER_S, self._entry(member))

    def _bad_entry(self) -> Iterator[Outgoing]:
        yield _out("roster", b"nobody", {"member_id": "nobody", "name": self._count()})

    def _road_closed(self) -> Iterator[Outgoing]:
        area_id, road_id = self._somebody()["area_id"], self._chance.choice(self._road_ids)
        yield self._operator(area_id, "close_road", {"road_id": road_id})
        opened = self._operator(area_id, "open_road", {"road_id": road_id})
        self._in(BACK_AFTER_S, opened)

    def _emergency(self) -> Iterator[Outgoing]:
        area_id = self._somebody()["area_id"]
        yield self._operator(area_id, "set_mode", {"mode": "emergency"})
        self._in(BACK_AFTER_S, self._operator(area_id, "set_mode", {"mode": "peacetime"}))

    def _senseless(self) -> Iterator[Outgoing]:
        """Words that cannot be taken: each is a dead letter and nothing else."""
        member = self._somebody()
        yield self._member(member, "accept", {"dispatch_id": f"no-such-{self._count()}"})
        yield self._operator(member["area_id"], "close", {"incident_id": f"none-{self._count()}"})

    # --- records

    def _somebody(self, area_id: str | None = None) -> Mapping[str, Any]:
        while True:
            member = self._chance.choice(self._entries)
            if area_id in {None, member["area_id"]}:
                return member

    def _in(self, after_s: float, record: Outgoing) -> None:
        self._later.append((self._now_s + after_s, record))

    def _count(self) -> int:
        self._said += 1
        return self._said

    def _at(self) -> str:
        return rfc3339(self._start_ms + round(1000 * self._now_s))

    def _entry(
        self, member: Mapping[str, Any], changed: Mapping[str, object] | None = None
    ) -> Outgoing:
        return _out("roster", str(member["member_id"]).encode(), {**member, **(changed or {})})

    def _member(
        self, member: Mapping[str, Any], word: str, more: Mapping[str, object] | None = None
    ) -> Outgoing:
        value = {
            "action_id": f"{self._run_id}-u{self._count()}",
            "member_id": member["member_id"],
            "at": self._at(),
            "action": word,
        }
        return _out("member_actions", member["area_id"].encode(), value | dict(more or {}))

    def _operator(self, area_id: str, word: str, more: Mapping[str, object]) -> Outgoing:
        value = {
            "action_id": f"{self._run_id}-d{self._count()}",
            "operator_id": "desk-2",
            "at": self._at(),
            "action": word,
        }
        return _out("operator_actions", area_id.encode(), value | dict(more))

    def _fix(self, member: Mapping[str, Any], whose: Mapping[str, object]) -> Outgoing:
        value = {**whose, **member["post"], "fix_time": self._at(), "accuracy_m": 8.0}
        return _out("positions", member["area_id"].encode(), value)


def _out(topic: str, key: bytes | None, value: Mapping[str, object]) -> Outgoing:
    return Outgoing(topic, key, orjson.dumps(value))
