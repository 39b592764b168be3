"""Telling the same alert sent again from a correction of it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xiaohe.dispatch.fingerprint import fingerprint
from xiaohe.dispatch.inputs import Alert, Position, Premises

ALERT = Alert(
    alert_id="a1",
    area_id="riverside",
    source="police-110",
    category="fight",
    occurred_at="2026-11-23T09:15:02Z",
    position=Position(lon=120.1, lat=30.3),
    place=Premises(name="market", floor="2"),
    skills=("first-aid",),
)


def changed(**fields):
    """The alert with some fields different."""
    return msgspec.structs.replace(ALERT, **fields)


@pytest.mark.parametrize(
    "other",
    [
        changed(priority=1),
        changed(text="two people now"),
        changed(road_id="Canal Street"),
        changed(position=Position(lon=120.1001, lat=30.3)),
        changed(place=Premises(name="market", floor="3")),
        changed(skills=()),
        changed(drill=True),
        changed(occurred_at="2026-11-23T09:15:03Z"),
    ],
)
def test_other_content_has_another_fingerprint(other):
    """A change in any field is a correction, not a repeat."""
    assert fingerprint(other) != fingerprint(ALERT)


def test_equal_content_has_the_same_fingerprint():
    """A default stated outright, and noise below a centimetre, change nothing."""
    near = Position(lon=120.1 + 1e-12, lat=30.3, datum="wgs84")
    assert fingerprint(changed(priority=2, text=None, position=near)) == fingerprint(ALERT)


def test_the_fingerprint_is_stable_across_versions():
    """The hash of a known alert does not change: it is compared with ones kept for weeks."""
    bare = Alert(alert_id="a", area_id="b", source="c", category="d", occurred_at="e", address="f")
    assert fingerprint(bare) == "5a4d528b8b6d575c5158281f90eb997be8e5ae2868032042433f2a0164c620a4"


@given(st.text(max_size=200), st.text(max_size=200))
def test_texts_differ_where_their_fingerprints_do(one, other):
    """Any two texts in any script: equal fingerprints exactly where the texts are equal."""
    assert (fingerprint(changed(text=one)) == fingerprint(changed(text=other))) == (one == other)
