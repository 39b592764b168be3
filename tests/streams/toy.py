"""A tiny core for the lanes' tests, the places where it can be killed, and an independent checker.

The toy numbers alerts: each opens a deadline and leads to one order. An answer received up to the
deadline is «accepted»; else the deadline is «overdue», and an answer after that is «late».
"""

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from xiaohe.streams.decision_log import SNAPSHOT_PIECE_BYTES_MAX
from xiaohe.streams.ports import (
    POSITIONS,
    WAKEUPS,
    Care,
    Core,
    Log,
    Publication,
    Raw,
    SnapshotPart,
    Step,
    WakeUpCall,
)

WINDOW_MS = 500
POISON = b"poison"


class ToyCore:
    """All areas of one partition."""

    def __init__(self, partition: int, poison: Callable[[Raw], bool] | None = None) -> None:
        self.partition = partition
        self.poison = poison or (lambda raw: raw.value == POISON)
        self.state: dict[str, Any] = {"seq": {}, "alerts": {}}
        self.due_heap: list[tuple[int, str]] = []
        self.members: dict[str, float] = {}
        self.replayed: list[int] = []
        self.order: list[tuple[str, int]] = []
        self.ticks = 0

    def take(self, raw: Raw, now_ms: int, epoch: int) -> Sequence[Step]:
        """Decide one input; raises on a poisonous one."""
        if self.poison(raw):
            raise ValueError("the toy cannot take this")
        if raw.replayed:
            self.replayed.append(raw.offset)
        else:
            self.order.append((raw.topic, raw.offset))
        area = (raw.key or b"").decode()
        body = json.loads(raw.value) if raw.value else {}
        if raw.topic == POSITIONS:
            return self._positions(area, body, raw, epoch)
        return [self._step(self._decide(area, body, raw), epoch)]

    def _positions(self, area: str, body: dict, raw: Raw, epoch: int) -> list[Step]:
        steps = []
        for fix in body.get("batch", []):
            self.members[fix["member"]] = fix["lon"]
            alert_id = f"alarm:{fix['member']}:{fix.get('alarm')}"
            if fix.get("alarm") and not raw.replayed and alert_id not in self.state["alerts"]:
                steps.append(self._step(self._open(area, alert_id, raw), epoch))
        return steps

    def _decide(self, area: str, body: dict, raw: Raw) -> dict[str, Any]:
        known = self.state["alerts"].get(body.get("alert_id"))
        if raw.topic == "alerts" and known is None and body:
            return self._open(area, body["alert_id"], raw, body.get("window_ms", WINDOW_MS))
        if raw.topic == "member_actions" and known is not None:
            answer = {"open": "accepted", "overdue": "late"}.get(known["state"])
            if answer:
                return {"type": answer, "area": known["area"], "alert_id": body["alert_id"]}
        if raw.topic == WAKEUPS and known is not None and known["state"] == "open":
            due = {"type": "overdue", "area": known["area"], "alert_id": body["alert_id"]}
            return {**due, "due_ms": known["due_ms"]}
        return {"type": "nothing", "area": area}

    def _open(self, area: str, alert_id: str, raw: Raw, window_ms: int = WINDOW_MS) -> dict:
        due_ms = raw.timestamp_ms + window_ms
        return {"type": "opened", "area": area, "alert_id": alert_id, "due_ms": due_ms}

    def refuse(self, raw: Raw, now_ms: int, epoch: int, detail: str, care: Care) -> Step:
        """Record that an input failed."""
        area = (raw.key or b"").decode()
        where = {"topic": raw.topic, "partition": raw.partition, "offset": raw.offset}
        closes = json.loads(raw.value).get("alert_id") if raw.topic == WAKEUPS else None
        record = {"type": "failed", "area": area, "alert_id": closes, **where, "detail": detail}
        return self._step(record, epoch)

    def _step(self, record: dict[str, Any], epoch: int) -> Step:
        return Step(record, self.fold(record, epoch))

    def fold(self, record: Mapping[str, Any], epoch: int) -> tuple[Publication, ...]:
        """Evolve by a record and render what follows."""
        kind, area = record["type"], record["area"]
        alerts = self.state["alerts"]
        if kind == "nothing":
            return ()
        if kind == "failed":
            alerts.pop(record["alert_id"], None)
            value = json.dumps(dict(record)).encode()
            return (Publication("dead_letters", 2, record["topic"].encode(), value),)
        seq = self.state["seq"][area] = self.state["seq"].get(area, 0) + 1
        if kind == "opened":
            alerts[record["alert_id"]] = {
                "state": "open", "area": area, "due_ms": record["due_ms"], "n": seq,
            }  # fmt: skip
            heapq.heappush(self.due_heap, (record["due_ms"], record["alert_id"]))
        else:
            alerts[record["alert_id"]]["state"] = kind
        return tuple(_render(record, area, seq, alerts[record["alert_id"]], epoch))

    def basis(self) -> Mapping[str, str]:
        """The toy knows nothing of the world."""
        return {}

    def next_due_ms(self) -> int | None:
        """The earliest open deadline."""
        while self.due_heap and not self._is_open(self.due_heap[0][1]):
            heapq.heappop(self.due_heap)
        return self.due_heap[0][0] if self.due_heap else None

    def next_hold_ms(self) -> int | None:
        """Every deadline of the toy is waited for."""
        return self.next_due_ms()

    def _is_open(self, alert_id: str) -> bool:
        return self.state["alerts"].get(alert_id, {}).get("state") == "open"

    def due(self, now_ms: int) -> Sequence[WakeUpCall]:
        """All open deadlines up to a time."""
        found = sorted(
            (due_ms, alert_id)
            for due_ms, alert_id in self.due_heap
            if due_ms <= now_ms and self._is_open(alert_id)
        )
        return [self._call(due_ms, alert_id) for due_ms, alert_id in found]

    def newly_due(self, now_ms: int, *, holds: bool, again: bool = False) -> Iterator[WakeUpCall]:
        """The toy gives all of them again, and has none that hold nothing."""
        return iter(self.due(now_ms) if holds else ())

    def still_due(self, wake_up: Raw) -> bool:
        """Whether a wake-up's deadline is still open."""
        body = json.loads(wake_up.value) if wake_up.value else {}
        known = self.state["alerts"].get(body.get("alert_id"), {})
        return known.get("state") == "open" and known["due_ms"] == body.get("due_ms")

    def _call(self, due_ms: int, alert_id: str) -> WakeUpCall:
        area = self.state["alerts"][alert_id]["area"].encode()
        value = json.dumps({"alert_id": alert_id, "due_ms": due_ms}).encode()
        return WakeUpCall(due_ms, area, value)

    def tick(self, now_ms: int, epoch: int) -> Sequence[Publication]:
        """Count the calls."""
        self.ticks += 1
        return ()

    def snapshot(self) -> Sequence[bytes]:
        """The state in three pieces."""
        whole = json.dumps(self.state).encode()
        third = min(len(whole) // 3 + 1, SNAPSHOT_PIECE_BYTES_MAX)
        return [whole[at : at + third] for at in range(0, len(whole), third)]

    def snapshotting(self) -> Iterator[SnapshotPart | None]:
        """The state as it is now, piece by piece; there is time for something else between."""
        *others, last = self.snapshot()
        for piece in others:
            yield SnapshotPart(piece, last=False)
            yield None
        yield SnapshotPart(last, last=True)

    def replay_s(self) -> float:
        """Two minutes of positions are of use."""
        return 120.0

    def restore(self, pieces: Sequence[bytes]) -> None:
        """Become what ``snapshot`` gave."""
        self.state = json.loads(b"".join(pieces))
        self.due_heap = [(a["due_ms"], i) for i, a in self.state["alerts"].items()]
        heapq.heapify(self.due_heap)


def _render(
    record: Mapping[str, Any], area: str, seq: int, alert: dict, epoch: int
) -> list[Publication]:
    event_id = f"{area}:{seq}"
    event = {**record, "event_id": event_id, "seq": seq, "epoch": epoch}
    key = area.encode()
    rendered = [Publication("incident_events", 0, key, json.dumps(event).encode())]
    if record["type"] == "opened":
        order = {"order_id": f"{area}:{alert['n']}", "alert_id": record["alert_id"]}
        rendered.append(Publication("dispatches", 1, key, json.dumps(order).encode()))
    state = {"alert_id": record["alert_id"], "state": alert["state"], "last_seq": seq}
    incident = record["alert_id"].encode()
    rendered.append(Publication("incidents", 2, incident, json.dumps(state).encode()))
    return rendered


class Gaps:
    """Counts the places where a worker can be killed, and calls ``kill`` at the n-th of one."""

    def __init__(self, kill: Callable[[], None], at: str = "", nth: int = 1) -> None:
        self.kill = kill
        self.at = at
        self.nth = nth
        self.seen: Counter[str] = Counter()

    def hit(self, name: str) -> None:
        """Come past a place."""
        self.seen[name] += 1
        if name == self.at and self.seen[name] == self.nth:
            self.kill()

    def ack(self, inner: Callable[[object], None]) -> Callable[[object], None]:
        """An acknowledgement that is a place, too."""

        def acked(ack: object) -> None:
            inner(ack)
            self.hit("acked")

        return acked


class GapCore:
    """A core that says when it has decided and folded."""

    def __init__(self, core: Core, gaps: Gaps) -> None:
        self.inner = core
        self.gaps = gaps

    def __getattr__(self, name: str) -> Any:
        """All else is the inner one's."""
        return getattr(self.inner, name)

    def take(self, raw: Raw, now_ms: int, epoch: int) -> Sequence[Step]:
        """Decide one input; raises on a poisonous one."""
        steps = self.inner.take(raw, now_ms, epoch)
        if not raw.replayed:
            self.gaps.hit("decided")
        return steps

    def fold(self, record: Mapping[str, Any], epoch: int) -> tuple[Publication, ...]:
        """Evolve by a record and render what follows."""
        publications = self.inner.fold(record, epoch)
        self.gaps.hit("folded")
        return publications


class GapLog:
    """A log that says what has been written and published."""

    def __init__(self, log: Log, gaps: Gaps) -> None:
        self.inner = log
        self.gaps = gaps

    def __getattr__(self, name: str) -> Any:
        """All else is the inner one's."""
        return getattr(self.inner, name)

    async def append_decisions(self, partition: int, records: Sequence[bytes]) -> Sequence[Any]:
        """Append, a place before and after."""
        self.gaps.hit("appending")
        appended = await self.inner.append_decisions(partition, records)
        kind = json.loads(records[0].partition(b"\n")[0])["kind"]
        self.gaps.hit("fence_written" if kind == "fence" else "appended")
        return appended

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Publish stage by stage, a place after each."""
        if publications and publications[0].topic == WAKEUPS:
            await self.inner.publish(publications)
            self.gaps.hit("wakeup_written")
            return
        for stage in sorted({each.stage for each in publications}):
            await self.inner.publish([p for p in publications if p.stage == stage])
            self.gaps.hit(f"published_{stage}")
        self.gaps.hit("published_all")


ReadAll = Callable[[str], Sequence[Raw]]


def check(read_all: ReadAll, *, settled: bool = True) -> dict[str, int]:
    """Judge a run by its topics alone; returns what it counted, asserts what must hold."""
    expected = {json.loads(r.value)["alert_id"]: r for r in read_all("alerts") if _plain(r)}
    for raw in read_all(POSITIONS):
        for fix in json.loads(raw.value)["batch"]:
            if fix.get("alarm"):
                expected.setdefault(f"alarm:{fix['member']}:{fix['alarm']}", raw)
    orders, order_copies = _distinct(read_all("dispatches"), "order_id")
    ordered = Counter(order["alert_id"] for order in orders.values())
    assert set(ordered) == set(expected), set(ordered) ^ set(expected)
    assert max(ordered.values(), default=1) == 1, "an alert was ordered twice"
    events, _ = _distinct(read_all("incident_events"), "event_id")
    by_area: dict[str, list[int]] = defaultdict(list)
    for event in events.values():
        by_area[event["area"]].append(event["seq"])
    for area, seqs in by_area.items():
        assert sorted(seqs) == list(range(1, len(seqs) + 1)), f"a hole in {area}"
    if settled:
        _check_windows(expected, events.values(), read_all("member_actions"))
    return {"alerts": len(expected), "order_copies": order_copies, "events": len(events)}


def _plain(raw: Raw) -> bool:
    return bool(raw.value) and raw.value != POISON


def _distinct(raws: Sequence[Raw], name: str) -> tuple[dict[str, dict], int]:
    found: dict[str, dict] = {}
    copies = 0
    for raw in raws:
        value = json.loads(raw.value)
        copies += value[name] in found
        assert found.setdefault(value[name], value) == value, "one id, two contents"
    return found, copies


def _check_windows(
    expected: Mapping[str, Raw], events: Sequence[Any], answers: Sequence[Raw]
) -> None:
    story: dict[str, list[str]] = defaultdict(list)
    for event in sorted(events, key=lambda e: (e["area"], e["seq"])):
        story[event["alert_id"]].append(event["type"])
    due = {e["alert_id"]: e["due_ms"] for e in events if e["type"] == "opened"}
    answered: dict[str, list[int]] = defaultdict(list)
    for raw in answers:
        alert_id = json.loads(raw.value)["alert_id"]
        if raw.timestamp_ms >= expected[alert_id].timestamp_ms:
            answered[alert_id].append(raw.timestamp_ms)
    for alert_id in expected:
        in_time = any(at <= due[alert_id] for at in answered[alert_id])
        wanted = ["opened", "accepted"] if in_time else ["opened", "overdue"]
        if not in_time and answered[alert_id]:
            wanted.append("late")
        assert story[alert_id] == wanted, (alert_id, story[alert_id], due[alert_id], answered)


async def collect(records: AsyncIterator[Raw]) -> list[Raw]:
    """All of an asynchronous reading."""
    return [raw async for raw in records]
