"""All areas of one partition: raw records in, decisions and publications out.

This is where the pure core meets the topics: it decodes, finds the area, asks ``dispatch`` and
renders what follows. It does no I/O and knows no clock; a lane drives it.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

import msgspec

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.answers import ABOUT_DUTY, TO_AN_ORDER
from xiaohe.dispatch.deadlines import RETRY
from xiaohe.dispatch.decide import Decision, Refusal, decide, decide_fix
from xiaohe.dispatch.inputs import Cause, Fix, MemberAction, Received, WakeUp
from xiaohe.dispatch.policy import Policy
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.roster import Member, Roster
from xiaohe.dispatch.snapshot import from_rows, rows
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.times import BadTime, parse_rfc3339
from xiaohe.dispatch.world import RoadMap, Watch, World
from xiaohe.geo.live import LivePositions
from xiaohe.streams.bad_input import BadInput
from xiaohe.streams.codec import (
    dead_letter,
    dead_letter_id,
    decode_alert,
    decode_wakeup,
    encode_wakeup,
)
from xiaohe.streams.codec_actions import decode_member_action, decode_operator_action
from xiaohe.streams.codec_common import identifier_of
from xiaohe.streams.codec_positions import decode_positions
from xiaohe.streams.decision_log import SNAPSHOT_PIECE_BYTES_MAX
from xiaohe.streams.member_views import MemberViews
from xiaohe.streams.murmur2 import partition_of
from xiaohe.streams.outputs import VIEWS_STAGE, dead_letter_publication, named, render
from xiaohe.streams.ports import POSITIONS, WAKEUPS, Publication, Raw, Step, WakeUpCall

UNKNOWN_DEVICE_MS: Final = 3_600_000
"""One dead letter a device and hour, from the contract."""

FIRST_RECEIPT: Final = "xiaohe_received_ms"
"""Header of a forwarded record: when it was first received, ms."""

SPOKEN_ON_THE_SPOT: Final = TO_AN_ORDER | ABOUT_DUTY
"""Words of a member whose ``position`` is where they themselves are; of a report or a sighting
it is where something else is."""

DECODERS: Final[Mapping[str, Callable[..., object]]] = {
    "alerts": decode_alert,
    "member_actions": decode_member_action,
    "operator_actions": decode_operator_action,
    WAKEUPS: decode_wakeup,
}
"""How each deciding input is read, by its key in topics.yaml."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all engines of a worker have in common.

    ``topic_names`` gives the name of each topic on the cluster by its key in topics.yaml,
    ``personal`` the keys of those that hold personal fields.
    """

    policy: Policy
    roster: Roster
    roads: RoadMap
    topic_names: Mapping[str, str]
    personal: frozenset[str]
    partitions: int


@dataclass(slots=True)
class _Area:
    """One area: its folded state, and what is known of it without being recorded."""

    state: AreaState
    world: World


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the log keeps of one step: enough to publish it again."""

    cause: Cause
    decision: Decision | None = None
    area_id: str | None = None
    at_ms: int = 0
    dead_letter: dict[str, object] | None = None
    device_id: str | None = None
    forward: "Forward | None" = None


class Forward(msgspec.Struct, frozen=True, kw_only=True):
    """A record that lay in another partition than its key's."""

    partition: int
    key: str
    value: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Due:
    """The open deadlines of all areas, earliest first; rows that no longer hold are dropped."""

    heap: list[tuple[int, str, str, str]] = field(default_factory=list)

    def add(self, area_id: str, incident_id: str, name: str, due_ms: int) -> None:
        heappush(self.heap, (due_ms, area_id, incident_id, name))


