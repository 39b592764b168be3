"""Records of the input topics to typed inputs: what is taken, what is refused, and with what code.

One table a decoder: a name, what is different from a good record, and the reason and the words
that the dead letter must have.
"""

import base64
import json
from hashlib import sha256

import pytest

from xiaohe.dispatch.inputs import Cause, Position, WakeUp
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import parse_rfc3339
from xiaohe.geo.datum import from_wgs84
from xiaohe.wire import codec
from xiaohe.wire.codec import BadInput, Gone

AREA = b"riverside"
AT_MS = parse_rfc3339("2026-11-23T09:15:02.123Z")

ALERT = {
    "alert_id": "a-1",
    "source": "police-110",
    "category": "fight",
    "occurred_at": "2026-11-23T09:15:02Z",
    "position": {"lon": 120.14, "lat": 30.31},
}
FIX = {"member_id": "m1", "lon": 120.14, "lat": 30.31, "fix_time": "2026-11-23T09:15:02.123Z"}
ANSWER = {
    "action_id": "x1",
    "member_id": "m1",
    "at": "now",
    "action": "accept",
    "dispatch_id": "d1",
}
ORDER = {
    "action_id": "x1",
    "operator_id": "desk-1",
    "at": "now",
    "action": "close_road",
    "road_id": "小河路",
}
ENTRY = {"member_id": "m1", "area_id": "riverside", "name": "Invented Person", "team": "一班"}

DECODERS = {
    "alert": (codec.decode_alert, ALERT),
    "position": (codec.decode_positions, FIX),
    "member action": (codec.decode_member_action, ANSWER),
    "operator action": (codec.decode_operator_action, ORDER),
}


def without(good, *names):
    """The record without some fields."""
    return {name: item for name, item in good.items() if name not in names}


def sent(value):
    """A value as a Python program would send it: NaN and Infinity become literals."""
    return value if isinstance(value, bytes) or value is None else json.dumps(value).encode()


def alert(value, key=AREA, headers=None):
    """Decode an alert."""
    return codec.decode_alert(key, sent(value), headers)


def positions(value, key=AREA, headers=None):
    """Decode a positions record."""
    return codec.decode_positions(key, sent(value), headers)


def refusal(decode, value, key=AREA, headers=None):
    """The BadInput that a value gives."""
    with pytest.raises(BadInput) as caught:
        decode(key, sent(value), headers)
    return caught.value


# --- what holds for every input


BROKEN_VALUES = [
    ("null", None, "null_value", "null value"),
    ("nothing", b"", "not_json", ""),
    ("no json", b"hello", "not_json", ""),
    ("cut off", b'{"a": 1', "not_json", ""),
    ("two values", b"{} {}", "not_json", ""),
    ("raw control character", b'{"text": "a\x01b"}', "not_json", ""),
    ("gbk", '{"text": "小河"}'.encode("gbk"), "not_utf8", "byte "),
    ("a list", b"[]", "wrong_type", "JSON object"),
    ("a text", b'"a"', "wrong_type", "JSON object"),
    ("NaN alone", b"NaN", "wrong_type", "JSON object"),
    ("lists without end", b"[" * 8_000, "too_deep", "levels"),
    ("objects without end", b'{"a":' * 1_500, "too_deep", "levels"),
    ("a field too deep", b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "too_deep", "levels"),
    ("an empty envelope", {"specversion": "1.0", "data": 1}, "bad_cloudevent", "data"),
    (
        "an envelope of noise",
        {"specversion": "1.0", "data_base64": "%"},
        "bad_cloudevent",
        "base64",
    ),
    ("an envelope of no json", {"specversion": "1.0", "data_base64": "YQ=="}, "not_json", ""),
]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("name", "value", "reason", "says"), BROKEN_VALUES, ids=lambda v: str(v)[:20]
)
def test_a_value_that_cannot_be_read_is_refused_by_its_fault(decoder, name, value, reason, says):
    """Every decoder gives the same code for the same broken value."""
    bad = refusal(DECODERS[decoder][0], value)
    assert bad.reason == reason
    assert says in bad.detail
    assert bad.index is None


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "null_key"),
        (b"", "null_key"),
        (b'"riverside"', "bad_identifier"),
        (b"riverside\n", "bad_identifier"),
        (b"\xff", "bad_identifier"),
        (b"a" * 65, "bad_identifier"),
        (b"elsewhere", "key_mismatch"),
    ],
)
def test_the_key_must_be_the_area(decoder, key, reason):
    """A null key, one that is no identifier, and one that the value contradicts are told apart."""
    decode, good = DECODERS[decoder]
    assert refusal(decode, good | {"area_id": "riverside"}, key).reason == reason


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_area_may_be_left_out_of_the_value_and_must_be_text(decoder):
    """An absent or null area_id is the key's; another type is a wrong type."""
    decode, good = DECODERS[decoder]
    decode(AREA, sent(good))
    decode(AREA, sent(good | {"area_id": None}))
    decode(AREA, sent(good | {"area_id": "riverside"}))
    assert refusal(decode, good | {"area_id": 7}).reason == Reason.WRONG_TYPE


