"""The order of faults: drawn from a seed, and every round whole."""

from collections import Counter
from itertools import islice

from xiaohe.audit.records import home_partition
from xiaohe.campaign.faults import ROUND, draw
from xiaohe.campaign.town import area_ids

PARTITIONS = 16


def test_the_same_seed_draws_the_same_faults() -> None:
    """A slice can be repeated; another seed is another slice."""
    first, again, other = (list(islice(draw(seed), 200)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_a_round_has_every_fault_as_often_as_it_says() -> None:
    """However the order falls, no kind is left out for long."""
    size = sum(ROUND.values())
    for turn in range(3):
        kinds = Counter(fault.kind for fault in islice(draw(3), turn * size, (turn + 1) * size))
        assert kinds == ROUND


def test_the_town_has_an_area_in_every_partition() -> None:
    """So that each partition of a killed worker can be asked whether it decides again."""
    areas = area_ids(PARTITIONS)
    assert list(areas) == list(range(PARTITIONS))
    assert all(home_partition(area, PARTITIONS) == n for n, area in areas.items())
