"""Those outside: senders of alerts, members with their devices, a desk. They keep to the contract.

They write as any client may that is not idempotent: what was not acknowledged is sent again, so
that it may lie in the topic twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final

import orjson

from xiaohe.dispatch.times import rfc3339
from xiaohe.geo.roads import LonLat
from xiaohe.sim.faults import city
from xiaohe.sim.faults.evidence import Place
from xiaohe.sim.faults.faults import Kind, Plan
from xiaohe.sim.faults.link import Broker, Link
from xiaohe.sim.faults.loop import VirtualLoop
from xiaohe.streams.memory_log import MemoryTopics
from xiaohe.streams.ports import Raw

RESEND_MS: Final = 400
"""After how long a client sends again what was not acknowledged."""

DUPLICATE_SHARE: Final = 0.3


class Sender:
    """Writes records, again and again until they are acknowledged."""

    def __init__(
        self, loop: VirtualLoop, topics: MemoryTopics, broker: Broker, link: Link, plan: Plan,
        chance: Random,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._topics = topics
        self._broker = broker
        self.link = link
        self._plan = plan
        self._chance = chance

    def send(
        self,
        topic: str,
        key: str | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        written: Callable[[Place], object] = lambda _: None,
        acknowledged: Callable[[Place], object] = lambda _: None,
    ) -> None:
        """Send; ``written`` is told each place where it comes to lie, ``acknowledged`` the last."""

        def arrive() -> None:
            if not self._broker.up or self.link.lost():
                self._loop.later(RESEND_MS, begin)
                return
            place = self._append(topic, key, value, partition)
            written(place)
            if self._twice():
                written(self._append(topic, key, value, partition))
            self._loop.later(self.link.latency_ms(), answer, place, self._broker.crashes)

        def answer(place: Place, crashes: int) -> None:
            if crashes != self._broker.crashes or self.link.lost():
                self._loop.later(RESEND_MS, begin)
            else:
                acknowledged(place)

        def begin() -> None:
            self._loop.later(self.link.latency_ms(), arrive)

        begin()

    def _append(
        self, topic: str, key: str | None, value: bytes | None, partition: int | None
    ) -> Place:
        raw = self._topics.append(
            topic, None if key is None else key.encode(), value, (), partition
        )
        return Place(topic, raw.partition, raw.offset)

    def _twice(self) -> bool:
        rate = self._plan.rate(Kind.DUPLICATE) * DUPLICATE_SHARE if self.link.faulty else 0.0
        if rate and self._chance.random() < rate:
            self._plan.note(Kind.DUPLICATE)
            return True
        return False


@dataclass
class People:
    """What all clients share: how to send, how fast time is, what has been learned.

    ``scenes`` gives where an alert is by its id; ``incidents`` the newest record of each incident.
    """

    loop: VirtualLoop
    sender: Sender
    plan: Plan
    chance: Random
    scenes: dict[str, LonLat] = field(default_factory=dict)
    incidents: dict[bytes, Raw] = field(default_factory=dict)
    accepted: set[Place] = field(default_factory=set)
    unauthorised: set[Place] = field(default_factory=set)
    healed: bool = False
    numbers: int = 0

    def after(self, seconds: float, do: Callable[..., object], *said: Any) -> None:  # noqa: ANN401 - as call_later
        """Do something after so many seconds of the day, fewer where time is quicker."""
        self.loop.later(seconds * 1000 / self.plan.speed, do, *said)

    def number(self) -> int:
        """Give a number that nobody has had."""
        self.numbers += 1
        return self.numbers

    def bad(self, kind: Kind, share: float) -> bool:
        """Draw whether something goes wrong that people do."""
        rate = 0.0 if self.healed else self.plan.rate(kind) * share
        if rate and self.chance.random() < rate:
            self.plan.note(kind)
            return True
        return False

    def now(self) -> str:
        """Give the true time as text."""
        return rfc3339(self.loop.now_ms())

    def say(
        self, area_id: str, member_id: str, action: str, *, forbidden: bool = False, **said: object
    ) -> bytes:
        """Send a member's word; the record, for who says it again."""
        word = {
            "action_id": f"w{self.number()}",
            "member_id": member_id,
            "at": self.now(),
            "action": action,
            **said,
        }
        value = city.as_json(word)
        self.say_again(area_id, value, forbidden=forbidden)
        return value

    def say_again(self, area_id: str, value: bytes, *, forbidden: bool = False) -> None:
        """Send a word, as it was sent before."""
        written = self.unauthorised.add if forbidden else lambda _: None
        self.sender.send("member_actions", area_id, value, written=written)


