"""The measurement of positions measures something, whatever it comes to."""

from tests.geo import maps
from xiaohe.bench.ingest import RECORD_SIZES, measure_ingest, table
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.snap import Snapper

STREETS = """
    a-----b-----c
    |     |     |
    d-----e-----f
"""


def test_every_stage_of_every_size_of_record_is_measured() -> None:
    """A small fleet in a small town: all positions are taken, and each figure is there."""
    network = maps.network(STREETS)
    points = [maps.place(STREETS, junction) for junction in "abcdef"]
    result = measure_ingest(RoadMap(network, Snapper(network)), points, members=40, fixes=1_000)
    records = result["records"]
    assert isinstance(records, list)
    assert [record["positions"] for record in records] == list(RECORD_SIZES)
    for record in records:
        rates = [record[f"{s}_per_s"] for s in ("json_only", "decode", "decode_and_move", "take")]
        assert min(rates) > 0
    assert "decode: times" in table(result)
