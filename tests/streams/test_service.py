"""The parts of one worker that know the product, without Kafka."""

from pathlib import Path

import orjson
import pytest

from xiaohe.places import POLICY, ROADS
from xiaohe.streams import service as service_module
from xiaohe.streams.app import WorkerSettings
from xiaohe.streams.ports import Publication, Raw
from xiaohe.streams.service import TELLS_OF_ROSTER, Service, ServiceSettings
from xiaohe.topics import load_topics

KEPT = 5
"""Instead of ``BAD_ENTRIES_MAX``, so that it is soon reached."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """A worker on the project's own map, that owns nothing yet."""
    monkeypatch.setattr(service_module, "BAD_ENTRIES_MAX", KEPT)
    settings = WorkerSettings("", Path())
    return Service(ServiceSettings(settings, load_topics(), ROADS, POLICY, POLICY))


def bad_entry(offset: int) -> Raw:
    """A record of the roster that is none."""
    return Raw("roster", 0, offset, 1_900_000_000_000 + offset, b"m1", b"{not json %d" % offset)


def letters(publications: "list[Publication]") -> list[int]:
    """The offsets of the dead letters among these."""
    values = (orjson.loads(p.value or b"") for p in publications if p.topic == "dead_letters")
    return [value["offset"] for value in values]


def test_the_owner_of_one_partition_tells_of_every_bad_entry_once(service: Service) -> None:
    """Also of those that it read before it was the owner."""
    service.on_roster(bad_entry(0))
    other = service.make_core(TELLS_OF_ROSTER + 1)
    assert letters(list(other.tick(0, 7))) == []
    teller = service.make_core(TELLS_OF_ROSTER)
    assert letters(list(teller.tick(0, 7))) == [0]
    service.on_roster(bad_entry(1))
    assert letters(list(teller.tick(0, 7))) == [1]
    assert letters(list(teller.tick(0, 7))) == []


def test_a_worker_that_cannot_tell_keeps_so_many_bad_entries_and_no_more(service: Service) -> None:
    """A sender that is wrong all the time must not fill the memory of whoever only listens."""
    for offset in range(3 * KEPT):
        service.on_roster(bad_entry(offset))
    teller = service.make_core(TELLS_OF_ROSTER)
    assert letters(list(teller.tick(0, 7))) == list(range(2 * KEPT, 3 * KEPT))


def test_the_engine_of_a_partition_given_away_is_let_go(service: Service) -> None:
    """It holds all that is known of its areas, and hears of the roster no more."""
    kept, _ = service.make_core(0), service.make_core(1)
    service.own(frozenset({0, 5}))
    assert service._engines == {0: kept}
