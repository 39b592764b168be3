"""RFC 3339 in and out."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xiaohe.dispatch.times import BadTime, ms_of, parse_rfc3339, rfc3339

NOON_MS = 1_795_425_302_000  # 2026-11-23T09:15:02Z

MS_OF_YEARS_1_TO_9999 = st.integers(-62_135_596_800_000, 253_402_300_799_999)


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("2026-11-23T09:15:02Z", NOON_MS),
        ("2026-11-23t09:15:02z", NOON_MS),
        ("2026-11-23 09:15:02Z", NOON_MS),
        ("2026-11-23T09:15:02.123Z", NOON_MS + 123),
        ("2026-11-23T09:15:02.1Z", NOON_MS + 100),
        ("2026-11-23T09:15:02.123999Z", NOON_MS + 123),
        ("2026-11-23T17:15:02+08:00", NOON_MS),
        ("2026-11-23T17:15:02.000+0800", NOON_MS),
        ("2026-11-23T04:15:02-05:00", NOON_MS),
        ("2026-11-23T09:15:02-00:00", NOON_MS),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("9999-12-31T23:59:59-01:00", 253_402_304_399_000),
        ("0001-01-01T00:00:00+01:00", -62_135_600_400_000),
    ],
)
def test_times_in_all_usual_forms_are_read(text, expected_ms):
    """Z, offsets with and without colon, fractions and leap seconds give the right moment."""
    assert parse_rfc3339(text) == expected_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-23",
        "2026-11-23T09:15:02",
        "2026-11-23T09:15Z",
        "2026-11-23T09:15:02+08",
        "2026-11-23T09:15:02,5Z",
        "2026-11-23T09:15:02.Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T09:60:00Z",
        "2026-11-23T09:15:61Z",
        "2026-02-29T09:15:02Z",
        "2026-02-29T09:15:02.123Z",
        "2026-13-01T09:15:02Z",
        "0000-01-01T09:15:02Z",
        "2026-11-23T09:15:02+24:00",
        "2026-11-23T09:15:02+08:60",
        "20261123T091502Z",
        "2026-W48-1T09:15:02.123Z",
        "2026-11-23T09:15:02Z\n",
        "２０２６-11-23T09:15:02Z",
        "2026-11-23T09:15:0２.123Z",
        "2026-11-23T09:15:02.12\ud800Z",
    ],
)
def test_what_is_no_rfc3339_time_is_refused_without_repeating_it(text):
    """Anything else raises BadTime, whose message does not hold the text."""
    with pytest.raises(BadTime) as caught:
        parse_rfc3339(text)
    assert not text or text not in str(caught.value)


@given(MS_OF_YEARS_1_TO_9999)
def test_what_is_written_is_read_again(ms):
    """Writing and reading gives the same millisecond."""
    assert parse_rfc3339(rfc3339(ms)) == ms


@given(MS_OF_YEARS_1_TO_9999.map(rfc3339))
def test_the_common_form_is_read_as_the_general_one(text):
    """The quick way for the usual form gives what the general way gives."""
    assert parse_rfc3339(text) == parse_rfc3339(text.replace("Z", "+00:00"))


@given(st.text(max_size=30) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"))
def test_any_text_is_read_or_refused(text):
    """No text makes the parser raise anything but BadTime."""
    try:
        parsed = parse_rfc3339(text)
    except BadTime:
        return
    assert isinstance(parsed, int)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001 - put into UTC below
    st.integers(0, 10**9 - 1),
    st.integers(1, 9),
)
def test_fractions_are_taken_as_another_reader_takes_them(moment, nanoseconds, digits):
    """A fraction of any length gives the millisecond that msgspec's reader gives."""
    fraction = f"{nanoseconds:09}"[:digits]
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}Z"
    theirs = msgspec.convert(text, datetime)
    assert parse_rfc3339(text) == ms_of(theirs)


def test_years_that_rfc3339_cannot_write_are_refused():
    """Writing a time outside the years 1 to 9999 raises ValueError instead of nonsense."""
    for ms in (253_402_300_800_000, -62_135_596_800_001, 10**30):
        with pytest.raises(ValueError, match="years 1 to 9999"):
            rfc3339(ms)


def test_written_times_have_milliseconds_and_end_in_z():
    """The form of written times is fixed."""
    assert rfc3339(NOON_MS + 7) == "2026-11-23T09:15:02.007Z"
    assert rfc3339(-1) == "1969-12-31T23:59:59.999Z"
    assert ms_of(datetime(2026, 11, 23, 9, 15, 2, tzinfo=UTC)) == NOON_MS
