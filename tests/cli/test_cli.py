"""The program as a person meets it: help, wrong words, missing files, exit statuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DONE, FAILED, UNUSABLE = 0, 1, 2


def xiaohe(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "xiaohe", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    """The first screen shows what there is to do."""
    said = xiaohe("--help", cwd=tmp_path)
    assert said.returncode == DONE
    for word in ("up", "status", "demo", "simulate", "worker", "gateway", "broker", "topics",
                 "roads", "roster", "verify", "explain", "bench"):  # fmt: skip
        assert f"│ {word} " in said.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("up", "--wrong"),
        ("up", "--http", "nowhere"),
        ("up", "--workers", "0"),
        ("up", "--workers", "many"),
        ("worker",),
        ("roads", "check"),
        ("demo", "--speed", "0"),
        ("demo", "--speed", "nan"),
        ("bench", "matching", "--members", "0"),
        ("bench", "matching", "--minutes", "nan"),
        ("bench", "matching", "--seed", "-1"),
        ("bench", "bursts", "--rounds", "0"),
        ("bench", "recover", "--incidents", "0"),
    ],
)
def test_unusable_arguments_end_with_2_and_a_sentence(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """A wrong word is the caller's: status 2, one line on stderr, nothing on stdout."""
    said = xiaohe(*arguments, cwd=tmp_path)
    assert said.returncode == UNUSABLE, said.stderr
    assert said.stderr.startswith("xiaohe: ")
    assert "Traceback" not in said.stderr
    assert said.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("roads", "check", "no.geojson"), "no.geojson"),
        (("roster", "check", "no.json"), "no.json"),
        (("up", "--policy", "no.yaml"), "no.yaml"),
        (("up", "--roster", "no.json"), "no.json"),
        (("topics", "diff"), "--bootstrap-servers"),
        (("verify",), "--bootstrap-servers"),
    ],
)
def test_what_fails_ends_with_1_and_says_what_to_do(
    arguments: tuple[str, ...], names: str, tmp_path: Path
) -> None:
    """A file or a broker that is not there is named, with what to do about it."""
    said = xiaohe(*arguments, cwd=tmp_path)
    assert said.returncode == FAILED, said.stderr
    assert names in said.stderr
    assert "Traceback" not in said.stderr


def test_a_broken_roads_file_is_named_place_by_place(tmp_path: Path) -> None:
    """`roads check` finds a crossing without a vertex and ends with 1."""
    line = '{"type":"Feature","properties":{"road_id":"%s"},"geometry":{"type":"LineString",%s}}'
    crossing = ",".join(
        [
            line % ("east", '"coordinates":[[120.1,30.3],[120.102,30.3]]'),
            line % ("north", '"coordinates":[[120.101,30.299],[120.101,30.301]]'),
        ]
    )
    (tmp_path / "roads.geojson").write_text(
        '{"type":"FeatureCollection","features":[' + crossing + "]}"
    )
    said = xiaohe("roads", "check", "roads.geojson", cwd=tmp_path)
    assert said.returncode == FAILED
    assert "error: " in said.stdout


def test_the_project_s_own_map_and_roster_hold(tmp_path: Path) -> None:
    """What is shipped passes its own checks."""
    data = Path(__file__).parent.parent.parent / "data"
    roads = xiaohe("roads", "check", str(data / "roads.geojson"), cwd=tmp_path)
    assert (roads.returncode, roads.stdout.split(": ")[1].strip()) == (DONE, "0 errors, 0 warnings")
    roster = xiaohe("roster", "check", str(data / "roster.json"), cwd=tmp_path)
    assert (roster.returncode, roster.stdout.split(": ")[1].strip()) == (DONE, "0 findings")


def test_a_setting_comes_from_the_option_then_the_environment_then_the_file(
    tmp_path: Path,
) -> None:
    """The nearer word wins; each is seen by the folder that the error names."""
    (tmp_path / "xiaohe.toml").write_text('data_dir = "from-file"\n')
    by_file = xiaohe("broker", "status", cwd=tmp_path)
    by_environment = xiaohe("broker", "status", cwd=tmp_path, XIAOHE_DATA_DIR="from-env")
    by_option = xiaohe(
        "broker", "status", "--data-dir", "from-option", cwd=tmp_path, XIAOHE_DATA_DIR="from-env"
    )
    assert "from-file" in by_file.stdout
    assert "from-env" in by_environment.stdout
    assert "from-option" in by_option.stdout