@pytest.mark.parametrize("decoder", DECODERS)
def test_nothing_is_parsed_beyond_the_limit(decoder):
    """A value one byte over its limit is refused before anything looks into it."""
    decode, _ = DECODERS[decoder]
    limits = codec.Limits(100, 100, 100, 100)
    with pytest.raises(BadInput, match="oversize: the value has 101 bytes; at most 100"):
        decode(AREA, b"[" * 101, None, limits)
    with pytest.raises(BadInput, match=r"too_deep|not_json"):
        decode(AREA, b"[" * 100, None, limits)


def test_the_limits_are_the_contracts():
    """Alert 16 KiB, positions and roster 256 KiB, any other 8 KiB."""
    limits = codec.Limits()
    sizes = (
        limits.alert_bytes_max,
        limits.positions_bytes_max,
        limits.roster_bytes_max,
        limits.other_bytes_max,
    )
    assert sizes == (16_384, 262_144, 262_144, 8_192)


@pytest.mark.parametrize("decoder", DECODERS)
def test_unknown_fields_change_nothing_whatever_they_hold(decoder):
    """Text, NaN, huge numbers and lone surrogates in fields that nobody knows are passed over."""
    decode, good = DECODERS[decoder]
    odd = {"x": "y", "nan": float("nan"), "huge": 10**400, "half": "\ud83d", "deep": [[[1]]]}
    assert decode(AREA, sent(good | odd)) == decode(AREA, sent(good))


@pytest.mark.parametrize("decoder", DECODERS)
def test_an_envelope_changes_nothing(decoder):
    """Bare, in binary mode and in structured mode, the same data gives the same input."""
    decode, good = DECODERS[decoder]
    bare = decode(AREA, sent(good))
    envelope = {"specversion": "1.0", "id": "1", "source": "/x", "type": "t"}
    encoded = base64.b64encode(sent(good)).decode()
    structured = [("content-type", b"Application/CloudEvents+json; charset=UTF-8")]
    binary = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("content-type", b"application/json")]
    assert decode(AREA, sent(good), binary) == bare
    assert decode(AREA, sent(good), dict(binary)) == bare
    assert decode(AREA, sent(envelope | {"data": good}), structured) == bare
    assert decode(AREA, sent(envelope | {"data": good})) == bare
    assert decode(AREA, sent(envelope | {"data_base64": encoded})) == bare
    assert decode(AREA, sent({"data": good}), structured) == bare


@pytest.mark.parametrize("decoder", DECODERS)
def test_an_event_without_data_or_in_a_batch_is_refused(decoder):
    """Structured mode without data, and the batch mode that Kafka does not have."""
    decode, good = DECODERS[decoder]
    structured = [("content-type", b"application/cloudevents+json")]
    batched = [("content-type", b"application/cloudevents-batch+json")]
    assert refusal(decode, {"specversion": "1.0"}, AREA, structured).reason == "bad_cloudevent"
    assert refusal(decode, [good], AREA, batched).reason == "bad_cloudevent"