MISPLACED_SHARE: Final = 0.3
"""Alerts of a sender whose partitioner is another, where there are such senders."""

SPOILT_SHARE: Final = 0.03
"""Packed positions in which some are no places: each is a dead letter of its own."""

ALERT_AGAIN, ALERT_CORRECTED, SAME_PLACE = 0.15, 0.5, 0.1
"""Alerts that were sent before; those of them that say more; those about the place before."""

TWO_NEEDED, FOUND_BY_MEMBER = 0.2, 0.05
"""Alerts for which two must come; those of a member on the spot."""

EN_ROUTE_SAID, ARRIVED_SAID, BACKUP_ASKED = 0.5, 0.7, 0.1
"""Members who press the button for it, of those who could."""

BY_MEMBER_ID, ACCURACY_STATED, ALARM_RAISED, ALONE_SENT = 0.7, 0.3, 0.002, 0.2
"""Positions that name the member and not the device, that say how exact they are, and that call
for help; reports of an area whose positions are sent one by one."""

CATEGORIES: Final = ("dispute", "theft", "fire", "lost child")


class Sources:
    """Police and cameras: they send alerts and are told when these are in the log."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._sent: list[dict[str, Any]] = []

    def alert(self) -> None:
        """Send an alert: a new one, mostly."""
        people, chance = self._people, self._people.chance
        if self._sent and chance.random() < ALERT_AGAIN:
            again = chance.choice(self._sent)
            if chance.random() < ALERT_CORRECTED:
                again = {**again, "text": f"more is known: {people.number()}"}
            self._send(again)
            return
        area_id = chance.choice(city.AREAS)
        lon, lat = city.somewhere(chance, area_id)
        alert: dict[str, Any] = {
            "alert_id": f"a{people.number()}",
            "area_id": area_id,
            "source": chance.choice(("police-110", "camera")),
            "category": chance.choice(CATEGORIES),
            "occurred_at": people.now(),
            "position": {"lon": lon, "lat": lat},
            "priority": chance.choice((1, 2, 2, 2, 3, 4)),
        }
        if chance.random() < TWO_NEEDED:
            alert["needed"] = 2
        if chance.random() < FOUND_BY_MEMBER:
            alert["reported_by"] = f"{area_id}-0"
        if self._sent and chance.random() < SAME_PLACE:
            alert["position"] = self._sent[-1]["position"]
            alert["category"] = self._sent[-1]["category"]
        self._send(alert)

    def _send(self, alert: dict[str, Any]) -> None:
        place = alert["position"]
        self._people.scenes[alert["alert_id"]] = (place["lon"], place["lat"])
        self._sent.append(alert)
        people, partition = self._people, None
        if people.bad(Kind.MALFORMED, MISPLACED_SHARE):
            partition = people.chance.randrange(people.plan.partitions)
        people.sender.send(
            "alerts", alert["area_id"], city.as_json(alert), partition=partition,
            acknowledged=people.accepted.add,
        )  # fmt: skip


class Desk:
    """An operator who now and then does something about an incident."""

    ABOUT_INCIDENTS: Final = (
        "cancel", "close", "reopen", "merge", "unmerge", "acknowledge", "acknowledge", "dispatch",
        "stand_down", "update",
    )  # fmt: skip

    def __init__(self, people: People) -> None:
        self._people = people

    def act(self) -> None:
        """Say something about an incident that is known."""
        people, chance = self._people, self._people.chance
        if not people.incidents:
            return
        known = [orjson.loads(raw.value or b"{}") for raw in people.incidents.values()]
        incident = chance.choice(known)
        area_id = incident["area_id"]
        action = chance.choice(self.ABOUT_INCIDENTS)
        said: dict[str, object] = {"incident_id": incident["incident_id"]}
        if action == "merge":
            others = [each["incident_id"] for each in known if each["area_id"] == area_id]
            said["into"] = chance.choice(others)
        elif action in {"dispatch", "stand_down"}:
            said["member_id"] = f"{area_id}-{chance.randrange(people.plan.members)}"
        elif action == "update":
            said["fields"] = {"priority": chance.choice((1, 2, 3))}
        self.word(area_id, action, **said)

    def word(self, area_id: str, action: str, **said: object) -> None:
        """Send an operator's word."""
        people = self._people
        value = {
            "action_id": f"d{people.number()}",
            "operator_id": "desk-1",
            "at": people.now(),
            "action": action,
            "reason": "as drawn",
            **said,
        }
        people.sender.send("operator_actions", area_id, city.as_json(value))


@dataclass
class Answer:
    """How a member takes one order; seconds of the day."""

    word: str | None
    answer_s: float
    turn_out_s: float
    says_en_route: bool
    says_arrived: bool
    handling_s: float


