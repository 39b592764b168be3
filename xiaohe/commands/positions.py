"""``xiaohe positions replay``: a recorded track sent to a gateway as if it were taken now."""

import time
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from xiaohe.commands.options import DEFAULT_HTTP, Json, positive
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Read
from xiaohe.gateway.positions.receipt import receipt_of
from xiaohe.gateway.positions.recorded import decode
from xiaohe.output import note, say, say_json
from xiaohe.places import read_file
from xiaohe.track_replay import Gateway, ReplayRefused, replay
from xiaohe.wire.bad_input import BadInput

BAD_SHOWN_MAX: Final = 5
"""Bad fixes of a file that are shown one by one; the rest are counted."""

Format = Annotated[
    Literal["csv", "gpx", "json"] | None,
    Parameter(name="--format", help="How the file is written; else as its name ends."),
]
Device = Annotated[
    str | None, Parameter(name="--device", help="Whose track it is, where the file says nothing.")
]
Url = Annotated[str, Parameter(name="--url", help="The gateway.")]
TokenFile = Annotated[
    Path | None, Parameter(name="--token-file", help="A file that holds the bearer token.")
]
TrackSpeed = Annotated[
    float,
    Parameter(name="--speed", help="How many times as fast as recorded.", validator=positive),
]
Datum = Annotated[
    Literal["wgs84", "gcj02", "bd09"] | None,
    Parameter(name="--datum", help="The datum of the file, where it is not WGS-84."),
]
Timezone = Annotated[
    str | None, Parameter(name="--timezone", help="The time zone of its times that name none.")
]


def replay_(
    file: Path,
    *,
    format: Format = None,  # noqa: A002 - as the option is called
    device: Device = None,
    speed: TrackSpeed = 1.0,
    url: Url = f"http://{DEFAULT_HTTP}",
    token_file: TokenFile = None,
    datum: Datum = None,
    timezone: Timezone = None,
    json: Json = False,
) -> int:
    """Send a recorded track through a gateway's /v1/positions, at its own pace, with times of now.

    Exit status 1 where the gateway refuses any of it.

    Parameters
    ----------
    file
        A table (CSV), GPX, or positions as JSON: one, a list, a batch, or one a line.
    """
    try:
        receipt = receipt_of(_now_ms(), datum, timezone)
        read = decode(format or _format_of(file), read_file(file), receipt, device)
    except BadInput as bad:
        raise ReplayRefused(f"{file}: {bad.detail}") from None
    fixes = _fixes(file, read)
    token = None if token_file is None else read_file(token_file).decode().strip()
    gateway = Gateway(url, token)
    try:
        sent = replay(fixes, speed, gateway.send, _now_ms, _wait_ms)
    finally:
        gateway.close()
    if json:
        say_json(
            {
                "fixes": len(fixes),
                "accepted": sent.accepted,
                "refused": sent.refused,
                "reasons": sent.reasons,
                "unread": len(read) - len(fixes),
            }
        )
    else:
        say(f"{sent.accepted} of {len(fixes)} fixes taken")
        for reason, count in (sent.reasons or {}).items():
            say(f"  {count} refused: {reason}")
    return 1 if sent.refused else 0


def _format_of(file: Path) -> str:
    form = {".csv": "csv", ".tsv": "csv", ".gpx": "gpx", ".json": "json", ".jsonl": "json"}.get(
        file.suffix.lower()
    )
    if form is None:
        raise ReplayRefused(f"{file}: say how it is written, with --format csv, gpx or json")
    return form


def _fixes(file: Path, read: list[Read]) -> list[RawFix]:
    """Give the fixes of a file; what is none is told. Raises ReplayRefused where none is left."""
    bad = [each for each in read if isinstance(each, BadInput)]
    for each in bad[:BAD_SHOWN_MAX]:
        note(f"xiaohe: {file}: fix {each.index}: {each.detail}")
    if len(bad) > BAD_SHOWN_MAX:
        note(f"xiaohe: {file}: and {len(bad) - BAD_SHOWN_MAX} more that cannot be read")
    without = sum(isinstance(each, NoFix) for each in read)
    if without:
        note(f"xiaohe: {file}: {without} of them say that they have no fix")
    fixes = [each for each in read if isinstance(each, RawFix)]
    if not fixes:
        raise ReplayRefused(f"{file}: it has no fix that can be sent")
    return fixes


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _wait_ms(ms: int) -> None:
    if ms > 0:
        time.sleep(ms / 1000)
