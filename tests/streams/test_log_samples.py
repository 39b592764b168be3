"""Logs of every version that was ever written still fold to the state that they folded to then."""

import json
from pathlib import Path

import pytest

from tests.streams.log_sample import EXPECTED, LOGS, SHAPE, hashes, shape
from xiaohe.streams.decision_log import VERSION

SAMPLES = sorted(LOGS.glob("v*"), key=lambda folder: int(folder.name[1:]))

WHAT_TO_DO = (
    "what lies in the decisions log is not as version {version} has it ({names}). Logs are "
    "kept for ever, so give a new field a default that means what its absence meant, raise VERSION "
    "in streams/decision_log.py, say in docs/decisions/0010-versioned-log.md what the version "
    "brings, and store what it looks like: python -m tests.streams.log_sample"
)

FOLDS_OTHERWISE = (
    "the sample {version}, partition {partition}: another {what} is folded from it than was. Only "
    "where the state is meant to keep more or less of what was recorded, or the contract has new "
    "fields: python -m tests.streams.log_sample --hash"
)


def test_there_is_a_sample_of_every_version() -> None:
    """From the first to the one that is written now."""
    assert [folder.name for folder in SAMPLES] == [f"v{n}" for n in range(1, VERSION + 1)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda folder: folder.name)
def test_a_sample_folds_to_what_it_was(sample: Path) -> None:
    """Every entry is understood as it was meant when it was written: the same is published, to the
    byte, and the same state is come to."""
    stored, now = json.loads((sample / EXPECTED).read_text()), hashes(sample)
    for partition, expected in stored.items():
        for what, its_hash in expected.items():
            told = FOLDS_OTHERWISE.format(version=sample.name, partition=partition, what=what)
            assert now[partition][what] == its_hash, told


def test_what_is_logged_looks_as_its_version_says() -> None:
    """Nobody changes a fact or an entry without a new version and a sample of it."""
    stored = json.loads((LOGS / f"v{VERSION}" / SHAPE).read_text())
    now = json.loads(json.dumps(shape()))
    names = sorted(name for name in {*stored, *now} if stored.get(name) != now.get(name))
    assert not names, WHAT_TO_DO.format(version=VERSION, names=", ".join(names))