def test_of_a_key_that_occurs_twice_the_last_counts():
    """Duplicate keys are read as most JSON readers read them, in the quick way and the slow."""
    twice = sent(ALERT)[:-1] + b', "priority": 9, "priority": 3}'
    assert alert(twice).priority == 3
    twice = sent(FIX)[:-1] + b', "seq": "x", "seq": 3}'
    assert positions(twice).fixes[0].seq == 3


# --- alerts


def test_a_full_alert_is_read_field_by_field():
    """Everything that the contract names arrives under its name."""
    full = ALERT | {
        "area_id": "riverside",
        "road_id": "小河路",
        "address": "小河路 1 号",
        "priority": 1,
        "text": "two people\u0000\u001b[31m",
        "caller_id": "c",
        "callback": "t",
        "skills": ["first-aid"],
        "needed": 2,
        "forces": ["police"],
        "place": {"name": "market", "floor": "2"},
        "reported_by": "m1",
        "confidence": 0.5,
        "evidence": ["https://example.org/1"],
        "supersedes": "a-0",
        "drill": True,
        "origin": {"area_id": "hill", "incident_id": "i1"},
    }
    read = alert(full)
    assert read.position == Position(120.14, 30.31)
    assert read.text == "two people\u0000\u001b[31m"
    assert (read.needed, read.priority, read.drill) == (2, 1, True)
    assert (read.place.name, read.origin.area_id) == ("market", "hill")


def test_an_alert_with_half_an_emoji_is_read():
    """A lone surrogate, which cut-off text has, becomes a replacement character."""
    assert alert(b'{"text": "help \\ud83d",' + sent(ALERT)[1:]).text == "help \ufffd"


def test_a_byte_order_mark_is_passed_over():
    """Some Windows programs begin UTF-8 with one."""
    assert alert(b"\xef\xbb\xbf" + sent(ALERT)) == alert(ALERT)


@pytest.mark.parametrize(
    "odd",
    [
        {"occurred_at": "half past nine"},
        {"occurred_at": ""},
        {"occurred_at": "9999-12-31T23:59:59Z"},
        {"category": "never heard of"},
        {"source": "never-heard-of"},
        {"road_id": "no such road"},
        {"address": "nowhere at all"},
        {"position": {"lon": 0, "lat": 0}},
        {"position": {"lon": -180, "lat": 90}},
        {"position": {"lon": 200, "lat": 30}, "road_id": "小河路"},
        {"position": {"lon": 30, "lat": 120}, "address": "小河路 1 号"},
        {"position": {"lon": 1, "lat": 1, "datum": "mars"}, "address": "小河路 1 号"},
        {"position": None, "road_id": "小河路"},
        {"position": None, "road_id": "", "address": "x"},
        {"priority": None, "text": None, "skills": None, "drill": None, "place": {"name": None}},
        {"priority": 2.0, "needed": 1.0},
        {"needed": 1_000_000},
        {"text": "", "caller_id": "", "supersedes": ""},
    ],
    ids=str,
)
def test_a_person_in_need_is_never_a_dead_letter(odd):
    """Odd times, places, categories and empty fields do not keep an alert from being read."""
    read = alert(ALERT | odd)
    assert read.alert_id == "a-1"
    assert read.position is not None or read.road_id is not None or read.address is not None


def test_a_position_that_cannot_be_is_dropped_only_where_another_place_is_stated():
    """With a road the alert is kept without the position; alone it is out of range."""
    impossible = {"position": {"lon": 30, "lat": 120}}
    assert alert(ALERT | impossible | {"road_id": "小河路"}).position is None
    assert refusal(codec.decode_alert, ALERT | impossible).reason == "out_of_range"


