"""The decoders of the input topics: taken exactly if the contract says so, else one BadInput.

The first byte of an input chooses its key and headers, the rest is the value.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any, Final

import msgspec

from tests.fuzz import judge
from tests.fuzz.judge import TooDeep, Unreadable, Verdict
from tests.fuzz.mutation import CANARY, JsonMutator
from tests.fuzz.target import Target
from xiaohe.dispatch.fingerprint import fingerprint
from xiaohe.dispatch.inputs import Alert, Fix, MemberAction, OperatorAction, RosterEntry, WakeUp
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.roster import Roster
from xiaohe.wire import codec
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec import Gone, PositionsRecord
from xiaohe.wire.codec_positions import decode_positions

KEY: Final = b"m1"
KIB: Final = 1024

Headers = Sequence[tuple[str, bytes | None]]
Envelope = tuple[bytes | None, Headers]

STRUCTURED: Final = b"application/cloudevents+json; charset=utf-8"

ODD_ENVELOPES: Final[tuple[Envelope, ...]] = (
    (None, ()),
    (b"", ()),
    (b"\xff\xfe", ()),
    (b'"m1"', ()),
    (b"m1\n", ()),
    (b"other", ()),
    (b"x" * 65, ()),
    (KEY, (("ce_id", b"\xff"), ("ce_specversion", b"1.0"))),
    (KEY, (("content-type", STRUCTURED),)),
    (KEY, (("Content-Type", b"application/cloudevents-batch+json"),)),
    (KEY, (("content-type", None), ("content-type", b"\xff"))),
)
PLAIN_ENVELOPES: Final = 53
"""Of 64 values of the first byte so many are the plain key and no headers."""

SHIFTS: Final = (
    {"start": "2026-11-23T08:00:00+08:00", "end": "2026-11-23T16:00:00+08:00"},
    {"days": ["mon", "sun"], "start": "22:00", "end": "06:00", "timezone": "Asia/Shanghai"},
    {"rrule": "FREQ=WEEKLY;BYDAY=MO", "start": "08:00", "end": "16:00", "timezone": "UTC"},
)

ALERTS: Final = (
    {
        "alert_id": "a-1", "area_id": "m1", "source": "app", "category": "fight",
        "occurred_at": "2026-11-23T09:15:02Z", "priority": 2, "text": "help", "needed": 1,
        "position": {"lon": 120.14, "lat": 30.31, "datum": "gcj02"}, "skills": ["first-aid"],
        "place": {"name": "market", "floor": "2"}, "confidence": 0.5, "evidence": ["x"],
        "drill": False, "origin": {"area_id": "hill", "incident_id": "i1"},
    },
    {
        "alert_id": "a-2", "source": "police-110", "category": "fire", "occurred_at": "?",
        "road_id": "小河路", "reported_by": "m1", "supersedes": "a-1", "forces": ["police"],
        "caller_id": "c", "callback": "t",
    },
    {
        "alert_id": "a-3", "area_id": "m1", "source": "camera", "category": "x",
        "occurred_at": "2026-11-23T09:15:02Z", "address": "somewhere",
        "position": {"lon": 200, "lat": 30},
    },
)  # fmt: skip
FIXES: Final = (
    {
        "member_id": "m1", "lon": 120.14, "lat": 30.31, "fix_time": "2026-11-23T09:15:02.123Z",
        "datum": "bd09", "accuracy_m": 8, "speed_mps": 2.5, "course_deg": 90, "seq": 4,
        "battery": 0.5, "alarm": "sos",
    },
    {"device_id": "d1", "lon": -71.06, "lat": 42.36, "fix_time": "2026-11-23T09:15:02+08:00",
     "speed_mps": -1, "course_deg": -1},
)  # fmt: skip
FIX: Final = {"member_id": "m1", "lon": 120, "lat": 30, "fix_time": "2026-11-23T09:15:02Z"}
BATCHES: Final = (
    {"area_id": "m1", "batch": [FIX | {"seq": n, "battery": 1.0} for n in range(3)]},
    {"batch": [*FIXES, *(FIX | {"member_id": f"m{n}", "datum": "gcj02"} for n in range(40))]},
)
MEMBER_ACTIONS: Final = (
    {
        "action_id": "x1", "member_id": "m1", "at": "now", "action": "accept", "dispatch_id": "d1",
        "position": {"lon": 120.14, "lat": 30.31}, "device_ids": ["d1"], "reason": "r",
    },
    {"action_id": "x2", "member_id": "m1", "at": "now", "action": "on_duty", "device_ids": ["d1"]},
    {"action_id": "x3", "member_id": "m1", "at": "now", "action": "report", "text": "seen",
     "outcome": "o", "position": {"lon": 1, "lat": 2, "datum": "wgs84"}},
)  # fmt: skip
OPERATOR_ACTIONS: Final = (
    {
        "action_id": "x1", "operator_id": "desk-1", "at": "now", "action": "update",
        "incident_id": "i1", "fields": {"priority": 1, "note": None, "list": [1.5]},
    },
    {"action_id": "x2", "operator_id": "desk-1", "at": "now", "action": "set_mode",
     "mode": "emergency", "reason": "r"},
    {"action_id": "x3", "operator_id": "desk-1", "at": "now", "action": "merge",
     "incident_id": "i1", "into": "i2", "member_id": "m1", "road_id": "r", "text": "t",
     "matter_id": "k1"},
)  # fmt: skip
ROSTER: Final = (
    {
        "member_id": "m1", "area_id": "x", "name": "Invented Person", "team": "t", "unit": "2/3",
        "rank": "squad_leader", "force": "police", "travel_mode": "walk", "skills": ["law"],
        "roads": [{"road_id": "r", "role": "owner"}, {"road_id": "s", "role": "team"}],
        "post": {"lon": 120.14, "lat": 30.31, "datum": "gcj02"}, "shifts": list(SHIFTS),
        "device_ids": ["d1"],
    },
    {"member_id": "m1", "area_id": "x", "name": "Invented", "team": "t", "travel_mode": "car"},
)  # fmt: skip
WAKEUPS: Final = ({"area_id": "m1", "incident_id": "i1", "deadline": "accept", "due_ms": 5},)

WORDS: Final = (
    *(*judge.ANSWERS, *judge.WORDS, *judge.NEEDS, "owner", "team", "sos", "fall", "peacetime"),
    *("member", "brigade_leader", "grid", "ebike", "car", "m1", "other", "specversion", "data"),
    *("deviceId", "fixTime", "batch", [], [FIX], [None], {"lon": 1, "lat": 2}, {"deviceId": 1}),
)

# --- what must hold


def envelope_of(chooser: int) -> Envelope:
    """Give the key and headers that the first byte of an input chooses."""
    at = chooser % 64 - PLAIN_ENVELOPES
    return (KEY, ()) if at < 0 else ODD_ENVELOPES[at]


def check_refusal(bad: BadInput) -> None:
    """A refusal has a code of the list, and a detail that can be printed and repeats nothing."""
    assert isinstance(bad.reason, Reason)
    assert bad.detail
    assert bad.detail.isprintable(), bad.detail
    assert len(bad.detail) < 500
    assert CANARY not in bad.detail, "a refusal repeats the sender's words"


def verdict_of(
    value: bytes,
    envelope: Envelope,
    bytes_max: int,
    field: str,
    says: Callable[[Any], Verdict],
    *,
    deep: Verdict = False,
) -> tuple[Verdict, dict[str, Any]]:
    """Give what the contract says of a record, and the object that it holds.

    ``deep`` is the verdict on what nests deeper than is read: the contract has no such limit.
    """
    key, headers = envelope
    if key is None or not judge.identifier(key.decode(errors="replace")):
        return False, {}
    kind = next((v for name, v in headers if name.lower() == "content-type"), b"") or b""
    if kind.startswith(b"application/cloudevents-batch"):
        return False, {}
    is_event = kind.startswith(b"application/cloudevents")
    try:
        found, is_deep = judge.read(value, bytes_max, is_event=is_event)
    except TooDeep:
        return deep, {}
    except Unreadable:
        return False, {}
    if found.get(field) not in (None, "", key.decode()):
        return False, found
    verdict = says(found)
    return (deep if is_deep and verdict is not False else verdict), found


def agrees(verdict: Verdict, *, accepted: bool) -> None:
    """What the contract says is what the decoder did."""
    assert verdict is not False or not accepted, "a wrong acceptance"
    assert verdict is not True or accepted, "a wrong refusal"


_fields = cache(msgspec.structs.fields)


def check_said(decoded: msgspec.Struct, found: Mapping[str, Any], *but: str) -> None:
    """Every field holds what the sender wrote there, or its default."""
    for field in _fields(type(decoded)):
        if field.name in but:
            continue
        stated, taken = found.get(field.name), getattr(decoded, field.name)
        if stated is None or (stated == "" and not field.required):
            assert taken == field.default or field.default is msgspec.NODEFAULT, field.name
        else:
            assert _same(plain(taken, stated), stated), f"{field.name}: {taken!r}"


def _same(taken: Any, stated: Any) -> bool:
    return taken == (float(stated) if isinstance(taken, float) else stated)


def plain(taken: Any, stated: Any) -> Any:
    """Give a decoded value as the JSON that it came from, as far as it can be told."""
    if isinstance(taken, msgspec.Struct) and isinstance(stated, dict):
        return {
            **stated,
            **{
                name: plain(getattr(taken, name), stated[name])
                for name in taken.__struct_fields__
                if stated.get(name) not in (None, "")
            },
        }
    if isinstance(taken, tuple) and isinstance(stated, list) and len(taken) == len(stated):
        return [plain(each, its) for each, its in zip(taken, stated, strict=True)]
    return taken


def check_place(decoded: Any, found: Any) -> None:
    """A place is where the sender said, or so near as another datum is."""
    if decoded is None:
        return
    assert -180 <= decoded.lon <= 180
    assert -90 <= decoded.lat <= 90
    assert decoded.datum == "wgs84"
    far = 0.02 if found.get("datum") in ("gcj02", "bd09") else 0.0
    assert abs(decoded.lon - found["lon"]) <= far
    assert abs(decoded.lat - found["lat"]) <= far


def check_again(decoded: Any, decode: Callable[..., Any], key: bytes | None) -> None:
    """What was taken, written again, is taken as the same."""
    encoded = msgspec.json.encode(decoded)
    if len(encoded) <= 8 * KIB:
        assert decode(key, encoded) == decoded


# --- the targets


def alerts(data: bytes) -> bool:
    """A record of ``alerts``."""
    envelope, value = envelope_of(data[0] if data else 0), data[1:]
    verdict, found = verdict_of(value, envelope, 16 * KIB, "area_id", judge.alert)
    try:
        alert = codec.decode_alert(envelope[0], value, envelope[1])
    except BadInput as bad:
        check_refusal(bad)
        agrees(verdict, accepted=False)
        return False
    agrees(verdict, accepted=True)
    assert isinstance(alert, Alert)
    said = judge.leniently_placed(found)
    check_said(alert, said, "area_id", "position", "needed")
    check_place(alert.position, said.get("position"))
    assert alert.needed is None or alert.needed == min(found["needed"], 50)
    assert len(fingerprint(alert)) == 64
    check_again(alert, codec.decode_alert, envelope[0])
    return True


def positions(data: bytes) -> bool:
    """A record of ``positions``, single or batched: each object by itself."""
    envelope, value = envelope_of(data[0] if data else 0), data[1:]
    verdict, found = verdict_of(value, envelope, 256 * KIB, "area_id", _positions, deep=None)
    try:
        record = decode_positions(envelope[0], value, envelope[1])
    except BadInput as bad:
        check_refusal(bad)
        agrees(verdict, accepted=False)
        return False
    agrees(verdict, accepted=True)
    assert isinstance(record, PositionsRecord)
    if verdict is None and not found:
        return True
    items = found.get("batch")
    assert record.batched == (items is not None)
    items = [found] if items is None else items
    assert len(record.fixes) + len(record.bad) == len(items)
    for at, fix in zip(record.places, record.fixes, strict=True):
        assert judge.fix(items[at], "m1") is True
        _check_fix(fix, items[at])
    for at, bad in record.bad:
        check_refusal(bad)
        assert bad.index == at
        assert judge.fix(items[at], "m1") is False
    return True


def _positions(found: dict[str, Any]) -> Verdict:
    position = found.get("position")
    if isinstance(position, dict) and ("deviceId" in position or "fixTime" in position):
        return None  # Traccar's own shape is told from a position with an unknown field, or not
    batch = found.get("batch")
    if batch is None:
        return judge.fix(found, "m1")
    return isinstance(batch, list) and 0 < len(batch) <= 1000


def _check_fix(fix: Fix, found: Mapping[str, Any]) -> None:
    check_said(fix, found, "lon", "lat", "fix_ms", "speed_mps", "course_deg")
    assert fix.fix_ms == judge.fix_ms(found["fix_time"])
    far = 0.02 if found.get("datum") in ("gcj02", "bd09") else 0.0
    assert abs(fix.lon - found["lon"]) <= far
    assert abs(fix.lat - found["lat"]) <= far
    assert -180 <= fix.lon <= 180
    assert -90 <= fix.lat <= 90
    assert fix.speed_mps == (float(found["speed_mps"]) if _states(found, "speed_mps", 0) else None)
    assert fix.course_deg is None or 0 <= fix.course_deg < 360
    assert (fix.course_deg is None) != (
        _states(found, "course_deg", -360) and found["course_deg"] != -1
    )
    for name in ("lon", "lat", "accuracy_m", "speed_mps", "course_deg", "battery"):
        value = getattr(fix, name)
        assert value is None or judge.is_number(value)


def _states(found: Mapping[str, Any], name: str, least: float) -> bool:
    return judge.said(found, name) and found[name] >= least


def member_actions(data: bytes) -> bool:
    """A record of ``member-actions``."""
    envelope, value = envelope_of(data[0] if data else 0), data[1:]
    verdict, found = verdict_of(value, envelope, 8 * KIB, "area_id", judge.member_action)
    try:
        action = codec.decode_member_action(envelope[0], value, envelope[1])
    except BadInput as bad:
        check_refusal(bad)
        agrees(verdict, accepted=False)
        return False
    agrees(verdict, accepted=True)
    assert isinstance(action, MemberAction)
    said = judge.leniently_placed(found) if action.action in judge.ANSWERS else found
    check_said(action, said, "position")
    check_place(action.position, said.get("position"))
    check_again(action, codec.decode_member_action, envelope[0])
    return True


def operator_actions(data: bytes) -> bool:
    """A record of ``operator-actions``."""
    envelope, value = envelope_of(data[0] if data else 0), data[1:]
    verdict, found = verdict_of(value, envelope, 8 * KIB, "area_id", judge.operator_action)
    try:
        action = codec.decode_operator_action(envelope[0], value, envelope[1])
    except BadInput as bad:
        check_refusal(bad)
        agrees(verdict, accepted=False)
        return False
    agrees(verdict, accepted=True)
    assert isinstance(action, OperatorAction)
    check_said(action, found, "fields")
    assert action.fields == (found.get("fields") or {})
    check_again(action, codec.decode_operator_action, envelope[0])
    return True


def roster(data: bytes) -> bool:
    """A record of ``roster``; what is taken can be put on the roster and asked for duty."""
    envelope, value = envelope_of(data[0] if data else 0), data[1:]
    verdict, found = verdict_of(value, envelope, 256 * KIB, "member_id", judge.roster)
    try:
        entry = codec.decode_roster(envelope[0], value, envelope[1])
    except BadInput as bad:
        check_refusal(bad)
        agrees(verdict, accepted=False)
        return False
    agrees(verdict, accepted=True)
    assert not isinstance(entry, Gone), "only a null value is a member gone"
    check_said(entry, found, "member_id", "post")
    check_place(entry.post, found.get("post"))
    check_again(entry, codec.decode_roster, envelope[0])
    _check_duty(entry)
    return True


AT_MS: Final = 1_795_425_302_123
HOUR_MS: Final = 3_600_000


def _check_duty(entry: RosterEntry) -> None:
    members = Roster()
    members.put(entry)
    on_shift = members.on_shift(entry.member_id, AT_MS)
    boundary_ms = members.next_boundary_ms(entry.member_id, AT_MS)
    assert boundary_ms is None or boundary_ms > AT_MS
    if boundary_ms is None or boundary_ms > AT_MS + HOUR_MS:
        assert members.on_shift(entry.member_id, AT_MS + HOUR_MS) == on_shift
    assert members.area_of(entry.member_id) == entry.area_id
    members.remove(entry.member_id)
    assert len(members) == 0


def wakeups(data: bytes) -> bool:
    """A record of the engine's wake-ups topic."""
    envelope, value = envelope_of(data[0] if data else 0), data[1:]
    verdict, found = verdict_of(value, envelope, 8 * KIB, "area_id", judge.wakeup)
    try:
        wakeup = codec.decode_wakeup(envelope[0], value, envelope[1])
    except BadInput as bad:
        check_refusal(bad)
        agrees(verdict, accepted=False)
        return False
    agrees(verdict, accepted=True)
    assert isinstance(wakeup, WakeUp)
    check_said(wakeup, found, "area_id")
    key, value = codec.encode_wakeup(wakeup)
    assert codec.decode_wakeup(key, value) == wakeup
    return True


