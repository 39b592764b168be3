"""Whatever bytes come, a decoder gives what was said or the one error, and nothing impossible."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.devices import check_all
from tests.gateway.positions.samples import ALL, FORMS, read
from xiaohe.wire.bad_input import BadInput

SEEDS = {form: [sample.value for sample in ALL if sample.form == form] for form in FORMS}
SETTINGS = {"device": "M07"}


@st.composite
def spoilt(draw: st.DrawFn, form: str) -> bytes:
    """A sample, some of its bytes replaced, taken out or repeated; or any bytes at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    value = bytearray(draw(st.sampled_from(SEEDS[form])))
    for _ in range(draw(st.integers(0, 4))):
        if not value:
            break
        at = draw(st.integers(0, len(value) - 1))
        match draw(st.integers(0, 2)):
            case 0:
                value[at] = draw(st.integers(0, 255))
            case 1:
                del value[at : at + draw(st.integers(1, 8))]
            case _:
                value[at:at] = value[at : at + draw(st.integers(1, 30))]
    return bytes(value)


@pytest.mark.parametrize("form", FORMS)
def test_any_bytes_are_said_or_refused(form: str) -> None:
    """Nothing else comes out, and a fix has a place on Earth and a time that can be."""

    @settings(max_examples=150, deadline=None)
    @given(spoilt(form))
    def held(value: bytes) -> None:
        with contextlib.suppress(BadInput):
            check_all(read(form, value, SETTINGS))

    held()
