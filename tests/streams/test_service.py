"""The parts of one worker that know the product, without Kafka."""

from pathlib import Path

from xiaohe.places import POLICY, ROADS
from xiaohe.streams.app import WorkerSettings
from xiaohe.streams.service import Service, ServiceSettings
from xiaohe.topics import load_topics


def test_the_engine_of_a_partition_given_away_is_let_go(tmp_path: Path) -> None:
    """It holds all that is known of its areas, and hears of the roster no more."""
    worker = WorkerSettings("127.0.0.1:1", tmp_path)
    service = Service(ServiceSettings(worker, load_topics(), ROADS, POLICY, POLICY))
    kept, _ = service.make_core(0), service.make_core(1)
    service.own(frozenset({0, 5}))
    assert service._engines == {0: kept}
