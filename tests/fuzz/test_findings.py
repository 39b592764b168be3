"""What fuzzing has found: each input once made something else happen than «accept or refuse»."""

import msgspec
import pytest

from tests.fuzz.targets import BY_NAME
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.snapshot import from_rows
from xiaohe.streams.decision_log import decode
from xiaohe.streams.inbox import DUE_HEADER, Inbox
from xiaohe.streams.ports import INPUTS, WAKEUPS, Raw
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec_positions import decode_positions

FIX = b'{"member_id":"m1","lon":120,"lat":30,"fix_time":"2026-11-23T09:15:02Z","course_deg":%s}'

EVENT = (
    b'{"event_id":"i:1","incident_id":"i","seq":1,"at":"2030-01-07T00:00:00Z","data":{"a":1},%s}'
)

ROWS = b'["area","town",{"mode":"peacetime","closed_roads":[],"breaks":{}}]\n%s\n%s'
INCIDENT = (
    b'["incident","town",{"incident_id":"%s","area_id":"town","alert_id":"a","alerts":["a"],'
    b'"source":"app","category":"x","priority":2,"mode":"peacetime","received_ms":1,'
    b'"accept_by_ms":null,"arrive_by_ms":3,"timeline":{"received_ms":1},"orders":[{'
    b'"dispatch_id":"%s","alert_id":"a","member_id":"m1","role":"primary","acting":"primary"}]}]'
)

