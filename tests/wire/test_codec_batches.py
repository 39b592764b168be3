"""A batch of positions is decoded by column, and says of each what the position says alone."""

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from xiaohe.dispatch.inputs import Fix
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec_common import are_identifiers
from xiaohe.wire.codec_positions import decode_positions
from xiaohe.wire.fix_columns import COLUMNS_MIN, FixColumns, columns_of

AREA = b"riverside"
LONG = COLUMNS_MIN + 8
ZONES = ("Z", ".123Z", "+08:00", ".250+08:00", ".999999-05:00")


def good(number: int) -> dict[str, Any]:
    """A position as the fleet sends it; each is a little different."""
    said: dict[str, Any] = {
        "member_id": f"m{number % 7}",
        "lon": 120.14 + number / 1e4,
        "lat": 30 if number % 5 == 0 else 30.31 - number / 1e4,
        "fix_time": f"2026-11-23T09:15:{number % 60:02}{ZONES[number % len(ZONES)]}",
        "accuracy_m": 8.5,
        "speed_mps": -1 if number % 11 == 0 else 2.5,
        "course_deg": (-1, 360, -90, 12.5)[number % 4],
        "seq": number,
        "battery": 0.5,
    }
    if number % 3 == 0:
        said["device_id"] = f"dev-{number}"
        said["datum"] = ("gcj02", "bd09", "wgs84")[number % 9 // 3]
    if number % 13 == 0:
        del said["accuracy_m"], said["course_deg"]
        said |= {"speed_mps": None, "alarm": "sos", "heard": {"by": [1, None]}}
    return said


def decode(value: Any) -> Any:
    """Decode a value given as JSON, or as bytes."""
    sent = value if isinstance(value, bytes) else json.dumps(value).encode()
    return decode_positions(AREA, sent)


def written(fix: Fix, item: Any) -> list[str]:
    """A fix to the last digit; a place of another datum to 1e-9 degree, as it is promised."""
    inexact = {"lon", "lat"} if item.get("datum") in {"gcj02", "bd09"} else set()
    fields = [(name, getattr(fix, name)) for name in fix.__struct_fields__]
    return [f"{value:.9f}" if name in inexact else repr(value) for name, value in fields]


def alone(item: Any) -> Any:
    """What an object of a batch says in a record of its own: a fix, or why there is none."""
    try:
        (fix,) = decode(item).fixes
    except BadInput as bad:
        return bad.reason, bad.detail
    return written(fix, item)


def together(items: list[Any]) -> list[Any]:
    """The same of all objects of one batch."""
    record = decode({"batch": items})
    said: list[Any] = [None] * len(items)
    for at, fix in zip(record.places, record.fixes, strict=True):
        said[at] = written(fix, items[at])
    for index, bad in record.bad:
        assert bad.index == index
        said[index] = (bad.reason, bad.detail)
    return said


ODD = st.one_of(
    st.sampled_from(
        [
            None, True, "", "a b", "a\n", "\n", "-a", ".", "x" * 64, "x" * 65, "小河", "é", "m1",
            0, 1, -1, -0.0, 2.0, 2.5, 71, 180, 181, -180.0001, 90, 91, 359.9, 360, 361, -360, -361,
            1e-320, 1e308, -1e308, 2**63 - 1, 2**63, 2**64, 10**25, 10**400,
            float("nan"), float("inf"), float("-inf"),
            "gcj02", "bd09", "wgs84", "mars", "sos", "fall", "x" * 128, "x" * 129,
            "2026-11-23T09:15:60Z", "2026-02-30T09:15:02Z", "1999-12-31T23:59:59.999Z",
            "1999-12-31T23:59:59.999-01:00", "2100-01-01T00:00:00Z", "2099-12-31T23:59:59Z",
            "2026-11-23T09:15:02", "2026-11-23t09:15:02.1234z", "2026-11-23T09:15:02+0800",
            [], {}, [1], {"a": 1},
        ]
    ),
    st.floats(),
    st.integers(),
    st.text(max_size=6),
)  # fmt: skip
FIELDS = st.sampled_from([*(good(0) | good(1)), "other"])
CHANGES = st.lists(
    st.tuples(st.integers(0, LONG - 1), FIELDS, ODD | st.just("leave out")), max_size=4
)


@pytest.mark.parametrize("count", [3, COLUMNS_MIN - 1, COLUMNS_MIN, LONG])
def test_a_good_batch_says_of_each_what_it_says_alone(count: int) -> None:
    """Short or long, in all the forms that a fleet writes."""
    items = [good(number) for number in range(count)]
    assert together(items) == [alone(item) for item in items]
    assert isinstance(decode({"batch": items}).fixes, FixColumns) == (count >= COLUMNS_MIN)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(changes=CHANGES, count=st.sampled_from([6, LONG, LONG, LONG]))
@example(changes=[(3, "accuracy_m", float("inf"))], count=LONG)
@example(changes=[(3, "speed_mps", float("nan"))], count=LONG)
@example(changes=[(0, "alarm", ""), (1, "lon", -181), (2, "seq", 2.0)], count=LONG)
def test_a_batch_with_odd_objects_says_of_each_what_it_says_alone(changes, count) -> None:
    """Taken or refused, with the same reason and words, and no neighbour is touched by it."""
    items = [good(number) for number in range(count)]
    for at, name, value in changes:
        if value == "leave out":
            items[at % count].pop(name, None)
        else:
            items[at % count][name] = value
    assert together(items) == [alone(item) for item in items]


@settings(deadline=None, max_examples=200)
@given(at=st.integers(0, 2_000), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_batch_is_read_or_refused_but_never_half_read(at, byte, cut) -> None:
    """Bytes changed anywhere: BadInput, or as many fixes and refusals as there were objects."""
    value = bytearray(json.dumps({"batch": [good(number) for number in range(LONG)]}).encode())
    value[at % len(value)] = byte
    if cut:
        del value[at % len(value) + 1 :]
    try:
        record = decode(bytes(value))
    except BadInput:
        return
    if record.batched:
        assert len(record.fixes) + len(record.bad) == LONG
    else:
        assert len(record.fixes) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"area_id": "hill"}, "mixed_area"), ({"area_id": "a\n"}, "bad_identifier")],
)
def test_a_long_batch_holds_one_area(change: dict[str, str], reason: str) -> None:
    """As a short one does: the stranger is refused, the rest counts."""
    items = [good(number) for number in range(LONG)]
    items[4] |= change
    items[5]["area_id"] = "riverside"
    record = decode({"area_id": "riverside", "batch": items})
    assert [(index, bad.reason) for index, bad in record.bad] == [(4, reason)]
    assert list(record.places) == [at for at in range(LONG) if at != 4]
    with pytest.raises(BadInput, match="key_mismatch"):
        decode({"area_id": "hill", "batch": items})


def test_columns_and_fixes_are_one_thing_in_two_forms() -> None:
    """Laid out and read back, whole, sliced and compared."""
    fixes = decode({"batch": [good(number) for number in range(LONG)]}).fixes
    one_by_one = tuple(fixes)
    assert columns_of(one_by_one) == fixes
    assert fixes == one_by_one
    assert fixes != one_by_one[1:]
    assert fixes[-1] == one_by_one[-1]
    assert fixes[2:5] == list(one_by_one[2:5])
    assert np.isnan(fixes.accuracy_m[0])
    assert fixes.alarms is not None
    assert columns_of([fix for fix in one_by_one if fix.alarm is None]).alarms is None


PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


@given(
    st.lists(
        st.text(alphabet="aZ09._:-\n é小\x00", max_size=4)
        | st.sampled_from(["m1", "a" * 64, "a" * 65, "m\n1"]),
        max_size=5,
    )
)
def test_many_identifiers_are_judged_as_each_is(names: list[str]) -> None:
    """At once exactly where the contract's pattern takes them all."""
    assert are_identifiers(names) == all(PATTERN.fullmatch(name) for name in names)
