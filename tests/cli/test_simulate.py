"""``xiaohe simulate`` as a person and a program meet it."""

import json
from pathlib import Path

import pytest

from tests.cli.test_cli import DONE, FAILED, UNUSABLE, xiaohe
from xiaohe.cli import run


def last_line(out: str) -> dict[str, object]:
    """The last line of standard output."""
    return json.loads(out.splitlines()[-1])


def test_the_last_line_has_the_contracts_keys_and_null_for_what_is_not_built(
    tmp_path: Path,
) -> None:
    """Void is null, and stderr says why."""
    said = xiaohe("simulate", "--days", "2", "--scenario", "fewer:members=45", "--html", "r.html",
                  "--json", cwd=tmp_path)  # fmt: skip
    assert said.returncode == DONE, said.stderr
    (line,) = said.stdout.splitlines()
    found = json.loads(line)
    assert set(found["on_time"]) == {"accept", "arrive", "backup"}
    assert found["incidents"] > 0
    assert found["forgotten"] == 0
    assert found["times_real_time"] > 0
    assert found["hazards"] is found["rectified"] is found["visits_saved_share"] is None
    assert "hazards" in said.stderr
    assert "made up" in said.stderr
    assert [each["members"] for each in found["scenarios"]] == [50, 45]
    assert "小河街道" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Side by side, on standard output."""
    assert run(["simulate", "--days", "1", "--scenario", "cars:mode=car"]) == DONE
    said = capsys.readouterr().out
    assert "cars" in said
    assert "total response, p90" in said


def test_calls_from_a_file_are_played_on_their_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Strays are counted and named; the days are those of the file."""
    (tmp_path / "calls.csv").write_text(
        "time,lon,lat,category,priority\n"
        "2030-05-01 09:00:00,120.1285,30.3101,noise,3\n"
        "2030-05-03 23:00:00,120.1279,30.3076,smoke,1\n"
        "2030-05-03 23:00:00,2.35,48.85,smoke,1\n"
    )
    monkeypatch.chdir(tmp_path)
    assert run(["simulate", "--calls", "calls.csv", "--json"]) == DONE
    said = capfd.readouterr()
    found = last_line(said.out)
    assert (found["incidents"], found["days"]) == (2, 3)
    assert "outside the map (line 4)" in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--days", "0"),
        ("--days", "many"),
        ("--per-day", "0"),
        ("--per-day", "nan"),
        ("--per-day", "inf"),
        ("--fix-interval-s", "-1"),
        ("--fix-interval-s", "nan"),
    ],
)
def test_an_impossible_number_is_unusable(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Status 2 and a sentence."""
    monkeypatch.chdir(tmp_path)
    assert run(["simulate", *arguments]) == UNUSABLE
    said = capsys.readouterr()
    assert said.err.startswith("xiaohe: ")
    assert said.out == ""


@pytest.mark.parametrize(
    ("arguments", "status", "names"),
    [
        (("--calls", "none.csv"), FAILED, "none.csv"),
        (("--rates", "none.yaml"), FAILED, "none.yaml"),
        (("--roster", "none.json"), FAILED, "none.json"),
        (("--html", "no/such/folder/r.html"), FAILED, "there is no folder"),
        (("--scenarios", "none.yaml"), UNUSABLE, "none.yaml"),
        (("--start", "soon"), UNUSABLE, "YYYY-MM-DD"),
        (("--area", "atlantis"), UNUSABLE, "atlantis"),
        (("--scenario", "x:members=51"), UNUSABLE, "roster=FILE"),
        (("--scenario", "x:move=nobody>here"), UNUSABLE, "no squad"),
        (("--scenario", "x:rate=1", "--scenario", "x:rate=2"), UNUSABLE, "name each otherwise"),
        (("--calls", "a.csv", "--per-day", "3"), UNUSABLE, "give one"),
    ],
)
def test_what_cannot_be_played_says_what_to_do(
    arguments: tuple[str, ...],
    status: int,
    names: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Status 2 for what cannot be asked, 1 for what is not there; one sentence on stderr."""
    monkeypatch.chdir(tmp_path)
    assert run(["simulate", *arguments]) == status
    said = capsys.readouterr()
    assert names in said.err
    assert said.out == ""