def draw_answer(chance: Random, *, healed: bool) -> Answer:
    """Draw how an order is taken."""
    accepts, declines = (0.95, 0.05) if healed else (0.75, 0.12)
    word = chance.choices(("accept", "decline", None), (accepts, declines, 1 - accepts - declines))
    return Answer(
        word=word[0],
        answer_s=min(60.0, chance.expovariate(1 / 8)),
        turn_out_s=min(60.0, chance.expovariate(1 / 15)),
        says_en_route=chance.random() < EN_ROUTE_SAID,
        says_arrived=chance.random() < ARRIVED_SAID,
        handling_s=20 + min(120.0, chance.expovariate(1 / 30)),
    )


class Device:
    """One member with a device: reads orders, answers, goes there, says where they are."""

    SPEED_MPS: Final = 5.0

    def __init__(self, people: People, entry: Mapping[str, Any]) -> None:
        self._people = people
        self.member_id: str = entry["member_id"]
        self.area_id: str = entry["area_id"]
        self.device_id: str = entry["device_ids"][0]
        self.place = city.somewhere(people.chance, self.area_id)
        self.silent = False
        self._order: Mapping[str, Any] | None = None
        self._goal: LonLat | None = None
        self._seen: set[str] = set()
        self._moved_ms = people.loop.now_ms()

    # --- orders

    def take(self, order: Mapping[str, Any]) -> None:
        """Read a record of ``dispatches``; one seen before, by id and state, is dropped."""
        name = f"{order['dispatch_id']}:{order['state']}"
        if name in self._seen:
            return
        self._seen.add(name)
        mine = self._order is not None and self._order["dispatch_id"] == order["dispatch_id"]
        if order["state"] == "ended":
            if mine:
                self._order, self._goal = None, None
            if self._people.bad(Kind.BAD_ANSWER, 0.5):
                self._say_late(order)
        else:
            self._ordered(order)

    def _ordered(self, order: Mapping[str, Any]) -> None:
        people = self._people
        self._order, self._goal = order, None
        answer = draw_answer(people.chance, healed=people.healed)
        if answer.word is not None:
            people.after(answer.answer_s, self._answer, order, answer)

    def _say_late(self, order: Mapping[str, Any]) -> None:
        people = self._people
        action = people.chance.choice(("accept", "complete", "arrive"))
        people.after(people.chance.random() * 30, self._word, order, action)

    def _answer(self, order: Mapping[str, Any], answer: Answer) -> None:
        if self._order is not order or answer.word is None:
            return
        self._word(order, answer.word)
        if answer.word == "accept":
            self._people.after(answer.turn_out_s, self._set_out, order, answer)
        else:
            self._order = None

    def _set_out(self, order: Mapping[str, Any], answer: Answer) -> None:
        if self._order is not order:
            return
        if self._people.bad(Kind.SILENT_MEMBER, 0.7):
            self.silent = True
        if answer.says_en_route:
            self._word(order, "en_route")
        self._goal = self._people.scenes.get(order["alert_id"], self.place)
        self._move()
        self._look(order, answer)

    def _look(self, order: Mapping[str, Any], answer: Answer) -> None:
        """Go on until there, then handle what there is."""
        if self._order is not order:
            return
        self._move()
        if self.place != self._goal:
            self._people.after(5, self._look, order, answer)
            return
        if answer.says_arrived:
            self._word(order, "arrive")
        if self._people.chance.random() < BACKUP_ASKED:
            self._word(order, "request_backup")
        self._people.after(answer.handling_s, self._complete, order)

    def _complete(self, order: Mapping[str, Any]) -> None:
        if self._order is not order:
            return
        if self.silent:
            self._people.after(10, self._complete, order)
            return
        self._word(order, "complete", outcome="settled")

    def _word(self, order: Mapping[str, Any], action: str, **said: object) -> None:
        """Say something about an order; and again, and wrongly, where that is drawn."""
        people = self._people
        if self.silent:
            return
        area_id = order["area_id"]
        about: dict[str, object] = {"dispatch_id": order["dispatch_id"], **said}
        value = people.say(area_id, self.member_id, action, **about)
        if not people.bad(Kind.BAD_ANSWER, 0.5):
            return
        wrong = people.chance.randrange(4)
        delay_s = people.chance.random() * 20
        match wrong:
            case 0:
                people.after(delay_s, people.say_again, area_id, value)
            case 1:
                again = partial(people.say, area_id, self.member_id, action, **about)
                people.after(delay_s, again)
            case 2:
                others = {f"{area_id}-{n}" for n in range(people.plan.members)} - {self.member_id}
                somebody = people.chance.choice([f"{area_id}-9", "nobody", *sorted(others)])
                people.say(area_id, somebody, action, forbidden=True, **about)
            case _:
                unknown = {**about, "dispatch_id": f"d-{people.number()}"}
                people.say(area_id, self.member_id, action, forbidden=True, **unknown)

    # --- positions

    def _move(self) -> None:
        now_ms = self._people.loop.now_ms()
        gone_s = (now_ms - self._moved_ms) / 1000
        self._moved_ms = now_ms
        if self._goal is not None:
            by_m = gone_s * self.SPEED_MPS * self._people.plan.speed
            self.place = city.towards(self.place, self._goal, by_m)

    def fix(self) -> dict[str, Any] | None:
        """Give a position as the device sends it; None where it says nothing."""
        if self.silent:
            return None
        self._move()
        people, chance = self._people, self._people.chance
        lon, lat = self.place
        fix: dict[str, Any] = {"lon": lon, "lat": lat, "fix_time": people.now()}
        whose = "member_id" if chance.random() < BY_MEMBER_ID else "device_id"
        fix[whose] = self.member_id if whose == "member_id" else self.device_id
        if chance.random() < ACCURACY_STATED:
            fix["accuracy_m"] = round(chance.expovariate(1 / 10), 1)
        if not people.healed and chance.random() < ALARM_RAISED:
            fix["alarm"] = "sos"
            people.scenes[f"alarm:{self.member_id}:{fix['fix_time']}"] = self.place
        if people.bad(Kind.BAD_POSITION, 0.3):
            self._forge(fix)
        return fix

    def _forge(self, fix: dict[str, Any]) -> None:
        people, chance = self._people, self._people.chance
        wrong = chance.randrange(5)
        match wrong:
            case 0:
                fix["fix_time"] = rfc3339(people.loop.now_ms() - 600_000)
            case 1:
                fix["fix_time"] = rfc3339(people.loop.now_ms() + 3_600_000)
            case 2:
                fix["lon"], fix["lat"] = city.somewhere(chance, chance.choice(city.AREAS))
            case 3:
                fix.pop("member_id", None)
                fix["device_id"] = "device-unknown"
            case _:
                fix["accuracy_m"], fix["speed_mps"] = 0.0, 900.0


