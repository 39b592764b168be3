"""docs/trackers.md says what the decoders do: its samples are read, its words are theirs."""

import re
from pathlib import Path

import msgspec
import pytest

from tests.gateway.door_bench import parts_for
from tests.gateway.positions.samples import read
from xiaohe.dispatch.times import parse_rfc3339
from xiaohe.gateway.positions import examples
from xiaohe.gateway.positions.doors import REFUSED, REPORT_LOCATION, doors
from xiaohe.gateway.positions.moments import FUTURE_MS_MAX
from xiaohe.gateway.positions.raw_fix import RawFix
from xiaohe.gateway.positions.receipt import Receipt

PAGE = (Path(__file__).parents[3] / "docs" / "trackers.md").read_text()
SAMPLE = re.compile(r"^```(?:json|text) (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAMPLES = SAMPLE.findall(PAGE)
SENT_MS = parse_rfc3339("2030-01-07T04:00:52Z")
RECEIPT = Receipt(received_ms=SENT_MS + 1_000)


@pytest.mark.parametrize(("form", "text"), SAMPLES)
def test_a_sample_of_the_page_is_a_fix(form: str, text: str) -> None:
    """All are of one moment and one street, in whatever units."""
    (fix,) = read(form, text.rstrip("\n").encode(), {}, RECEIPT)
    assert isinstance(fix, RawFix)
    assert fix.fix_ms // 1000 == SENT_MS // 1000
    assert (round(fix.lon, 3), round(fix.lat, 3)) == (120.14, pytest.approx(30.3125, abs=1e-3))
    assert fix.device_id in {"M07", "jo:phone", "013800138000"}
    assert fix.speed_mps is None or 1 < fix.speed_mps < 5


def test_every_client_has_a_sample() -> None:
    """No section without one."""
    assert {form for form, _ in SAMPLES} == {
        "osmand_query", "osmand_json", "owntracks", "traccar", "tile38", "positions", "csv",
    }  # fmt: skip


def test_the_page_names_every_door_and_what_it_answers() -> None:
    """Paths, heads, commands and limits are those of the code."""
    for door in doors(parts_for()):
        assert f"{door.path}`" in PAGE, door.path
    assert f"`{REFUSED}`" in PAGE
    assert msgspec.json.encode([REPORT_LOCATION]).decode() in PAGE
    assert f"more than {FUTURE_MS_MAX // 1000} s ahead" in PAGE


@pytest.mark.parametrize(
    ("form", "example"),
    [
        ("osmand_json", examples.OSMAND_JSON),
        ("owntracks", examples.OWNTRACKS),
        ("traccar", examples.TRACCAR),
        ("tile38", examples.TILE38),
        ("positions", examples.POSITION),
    ],
)
def test_the_examples_of_the_doors_are_read(form: str, example: dict[str, object]) -> None:
    """What the OpenAPI document shows of each door is a good message."""
    (fix,) = read(form, msgspec.json.encode(example), {}, RECEIPT)
    assert isinstance(fix, RawFix)
    assert fix.fix_ms // 1000 == SENT_MS // 1000
