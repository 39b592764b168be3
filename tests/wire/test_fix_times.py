"""The times of many fixes at once: exactly what ``parse_rfc3339`` says of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xiaohe.dispatch.times import BadTime, parse_rfc3339
from xiaohe.wire.fix_times import FORMS, parse_all

GOOD = [
    "2026-11-23T09:15:02Z",
    "2026-11-23T09:15:02.123Z",
    "2026-11-23T09:15:02.123999Z",
    "2026-11-23T17:15:02+08:00",
    "2026-11-23T17:15:02.123+08:00",
    "2026-11-23T17:15:02.123999+08:00",
    "1969-12-31T23:59:59.999-05:30",
    "0001-01-01T00:00:00+00:00",
    "9999-12-31T23:59:59.999999-23:59",
    "2024-02-29T12:00:00Z",
    "2026-12-31T23:59:60Z",
    "2026-11-23 09:15:02z",
    "2026-11-23T17:15:02+0800",
    "2026-11-23T09:15:02.1234567891Z",
]

BAD = [
    "",
    "yesterday",
    "2026-02-29T12:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "2026-11-23T24:00:00Z",
    "2026-11-23T09:60:00Z",
    "2026-11-23T09:15:61Z",
    "2026-11-23T09:15:02",
    "2026-11-23T09:15:02,08:00",
    "2026-11-23T17:15:02+24:00",
    "2026-11-23T17:15:02+08:60",
    "2026-11-23T17:15:02,08:00",
    "-026-11-23T09:15:02Z",
    "2026-11-23T09:15:02.12 Z",
    "２026-11-23T09:15:02Z",
    "2026-11-23T09:15:0\x00Z",
]


def one_by_one(texts):
    """What parse_rfc3339 says of each; None where one of them is not a time."""
    try:
        return [parse_rfc3339(text) for text in texts]
    except BadTime:
        return None


def at_once(texts):
    """What parse_all says."""
    try:
        return parse_all(texts).tolist()
    except BadTime:
        return None


@pytest.mark.parametrize("text", [*GOOD, *BAD])
def test_a_time_among_others_of_its_length_is_what_it_is_alone(text):
    """Every form, and every way of being none."""
    texts = [text, *(good for good in GOOD if len(good) == len(text)), text]
    assert at_once(texts) == one_by_one(texts)


def test_the_good_ones_are_read_in_their_order():
    """Forms of all lengths in one record."""
    assert parse_all(GOOD).tolist() == one_by_one(GOOD)
    assert parse_all([]).tolist() == []


def test_each_form_has_a_length_of_its_own():
    """So that the length tells the form."""
    assert len({len(form) for form in FORMS}) == len(FORMS)


NEAR = st.tuples(
    st.sampled_from([*GOOD, *BAD]),
    st.integers(0, 40),
    st.sampled_from([*"0123456789+-,.:TZtz ", "٣", "\x00", "\ud7ff"]),
).map(lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + 1 :])


@given(st.lists(st.sampled_from(GOOD) | NEAR, max_size=6))
def test_times_with_a_changed_character_are_read_or_refused_alike(texts):
    """At once and one by one are of one mind."""
    assert at_once(texts) == one_by_one(texts)
