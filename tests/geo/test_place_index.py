"""Places that change seldom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.geo import maps
from xiaohe.geo.place_index import PlaceIndex


def index_of(places):
    """An index of places {id: (x, y)} in metres on the drawings' plane."""
    index = PlaceIndex(maps.CENTRE)
    for place_id, (x, y) in places.items():
        index.put(place_id, *maps.CENTRE.to_deg(x, y))
    return index


def test_a_place_moved_or_removed_is_not_where_it_was():
    """Each change holds at once; removing what is not there is no error."""
    index = index_of({"gate": (0, 0), "shop": (100, 0)})
    index.put("gate", *maps.CENTRE.to_deg(500, 0))
    assert [place.place_id for place in index.nearest(*maps.CENTRE.to_deg(0, 0))] == ["shop"]
    index.remove("shop")
    index.remove("shop")
    assert len(index) == 1
    assert [place.place_id for place in index.nearest(*maps.CENTRE.to_deg(0, 0))] == ["gate"]


metres = st.integers(-500, 500)


@given(
    places=st.dictionaries(st.text("abc", min_size=1, max_size=2), st.tuples(metres, metres)),
    radius_m=st.floats(0.5, 700.5),
)
def test_within_finds_exactly_those_within(places, radius_m):
    """Against measuring every place, in the order of distance."""
    found = index_of(places).within(*maps.CENTRE.to_deg(0, 0), radius_m)
    distances = {place: (x * x + y * y) ** 0.5 for place, (x, y) in places.items()}
    clear = {place for place, d in distances.items() if abs(d - radius_m) > 1e-3}
    assert {p.place_id for p in found} & clear == {p for p in clear if distances[p] < radius_m}
    assert [p.distance_m for p in found] == sorted(p.distance_m for p in found)
    for place in found:
        assert place.distance_m == pytest.approx(distances[place.place_id], abs=1e-3)


def test_nearest_are_the_nearest():
    """Three of four, nearest first."""
    index = index_of({"a": (300, 0), "b": (0, -100), "c": (50, 0), "d": (400, 400)})
    found = index.nearest(*maps.CENTRE.to_deg(0, 0), 3)
    assert [place.place_id for place in found] == ["c", "b", "a"]
