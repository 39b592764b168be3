"""What is made to hurt is refused by a limit that has a name."""

import pytest

from tests.gateway.positions.samples import FORMS, RECEIPT, read
from xiaohe.dispatch.inputs import POSITIONS_IN_BATCH_MAX
from xiaohe.gateway.positions import gpx, owntracks, table
from xiaohe.wire.bad_input import BadInput

MIB = 1024**2
DEVICE = {"device": "M07"}
HEADER = b"id,lat,lon,time\n"
POINT = b'<trkpt lat="1" lon="2"><time>2026-11-25T03:59:50Z</time></trkpt>'


def refusal(form: str, value: bytes) -> str:
    """The code with which a message is refused."""
    with pytest.raises(BadInput) as refused:
        read(form, value, DEVICE)
    return refused.value.reason.value


@pytest.mark.parametrize("form", FORMS)
def test_ten_mebibytes_are_refused_unread(form: str) -> None:
    """Whatever they hold."""
    assert refusal(form, b"[" * 10 * MIB) == "oversize"


@pytest.mark.parametrize("form", ["osmand_json", "owntracks", "traccar", "tile38", "positions"])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_json_without_end_is_refused(form: str, opening: bytes) -> None:
    """Depth costs a stack elsewhere."""
    value = opening * (30_000 // len(opening))
    assert refusal(form, value) in {"too_deep", "not_json"}


def test_json_that_is_deep_and_whole_is_refused() -> None:
    """A field that nobody reads counts too."""
    value = b'{"_type":"location","x":' + b"[" * 40 + b"]" * 40 + b"}"
    assert refusal("owntracks", value) == "too_deep"


def test_a_list_without_end_is_refused() -> None:
    """A phone keeps some hundred messages."""
    value = b"[" + b",".join([b"1"] * (POSITIONS_IN_BATCH_MAX + 1)) + b"]"
    assert refusal("owntracks", value) == "batch_too_long"


def test_a_million_columns_are_refused() -> None:
    """In the line of names, and in a row."""
    assert refusal("csv", b"," * 1_000_000) == "oversize"
    assert refusal("csv", HEADER + b"," * 1_000_000) == "oversize"


def test_more_rows_than_a_day_has_seconds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded file is a day's."""
    monkeypatch.setattr(table, "TRACK_FIXES_MAX", 100)
    assert len(table.decode(HEADER + b"M07,1,2,1795579190\n" * 100, RECEIPT)) == 100
    assert refusal("csv", HEADER + b"M07,1,2,1795579190\n" * 101) == "batch_too_long"


def test_more_points_than_a_day_has_seconds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of the other format."""
    monkeypatch.setattr(gpx, "TRACK_FIXES_MAX", 100)
    assert len(gpx.decode(b"<gpx>" + POINT * 100 + b"</gpx>", RECEIPT, "M07")) == 100
    assert refusal("gpx", b"<gpx>" + POINT * 101 + b"</gpx>") == "batch_too_long"


def test_a_billion_laughs_are_not_laughed() -> None:
    """No entity is expanded, whatever it is made of."""
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE gpx [<!ENTITY l0 "ha">{laughs}]><gpx><name>&l11;</name></gpx>'
    assert refusal("gpx", bomb.encode()) == "not_xml"


def test_one_long_entity_many_times_is_refused() -> None:
    """The quadratic kind too."""
    bomb = f'<!DOCTYPE gpx [<!ENTITY a "{"a" * 50_000}">]><gpx>{"&a;" * 50_000}</gpx>'
    assert refusal("gpx", bomb.encode()) == "not_xml"


def test_elements_without_end_are_refused() -> None:
    """Depth of elements is bounded as depth of objects is."""
    assert refusal("gpx", b"<gpx>" + b"<a>" * 1_000_000) == "too_deep"


def test_a_refusal_repeats_nothing() -> None:
    """What a sender wrote may be somebody's name: it is in no detail."""
    with pytest.raises(BadInput) as refused:
        owntracks.decode(b'{"_type":"location","tid":"Zq9canary x","lat":1,"lon":1}', RECEIPT)
    assert "Zq9canary" not in refused.value.detail
