"""Degrees and metres."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xiaohe.geo.projection import (
    Projection,
    ground_distance_m,
    ground_distances_m,
    scale_at,
)

METRES = st.floats(-10_000, 10_000)


def test_a_degree_has_the_length_that_geodesy_gives_it():
    """On WGS-84 a degree is 110,574 m north and 111,320 m east at the equator, 111,412 m at 60°."""
    assert scale_at(0.0).north_m == pytest.approx(110_574.3, abs=0.1)
    assert scale_at(0.0).east_m == pytest.approx(111_319.5, abs=0.1)
    assert scale_at(60.0).north_m == pytest.approx(111_412.3, abs=0.1)
    assert scale_at(60.0).east_m == pytest.approx(55_800.3, abs=0.5)


@given(x=METRES, y=METRES, lat=st.floats(-70, 70))
def test_to_degrees_and_back_is_the_same_place(x, y, lat):
    """The projection and its inverse cancel to a millimetre."""
    projection = Projection(120.14, lat)
    back_x, back_y = projection.to_m(*projection.to_deg(x, y))
    assert (back_x, back_y) == pytest.approx((x, y), abs=1e-3)


def test_arrays_give_what_single_places_give():
    """The array forms are the scalar ones, row by row."""
    projection = Projection(120.14, 30.32)
    points = np.array([[120.1, 30.3], [120.2, 30.4]])
    metres = projection.many_to_m(points)
    assert [tuple(row) for row in metres.tolist()] == [projection.to_m(*row) for row in points]
    assert projection.many_to_deg(metres) == pytest.approx(points, abs=1e-12)
    single = ground_distance_m(*points[0], *points[1])
    assert ground_distances_m(*points[:1].T, *points[1:].T)[0] == pytest.approx(single)


@given(x=METRES, y=METRES)
def test_a_district_is_flat_enough(x, y):
    """Within 10 km of the centre the plane and the ground differ by less than 0.1 %."""
    projection = Projection(120.14, 30.32)
    lon, lat = projection.to_deg(x, y)
    on_ground = ground_distance_m(120.14, 30.32, lon, lat)
    assert on_ground == pytest.approx(float(np.hypot(x, y)), rel=1e-3, abs=1e-6)


def test_a_step_over_the_date_line_is_short():
    """From 179.999° east to 179.999° west is 0.002°, not round the world."""
    assert ground_distance_m(179.999, 0.0, -179.999, 0.0) == pytest.approx(222.6, abs=0.1)
