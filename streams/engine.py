"""All areas of one partition: raw records in, decisions and publications out.

This is where the pure core meets the topics: it decodes, finds the area, asks ``dispatch`` and
renders what follows. It does no I/O and knows no clock; a lane drives it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Final

import msgspec
import numpy as np
import structlog
from msgspec import structs

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.answers import ABOUT_DUTY, TO_AN_ORDER
from xiaohe.dispatch.deadlines import RETRY
from xiaohe.dispatch.decide import Decision, decide, decide_aside, decide_fix, decide_glimpse
from xiaohe.dispatch.filling import FILLED_AGAIN_MAX
from xiaohe.dispatch.inputs import Alert, Cause, Fix, MemberAction, Received, WakeUp
from xiaohe.dispatch.policy import Policy
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.roster import Member, Roster
from xiaohe.dispatch.snapshot import bodies, from_rows, heads, stale, without
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.times import BadTime, parse_rfc3339
from xiaohe.dispatch.tracking import alarm_of, concerned
from xiaohe.dispatch.world import RoadMap, Watch, World
from xiaohe.geo.live import LivePositions
from xiaohe.streams.decision_log import SNAPSHOT_PIECE_BYTES_MAX
from xiaohe.streams.due_rows import DueRow, DueRows
from xiaohe.streams.member_views import MemberViews
from xiaohe.streams.outputs import named, render
from xiaohe.streams.ports import (
    ALERTS,
    POSITIONS,
    WAKEUPS,
    Care,
    Publication,
    Raw,
    SnapshotPart,
    Step,
    WakeUpCall,
)
from xiaohe.streams.step_record import (
    Forward,
    Record,
    first_receipt_ms,
    forwarded,
    letter_publication,
    undecided_publications,
)
from xiaohe.streams.whose_fix import RefusedDevices, member_of, members_of
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec import dead_letter, decode_alert, decode_wakeup, digest_of
from xiaohe.wire.codec_actions import decode_member_action, decode_operator_action
from xiaohe.wire.codec_common import identifier_of
from xiaohe.wire.codec_positions import decode_positions
from xiaohe.wire.fix_columns import FixColumns
from xiaohe.wire.glimpse import glimpse_of
from xiaohe.wire.murmur2 import partition_of

_log = structlog.get_logger(__name__)

SPOKEN_ON_THE_SPOT: Final = TO_AN_ORDER | ABOUT_DUTY
"""Words of a member whose ``position`` is where they themselves are; of a report or a sighting
it is where something else is."""

DECODERS: Final[Mapping[str, Callable[..., object]]] = {
    ALERTS: decode_alert,
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


class AreaEngine:
    """The core of one partition (``ports.Core``)."""

    def __init__(self, partition: int, shared: Shared) -> None:
        self._partition = partition
        self._shared = shared
        self._areas: dict[str, _Area] = {}
        self._due = DueRows(self._holds)
        self._last_ms = 0
        self._refused_devices = RefusedDevices()
        self._early_retries: dict[tuple[str, str], int] = {}
        self._hashed: tuple[Raw, str | None] | None = None
        self._retries = DueRows(self._is_retry)
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
        if isinstance(received.body, WakeUp):
            if received.body.deadline == RETRY:
                self._early_retries.pop((area.state.area_id, received.body.incident_id), None)
            if _gave_up(area.state, received.body.incident_id, received.body.deadline):
                return (self._nothing(raw, at_ms, epoch),)
        if isinstance(received.body, MemberAction) and _may_speak(area.state, received.body):
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
        return Received(self._cause(raw), area_id, first_receipt_ms(raw), body)  # type: ignore[arg-type]  # one decoder a topic, all of Body

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
            _enrol(live, member)
        world = World(shared.policy, shared.roster, shared.roads, live, Watch())
        return _Area(state, world)

    def take_roads(self, roads: RoadMap) -> None:
        """Decide on another map from now on; members are matched to it from where they are."""
        self._shared = replace(self._shared, roads=roads)
        for area in self._areas.values():
            live = area.world.live.on(roads.snapper)
            area.world = replace(area.world, roads=roads, live=live)

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
        places = record.places if record.batched else (None,)

        def alone(at: int) -> Sequence[Step]:
            step = self._take_fix(raw, places[at], area, record.fixes[at], at_ms, epoch)
            return () if step is None else (step,)

        if isinstance(record.fixes, FixColumns):
            yield from self._take_columns(raw, area, record.fixes, at_ms, alone)
        else:
            for at in range(len(record.fixes)):
                yield from alone(at)

    def _take_columns(
        self,
        raw: Raw,
        area: _Area,
        fixes: FixColumns,
        at_ms: int,
        alone: Callable[[int], Sequence[Step]],
    ) -> Iterator[Step]:
        """Take many fixes: those from which something may follow ``alone``, in runs the others.

        A run ends before each fix that ``concerned`` names, and that is asked again after every
        decision. As nothing is decided within a run, nobody can see that its fixes are moved at
        once: decisions and live positions are those of one fix after the other, to the byte.
        Whose the fixes are can be asked before, for no fix hands a device to somebody else.
        """
        whose = members_of(self._shared.roster, area.state, fixes, at_ms)

        def deciding(since: int) -> Iterator[int]:
            if raw.replayed:
                return iter(())
            where = (fixes.lon, fixes.lat)
            return concerned(area.state, area.world, at_ms, whose, fixes.alarms, since, where)

        begin, end = 0, len(fixes)
        following = deciding(begin)
        while begin < end:
            at = next(following, end)
            for refused in self._move_run(raw, area, fixes, whose, range(begin, at)):
                yield from alone(refused)
            begin = at + 1
            for step in alone(at) if at < end else ():
                yield step
                following = deciding(begin)

    def _move_run(
        self, raw: Raw, area: _Area, fixes: FixColumns, whose: Sequence[str | None], run: range
    ) -> Sequence[int]:
        """Move the members of a run at once; give the places of the fixes that are nobody's."""
        member_ids = [each for each in whose[run.start : run.stop] if each is not None]
        chosen: slice | list[int] = slice(run.start, run.stop)
        nobodys: list[int] = []
        if len(member_ids) < len(run):
            chosen = [at for at in run if whose[at] is not None]
            nobodys = [at for at in run if whose[at] is None]
        if not member_ids:
            return nobodys
        area.world.live.move_many(
            member_ids,
            fixes.lon[chosen],
            fixes.lat[chosen],
            # A device's clock may be ahead; a fix is never newer than its receipt.
            np.minimum(fixes.fix_ms[chosen], first_receipt_ms(raw)),
            fixes.accuracy_m[chosen],
            fixes.speed_mps[chosen],
            fixes.course_deg[chosen],
        )
        self._views.touch_each(member_ids)
        return nobodys

    def _take_fix(
        self, raw: Raw, index: int | None, area: _Area, fix: Fix, at_ms: int, epoch: int
    ) -> Step | None:
        try:
            member_id = member_of(
                self._shared.roster, area.state, fix.member_id, fix.device_id, at_ms
            )
        except BadInput as bad:
            return self._refused_fix(raw, bad, index, fix, at_ms, epoch)
        received_ms = first_receipt_ms(raw)
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

    def _refused_fix(
        self, raw: Raw, bad: BadInput, index: int | None, fix: Fix, at_ms: int, epoch: int
    ) -> Step | None:
        if raw.replayed:
            return None
        device_id = fix.device_id if bad.reason is Reason.UNKNOWN_DEVICE else None
        if device_id is not None and not self._refused_devices.refuse(device_id, raw.timestamp_ms):
            return None
        placed = bad if index is None else bad.at_index(index)
        return self._dead_letter(raw, placed, at_ms, epoch, device_id=device_id)

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
        if self._hashed is None or self._hashed[0] is not raw:
            self._hashed = (raw, digest_of(raw.value))  # once for all bad objects of a batch
        digest = self._hashed[1]
        return dead_letter(cause, index, reason, detail, digest, at_ms, payload_head=head)

    def _nothing(self, raw: Raw, at_ms: int, epoch: int) -> Step:
        record = Record(cause=self._cause(raw), area_id=_area_of_key(raw.key), at_ms=at_ms)
        return Step(msgspec.to_builtins(record), self._apply(record, epoch))

    def _forward(self, raw: Raw, home: int, at_ms: int, epoch: int) -> Step:
        record = Record(cause=self._cause(raw), at_ms=at_ms, forward=Forward(partition=home))
        self._apply(record, epoch)  # what it gives is the same, still to be made of the original
        return Step(msgspec.to_builtins(record), (forwarded(raw, home),))

    # --- setting aside

    def refuse(self, raw: Raw, now_ms: int, epoch: int, detail: str, care: Care) -> Step:
        """Set an input aside that failed repeatedly; see ``ports.Core``.

        An alert, or an alarm in a record of positions, opens an incident for a person to decide,
        with as little as must be; a record of which not even that can be made is a dead letter.
        """
        at_ms = self._moment(raw, now_ms)
        ways: list[Callable[[], Record]] = []
        if care is Care.ASIDE:
            ways += [partial(self._aside, raw, at_ms, detail, bare=bare) for bare in (False, True)]
        if care is not Care.BLIND and raw.topic == ALERTS:
            ways.append(partial(self._barely, raw, at_ms))
        for less, way in enumerate(ways):
            try:
                record = way()
                return Step(msgspec.to_builtins(record), self._apply(record, epoch))
            except BadInput:
                break  # it is no alert: nobody is waiting for it
            except Exception:  # noqa: BLE001 - a person has to hear of the input all the same
                where = {"topic": raw.topic, "partition": raw.partition, "offset": raw.offset}
                _log.exception("set_aside_with_less", less=less, **where)
        return self._unlooked_at(raw, at_ms, epoch, detail)

    def _unlooked_at(self, raw: Raw, at_ms: int, epoch: int, detail: str) -> Step:
        wake_up = None
        with suppress(BadInput):  # of no deadline that anybody knows
            wake_up = _deadline_of(raw)
        record = Record(
            cause=self._cause(raw),
            at_ms=at_ms,
            dead_letter=self._letter(raw, Reason.FAILED_REPEATEDLY, detail, at_ms),
            given_up=None if wake_up is None else _row_of(wake_up),
            given_up_ms=None if wake_up is None else wake_up.due_ms,
        )
        return Step(msgspec.to_builtins(record), self._apply(record, epoch))

    def _barely(self, raw: Raw, at_ms: int) -> Record:
        """Open the incident of an alert by what it says at first sight. Raises BadInput where it
        says nothing, or its area is not known."""
        area_id = identifier_of(raw.key, "area_id")
        self._check_area(area_id)
        seen = glimpse_of(raw.value)
        if self._misrouted(raw) is not None:
            raise BadInput(Reason.FAILED_REPEATEDLY, "of another partition")
        area, received_ms = self._area(area_id), first_receipt_ms(raw)
        decision = decide_glimpse(area.state, seen, received_ms, at_ms)
        return Record(cause=self._cause(raw), decision=decision, area_id=area_id, at_ms=at_ms)

    def _aside(self, raw: Raw, at_ms: int, detail: str, *, bare: bool) -> Record:
        decision = None
        with suppress(BadInput):  # nobody knows what it says: the dead letter tells of it
            decision = self._decision_aside(raw, at_ms, bare=bare)
        letter = None
        if decision is None or raw.topic != ALERTS:
            letter = self._letter(raw, Reason.FAILED_REPEATEDLY, detail, at_ms)
        return Record(
            cause=self._cause(raw),
            decision=decision,
            area_id=_area_of_key(raw.key),
            at_ms=at_ms,
            dead_letter=letter,
        )

    def _decision_aside(self, raw: Raw, at_ms: int, *, bare: bool) -> Decision | None:
        """Give what a person has to know of an input that no rule could decide; None: nothing."""
        if raw.topic not in {ALERTS, WAKEUPS, POSITIONS} or self._misrouted(raw) is not None:
            return None
        if raw.topic == POSITIONS:
            calls = self._calls_for_help(raw, at_ms)
            if not calls:
                return None
            received, alarms = calls[0][0], [(member_id, alert) for _, member_id, alert in calls]
        else:
            received, alarms = self._received(raw), []
        if isinstance(received.body, WakeUp):
            self._early_retries.pop((received.area_id, received.body.incident_id), None)
        area = self._area(received.area_id)
        return decide_aside(area.state, received, alarms, at_ms, area.world, bare=bare)

    def _calls_for_help(self, raw: Raw, at_ms: int) -> list[tuple[Received, str, Alert]]:
        """Give the alarms in a record of positions, whose they are, and the alerts they make."""
        record = decode_positions(raw.key, raw.value, raw.headers)
        self._check_area(record.area_id)
        state, roster = self._area(record.area_id).state, self._shared.roster
        found: list[tuple[Received, str, Alert]] = []
        for fix in record.fixes:
            received = Received(self._cause(raw), record.area_id, first_receipt_ms(raw), fix)
            try:
                member_id = member_of(roster, state, fix.member_id, fix.device_id, at_ms)
            except BadInput:
                continue  # nobody of this area
            alert = alarm_of(record.area_id, member_id, fix, received.received_ms)
            if alert is not None:
                found.append((received, member_id, alert))
        return found

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
        if record.given_up is not None:
            self._give_up(*record.given_up, record.given_up_ms)
        if record.device_id is not None:
            self._refused_devices.note(record.device_id, record.at_ms)
        publications.extend(undecided_publications(record, self._shared.topic_names))
        return tuple(publications)

    def _give_up(self, area_id: str, incident_id: str, name: str, due_ms: int | None) -> None:
        """Call nobody for a deadline any more, as it stands.

        For an incident's retry it does not matter when it was due: it may have come early.
        """
        area = self._area(area_id)
        incident = area.state.incidents.get(incident_id)
        if incident is None:
            return
        as_named = {None, incident.due_ms(name)} if name != RETRY else {due_ms}
        if due_ms in as_named:
            deadlines = tuple(
                structs.replace(d, given_up=True) if d.name == name else d
                for d in incident.deadlines
            )
            incidents = area.state.incidents.insert(structs.replace(incident, deadlines=deadlines))
            area.state = replace(area.state, incidents=incidents)

    def basis(self) -> Mapping[str, str]:
        """Give the versions of what is decided on; see ``ports.Core``."""
        shared = self._shared
        return {
            "roster": shared.roster.version,
            "policy": shared.policy.version,
            "roads": shared.roads.version,
            "speed": str(shared.policy.speed),
        }

    def adopt(self, states: Mapping[str, AreaState]) -> None:
        """Go on from another folded state, with what is known of the positions: a replay does."""
        for area_id, area in self._areas.items():
            if area_id not in states:
                area.state = AreaState(area_id, self._shared.policy.mode_of(area_id))
        for area_id, state in states.items():
            self._area(area_id).state = state

    # --- deadlines

    def _note_deadlines(self, state: AreaState, decision: Decision) -> None:
        for fact in decision.facts:
            if isinstance(fact, f.DeadlineSet) and fact.due_ms is not None:
                self._note(DueRow(fact.due_ms, state.area_id, fact.incident_id, fact.deadline))

    def _note(self, row: DueRow) -> None:
        (self._retries if row.name == RETRY else self._due).add(row)

    def _holds(self, row: DueRow) -> bool:
        incident = self._areas[row.area_id].state.incidents.get(row.incident_id)
        if incident is None or incident.due_ms(row.name) != row.due_ms:
            return False
        return not incident.gave_up(row.name)

    def _is_retry(self, row: DueRow) -> bool:
        """Tell whether it is still to be tried again then, or earlier than it was to be."""
        early_ms = self._early_retries.get((row.area_id, row.incident_id))
        state = self._areas[row.area_id].state
        if row.incident_id not in state.wanting or _gave_up(state, row.incident_id, RETRY):
            return False
        return early_ms == row.due_ms or self._holds(row)

    def next_due_ms(self) -> int | None:
        """Give when the earliest open deadline is due; see ``ports.Core``."""
        both_ms = (self._due.next_ms(), self._retries.next_ms())
        return min((due_ms for due_ms in both_ms if due_ms is not None), default=None)

    def next_hold_ms(self) -> int | None:
        """Give when the earliest is due that later records wait for; see ``ports.Core``."""
        return self._due.next_ms()

    def due(self, now_ms: int) -> Sequence[WakeUpCall]:
        """Give every open deadline that is due; see ``ports.Core``."""
        both = (self._due.due(now_ms), self._retries.due(now_ms))
        return sorted(chain(*both), key=lambda call: call.due_ms)

    def newly_due(self, now_ms: int, *, holds: bool, again: bool = False) -> Iterator[WakeUpCall]:
        """Give deadlines, or retries, that were not given before; see ``ports.Core``."""
        rows = self._due if holds else self._retries
        if again:
            rows.give_again()
        return rows.newly_due(now_ms)

    def still_due(self, wake_up: Raw) -> bool:
        """Tell whether a wake-up's deadline is still open; see ``ports.Core``."""
        try:
            said = decode_wakeup(wake_up.key, wake_up.value, wake_up.headers)
        except BadInput:
            return False
        if said.area_id not in self._areas:
            return False
        row = DueRow(said.due_ms, said.area_id, said.incident_id, said.deadline)
        return self._is_retry(row) if row.name == RETRY else self._holds(row)

    def _retry_early(self) -> None:
        """Decide again at once what nobody could go to, the most urgent: the roster has changed."""
        for area_id in sorted(self._areas):
            for each in islice(self._areas[area_id].state.waiting, FILLED_AGAIN_MAX):
                if self._early_retries.get((area_id, each.incident_id)) != self._last_ms:
                    self._early_retries[area_id, each.incident_id] = self._last_ms
                    self._note(DueRow(self._last_ms, area_id, each.incident_id, RETRY))

    # --- what is known without being recorded

    def roster_changed(self, member_id: str, raw: Raw, *, tell: bool) -> None:
        """Take notice that a roster record was read: posts, views, and who may now be free.

        ``tell`` publishes it as an event of the area.
        """
        member = self._shared.roster.get(member_id)
        for area in self._areas.values():
            if member is not None and member.area_id == area.state.area_id:
                _enrol(area.world.live, member)
            else:
                area.world.live.forget(member_id)
        if member is None:
            self._views.gone(member_id, raw, tell=tell)
        elif not self._is_mine(member.area_id):
            self._views.forget(member_id)
        elif tell:
            self._views.roster_changed(member, raw, raw.timestamp_ms)
        self._retry_early()

    def tell(self, publications: Iterable[Publication]) -> None:
        """Publish with the next tick what was not decided here."""
        self._untold.extend(publications)

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
        """Give the folded state in pieces, and forget what is too old to matter; see
        ``ports.Core``."""
        return [part.body for part in self.snapshotting() if part is not None]

    def snapshotting(self) -> Iterator[SnapshotPart | None]:
        """Give the same bit by bit, while decisions go on; see ``ports.Core``."""
        for area in tuple(self._areas.values()):
            for row in stale(area.state, self._last_ms):
                if row is None:
                    yield None
                else:
                    area.state = without(area.state, row, self._last_ms)
        states = self.states()
        yield from _parts(chain(heads(states), bodies(states)))

    def restore(self, pieces: Sequence[bytes]) -> None:
        """Become what ``snapshot`` gave."""
        lines = (line for piece in pieces for line in piece.split(b"\n") if line)
        self._areas = {
            area_id: self._with_world(state) for area_id, state in from_rows(lines).items()
        }
        self._due.clear()
        self._retries.clear()
        self._early_retries.clear()
        for area_id, area in self._areas.items():
            for incident in area.state.incidents.under_way():
                for deadline in incident.deadlines:
                    row = DueRow(deadline.due_ms, area_id, incident.incident_id, deadline.name)
                    self._note(row)

    def replay_s(self) -> float:
        """Give how old a position may be that is still used; see ``ports.Core``."""
        return self._shared.policy.fix_s_max

    def states(self) -> Mapping[str, AreaState]:
        """Give the folded state of every area, for status pages and checks."""
        return {area_id: area.state for area_id, area in self._areas.items()}

    def worlds(self) -> Mapping[str, World]:
        """Give what is known of every area without being recorded, for checks."""
        return {area_id: area.world for area_id, area in self._areas.items()}


