"""``xiaohe bench deadlines``: what is open while it measures is what a worker would have."""

from tests.dispatch.invariants import check_state
from xiaohe.bench import many_open, refusals
from xiaohe.bench.many_open import ManyOpenOptions
from xiaohe.bench.places import road_points
from xiaohe.dispatch.snapshot import from_rows
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.importer import import_roads
from xiaohe.geo.network import Network
from xiaohe.geo.snap import Snapper
from xiaohe.places import ROADS
from xiaohe.topics import load_topics

NOW_MS = 1_893_988_800_000


def test_incidents_are_as_many_as_asked_for_and_their_deadlines_are_spread():
    """Each with an order of its own that nobody answered; a snapshot of them can be read."""
    network = Network.build(import_roads(ROADS).pieces, ROADS.name)
    roads = RoadMap(network, Snapper(network))
    known = load_topics()
    level = many_open._Level(ManyOpenOptions(), 160, known, roads, road_points(ROADS))
    partition, area_id = next(iter(level._areas.items()))
    engine = level._open(partition, level._pattern(partition, area_id), NOW_MS + 10_000)
    [state] = engine.states().values()
    check_state(state)
    assert len(state.incidents) * known.area_partitions == 160
    assert {len(incident.open_orders()) for incident in state.incidents.values()} == {1}
    lines = (line for piece in engine.snapshot() for line in piece.split(b"\n"))
    assert from_rows(lines) == engine.states()
    dues_ms = [d.due_ms for i in state.incidents.values() for d in i.deadlines]
    span_ms = 160 * len(dues_ms) / len(state.incidents) * 1000 / many_open.STEPS_PER_S
    assert NOW_MS + 10_000 <= min(dues_ms) < max(dues_ms) < NOW_MS + 10_000 + span_ms
    assert engine.next_due_ms() is None or engine.next_due_ms() >= NOW_MS + 10_000


def test_every_decoder_refuses_what_is_far_too_long_and_keeps_nothing_of_it():
    """Whatever it is made of, before anything is parsed."""
    rows = refusals.bench_refusals()
    assert len(rows) == 6 * len(refusals.PAYLOADS)
    assert {row["reason"] for row in rows} == {"oversize"}
    assert max(row["most_bytes"] for row in rows) < 100_000
    assert "positions" in refusals.table(rows)


def test_the_table_has_a_row_a_level():
    """With the lateness that the product promises something about."""
    row = {
        "open_incidents": 1_000, "quiet_second_ms": 4.0, "steps": 20, "late_p50_ms": 3.0,
        "late_p99_ms": 17.0, "late_max_ms": 21.0, "busy_share": 0.02, "take_over_cpu_s": 0.2,
    }  # fmt: skip
    told = many_open.table([row, row | {"open_incidents": 100_000}])
    assert "100,000" in told
    assert "17" in told
