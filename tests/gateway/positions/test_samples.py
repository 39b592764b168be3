"""Every sample of every format is read as is written beside it, or refused with that code."""

import pytest

from tests.gateway.positions.samples import ALL, FORMS, Sample, as_told, expected, read
from xiaohe.wire.bad_input import BadInput

SAMPLES_MIN = 300
METRES_PER_SECOND = 1e-5
"""Speeds in the samples are written with six digits."""


@pytest.mark.parametrize("sample", ALL, ids=str)
def test_a_sample_says_what_is_written_beside_it(sample: Sample) -> None:
    """All fields, in the contract's units, and nothing that is not there."""
    if isinstance(sample.said, str):
        with pytest.raises(BadInput) as refused:
            read(sample.form, sample.value, sample.settings)
        assert refused.value.reason.value == sample.said
        return
    found = [as_told(each) for each in read(sample.form, sample.value, sample.settings)]
    for each, told in zip(found, map(expected, sample.said), strict=True):
        assert each == {
            name: pytest.approx(item, abs=METRES_PER_SECOND) if name == "speed_mps" else item
            for name, item in told.items()
        }


def test_there_are_samples_enough_and_of_every_format() -> None:
    """No format is left with its good message alone."""
    assert len(ALL) >= SAMPLES_MIN
    for form in FORMS:
        of_it = [sample for sample in ALL if sample.form == form]
        assert len(of_it) >= 20
        assert any(isinstance(sample.said, str) for sample in of_it)
    assert len({str(sample) for sample in ALL}) == len(ALL), "two samples have one name"
