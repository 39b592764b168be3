"""The campaign's ledger: every slice once, whatever ended the one before, and what they come to."""

from pathlib import Path
from typing import Any

import pytest

from xiaohe.campaign import ledger
from xiaohe.campaign.figures import spread

REAL = {
    "kind": "real",
    "date": "2030-01-07T09:00:00+00:00",
    "commit": "abc",
    "seed": 3,
    "holds": True,
    "faults": {"worker_kill": 9, "zombie": 1},
    "alerts": 500,
    "answers": 1500,
    "positions": 20_000,
    "lost": 0,
    "duplicate": 0,
    "contradictory": 0,
    "stuck": 0,
    "seconds": 240,
    "recovery_s": {"worker_kill": spread([3.0, 4.0, 5.0])},
}
SEEDS = {
    "kind": "seeds",
    "date": "2030-01-08T09:00:00+00:00",
    "commit": "abd",
    "holds": True,
    "seeds": {"start": 100, "count": 50},
    "violations": 0,
    "faults_injected": 7_000,
    "simulated_hours": 50.0,
    "seconds": 20,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with one slice of each kind."""
    path = tmp_path / "promises" / "slices.jsonl"
    ledger.append(REAL, path)
    ledger.append(SEEDS, path)
    return path


def test_the_next_slice_goes_on_where_the_ledger_ends(path: Path) -> None:
    """No seed is run twice, neither of faults nor of the simulation."""
    lines = ledger.read(path)
    assert ledger.next_seed(lines) == 4
    assert ledger.next_simulated(lines) == 150
    assert (ledger.next_seed([]), ledger.next_simulated([])) == (1, 0)


def test_a_line_that_was_not_written_whole_is_dropped(path: Path) -> None:
    """A campaign that is killed while it writes loses that slice and no other."""
    with path.open("ab") as file:
        file.write(b'{"kind": "real", "se')
    assert len(ledger.read(path)) == 2
    ledger.append({**REAL, "seed": 4}, path)
    assert [line.get("seed") for line in ledger.read(path)] == [3, None, 4]


def test_a_ledger_that_was_damaged_is_not_read_past(path: Path) -> None:
    """What was promised is not added up from what is left over."""
    path.write_bytes(b"{\n" + path.read_bytes())
    with pytest.raises(ledger.LedgerError, match="line 1"):
        ledger.read(path)


def rows(text: str) -> dict[str, str]:
    """The two-column rows of Markdown tables."""
    cells = (line.strip("| ").split(" | ") for line in text.splitlines())
    return {row[0]: row[1] for row in cells if len(row) == 2}


def test_slices_add_up(path: Path) -> None:
    """Faults by kind, alerts, and what was lost, over all slices."""
    ledger.append({**REAL, "seed": 4, "commit": "abd", "lost": 1, "holds": False}, path)
    text = ledger.totals(ledger.read(path))
    found = rows(text)
    assert found["`worker_kill`"] == "18"
    assert found["alerts"] == "1000"
    assert found["**lost / duplicate / contradictory**"] == "**1 / 0 / 0**"
    assert found["slices, of them not holding"] == "2, 1"
    assert found["seeds"] == "50"
    assert "| `worker_kill` | 6 | 4.0 | 5.0 | 5.0 |" in text


def test_a_slice_without_a_verdict_is_told(path: Path) -> None:
    """What broke down is neither counted as held nor hidden, and its seed is not run again."""
    ledger.append({"kind": "broken", "seed": 4, "why": "no broker"}, path)
    lines = ledger.read(path)
    assert rows(ledger.totals(lines))["slices that came to no verdict"] == "1"
    assert ledger.next_seed(lines) == 5


@pytest.mark.parametrize(
    ("seconds", "found"),
    [([], (0, None, None, None)), ([2.0], (1, 2.0, 2.0, 2.0)), (range(101), (101, 50, 99, 100))],
)
def test_recoveries_are_spread(seconds: Any, found: tuple[object, ...]) -> None:
    """A percentile is one of the figures that were measured."""
    of = spread(seconds)
    assert (of["n"], of["p50"], of["p99"], of["max"]) == found


def test_a_slice_is_stamped_with_where_it_ran() -> None:
    """Commit, versions and cores stand in every line."""
    line = ledger.stamped({"kind": "real"})
    assert {"date", "commit", "python", "java", "cores"} <= line.keys()