def test_more_people_than_an_incident_may_have_are_as_many_as_it_may_have():
    """A very large ``needed`` is cut, not refused."""
    assert alert(ALERT | {"needed": 10**9}).needed == codec.NEEDED_MAX


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        ({"alert_id": None}, "missing_field", "alert_id"),
        ({"source": None}, "missing_field", "source"),
        ({"category": None}, "missing_field", "category"),
        ({"occurred_at": None}, "missing_field", "occurred_at"),
        ({"position": {"lon": 1}}, "missing_field", "position needs the field lat"),
        ({"occurred_at": 5}, "wrong_type", "occurred_at must be text"),
        ({"alert_id": 5}, "wrong_type", "alert_id"),
        ({"position": "120,30"}, "wrong_type", "position must be an object"),
        ({"position": {"lon": "120", "lat": 30}}, "wrong_type", "position.lon must be a number"),
        ({"priority": "1"}, "wrong_type", "priority must be a whole number"),
        ({"priority": 1.5}, "wrong_type", "priority must be a whole number"),
        ({"priority": True}, "wrong_type", "priority"),
        ({"skills": "first-aid"}, "wrong_type", "skills must be a list"),
        ({"skills": [1]}, "wrong_type", "skills[0] must be text"),
        ({"skills": [None]}, "wrong_type", "skills[0]"),
        ({"drill": "yes"}, "wrong_type", "drill must be true or false"),
        ({"place": {"name": 1}}, "wrong_type", "place.name"),
        ({"text": ["help"]}, "wrong_type", "text must be text"),
        ({"alert_id": "a b"}, "bad_identifier", "alert_id"),
        ({"alert_id": "-a"}, "bad_identifier", "alert_id"),
        ({"alert_id": "a\n"}, "bad_identifier", "alert_id"),
        ({"alert_id": ""}, "bad_identifier", "alert_id"),
        ({"alert_id": "a" * 65}, "bad_identifier", "alert_id"),
        ({"reported_by": "张三"}, "bad_identifier", "reported_by"),
        ({"category": ""}, "empty_text", "category is empty"),
        ({"category": "x" * 129}, "oversize", "category is longer than 128 characters"),
        ({"text": "x" * 4_001}, "oversize", "text is longer than 4000 characters"),
        ({"text": "x" * 20_000}, "oversize", "bytes"),
        ({"priority": 0}, "out_of_range", "priority must be >= 1"),
        ({"priority": 5}, "out_of_range", "priority must be <= 4"),
        ({"priority": 10**25}, "out_of_range", "priority"),
        ({"needed": 0}, "out_of_range", "needed"),
        ({"confidence": 1.1}, "out_of_range", "confidence"),
        ({"position": {"lon": 180.1, "lat": 30}}, "out_of_range", "position.lon must be <= 180"),
        ({"position": {"lon": float("nan"), "lat": 30}}, "not_finite", "position.lon"),
        ({"position": {"lon": 120, "lat": float("inf")}}, "not_finite", "position.lat"),
        ({"position": {"lon": float("nan"), "lat": 30}, "road_id": "r"}, "not_finite", "lon"),
        ({"confidence": float("nan")}, "not_finite", "confidence"),
        ({"needed": float("inf")}, "not_finite", "needed"),
        ({"position": {"lon": 1, "lat": 1, "datum": "mars"}}, "unknown_value", "position.datum"),
        ({"position": None}, "no_place", "position, road_id and address"),
        ({"position": None, "road_id": "", "address": ""}, "no_place", "position"),
    ],
    ids=str,
)
def test_a_bad_alert_is_told_by_code_and_field(change, reason, says):
    """Each way in which a field can be wrong has its code, and the detail names the field."""
    bad = refusal(codec.decode_alert, ALERT | change)
    assert (bad.reason, says in bad.detail) == (reason, True), bad.detail


