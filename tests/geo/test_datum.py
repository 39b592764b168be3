"""Datums: WGS-84, GCJ-02, BD-09."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xiaohe.geo.datum import Datum, from_wgs84, to_wgs84, to_wgs84_many
from xiaohe.geo.projection import ground_distance_m

CENTIMETRE = 0.01

in_china = st.tuples(st.floats(75.0, 134.0), st.floats(5.0, 53.0))


@pytest.mark.parametrize(
    ("wgs84", "gcj02"),
    [
        ((121.5272106, 31.1774276), (121.531541859215, 31.17530398364597)),  # Shanghai
        ((113.912316, 22.543847), (113.9171764808363, 22.540796131694766)),  # Shenzhen
        ((116.377817, 39.911954), (116.38404722455657, 39.91334545536069)),  # Beijing
    ],
)
def test_gcj02_agrees_with_published_pairs(wgs84, gcj02):
    """The pairs that open converters test themselves by come out to a few centimetres."""
    assert ground_distance_m(*from_wgs84(*wgs84, "gcj02"), *gcj02) < 5 * CENTIMETRE
    assert ground_distance_m(*to_wgs84(*gcj02, "gcj02"), *wgs84) < 5 * CENTIMETRE


def test_bd09_agrees_with_a_published_pair():
    """GCJ-02 116.404, 39.915 is BD-09 116.41036949371, 39.92133699351, as converters print it."""
    wgs84 = to_wgs84(116.404, 39.915, "gcj02")
    bd09 = from_wgs84(*wgs84, "bd09")
    assert ground_distance_m(*bd09, 116.41036949371029, 39.92133699351021) < CENTIMETRE


@pytest.mark.parametrize("datum", ["wgs84", "gcj02", "bd09"])
@given(point=in_china)
def test_the_inverse_returns_to_where_it_came_from(datum: Datum, point):
    """From WGS-84 and back is the same place to a centimetre, anywhere in China."""
    there = from_wgs84(*point, datum)
    assert ground_distance_m(*to_wgs84(*there, datum), *point) < CENTIMETRE


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
@given(point=in_china)
def test_the_offset_is_some_hundred_metres(datum: Datum, point):
    """Taking one datum for another would put a member streets away: it is never a small thing."""
    assert 50 < ground_distance_m(*from_wgs84(*point, datum), *point) < 3000


@pytest.mark.parametrize("datum", ["wgs84", "gcj02", "bd09"])
@pytest.mark.parametrize("point", [(-76.6, 39.3), (7.42, 43.73), (139.7, 35.7), (0.0, 0.0)])
def test_outside_china_nothing_changes(datum: Datum, point):
    """Baltimore, Monaco and Tokyo are the same in every datum."""
    assert to_wgs84(*point, datum) == point
    assert from_wgs84(*point, datum) == point


@settings(deadline=None)  # the first call compiles
@given(
    points=st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)) | in_china, max_size=30),
    data=st.data(),
)
def test_many_positions_at_once_are_where_each_is_alone(points, data):
    """Whatever mixture of datums, in China and outside: to 1e-9 degree."""
    datums = [data.draw(st.sampled_from([None, "wgs84", "gcj02", "bd09"])) for _ in points]
    lon, lat = (np.array([point[axis] for point in points], dtype=np.float64) for axis in (0, 1))
    found = np.column_stack(to_wgs84_many(lon, lat, datums))
    alone = [
        to_wgs84(*point, datum or "wgs84") for point, datum in zip(points, datums, strict=True)
    ]
    assert np.abs(found - np.array(alone).reshape(-1, 2)).max(initial=0) <= 1e-9
    assert (lon.tolist(), lat.tolist()) == ([p[0] for p in points], [p[1] for p in points])
