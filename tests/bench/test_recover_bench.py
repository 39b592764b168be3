"""``xiaohe bench recover``: what it says of figures, and what it builds."""

import random

import orjson

from xiaohe.bench.places import area_of_each
from xiaohe.bench.recover import (
    RecoverBenchOptions,
    _Kill,
    _members,
    _policy,
    _summary,
    table,
)
from xiaohe.dispatch.policy import load_policy
from xiaohe.places import POLICY
from xiaohe.topics import load_topics
from xiaohe.wire.codec import decode_roster
from xiaohe.wire.murmur2 import partition_of

STAGES = {"fence": 20, "fold": 300, "owed": 10, "positions": 30}


def test_every_partition_has_one_area_and_its_members():
    """So that each partition of a killed worker is asked whether it decides again."""
    topics = load_topics()
    areas = area_of_each(topics)
    assert {partition_of(a.encode(), topics.area_partitions): a for a in areas.values()} == areas
    assert set(areas) == set(range(topics.area_partitions))
    entries = _members(areas, 40, [(120.1, 30.3)], random.Random(1))
    assert len({entry["member_id"] for entry in entries}) == len(entries) >= 40
    assert {entry["area_id"] for entry in entries} == set(areas.values())
    policy = load_policy(_policy(areas).encode(), base=POLICY.read_bytes())
    rules = policy.rules(2, "peacetime", "other", next(iter(areas.values())))
    assert min(rules.accept_s, rules.arrive_s, rules.offer_s) > 3_600, "nothing falls due meanwhile"
    for entry in entries[:3]:
        decode_roster(entry["member_id"].encode(), orjson.dumps(entry))


def test_the_levels_are_none_some_and_many():
    """In the same run, so that flatness is seen."""
    assert RecoverBenchOptions().levels == [0, 1_000, 10_000]
    assert RecoverBenchOptions(incidents=400).levels == [0, 400]


def test_the_last_line_has_the_keys_of_the_contract_and_the_table_every_level():
    """All areas of all kills count; the slowest is shown."""
    kills = [_Kill([6.0, 7.0], 5.5, STAGES, 0.2), _Kill([6.5, 9.0], 5.7, STAGES, 0.4)]
    levels = [_summary(level, kills) for level in (0, 1_000)]
    assert (levels[0]["seconds"], levels[0]["max_s"], levels[0]["areas"]) == (9.0, 9.0, 4)
    assert levels[0]["of_it_s"]["fold"] == 0.3
    result = {"kills": 2, "session_timeout_s": 6.0, "levels": levels}
    assert "1,000" in table(result)
    assert "9.00" in table(result)
