"""The decoders of device formats: a fix that can be, or the one error; nothing impossible."""

import math
from collections.abc import Sequence
from random import Random
from typing import Any, Final

import orjson

from tests.fuzz.mutation import CANARY, JsonMutator
from tests.fuzz.target import Target
from tests.gateway.positions.samples import ALL, RECEIVED_MS, Sample, read
from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.positions.moments import FUTURE_MS_MAX
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Read
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec_positions import FIX_MS_MIN

SETTINGS: Final = {"device": "M07"}

WORDS: Final = (
    *("M07", "sos", "fallDown", "sos,lowBattery", "location", "lwt", "transition", "encrypted"),
    *("set", "del", "drop", "fset", "Point", "Feature", "alarm", "deviceOffline", True, False),
    *("1795579190", 1_795_579_190, 1_795_579_190_000, "2026-11-25 03:59:50", "p", -1, 0, 511),
)


def check_all(said: Sequence[Read]) -> None:
    """Hold everything that a decoder gives to its word."""
    for each in said:
        if isinstance(each, BadInput):
            check_refusal(each)
        elif isinstance(each, NoFix):
            assert each.device_id is None or 1 <= len(each.device_id) <= 64
        else:
            check_fix(each)


def check_refusal(bad: BadInput) -> None:
    """A refusal has a code of the list, and a detail that can be printed and repeats nothing."""
    assert isinstance(bad.reason, Reason)
    assert bad.detail.isprintable()
    assert CANARY not in bad.detail


def check_fix(fix: Read) -> None:
    """A fix has a place on Earth, a time that can be, and measures within their ranges."""
    assert isinstance(fix, RawFix)
    assert -180 <= fix.lon <= 180
    assert -90 <= fix.lat <= 90
    assert FIX_MS_MIN <= fix.fix_ms <= RECEIVED_MS + FUTURE_MS_MAX
    assert fix.device_id or fix.member_id
    for number in (fix.accuracy_m, fix.speed_mps):
        assert number is None or (number >= 0 and math.isfinite(number))
    assert fix.course_deg is None or 0 <= fix.course_deg < 360
    assert fix.battery is None or 0 <= fix.battery <= 1
    assert fix.seq is None or fix.seq >= 0
    assert fix.alarm is None or 1 <= len(fix.alarm) <= 128


def _run(form: str, data: bytes) -> bool:
    try:
        said = read(form, data, SETTINGS)
    except BadInput as bad:
        check_refusal(bad)
        return False
    check_all(said)
    return any(isinstance(each, RawFix) for each in said)


class _Texts:
    """Changes a text: pieces taken out, repeated, taken from another sample, or made odd."""

    ODD: Final = (
        *(b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b'"', b",", b";", b"<", b"&", b"-1", b"1e9"),
        *(b"NaN", b"\n", b"%ff", b"&id=", CANARY.encode(), "街".encode()),
    )
    CHANGES_MAX: Final = 4

    def __init__(self, samples: Sequence[bytes]) -> None:
        self._samples = [each for each in samples if each]

    def __call__(self, data: bytes, rng: Random) -> bytes:
        """Give another input."""
        changed = data or rng.choice(self._samples)
        for _ in range(rng.randint(1, self.CHANGES_MAX)):
            at = rng.randrange(len(changed) + 1)
            other = rng.choice(self._samples)
            start = rng.randrange(len(other))
            piece = rng.choice((rng.choice(self.ODD), other[start : start + rng.randrange(40)]))
            changed = changed[:at] + piece + changed[at + rng.choice((0, 0, 1, 4, len(piece))) :]
        return changed


def _good(form: str) -> list[Sample]:
    return [each for each in ALL if each.form == form and not each.settings
            and isinstance(each.said, list) and len(each.value) <= 4096]  # fmt: skip


def _target(form: str, quick: int) -> Target:
    values = [each.value for each in _good(form)]
    mutate: Any = _Texts(values)
    if form not in ("osmand_query", "csv", "gpx"):
        objects = [found for found in map(_json, values) if isinstance(found, dict) and found]
        mutate = JsonMutator(objects, WORDS)

    def run(data: bytes) -> bool:
        return _run(form, data)

    return Target(f"device_{form}", run, values, mutate, share=0.5, quick=quick)


def _json(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


TARGETS: Final = (
    _target("osmand_query", 4_000),
    _target("osmand_json", 4_000),
    _target("owntracks", 4_000),
    _target("traccar", 4_000),
    _target("tile38", 4_000),
    _target("positions", 4_000),
    _target("csv", 3_000),
    _target("gpx", 3_000),
)
