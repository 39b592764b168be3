"""``xiaohe bench deadlines``, second half: what a record far beyond every limit costs.

A record of 10 MiB (no topic takes one; a cluster with other limits may) is refused by every
decoder before it is looked into, and becomes a dead letter. Neither may take long, for everybody
else waits, nor memory, for there may be many.
"""

import time
import tracemalloc
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Final

from xiaohe.streams.engine import DECODERS
from xiaohe.streams.ports import POSITIONS
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec import decode_roster, digest_of
from xiaohe.wire.codec_positions import decode_positions

SIZE: Final = 10 * 1024 * 1024

TIMES: Final = 20

_HALF: Final = b'{"alert_id":"a","text":"'

PAYLOADS: Final[Mapping[str, bytes]] = {
    "zeros": bytes(SIZE),
    "text": _HALF + b"x" * (SIZE - len(_HALF) - 2) + b'"}',
    "brackets": b"[" * SIZE,
    "numbers": b"[" + b"1," * ((SIZE - 2) // 2) + b"1]",
}
"""What they are made of: no JSON, a long text, levels without end, a list without end."""


def bench_refusals() -> list[dict[str, object]]:
    """Measure every decoder with every payload; a row each, with the digest for its dead letter."""
    decoders: Mapping[str, Callable[..., object]] = {
        **DECODERS, POSITIONS: decode_positions, "roster": decode_roster,
    }  # fmt: skip
    return [
        {"topic": topic, "payload": name, **_refused(decode, value)}
        for topic, decode in decoders.items()
        for name, value in PAYLOADS.items()
    ]


def _refused(decode: Callable[..., object], value: bytes) -> dict[str, object]:
    took_ms = []
    for _ in range(TIMES):
        started_s = time.perf_counter()
        reason = _reason(decode, value)
        took_ms.append((time.perf_counter() - started_s) * 1000)
    tracemalloc.start()
    _reason(decode, value)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "reason": reason,
        "took_ms": round(median(took_ms), 4),
        "most_ms": round(max(took_ms), 4),
        "most_bytes": most,
    }


def _reason(decode: Callable[..., object], value: bytes) -> str:
    try:
        decode(b"area", value, ())
    except BadInput as bad:
        digest_of(value)
        return bad.reason.value
    raise AssertionError(f"{len(value)} bytes were taken")


def table(rows: list[dict[str, Any]]) -> str:
    """Write the worst of each topic for people."""
    lines = [
        f"a record of {SIZE // 2**20} MiB is refused; the slowest of {len(PAYLOADS)} payloads",
        "",
        "topic             reason        ms  most ms  most KiB",
    ]
    for topic in dict.fromkeys(row["topic"] for row in rows):
        mine = [row for row in rows if row["topic"] == topic]
        worst = max(mine, key=lambda row: row["took_ms"])
        most_ms = max(row["most_ms"] for row in mine)
        most_kib = max(row["most_bytes"] for row in mine) / 1024
        lines.append(
            f"{topic:<16}  {worst['reason']:<8}  {worst['took_ms']:>6.3f}  {most_ms:>7.3f}  "
            f"{most_kib:>8.1f}"
        )
    return "\n".join(lines)