def _parts(rows: Iterable[bytes | None]) -> Iterator[SnapshotPart | None]:
    """Cut rows into pieces; the first is given before there is a moment for something else."""
    lines: list[bytes] = []
    size = 0
    begun = False
    for row in rows:
        full = row is not None and size + len(row) + 1 > SNAPSHOT_PIECE_BYTES_MAX
        if lines and (full or (row is None and not begun)):
            yield SnapshotPart(b"\n".join(lines), last=False)
            begun = True
            lines, size = [], 0
        if row is None:
            yield None
        else:
            lines.append(row)
            size += len(row) + 1
    yield SnapshotPart(b"\n".join(lines), last=True)


def roster_letter(raw: Raw, bad: BadInput, shared: Shared) -> Publication:
    """Make the dead letter of a bad roster record. It holds personal fields: no head is shown."""
    at_ms = raw.timestamp_ms
    cause = Cause(shared.topic_names[raw.topic], raw.partition, raw.offset)
    letter = dead_letter(cause, bad.index, bad.reason, bad.detail, digest_of(raw.value), at_ms)
    record = Record(cause=cause, at_ms=at_ms, dead_letter=letter)
    return letter_publication(record, shared.topic_names)


def _area_of_key(key: bytes | None) -> str | None:
    """Give the area that a bad record was for, where its key names one."""
    try:
        return identifier_of(key, "area_id")
    except BadInput:
        return None


def _deadline_of(raw: Raw) -> WakeUp | None:
    """Name the deadline of a wake-up that is not even to be closed."""
    if raw.topic != WAKEUPS:
        return None
    return decode_wakeup(raw.key, raw.value, raw.headers)


def _gave_up(state: AreaState, incident_id: str, name: str) -> bool:
    """Tell whether nobody is called for a deadline any more."""
    incident = state.incidents.get(incident_id)
    return incident is not None and incident.gave_up(name)


def _row_of(wake_up: WakeUp) -> tuple[str, str, str]:
    return wake_up.area_id, wake_up.incident_id, wake_up.deadline


def _reason(code: str) -> Reason:
    return next(reason for reason in Reason if reason.value == code)


def _may_speak(state: AreaState, action: MemberAction) -> bool:
    """Tell whether a member's word is about an order of theirs, or about no order."""
    if action.dispatch_id is None:
        return True
    held = state.holding.get(action.member_id)
    return held is not None and held.dispatch_id == action.dispatch_id


def _enrol(live: LivePositions, member: Member) -> None:
    live.enrol(member.member_id, member.travel_mode)
    if member.post is None:
        live.clear_post(member.member_id)
    else:
        live.set_post(member.member_id, member.post.lon, member.post.lat)