class AreaEngine:
    """The core of one partition (``ports.Core``)."""

    def __init__(self, partition: int, shared: Shared) -> None:
        self._partition = partition
        self._shared = shared
        self._areas: dict[str, _Area] = {}
        self._due = _Due()
        self._last_ms = 0
        self._refused_devices: dict[str, int] = {}
        self._roster_moved = False
        self._untold: list[Publication] = []
        self._views = MemberViews(shared.roster, shared.topic_names)

    # --- deciding

    def take(self, raw: Raw, now_ms: int, epoch: int) -> Sequence[Step]:
        """Decide one input; see ``ports.Core``."""
        at_ms = self._moment(raw, now_ms)
        if raw.topic == POSITIONS:
            return tuple(self._take_positions(raw, at_ms, epoch))
        try:
            received = self._received(raw)
        except BadInput as bad:
            return (self._dead_letter(raw, bad, at_ms, epoch),)
        home = self._misrouted(raw)
        if home is not None:
            return (self._forward(raw, home, at_ms, epoch),)
        area = self._area(received.area_id)
        if isinstance(received.body, MemberAction):
            self._learn_place(area, received.body, received.received_ms)
        decision = decide(area.state, received, at_ms, area.world)
        return (self._step(raw, decision, epoch, received.cause),)

    def _moment(self, raw: Raw, now_ms: int) -> int:
        """Time never runs backwards in a partition, whatever the worker's clock does."""
        self._last_ms = max(self._last_ms, now_ms, raw.timestamp_ms)
        return self._last_ms

    def _received(self, raw: Raw) -> Received:
        body = DECODERS[raw.topic](raw.key, raw.value, raw.headers)
        assert raw.key is not None, "a decoder refuses a null key"
        area_id = raw.key.decode()
        self._check_area(area_id)
        assert not isinstance(body, str), "decoders give structs"
        return Received(self._cause(raw), area_id, _first_receipt_ms(raw), body)  # type: ignore[arg-type]  # one decoder a topic, all of Body

    def _check_area(self, area_id: str) -> None:
        shared = self._shared
        if (
            area_id not in self._areas
            and area_id not in shared.policy.areas
            and area_id not in shared.roads.network.area_ids
            and area_id not in shared.roster.areas()
        ):
            raise BadInput(
                Reason.UNKNOWN_AREA,
                f"area {area_id} is in neither policy, roads file nor roster: add it to one",
            )

    def _area(self, area_id: str) -> _Area:
        if area_id not in self._areas:
            state = AreaState(area_id, self._shared.policy.mode_of(area_id))
            self._areas[area_id] = self._with_world(state)
        return self._areas[area_id]

    def _with_world(self, state: AreaState) -> _Area:
        shared = self._shared
        live = LivePositions(shared.roads.snapper)
        for member in shared.roster.members(state.area_id).values():
            _set_post(live, member)
        world = World(shared.policy, shared.roster, shared.roads, live, Watch())
        return _Area(state, world)

    def _cause(self, raw: Raw) -> Cause:
        return Cause(self._shared.topic_names[raw.topic], raw.partition, raw.offset)

    def _misrouted(self, raw: Raw) -> int | None:
        """Give the partition where a record belongs, if that is another."""
        if raw.topic == WAKEUPS or raw.key is None:
            return None
        home = partition_of(raw.key, self._shared.partitions)
        return home if home != raw.partition else None

    def _learn_place(self, area: _Area, action: MemberAction, received_ms: int) -> None:
        """Take the place that came with a member's word as a fix of the moment they spoke."""
        home = self._shared.roster.area_of(action.member_id)
        if action.position is None or home != area.state.area_id:
            return
        if action.action not in SPOKEN_ON_THE_SPOT:
            return
        try:
            said_ms = parse_rfc3339(action.at)
        except BadTime:
            return
        lon, lat = action.position.lon, action.position.lat
        area.world.live.move(action.member_id, lon, lat, min(said_ms, received_ms))
        self._views.touch(action.member_id)

    # --- positions

    def _take_positions(self, raw: Raw, at_ms: int, epoch: int) -> Iterator[Step]:
        try:
            record = decode_positions(raw.key, raw.value, raw.headers)
            self._check_area(record.area_id)
        except BadInput as bad:
            if not raw.replayed:
                yield self._dead_letter(raw, bad, at_ms, epoch)
            return
        home = self._misrouted(raw)
        if home is not None:
            if not raw.replayed:
                yield self._forward(raw, home, at_ms, epoch)
            return
        if not raw.replayed:
            for index, bad_fix in record.bad:
                yield self._dead_letter(raw, bad_fix.at_index(index), at_ms, epoch)
        area = self._area(record.area_id)
        bad_at = {index for index, _ in record.bad}
        count = len(record.fixes) + len(record.bad)
        single = count == 1
        good_at = (index for index in range(count) if index not in bad_at)
        for index, fix in zip(good_at, record.fixes, strict=True):
            step = self._take_fix(raw, None if single else index, area, fix, at_ms, epoch)
            if step is not None and not raw.replayed:
                yield step

    def _take_fix(
        self, raw: Raw, index: int | None, area: _Area, fix: Fix, at_ms: int, epoch: int
    ) -> Step | None:
        member_id = self._member_of(area, fix, at_ms)
        if isinstance(member_id, BadInput):
            if self._was_refused(member_id, fix, raw.timestamp_ms):
                return None
            bad = member_id if index is None else member_id.at_index(index)
            return self._dead_letter(raw, bad, at_ms, epoch, device_id=fix.device_id)
        received_ms = _first_receipt_ms(raw)
        track = area.world.live.move(
            member_id,
            fix.lon,
            fix.lat,
            # A device's clock may be ahead; a fix is never newer than its receipt.
            min(fix.fix_ms, received_ms),
            accuracy_m=fix.accuracy_m,
            speed_mps=fix.speed_mps,
            course_deg=fix.course_deg,
        )
        self._views.touch(member_id)
        if raw.replayed:
            return None
        received = Received(self._cause(raw), area.state.area_id, received_ms, fix)
        decision = decide_fix(
            area.state, received, member_id, at_ms, area.world, moved=track is not None
        )
        return None if decision is None else self._step(raw, decision, epoch, received.cause)

    def _member_of(self, area: _Area, fix: Fix, at_ms: int) -> str | BadInput:
        """Give whose fix it is: stated, or by the device that they took or own."""
        member_id = fix.member_id
        if member_id is None:
            assert fix.device_id is not None, "a fix names a member or a device"
            member_id = self._taken_by(area.state, fix.device_id, at_ms)
            member_id = member_id or self._shared.roster.by_device(fix.device_id)
            if member_id is None:
                return BadInput(Reason.UNKNOWN_DEVICE, "give the device to a member in the roster")
        home = self._shared.roster.area_of(member_id)
        if home is None:
            return BadInput(Reason.UNKNOWN_MEMBER, f"the roster has no member {member_id}")
        if home != area.state.area_id:
            return BadInput(Reason.WRONG_AREA, f"{member_id} belongs to area {home}")
        return member_id

    def _taken_by(self, state: AreaState, device_id: str, at_ms: int) -> str | None:
        member_id = state.devices.get(device_id)
        word = state.duty.get(member_id) if member_id is not None else None
        if word is None or (word.until_ms is not None and at_ms >= word.until_ms):
            return None
        return member_id

    def _was_refused(self, bad: BadInput, fix: Fix, received_ms: int) -> bool:
        """Tell whether the device was refused within the hour: one dead letter is enough."""
        if bad.reason is not Reason.UNKNOWN_DEVICE or fix.device_id is None:
            return False
        last_ms = self._refused_devices.get(fix.device_id)
        if last_ms is not None and received_ms - last_ms < UNKNOWN_DEVICE_MS:
            return True
        self._refused_devices[fix.device_id] = received_ms
        return False

    # --- steps

    def _step(self, raw: Raw, decision: Decision, epoch: int, cause: Cause) -> Step:
        letter = None
        if decision.refusal is not None:
            refusal = decision.refusal
            letter = self._letter(raw, _reason(refusal.reason), refusal.detail, decision.at_ms)
        record = Record(
            cause=cause,
            decision=decision,
            area_id=decision.area_id,
            at_ms=decision.at_ms,
            dead_letter=letter,
        )
        return Step(msgspec.to_builtins(record), self._apply(record, epoch))

    def _dead_letter(
        self, raw: Raw, bad: BadInput, at_ms: int, epoch: int, device_id: str | None = None
    ) -> Step:
        record = Record(
            cause=self._cause(raw),
            area_id=_area_of_key(raw.key),
            at_ms=at_ms,
            dead_letter=self._letter(raw, bad.reason, bad.detail, at_ms, bad.index),
            device_id=device_id,
        )
        return Step(msgspec.to_builtins(record), self._apply(record, epoch))

    def _letter(
        self, raw: Raw, reason: Reason, detail: str, at_ms: int, index: int | None = None
    ) -> dict[str, object]:
        cause = self._cause(raw)
        head = None
        if self._shared.policy.keep_heads and raw.topic not in self._shared.personal:
            head = (raw.value or b"")[:256].decode(errors="replace")
        return dead_letter(cause, index, reason, detail, raw.value, at_ms, payload_head=head)

    def _forward(self, raw: Raw, home: int, at_ms: int, epoch: int) -> Step:
        first = (FIRST_RECEIPT, str(_first_receipt_ms(raw)).encode())
        kept = tuple((name, value) for name, value in raw.headers if name != FIRST_RECEIPT)
        forward = Forward(
            partition=home,
            key=b64encode(raw.key or b"").decode(),
            value=b64encode(raw.value or b"").decode(),
            headers=tuple((n, b64encode(v).decode()) for n, v in (*kept, first)),
        )
        record = Record(cause=self._cause(raw), at_ms=at_ms, forward=forward)
        return Step(msgspec.to_builtins(record), self._apply(record, epoch))

    def refuse(self, raw: Raw, now_ms: int, epoch: int, detail: str) -> Step:
        """Set an input aside that failed repeatedly; see ``ports.Core``."""
        at_ms = self._moment(raw, now_ms)
        decision = None
        if raw.topic == WAKEUPS:
            decision = self._closing(decode_wakeup(raw.key, raw.value, raw.headers), at_ms)
        record = Record(
            cause=self._cause(raw),
            decision=decision,
            area_id=decision.area_id if decision is not None else None,
            at_ms=at_ms,
            dead_letter=self._letter(raw, Reason.FAILED_REPEATEDLY, detail, at_ms),
        )
        return Step(msgspec.to_builtins(record), self._apply(record, epoch))

    def _closing(self, wake_up: WakeUp, at_ms: int) -> Decision:
        incident = self._area(wake_up.area_id).state.incidents.get(wake_up.incident_id)
        facts: tuple[f.Fact, ...] = ()
        if incident is not None and incident.due_ms(wake_up.deadline) is not None:
            facts = (
                f.DeadlineSet(
                    incident_id=wake_up.incident_id, deadline=wake_up.deadline, due_ms=None
                ),
            )
        return Decision(
            area_id=wake_up.area_id,
            at_ms=at_ms,
            received_ms=at_ms,
            facts=facts,
            refusal=Refusal(Reason.FAILED_REPEATEDLY.value, "set aside"),
        )

    def fold(self, record: Mapping[str, object], epoch: int) -> tuple[Publication, ...]:
        """Fold a recorded step; see ``ports.Core``."""
        return self._apply(msgspec.convert(record, Record), epoch)

    def _apply(self, record: Record, epoch: int) -> tuple[Publication, ...]:
        """Fold a step and render what it owes: the one way, first and at a replay."""
        publications: list[Publication] = []
        self._last_ms = max(self._last_ms, record.at_ms)
        if record.decision is not None:
            area = self._area(record.decision.area_id)
            by = named(record.decision, record.cause, epoch, self._shared.topic_names)
            area.state, rendered = render(area.state, record.decision, by)
            publications.extend(rendered)
            self._note_deadlines(area.state, record.decision)
            self._views.touch_all(record.decision)
        if record.dead_letter is not None:
            publications.append(self._letter_publication(record))
        if record.device_id is not None:
            self._refused_devices.setdefault(record.device_id, record.at_ms)
        if record.forward is not None:
            publications.append(self._forward_publication(record))
        return tuple(publications)

    def _letter_publication(self, record: Record) -> Publication:
        assert record.dead_letter is not None
        index = record.dead_letter["index"]
        names = self._shared.topic_names
        key = next(k for k, name in names.items() if name == record.cause.topic)
        return dead_letter_publication(
            record.dead_letter,
            topic_key=key,
            ce_id=dead_letter_id(record.cause, index if isinstance(index, int) else None),
            area_id=record.area_id,
            at_ms=record.at_ms,
            topic_names=names,
        )

    def _forward_publication(self, record: Record) -> Publication:
        forward = record.forward
        assert forward is not None
        names = self._shared.topic_names
        return Publication(
            topic=next(k for k, name in names.items() if name == record.cause.topic),
            stage=VIEWS_STAGE,
            key=b64decode(forward.key),
            value=b64decode(forward.value),
            headers=tuple((name, b64decode(value)) for name, value in forward.headers),
            partition=forward.partition,
        )

    # --- deadlines

    def _note_deadlines(self, state: AreaState, decision: Decision) -> None:
        for fact in decision.facts:
            if isinstance(fact, f.DeadlineSet) and fact.due_ms is not None:
                self._due.add(state.area_id, fact.incident_id, fact.deadline, fact.due_ms)

    def _holds(self, row: tuple[int, str, str, str]) -> bool:
        due_ms, area_id, incident_id, name = row
        incident = self._areas[area_id].state.incidents.get(incident_id)
        return incident is not None and incident.due_ms(name) == due_ms

    def next_due_ms(self) -> int | None:
        """Give when the earliest open deadline is due; see ``ports.Core``."""
        if self._roster_moved and any(area.state.wanting for area in self._areas.values()):
            return self._last_ms
        heap = self._due.heap
        while heap and not self._holds(heap[0]):
            heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now_ms: int) -> Sequence[WakeUpCall]:
        """Give every open deadline that is due; see ``ports.Core``."""
        calls: list[WakeUpCall] = []
        if self._roster_moved:
            self._roster_moved = False
            calls.extend(self._retries(now_ms))
        heap, rows_due = self._due.heap, []
        while heap and heap[0][0] <= now_ms:
            row = heappop(heap)
            if self._holds(row) and row not in rows_due:
                rows_due.append(row)
        for row in rows_due:
            heappush(heap, row)
            due_ms, area_id, incident_id, name = row
            calls.append(_call(area_id, incident_id, name, due_ms))
        return calls

    def _retries(self, now_ms: int) -> Iterator[WakeUpCall]:
        """Decide again at once what nobody could go to: the roster has changed."""
        for area_id in sorted(self._areas):
            for incident_id in sorted(self._areas[area_id].state.wanting):
                yield _call(area_id, incident_id, RETRY, now_ms)

    # --- what is known without being recorded

    def roster_changed(self, member_id: str, raw: Raw, *, tell: bool) -> None:
        """Take notice that a roster record was read: posts, views, and who may now be free.

        ``tell`` publishes it as an event of the area.
        """
        member = self._shared.roster.get(member_id)
        for area in self._areas.values():
            if member is not None and member.area_id == area.state.area_id:
                _set_post(area.world.live, member)
            else:
                area.world.live.forget(member_id)
        if member is None:
            self._views.gone(member_id, raw, tell=tell)
        elif not self._is_mine(member.area_id):
            self._views.forget(member_id)
        elif tell:
            self._views.roster_changed(member, raw, raw.timestamp_ms)
        self._roster_moved = True

    def roster_refused(self, raw: Raw, bad: BadInput) -> None:
        """Publish the dead letter of a bad roster record with the next tick."""
        letter = self._letter(raw, bad.reason, bad.detail, raw.timestamp_ms, bad.index)
        record = Record(cause=self._cause(raw), at_ms=raw.timestamp_ms, dead_letter=letter)
        self._untold.append(self._letter_publication(record))

    def _is_mine(self, area_id: str) -> bool:
        return partition_of(area_id.encode(), self._shared.partitions) == self._partition

    def tick(self, now_ms: int, epoch: int) -> Sequence[Publication]:
        """Publish the members' states that changed; see ``ports.Core``."""
        worlds = {
            area_id: (area.state, area.world) for area_id, area in sorted(self._areas.items())
        }
        untold, self._untold = self._untold, []
        return (*untold, *self._views.due(worlds, now_ms, epoch))

    # --- snapshots

    def snapshot(self) -> Sequence[bytes]:
        """Give the folded state in pieces; see ``ports.Core``."""
        pieces: list[bytes] = []
        lines: list[bytes] = []
        size = 0
        states = {area_id: area.state for area_id, area in self._areas.items()}
        for line in rows(states, self._last_ms):
            if lines and size + len(line) + 1 > SNAPSHOT_PIECE_BYTES_MAX:
                pieces.append(b"\n".join(lines))
                lines, size = [], 0
            lines.append(line)
            size += len(line) + 1
        pieces.append(b"\n".join(lines))
        return pieces

    def restore(self, pieces: Sequence[bytes]) -> None:
        """Become what ``snapshot`` gave."""
        lines = (line for piece in pieces for line in piece.split(b"\n") if line)
        self._areas = {
            area_id: self._with_world(state) for area_id, state in from_rows(lines).items()
        }
        self._due = _Due()
        for area_id, area in self._areas.items():
            for incident in area.state.incidents.values():
                for deadline in incident.deadlines:
                    self._due.add(area_id, incident.incident_id, deadline.name, deadline.due_ms)

    def states(self) -> Mapping[str, AreaState]:
        """Give the folded state of every area, for status pages and checks."""
        return {area_id: area.state for area_id, area in self._areas.items()}


def _first_receipt_ms(raw: Raw) -> int:
    """Give when a record was received, for a forwarded one when it was first received."""
    for name, value in raw.headers:
        if name == FIRST_RECEIPT and value.isdigit():
            return min(int(value), raw.timestamp_ms)
    return raw.timestamp_ms


def _area_of_key(key: bytes | None) -> str | None:
    """Give the area that a bad record was for, where its key names one."""
    try:
        return identifier_of(key, "area_id")
    except BadInput:
        return None


def _reason(code: str) -> Reason:
    return next(reason for reason in Reason if reason.value == code)


def _set_post(live: LivePositions, member: Member) -> None:
    if member.post is None:
        live.clear_post(member.member_id)
    else:
        live.set_post(member.member_id, member.post.lon, member.post.lat)


def _call(area_id: str, incident_id: str, name: str, due_ms: int) -> WakeUpCall:
    wake_up = WakeUp(area_id=area_id, incident_id=incident_id, deadline=name, due_ms=due_ms)
    key, value = encode_wakeup(wake_up)
    return WakeUpCall(due_ms, key, value)