FOUND = [
    ("entries", b'{"kind":"\xed\xa0\x80","worker":"w","at_ms":5}'),
    ("entries", b'{"kind":"fence","deep":' + b"[" * 1100 + b"]" * 1100 + b"}"),
    ("entries", b'{"kind":"fence","worker":"w","at_ms":9223372036854775808}'),
    ("entries", b'{"v":3,"kind":"","":5}'),
    ("entries", b'{"v":2,"kind":"fence","worker":"w","at_ms":5,"v":3}'),
    ("folding", b'{"v":10,"kind":"","":""}'),
    ("snapshot_rows", b'["action","town",["a",5]]'),
    ("snapshot_rows", b'["area","town",{"mode":"peacetime"}]'),
    ("snapshot_rows", b'["area","\xff",{}]'),
    (
        "snapshot_rows",
        ROWS % (INCIDENT.replace(b"%s", b"i"), INCIDENT.replace(b"%s", b"j")),
    ),
    (
        "snapshot_rows",
        ROWS
        % (
            INCIDENT.replace(b"%s", b"i"),
            INCIDENT.replace(b"%s", b"j", 1).replace(b"%s", b"i").replace(b"m1", b"m2"),
        ),
    ),
    ("scenarios", b'f- {name: "", members: 4}'),
    (
        "stories",
        bytes.fromhex(
            "a8928c8b8a898885838281807f7e7d7b7a7978777675746f1514131211100f0e0d0c0b0af8fc421f"
            "f23d68688ae13918866a728fbdc209080706050403f9f8f7f6f5ecebeae9e8d7d6d5d416fb"
        ),
    ),
    ("headers", b"due_ms\t" + b"9" * 5000),
    ("headers", b"due_ms"),
    ("positions", b"\x00" + FIX % b"-1e-20"),
    ("positions", b"\x3d" + FIX % b"0"),
    ("positions", b"\x00" + FIX.replace(b"course_deg", b"c\xe8") % b"0"),
    ("policies", b"rules: 2001-99-99"),
    ("policies", b"rules: !!bool x"),
    ("policies", b"areas: " + b"[" * 1200),
    ("policies", b"rules: [{set: &a {backup: *a}}]"),
    ("topics", b"topics: 0x_"),
    ("scenarios", b"f- {name: a, rate: 1" + b"0" * 400 + b"}"),
    ("scenarios", b"f!!timestamp x"),
    ("rates", b"yper_day: 4\nplaces: 5"),
    ("rates", b"yper_day: 1" + b"0" * 400),
    ("rates", b"chour,calls_per_hour," + b"x" * 140_000),
    ("calls", b"x" * 140_000),
    ("calls", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff"),
    ("roster_files", b'[{"member_id":"m1","area_id":"x","name":"n","team":18446744073709551616}]'),
    ("roster_files", b'[{"member_id":"\\ud800"}]'),
    ("roster_files", b"[" * 3000),
    ("roster_files", b'[{"member_id":"m1","area_id":"x","name":"n","team":"t","skills":1e400}]'),
    ("audits", b"\x00\x07" + b'{"incident_id":"i","seq":1,"type":[],"at":"2030-01-07","data":{}}'),
    ("audits", b"\x00\x07" + EVENT % b'"type":"incident.opened","cause":{"topic":"alerts"}'),
    ("audits", b"\x00\x07" + EVENT % b'"type":{}'),
    ("audits", b"\x02\x07" + b'{"last_seq":1,"deep":' + b"[" * 300 + b"]" * 300 + b"}"),
    ("audits", b"\x04\x07" + b'{"alert_id":"a","place":' + b"[" * 900 + b"]" * 900 + b"}"),
]


@pytest.mark.parametrize(("target", "data"), FOUND)
def test_what_was_found_once_is_taken_or_refused(target: str, data: bytes) -> None:
    """The target's own checks hold."""
    BY_NAME[target].run(data)


def test_foreign_bytes_in_the_decisions_log_are_no_entry() -> None:
    """Also where they are not UTF-8, nested without end, or hold numbers beyond 64 bits: one
    such record would have ended every take-over of its partition."""
    for target, data in FOUND[:3]:
        assert decode(data) is None, target


@pytest.mark.parametrize("stated", [b"9" * 5000, b"", None])
def test_a_wake_up_with_an_odd_header_stands_at_its_receipt(stated: bytes | None) -> None:
    """A header without a value, or with a number longer than Python reads, ends no worker."""
    inbox = Inbox(dict.fromkeys(INPUTS, 0))
    assert inbox.put(Raw(WAKEUPS, 0, 0, 1_000, b"m1", b"{}", ((DUE_HEADER, stated),)), None)
    item = inbox.first_wakeup()
    assert item is not None
    assert item.due_ms == 1_000


@pytest.mark.parametrize("rows", [data for target, data in FOUND if target == "snapshot_rows"])
def test_rows_that_are_no_snapshot_are_refused_by_one_error(rows: bytes) -> None:
    """Rows without their area's first, or with half of it, are none of ours."""
    with pytest.raises(msgspec.MsgspecError):
        from_rows(rows.split(b"\n"))


def test_a_course_a_hair_below_north_is_north() -> None:
    """Not 360, which is no course; alone and in a long batch."""
    alone = decode_positions(b"m1", FIX % b"-1e-20").fixes
    packed = decode_positions(
        b"m1", b'{"batch":[' + b",".join([FIX % b"-1e-20"] * 40) + b"]}"
    ).fixes
    assert [fix.course_deg for fix in (*alone, *packed)] == [0.0] * 41


@pytest.mark.parametrize(
    "kind", [b"application/cloudevents-batch+json", b"application/cloudevents"]
)
def test_a_position_that_says_it_is_an_event_must_be_one(kind: bytes) -> None:
    """The quick way refuses what the slow way refuses."""
    with pytest.raises(BadInput) as bad:
        decode_positions(b"m1", FIX % b"0", [("content-type", kind)])
    assert bad.value.reason is Reason.BAD_CLOUDEVENT


def test_a_position_whose_unread_fields_are_not_utf8_is_refused() -> None:
    """A value is UTF-8 as a whole, and not only where it is read."""
    with pytest.raises(BadInput) as bad:
        decode_positions(b"m1", FIX.replace(b"course_deg", b"c\xe8") % b"0")
    assert bad.value.reason is Reason.NOT_UTF8


def test_of_an_enveloped_position_the_data_counts() -> None:
    """Not what stands beside it in the envelope."""
    outer = FIX % b"0"
    value = outer[:-1] + b',"specversion":"1.0","data":' + (FIX % b"90") + b"}"
    (fix,) = decode_positions(b"m1", value).fixes
    assert fix.course_deg == 90
