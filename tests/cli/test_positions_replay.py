"""``xiaohe positions replay`` against a gateway that really listens."""

import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import uvicorn

from tests.gateway.door_bench import parts_for
from tests.gateway.positions.list_intake import ListIntake
from xiaohe import cli
from xiaohe.gateway.app import application
from xiaohe.gateway.positions.doors import doors
from xiaohe.gateway.serve import address_of, listen

GPX = "<gpx><trk><trkseg>{}</trkseg></trk></gpx>"
POINT = '<trkpt lat="30.3" lon="120.1"><time>2026-11-25T03:59:{:02}Z</time></trkpt>'


@pytest.fixture
def intake() -> ListIntake:
    """Where it all comes to."""
    return ListIntake()


@pytest.fixture
def url(intake: ListIntake) -> Iterator[str]:
    """A gateway on a free port, with the doors of positions and no Kafka."""
    import time  # noqa: PLC0415 - the machine's clock, as the gateway has it

    parts = parts_for()
    parts.intake = intake
    parts.now_ms = lambda: time.time_ns() // 1_000_000
    config = uvicorn.Config(application(parts, doors(parts)), lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    listener = listen("127.0.0.1:0")
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    serving.start()
    yield f"http://{address_of(listener)}"
    server.should_exit = True
    serving.join()
    listener.close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A file with a bearer token."""
    file = tmp_path / "token"
    file.write_text("somebody\n")
    return file


def test_a_track_comes_to_the_intake(
    tmp_path: Path, url: str, token: Path, intake: ListIntake, capsys: pytest.CaptureFixture[str]
) -> None:
    """All its fixes, as of now, and the account of them."""
    file = tmp_path / "round.gpx"
    file.write_text(GPX.format("".join(POINT.format(n) for n in range(0, 60, 10))))
    status = cli.run(
        ["positions", "replay", str(file), "--device", "M07", "--speed", "1000", "--url", url,
         "--token-file", str(token), "--json"]
    )  # fmt: skip
    assert status == 0
    assert orjson.loads(capsys.readouterr().out)["accepted"] == len(intake.taken) == 6
    assert {fix.device_id for fix in intake.taken} == {"M07"}


def test_a_track_of_a_stranger_is_told(
    tmp_path: Path, url: str, token: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, and how many for which reason; what cannot be read is told as well."""
    file = tmp_path / "round.csv"
    file.write_text("id,lat,lon,time\nstranger,30,120,1795579190\nstranger,99,120,1795579190\n"
                    "stranger,30,120,1795579190\n")  # fmt: skip
    status = cli.run(["positions", "replay", str(file), "--url", url, "--token-file", str(token)])
    told = capsys.readouterr()
    assert status == 1
    assert "2 refused: unknown_device" in told.out
    assert "fix 1: the latitude" in told.err


@pytest.mark.parametrize(
    ("name", "text", "options", "says"),
    [
        ("a.gpx", "<gpx/>", [], "whose track"),
        ("a.gpx", "<gpx/>", ["--device", "M07"], "no fix"),
        ("a.csv", "speed,lat\n", [], "needs its unit"),
        ("a.txt", "", [], "--format"),
        ("a.json", "{", ["--device", "M07"], "character"),
        ("a.json", '{"lon":1,"lat":2,"fix_time":"2026-11-25T03:59:50Z"}',
         ["--device", "M07", "--url", "gateway"], "--url"),
        ("a.json", '{"lon":1,"lat":2,"fix_time":"2026-11-25T03:59:50Z"}',
         ["--device", "M07"], "answers 401"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(
    tmp_path: Path, url: str, name: str, text: str, options: list[str], says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A person sees what to do next."""
    file = tmp_path / name
    file.write_text(text)
    where = [] if "--url" in options else ["--url", url]
    assert cli.run(["positions", "replay", str(file), *options, *where]) == 1
    assert says in capsys.readouterr().err