@pytest.mark.parametrize(
    "number", [b"1e400", b"-1e400", b"NaN", b"Infinity", b"9" * 400, b"9" * 5000]
)
def test_a_number_beyond_floats_is_not_finite(number):
    """Literals that JSON allows but no float holds, and those that JSON does not allow."""
    value = sent(ALERT).replace(b"120.14", number)
    assert refusal(codec.decode_alert, value).reason == Reason.NOT_FINITE


def test_a_detail_never_repeats_what_a_field_holds():
    """Details go to a topic that many may read: the field is named, its content is not."""
    secret = "13800001111"
    changes = [
        {"alert_id": f"+{secret}"},
        {"position": {"lon": 1, "lat": 1, "datum": secret}},
        {"skills": [{secret: secret}]},
        {"category": secret * 20},
        {"drill": secret},
        {"place": {"name": {secret: 1}}},
        {"position": {"lon": secret, "lat": 1}},
    ]
    for change in changes:
        bad = refusal(codec.decode_alert, ALERT | change)
        assert secret not in bad.detail
        assert secret not in str(bad)


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_positions_come_out_in_wgs84(datum):
    """Whatever datum a position is sent in, the same place comes out, in every input."""
    lon, lat = from_wgs84(120.14, 30.31, datum)
    place = {"lon": lon, "lat": lat, "datum": datum}
    fix = positions(FIX | place).fixes[0]
    found = [
        alert(ALERT | {"position": place}).position,
        codec.decode_member_action(AREA, sent(ANSWER | {"position": place})).position,
        codec.decode_roster(b"m1", sent(ENTRY | {"post": place})).post,
        Position(fix.lon, fix.lat),
    ]
    for position in found:
        assert position.datum == "wgs84"
        assert (position.lon, position.lat) == pytest.approx((120.14, 30.31), abs=1e-7)


# --- positions


def test_a_single_position_is_one_fix():
    """All fields of a position arrive, the time as milliseconds."""
    read = positions(
        FIX
        | {
            "device_id": "d1",
            "accuracy_m": 8,
            "speed_mps": 2.5,
            "course_deg": 90,
            "seq": 4,
            "battery": 0.5,
            "alarm": "sos",
        }
    )
    (fix,) = read.fixes
    assert (read.area_id, read.bad) == ("riverside", ())
    assert (fix.member_id, fix.device_id, fix.fix_ms) == ("m1", "d1", AT_MS)
    assert (fix.accuracy_m, fix.speed_mps, fix.course_deg) == (8.0, 2.5, 90.0)
    assert (fix.seq, fix.battery, fix.alarm) == (4, 0.5, "sos")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"speed_mps": -1, "course_deg": -1}, (None, None)),
        ({"speed_mps": 0, "course_deg": 360}, (0.0, 0.0)),
        ({"speed_mps": None, "course_deg": -90}, (None, 270.0)),
    ],
)
def test_unknown_speed_and_course_are_left_out(change, expected):
    """Phones send -1 for «unknown»; courses come out from 0 up to 360 degrees."""
    (fix,) = positions(FIX | change).fixes
    assert (fix.speed_mps, fix.course_deg) == expected


BAD_FIXES = [
    ({"lon": None}, "missing_field", "lon"),
    ({"fix_time": None}, "missing_field", "fix_time"),
    ({"member_id": None}, "missing_field", "member_id or a device_id"),
    ({"member_id": ""}, "missing_field", "member_id or a device_id"),
    ({"lon": "120"}, "wrong_type", "lon"),
    ({"fix_time": 1_795_425_302}, "wrong_type", "fix_time"),
    ({"lon": float("nan")}, "not_finite", "lon"),
    ({"course_deg": float("inf")}, "not_finite", "course_deg"),
    ({"lat": 120.1, "lon": 30.3}, "out_of_range", "lat"),
    ({"accuracy_m": -1}, "out_of_range", "accuracy_m"),
    ({"battery": 71}, "out_of_range", "battery"),
    ({"seq": 2**63}, "out_of_range", "seq"),
    ({"member_id": "m 1"}, "bad_identifier", "member_id"),
    ({"fix_time": "yesterday"}, "bad_time", "fix_time"),
    ({"fix_time": "2026-11-23T09:15:02"}, "bad_time", "fix_time"),
    ({"fix_time": "9999-12-31T23:59:59Z"}, "bad_time", "fix_time"),
    ({"fix_time": "1980-01-06T00:00:00Z"}, "bad_time", "fix_time"),
    ({"datum": "mars"}, "unknown_value", "datum"),
    ({"area_id": 7}, "wrong_type", "area_id"),
]


