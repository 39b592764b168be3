"""Whatever bytes arrive: a decoder gives its type or raises BadInput, and never anything else."""

import json
import math
from copy import deepcopy

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xiaohe.dispatch.fingerprint import fingerprint
from xiaohe.dispatch.inputs import Alert, MemberAction, OperatorAction, RosterEntry, WakeUp
from xiaohe.dispatch.reasons import Reason
from xiaohe.wire import codec, codec_positions
from xiaohe.wire.codec import BadInput, Gone, PositionsRecord

KEY = b"m1"

GOOD = [
    {
        "alert_id": "a-1",
        "area_id": "m1",
        "source": "app",
        "category": "fight",
        "occurred_at": "2026-11-23T09:15:02Z",
        "priority": 2,
        "text": "help",
        "needed": 1,
        "position": {"lon": 120.14, "lat": 30.31, "datum": "gcj02"},
        "skills": ["first-aid"],
        "place": {"name": "market"},
        "confidence": 0.5,
        "evidence": ["x"],
        "drill": False,
        "origin": {"area_id": "hill", "incident_id": "i1"},
    },
    {
        "member_id": "m1",
        "lon": 120.14,
        "lat": 30.31,
        "fix_time": "2026-11-23T09:15:02.123Z",
        "datum": "bd09",
        "accuracy_m": 8,
        "speed_mps": 2.5,
        "course_deg": 90,
        "seq": 4,
        "battery": 0.5,
        "alarm": "sos",
    },
    {
        "area_id": "m1",
        "batch": [
            {"device_id": f"d{n}", "lon": 120, "lat": 30, "fix_time": "2026-11-23T09:15:02Z"}
            for n in range(3)
        ],
    },
    {
        "action_id": "x1",
        "member_id": "m1",
        "at": "now",
        "action": "accept",
        "dispatch_id": "d1",
        "position": {"lon": 120.14, "lat": 30.31},
        "device_ids": ["d1"],
    },
    {
        "action_id": "x1",
        "operator_id": "desk-1",
        "at": "now",
        "action": "update",
        "incident_id": "i1",
        "fields": {"priority": 1, "note": None},
    },
    {
        "member_id": "m1",
        "area_id": "x",
        "name": "Invented Person",
        "team": "t",
        "roads": [{"road_id": "r", "role": "owner"}],
        "post": {"lon": 120.14, "lat": 30.31},
        "shifts": [
            {"days": ["mon"], "start": "22:00", "end": "06:00", "timezone": "Asia/Shanghai"},
            {"rrule": "FREQ=DAILY", "start": "08:00", "end": "16:00", "timezone": "UTC"},
        ],
    },
    {"area_id": "m1", "incident_id": "i1", "deadline": "accept", "due_ms": 5},
]

DECODERS = [
    (codec.decode_alert, (Alert,), GOOD[:1]),
    (codec.decode_positions, (PositionsRecord,), GOOD[1:3]),
    (codec.decode_member_action, (MemberAction,), GOOD[3:4]),
    (codec.decode_operator_action, (OperatorAction,), GOOD[4:5]),
    (codec.decode_roster, (RosterEntry, Gone), GOOD[5:6]),
    (codec.decode_wakeup, (WakeUp,), GOOD[6:]),
]

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(2**63) - 1, 1e308, -0.0, math.nan, math.inf, -math.inf]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "\ud800", "\x00", "a\n", "小河", "9999-12-31T23:59:59Z", "x" * 5_000]),
    st.just([]),
    st.just({}),
)
JSON = st.recursive(
    ODD,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)
KEYS = st.sampled_from([KEY] * 9 + [None, b"\xff", b"other"])
HEADERS = st.sampled_from(
    [
        None,
        [],
        {},
        [("content-type", b"application/cloudevents+json")],
        [("ce_id", b"\xff")],
        [("Content-Type", b"application/cloudevents-batch+json")],
        [("content-type", None)],
    ]
)


@st.composite
def nearly_good(draw, records):
    """A good record in which a few things were changed, dropped or added, anywhere inside."""
    record = deepcopy(draw(st.sampled_from(records)))
    for _ in range(draw(st.integers(0, 3))):
        place = record
        while True:
            at = (
                draw(st.sampled_from(list(place)))
                if isinstance(place, dict)
                else draw(st.integers(0, len(place) - 1))
            )
            inner = place[at]
            if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
                break
            place = inner
        if isinstance(place, dict) and len(place) > 1 and draw(st.booleans()):
            del place[at]
        else:
            place[at] = draw(JSON)
    if draw(st.integers(0, 5)) == 0:
        record = {"specversion": "1.0", "data": record}
    return record


def values(records):
    """Values of a topic: sometimes noise, mostly one of its records with something wrong in it."""
    near = nearly_good(records)
    cut = st.integers(0, 200)
    return st.one_of(
        st.none() | st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
        near.map(lambda value: json.dumps(value).encode()),
        near.map(lambda value: json.dumps(value).encode()),
        near.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "ignore")),
        st.tuples(near, cut).map(lambda both: json.dumps(both[0]).encode()[: -both[1] or None]),
    )


def check_refusal(bad):
    """A refusal has a code of the list, and a detail that can be printed anywhere."""
    assert isinstance(bad.reason, Reason)
    assert bad.detail
    assert bad.detail.isprintable()
    assert len(bad.detail) < 500


def check_usable(value):
    """What came through can be written again, and every number in it is a number."""
    encoded = msgspec.json.encode(value)
    assert b"NaN" not in encoded
    assert "\ufffd" in encoded.decode() or encoded.decode().encode() == encoded
    if isinstance(value, Alert):
        assert len(fingerprint(value)) == 64


@pytest.mark.parametrize(
    ("decode", "types", "records"), DECODERS, ids=lambda v: getattr(v, "__name__", "")
)
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), key=KEYS, headers=HEADERS)
def test_any_bytes_are_an_input_or_a_bad_input(decode, types, records, data, key, headers):
    """No bytes, key or headers bring anything out of a decoder but its type or a BadInput."""
    value = data.draw(values(records))
    try:
        decoded = decode(key, value, headers)
    except BadInput as bad:
        check_refusal(bad)
        return
    assert isinstance(decoded, types)
    for each in decoded.fixes if isinstance(decoded, PositionsRecord) else (decoded,):
        if not isinstance(each, Gone):
            check_usable(each)


@settings(deadline=None, max_examples=400)
@given(value=values(GOOD[1:3]))
def test_the_quick_way_for_positions_gives_what_the_slow_way_gives(value):
    """A record that the quick way takes gives the same fixes when it is looked at one by one."""
    if value is None:
        return
    try:
        quick = codec_positions._decode_good_positions("m1", value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadInput):
        return
    found = codec_positions.read_object(value, len(value))
    assert codec_positions._decode_any_positions("m1", found) == quick


@pytest.mark.parametrize(
    ("decode", "types", "records"), DECODERS, ids=lambda v: getattr(v, "__name__", "")
)
def test_what_the_fuzzing_starts_from_is_good(decode, types, records):
    """The unchanged records are taken: the fuzzing does not only see refusals."""
    for record in records:
        assert isinstance(decode(KEY, json.dumps(record).encode()), types)
