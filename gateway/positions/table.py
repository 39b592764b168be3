"""A recorded track as a table: CSV with a line of column names, which say their units.

The delimiter is the one of ``, ; tab |`` that the line of names has most of. A column that nobody
knows is passed over; one that leaves its unit open is refused, for a guess would be wrong for half
of all files.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.positions import measures
from xiaohe.gateway.positions.hearing import Message, heard
from xiaohe.gateway.positions.measures import MPS_PER_KMH, device_id
from xiaohe.gateway.positions.raw_fix import Read, Said
from xiaohe.gateway.positions.receipt import Receipt, datum_of
from xiaohe.gateway.positions.traccar_words import alarm_of, knots_mps
from xiaohe.wire.bad_input import BadInput

TRACK_BYTES_MAX: Final = 8 * 1024 * 1024
"""A recorded file: a day at a fix a second has some 6 MiB."""

TRACK_FIXES_MAX: Final = 100_000
"""Fixes of a recorded file: a day has 86,400 seconds."""

LINE_CHARACTERS_MAX: Final = 4_096
"""A line of a table: some twenty columns have 200 characters."""

DELIMITERS: Final = ",;\t|"

MEANINGS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("device_id", "device", "deviceid", "id", "imei"), "device"),
    **dict.fromkeys(("lon", "lng", "longitude"), "lon"),
    **dict.fromkeys(("lat", "latitude"), "lat"),
    **dict.fromkeys(("time", "fix_time", "timestamp", "datetime", "date_time"), "time"),
    **dict.fromkeys(("accuracy_m", "accuracy_(m)"), "accuracy_m"),
    **dict.fromkeys(("speed_mps", "speed_m/s", "speed_(m/s)"), "speed_mps"),
    **dict.fromkeys(("speed_kmh", "speed_km/h", "speed_kph", "speed_(km/h)"), "speed_kmh"),
    **dict.fromkeys(("speed_kn", "speed_knots", "speed_(kn)", "speed_(knots)"), "speed_kn"),
    **dict.fromkeys(("course_deg", "heading_deg", "bearing_deg", "course", "heading", "bearing"),
                    "course_deg"),
    **dict.fromkeys(("battery_percent", "battery_%", "battery_(%)"), "battery_percent"),
    **dict.fromkeys(("battery_share",), "battery_share"),
    "alarm": "alarm",
    "seq": "seq",
    "datum": "datum",
    "valid": "valid",
}  # fmt: skip
"""What columns mean, by their names in small letters with underscores for spaces."""

UNIT_OPEN: Final[Mapping[str, str]] = {
    "speed": "speed_mps, speed_kmh or speed_knots",
    "accuracy": "accuracy_m",
    "battery": "battery_percent or battery_share",
}
"""Columns whose unit must be said, and how."""

READ: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "accuracy_m": ("accuracy_m", measures.accuracy_m),
    "speed_mps": ("speed_mps", measures.speed_mps),
    "speed_kmh": ("speed_mps", lambda said: measures.speed_mps(said, MPS_PER_KMH)),
    "speed_kn": ("speed_mps", knots_mps),
    "course_deg": ("course_deg", measures.course_deg),
    "battery_percent": ("battery", measures.share_of_percent),
    "battery_share": ("battery", measures.share),
    "alarm": ("alarm", alarm_of),
    "seq": ("seq", measures.seq),
    "valid": ("is_valid", lambda said: measures.is_said(said) is not False),
}
"""For each meaning the field of a message, and what reads it."""


def decode(value: bytes, receipt: Receipt, device: str | None = None) -> list[Read]:
    """Read a table; a bad row is told of by itself, with the number of the row from 0.

    ``device`` is whose fixes they are where no column says so. Raises BadInput.
    """
    lines = _lines(value)
    header = next(lines, "")
    delimiter = max(DELIMITERS, key=header.count)
    meanings = _meanings(header, delimiter, device)
    read: list[Read] = []
    try:
        for row in csv.reader(lines, delimiter=delimiter, strict=True):
            if not any(cell.strip() for cell in row):
                continue
            if len(read) == TRACK_FIXES_MAX:
                raise BadInput(
                    Reason.BATCH_TOO_LONG, f"the table has more than {TRACK_FIXES_MAX} rows"
                )
            read.append(_row_or_bad(len(read), row, meanings, receipt, device))
    except csv.Error:
        raise BadInput(
            Reason.NOT_CSV, f"row {len(read)} is not CSV: a quote is open or out of place"
        ) from None
    return read


def _lines(value: bytes) -> Iterator[str]:
    """Give the lines, none longer than is read: a row is one line here."""
    if len(value) > TRACK_BYTES_MAX:
        raise BadInput(Reason.OVERSIZE, f"the file has more than {TRACK_BYTES_MAX} bytes")
    try:
        text = value.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(Reason.NOT_UTF8, f"byte {error.start} is not UTF-8") from None
    for line in text.splitlines():
        if len(line) > LINE_CHARACTERS_MAX:
            raise BadInput(
                Reason.OVERSIZE, f"a line has more than {LINE_CHARACTERS_MAX} characters"
            )
        yield line


def _meanings(header: str, delimiter: str, device: str | None) -> list[str | None]:
    try:
        names = next(csv.reader([header], delimiter=delimiter, strict=True), [])
    except csv.Error:
        raise BadInput(Reason.NOT_CSV, "the line of column names is not CSV") from None
    plain = [name.strip().lower().replace(" ", "_") for name in names]
    for name, better in UNIT_OPEN.items():
        if name in plain:
            raise BadInput(Reason.UNKNOWN_VALUE, f"the column {name} needs its unit: {better}")
    meanings = [MEANINGS.get(name) for name in plain]
    needed = {"lon", "lat", "time"} | (set() if device else {"device"})
    missing = sorted(needed - set(meanings))
    if missing:
        raise BadInput(Reason.MISSING_FIELD, f"no column is {' or '.join(missing)}")
    if any(meanings.count(meaning) > 1 for meaning in set(meanings) - {None}):
        raise BadInput(Reason.NOT_CSV, "two columns mean the same")
    return meanings


def _row_or_bad(
    index: int,
    row: Sequence[str],
    meanings: Sequence[str | None],
    receipt: Receipt,
    device: str | None,
) -> Read:
    if len(row) > len(meanings):
        return BadInput(Reason.NOT_CSV, "the row has more cells than there are columns", index)
    cells = {meaning: cell.strip() for meaning, cell in zip(meanings, row, strict=False) if meaning}
    try:
        return _said(cells, receipt, device)
    except BadInput as bad:
        return bad.at_index(index)


def _said(cells: Mapping[str, str], receipt: Receipt, device: str | None) -> Said:
    if cells.get("datum"):
        receipt = msgspec.structs.replace(receipt, datum=datum_of(cells["datum"]))
    measured = {
        field: read(cells[meaning]) for meaning, (field, read) in READ.items() if cells.get(meaning)
    }
    message = Message(
        device_id=device_id(cells.get("device") or device, "device_id"),
        lon=cells.get("lon"),
        lat=cells.get("lat"),
        time=cells.get("time"),
        **measured,
    )
    return heard(message, receipt)
