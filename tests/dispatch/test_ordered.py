"""A sorted set that is never changed in place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xiaohe.dispatch import ordered
from xiaohe.dispatch.ordered import Ordered


@given(st.lists(st.integers(0, 60), max_size=200), st.integers(2, 5))
def test_it_holds_what_a_sorted_list_would(numbers: list[int], chunk_max: int) -> None:
    """Whatever comes and goes; and what was there before is as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered, "CHUNK_MAX", chunk_max)
        there: set[int] = set()
        now: Ordered[int] = Ordered()
        for number in numbers:
            before, wanted = now, sorted(there)
            now = now.remove(number) if number in there else now.add(number)
            there ^= {number}
            assert list(before) == wanted
            assert list(now) == sorted(there)
        assert list(reversed(now)) == sorted(there, reverse=True)
        assert [now[at] for at in range(len(now))] == sorted(there)
        assert len(now) == len(there)
        assert bool(now) == bool(there)


def test_equal_is_what_holds_the_same_however_it_came_in() -> None:
    """Chunks are cut by the order in which items come."""
    forth: Ordered[int] = Ordered()
    back: Ordered[int] = Ordered()
    for n in range(600):
        forth, back = forth.add(n), back.add(599 - n)
    assert forth == back
    assert forth != back.remove(3)
    with pytest.raises(IndexError):
        forth[600]