class Gateway:
    """Hands orders to the devices, and their positions to the topic."""

    EVERY_S: Final = 12.0

    def __init__(self, people: People, entries: list[city.Entry]) -> None:
        self._people = people
        self.devices = {each["member_id"]: Device(people, each) for each in entries}
        self._epochs: dict[str, int] = {}
        for number, area_id in enumerate(city.AREAS):
            people.after(self.EVERY_S * (number + 1) / len(city.AREAS), self._report, area_id)

    def hire(self, entry: city.Entry) -> None:
        """Give a new member a device."""
        self.devices.setdefault(entry["member_id"], Device(self._people, entry))

    def on_order(self, raw: Raw) -> None:
        """Read a record of ``dispatches`` some time after it was written; sometimes twice."""
        link = self._people.sender.link
        value = raw.value
        self._people.loop.later(link.latency_ms() + 20, self._hand_over, value)
        if self._people.bad(Kind.DUPLICATE, 0.3):
            self._people.loop.later(link.latency_ms() + 2_000, self._hand_over, value)

    def _hand_over(self, value: bytes | None) -> None:
        order = orjson.loads(value or b"{}")
        area_id, epoch = order["area_id"], order["epoch"]
        if epoch < self._epochs.get(area_id, epoch):
            return
        self._epochs[area_id] = epoch
        device = self.devices.get(order["member_id"])
        if device is not None:
            device.take(order)

    def _report(self, area_id: str) -> None:
        people = self._people
        people.after(self.EVERY_S, self._report, area_id)
        mine = [each for each in self.devices.values() if each.area_id == area_id]
        fixes = [fix for fix in (each.fix() for each in mine) if fix is not None]
        if not fixes:
            return
        if people.chance.random() < ALONE_SENT:
            for fix in fixes:
                people.sender.send("positions", area_id, city.as_json(fix))
        else:
            if not people.healed and people.chance.random() < SPOILT_SHARE:
                fixes += [{"member_id": f"{area_id}-0", "lon": 500 + n, "lat": 0} for n in range(3)]
            value = {"area_id": area_id, "batch": fixes}
            people.sender.send("positions", area_id, city.as_json(value))

    def wake(self) -> None:
        """Let everybody speak again."""
        for device in self.devices.values():
            device.silent = False
