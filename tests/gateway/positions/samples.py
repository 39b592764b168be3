"""The samples of ``tests/data/devices``: what came, under which settings, and what it says."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from xiaohe.dispatch.times import parse_rfc3339
from xiaohe.gateway.positions import (
    gpx,
    osmand,
    owntracks,
    plain,
    table,
    tile38,
    traccar_forward,
)
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Read
from xiaohe.gateway.positions.receipt import Receipt, receipt_of
from xiaohe.wire.bad_input import BadInput

FOLDER: Final = Path(__file__).parents[2] / "data" / "devices"
RECEIVED_MS: Final = parse_rfc3339("2026-11-25T04:00:00Z")
RECEIPT: Final = Receipt(received_ms=RECEIVED_MS)

Settings = Mapping[str, str]


def read(form: str, value: bytes, settings: Settings, receipt: Receipt | None = None) -> list[Read]:
    """Read a message of a format, with its settings."""
    if receipt is None:
        receipt = receipt_of(RECEIVED_MS, settings.get("datum"), settings.get("timezone"))
    match form:
        case "osmand_query":
            return list(osmand.decode_query(value, receipt))
        case "osmand_json":
            return list(osmand.decode_json(value, receipt))
        case "owntracks":
            return owntracks.decode(value, receipt, settings.get("topic"))
        case "traccar":
            return list(traccar_forward.decode(value, receipt))
        case "tile38":
            return list(tile38.decode(value, receipt))
        case "positions":
            return plain.decode(value, receipt)
        case "csv":
            return table.decode(value, receipt, settings.get("device"))
        case "gpx":
            return gpx.decode(value, receipt, settings.get("device", "M07"))
    raise AssertionError(form)


FORMS: Final = (
    "osmand_query", "osmand_json", "owntracks", "traccar", "tile38", "positions", "csv", "gpx",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One message and what is expected of it: a list, or the code of its refusal."""

    form: str
    name: str
    value: bytes
    settings: Settings
    said: list[dict[str, Any]] | str

    def __str__(self) -> str:
        """Its name in a test's."""
        return f"{self.form}: {self.name}"


def samples(form: str) -> Iterator[Sample]:
    """Give all samples of a format."""
    bases: dict[str, dict[str, Any]] = {}
    for line in (FOLDER / form / "samples.jsonl").read_bytes().splitlines():
        told = orjson.loads(line)
        if "base" in told:
            bases[told["base"]] = told
        base = bases.get(told.get("from", ""), {})
        name = told.get("name") or told["base"]
        yield Sample(form, name, _value(form, told, base), told.get("settings", {}),
                     _said(told, base))  # fmt: skip


def _value(form: str, told: dict[str, Any], base: dict[str, Any]) -> bytes:
    if "hex" in told:
        return bytes.fromhex(told["hex"])
    if "text" in told or "text" in base:
        return (told.get("text") or base.get("text", "")).encode()
    found = told["json"] if "json" in told else copy.deepcopy(base["json"])
    for path, item in told.get("set", {}).items():
        place, last = _place(found, path)
        place[last] = item
    for path in told.get("drop", ()):
        place, last = _place(found, path)
        del place[last]
    return urlencode(found).encode() if form == "osmand_query" else orjson.dumps(found)


def _place(found: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *steps, last = path.split(".")
    for step in steps:
        found = found[step]
    return found, last


def _said(told: dict[str, Any], base: dict[str, Any]) -> list[dict[str, Any]] | str:
    if "reason" in told:
        return told["reason"]
    if "no_fix" in told:
        return [{name: told.get(name) for name in ("no_fix", "device_id", "alarm")}]
    said = told["said"]
    if isinstance(said, list):
        return said
    changed = base.get("said", {}) | said
    return [{name: item for name, item in changed.items() if item is not None}]


def as_told(each: Read) -> dict[str, Any]:
    """Write what was read as the samples do, what is at its default left out."""
    if isinstance(each, BadInput):
        return {"reason": each.reason.value}
    if isinstance(each, NoFix):
        return {"no_fix": each.what, "device_id": each.device_id, "alarm": each.alarm}
    fields = {
        name: getattr(each, name)
        for name in RawFix.__struct_fields__
        if name not in ("fix_ms", "datum")
        and getattr(each, name) is not None
        and getattr(each, name) is not False
    }
    datum = {} if each.datum == "wgs84" else {"datum": each.datum}
    return {"device_id": each.device_id, **fields, **datum, "fix_ms": each.fix_ms}


def expected(told: dict[str, Any]) -> dict[str, Any]:
    """Give an expectation in the same form."""
    if "reason" in told:
        return told
    if "no_fix" in told:
        return {"alarm": None, **told}
    kept = {name: item for name, item in told.items() if name != "fix_time"}
    return kept | {"fix_ms": parse_rfc3339(told["fix_time"])}


ALL: Final = tuple(sample for form in FORMS for sample in samples(form))