@pytest.mark.parametrize(("change", "reason", "says"), BAD_FIXES, ids=str)
def test_a_bad_position_is_told_by_code_and_field(change, reason, says):
    """Alone, a bad position is the whole record's fault."""
    bad = refusal(codec.decode_positions, FIX | change)
    assert (bad.reason, says in bad.detail, bad.index) == (reason, True, None), bad.detail


def test_every_bad_position_of_a_batch_is_told_by_its_place_and_the_rest_counts():
    """One batch with every fault at once: each has its index, and the good ones are fixes."""
    batch = [FIX | change for change, _, _ in BAD_FIXES]
    good = [FIX | {"seq": 1}, FIX | {"seq": 2}]
    read = positions({"batch": [good[0], *batch, 5, {"area_id": "hill"} | FIX, good[1]]})
    assert [fix.seq for fix in read.fixes] == [1, 2]
    expected = [*(reason for _, reason, _ in BAD_FIXES), "wrong_type", "mixed_area"]
    assert [bad.reason for _, bad in read.bad] == expected
    assert [index for index, _ in read.bad] == list(range(1, len(batch) + 3))
    assert all(bad.index == index for index, bad in read.bad)


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ([], "empty_batch"),
        ([FIX] * 1_001, "batch_too_long"),
        ("m1", "wrong_type"),
        ({"0": FIX}, "wrong_type"),
        ([FIX | {"x": "y" * 300}] * 1_000, "oversize"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_batch_that_is_bad_as_a_whole_is_one_dead_letter(batch, reason):
    """Empty, too long, too large or no list: one refusal for the record."""
    assert refusal(codec.decode_positions, {"batch": batch}).reason == reason


def test_a_full_batch_is_taken():
    """1,000 positions are a record, in the quick way and in the slow."""
    assert len(positions({"batch": [FIX] * 1_000}).fixes) == 1_000
    slow = positions({"batch": [FIX] * 999 + [FIX | {"seq": 2.0}]})
    assert (len(slow.fixes), slow.fixes[-1].seq) == (1_000, 2)


def test_traccars_own_form_is_told_by_name():
    """Somebody who forwards Traccar to our topic is told where it should go."""
    forward = {
        "position": {
            "id": 0,
            "deviceId": 7,
            "fixTime": "2024-05-20T14:29:55.000+00:00",
            "latitude": 30.3,
            "longitude": 120.1,
        },
        "device": {"id": 7, "uniqueId": "M07"},
    }
    bad = refusal(codec.decode_positions, forward, b"7")
    assert bad.reason == Reason.TRACCAR_SHAPE
    assert "raw.traccar" in bad.detail


# --- actions


@pytest.mark.parametrize("action", sorted(codec.MEMBER_ACTIONS))
def test_every_action_of_a_member_is_read(action):
    """All actions of the contract are known."""
    read = codec.decode_member_action(AREA, sent(ANSWER | {"action": action}))
    assert (read.action, read.dispatch_id) == (action, "d1")


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        ({"action": "fly"}, "unknown_action", "accept"),
        ({"action": ["accept"]}, "wrong_type", "action"),
        ({"action": None}, "missing_field", "action"),
        ({"dispatch_id": None}, "action_needs_field", "accept needs dispatch_id"),
        ({"dispatch_id": ""}, "action_needs_field", "accept needs dispatch_id"),
        ({"member_id": None}, "missing_field", "member_id"),
        ({"at": None}, "missing_field", "at"),
        ({"at": 5}, "wrong_type", "at must be text"),
        (
            {"action": "sighting", "position": {"lon": 999, "lat": 1}},
            "out_of_range",
            "position.lon",
        ),
        ({"text": "x" * 9_000}, "oversize", "bytes"),
    ],
    ids=str,
)
def test_a_bad_member_action_is_told_by_code_and_field(change, reason, says):
    """What an action needs and has not, and what it cannot be."""
    bad = refusal(codec.decode_member_action, ANSWER | change)
    assert (bad.reason, says in bad.detail) == (reason, True), bad.detail