class _Enveloped:
    """Mutates the value behind the first byte, and that byte now and then."""

    def __init__(self, samples: Sequence[Any]) -> None:
        self._json = JsonMutator(samples, WORDS)

    def __call__(self, data: bytes, rng: Random) -> bytes:
        """Give another input."""
        chooser = rng.randrange(256) if rng.random() < 0.1 else (data[0] if data else 0)
        return bytes([chooser]) + self._json(data[1:], rng)


def _target(run: Callable[[bytes], bool], samples: Sequence[Any], **how: Any) -> Target:
    seeds = [b"\x00" + msgspec.json.encode(sample) for sample in samples]
    return Target(run.__name__, run, seeds, _Enveloped(samples), **how)


TARGETS: Final = (
    _target(alerts, ALERTS, bytes_max=20_000, share=2.0, quick=25_000),
    _target(positions, (*FIXES, BATCHES[0]), share=1.0, quick=12_000),
    Target("batches", positions, [b"\x00" + msgspec.json.encode(b) for b in BATCHES],
           _Enveloped(BATCHES), bytes_max=16 * KIB, quick=2_000),
    _target(member_actions, MEMBER_ACTIONS, bytes_max=10_000, quick=20_000),
    _target(operator_actions, OPERATOR_ACTIONS, bytes_max=10_000, quick=15_000),
    _target(roster, ROSTER, share=2.0, quick=3_000),
    _target(wakeups, WAKEUPS, share=0.5, quick=20_000),
)  # fmt: skip