def test_an_answer_counts_without_an_impossible_position():
    """A phone without a fix does not keep its member from accepting."""
    read = codec.decode_member_action(AREA, sent(ANSWER | {"position": {"lon": 999, "lat": 1}}))
    assert (read.action, read.position) == ("accept", None)


def operator_fields(action):
    """A record with just what an action of a desk needs."""
    example = {
        "incident_id": "i1",
        "matter_id": "t1",
        "member_id": "m1",
        "into": "i2",
        "text": "x",
        "mode": "emergency",
        "road_id": "小河路",
        "fields": {"priority": 1, "note": None},
    }
    needed = {group[0] for group in codec.OPERATOR_ACTIONS[action]}
    return {name: example[name] for name in needed}


@pytest.mark.parametrize("action", sorted(codec.OPERATOR_ACTIONS))
def test_every_action_of_a_desk_is_read_with_what_it_needs_and_not_without(action):
    """Each action names the first field that it lacks."""
    bare = {"action_id": "x1", "operator_id": "desk-1", "at": "now", "action": action}
    needed = operator_fields(action)
    read = codec.decode_operator_action(AREA, sent(bare | needed))
    assert {name: getattr(read, name) for name in needed} == needed
    for name in needed:
        bad = refusal(codec.decode_operator_action, bare | without(needed, name))
        assert bad.reason == Reason.ACTION_NEEDS_FIELD
        assert f"{action} needs" in bad.detail
        assert name in bad.detail


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"action": "explode"}, "unknown_action"),
        ({"action": "set_mode", "mode": "wartime"}, "unknown_value"),
        ({"fields": {"a": [float("nan")]}}, "not_finite"),
        ({"fields": {"a": 2**63}}, "out_of_range"),
        ({"fields": []}, "wrong_type"),
        ({"road_id": 5}, "wrong_type"),
        ({"operator_id": None}, "missing_field"),
    ],
    ids=str,
)
def test_a_bad_operator_action_is_told_by_code(change, reason):
    """Also numbers inside the free ``fields`` must be ones that can be written again."""
    assert refusal(codec.decode_operator_action, ORDER | change).reason == reason


# --- roster, wake-ups


def test_a_roster_entry_is_read_with_its_defaults():
    """What an entry leaves out has the contract's defaults; shifts of all forms are taken."""
    shifts = [
        {"start": "2026-11-23T08:00:00+08:00", "end": "2026-11-23T16:00:00+08:00"},
        {"days": ["mon"], "start": "22:00", "end": "06:00", "timezone": "Asia/Shanghai"},
        {"rrule": "FREQ=DAILY;INTERVAL=4", "start": "08:00", "end": "16:00", "timezone": "UTC"},
    ]
    roads = [{"road_id": "小河路", "role": "owner"}]
    entry = codec.decode_roster(
        b"m1", sent(ENTRY | {"shifts": shifts, "roads": roads, "unit": None})
    )
    assert (entry.rank, entry.force, entry.travel_mode) == ("member", "brigade", "ebike")
    assert (len(entry.shifts), entry.roads[0].role, entry.unit) == (3, "owner", None)


def test_a_null_value_of_the_roster_is_a_member_who_is_gone():
    """A tombstone names the member by its key."""
    assert codec.decode_roster(b"m1", None) == Gone("m1")


@pytest.mark.parametrize(
    ("key", "change", "reason", "says"),
    [
        (None, {}, "null_key", "member_id"),
        (b"m2", {}, "key_mismatch", "member_id"),
        (b"m1", {"member_id": None}, "missing_field", "member_id"),
        (b"m1", {"area_id": None}, "missing_field", "area_id"),
        (b"m1", {"name": ""}, "empty_text", "name"),
        (b"m1", {"rank": "admiral"}, "unknown_value", "rank"),
        (b"m1", {"roads": [{"road_id": "r"}]}, "missing_field", "roads[0] needs the field role"),
        (b"m1", {"roads": [{"road_id": "r", "role": "boss"}]}, "unknown_value", "roads[0].role"),
        (b"m1", {"shifts": [{"start": "08:00", "end": "16:00"}]}, "bad_shift", "shifts[0]"),
        (
            b"m1",
            {"shifts": [{"days": ["monday"], "start": "a", "end": "b"}]},
            "unknown_value",
            "days",
        ),
        (b"m1", {"post": {"lon": 999, "lat": 1}}, "out_of_range", "post.lon"),
        (b"m1", {"device_ids": ["a b"]}, "bad_identifier", "device_ids[0]"),
    ],
    ids=str,
)
def test_a_bad_roster_entry_is_told_by_code_and_field(key, change, reason, says):
    """A roster record is refused whole, and the detail says what to mend."""
    with pytest.raises(BadInput) as caught:
        codec.decode_roster(key, sent(ENTRY | change))
    assert (caught.value.reason, says in caught.value.detail) == (reason, True), caught.value.detail


def test_a_wake_up_is_read_as_it_was_written():
    """Writing and reading a wake-up gives the same."""
    wakeup = WakeUp(area_id="riverside", incident_id="i1", deadline="accept", due_ms=AT_MS)
    assert codec.decode_wakeup(*codec.encode_wakeup(wakeup)) == wakeup


def test_a_forged_wake_up_is_refused():
    """Somebody else's record on the wake-ups topic is told like any other bad input."""
    bad = {"incident_id": "i1", "deadline": "accept", "due_ms": "soon"}
    assert refusal(codec.decode_wakeup, bad).reason == Reason.WRONG_TYPE
    assert refusal(codec.decode_wakeup, bad | {"due_ms": 10**25}).reason == Reason.OUT_OF_RANGE


# --- dead letters


def test_a_dead_letter_has_the_contracts_fields():
    """The whole payload is hashed, and none of it is kept."""
    cause = Cause("positions", 3, 77)
    bad = BadInput(Reason.BAD_TIME, "fix_time: not a time", 4)
    letter = codec.dead_letter(
        cause, bad.index, bad.reason, bad.detail, codec.digest_of(b"{}"), AT_MS
    )
    assert letter == {
        "topic": "positions",
        "partition": 3,
        "offset": 77,
        "index": 4,
        "reason": "bad_time",
        "detail": "fix_time: not a time",
        "payload_sha256": sha256(b"{}").hexdigest(),
        "payload_head": None,
        "at": "2026-11-23T09:15:02.123Z",
    }
    assert json.loads(json.dumps(letter)) == letter
    assert codec.digest_of(None) is None
    assert codec.digest_of(bytes(codec.HASHED_BYTES_MAX + 1)) is None
    assert codec.digest_of(bytes(codec.HASHED_BYTES_MAX)) is not None


def test_a_dead_letter_is_named_by_the_record_that_it_is_about():
    """The id is the record's place, and the index in a batch."""
    assert codec.dead_letter_id(Cause("alerts", 3, 77), None) == "alerts:3:77"
    assert codec.dead_letter_id(Cause("positions", 3, 77), 4) == "positions:3:77:4"


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_code_and_a_sentence(reason):
    """A code is a lower-case word of the contract; the sentence is one."""
    assert reason == reason.value == str(reason)
    assert reason.value.replace("_", "").isalnum()
    assert reason.value == reason.value.lower() == reason.name.lower()
    assert reason.sentence[0].isupper()
    assert reason.sentence.endswith(".")
