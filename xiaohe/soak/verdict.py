"""What an hour came to: does memory grow, does the lag stay small, does the account hold."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from xiaohe.soak.gauges import Part, Sample

WARM_S: Final = 600.0
"""Connections, caches, compiled code and the first incidents come in the first ten minutes."""

WINDOW_S: Final = 300.0
"""Memory is the median of five minutes: one look falls on a snapshot, another beside it."""

GROWTH_MAX: Final = 0.05
"""Memory may grow by so much after the first ten minutes."""

LAG_P99_MAX_S: Final = 1.0
"""Of a hundred records, 99 are decided, and that is heard, within so long."""


VERIFIED: Final = (
    "alerts_in", "decided", "dead_lettered", "lost", "duplicate_orders", "sequence_gaps",
    "forgotten", "holds",
)  # fmt: skip
"""What is told of the account; the whole of it is in the JSON line."""


def quantile(values: Sequence[float], share: float) -> float | None:
    """Give the value that this share of the values stays within; None where there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4)


def spread(values: Sequence[float]) -> dict[str, float | int | None]:
    """Give p50, p99, p99.9 and the largest of some values, and how many they are."""
    return {
        "p50": quantile(values, 0.50),
        "p99": quantile(values, 0.99),
        "p99_9": quantile(values, 0.999),
        "max": round(max(values), 4) if values else None,
        "n": len(values),
    }


def memory(samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """Give, for each part, its memory after the first ten minutes and in the last five.

    ``growth`` is null where the run is too short for two windows beside each other, or where the
    part was started again meanwhile.
    """
    if not samples:
        return {}
    end_s = samples[-1].at_s
    early = [s for s in samples if WARM_S <= s.at_s < WARM_S + WINDOW_S]
    late = [s for s in samples if s.at_s >= max(end_s - WINDOW_S, WARM_S + WINDOW_S)]
    return {name: _memory(name, samples, early, late) for name in samples[0].parts}


def _memory(
    name: str, samples: Sequence[Sample], early: Sequence[Sample], late: Sequence[Sample]
) -> dict[str, Any]:
    before, after = _median_mib(name, early), _median_mib(name, late)
    same = len({p.pid for p in _of(name, samples)}) == 1
    growth = None if before is None or after is None or not same else after / before - 1
    return {
        "after_10_min_mib": before,
        "last_5_min_mib": after,
        "growth": None if growth is None else round(growth, 4),
        "most_mib": max((p.rss_mib for p in _of(name, samples)), default=None),
    }


def _median_mib(name: str, samples: Sequence[Sample]) -> float | None:
    sizes = [part.rss_mib for part in _of(name, samples)]
    return round(statistics.median(sizes), 2) if sizes else None


def _of(name: str, samples: Sequence[Sample]) -> list[Part]:
    return [s.parts[name] for s in samples if name in s.parts]


def use(samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """Give, for each part, its share of one core and the most files and threads it had."""
    found = {}
    for name in samples[0].parts if samples else ():
        had = [(s.at_s, s.parts[name]) for s in samples if name in s.parts]
        (begin_s, first), (end_s, last) = had[0], had[-1]
        passed_s = end_s - begin_s
        share = (last.cpu_s - first.cpu_s) / passed_s if passed_s > 0 else None
        found[name] = {
            "cpu_share": None if share is None else round(share, 3),
            "files": [first.files, last.files, max(p.files for _, p in had)],
            "threads": [first.threads, last.threads, max(p.threads for _, p in had)],
        }
    return found


def failures(result: Mapping[str, Any]) -> list[str]:
    """Say what does not hold; nothing where everything does."""
    said = []
    for name, found in result["memory"].items():
        growth = found["growth"]
        if name.startswith("worker") and growth is not None and growth > GROWTH_MAX:
            said.append(f"{name} has grown by {growth:.1%}, {GROWTH_MAX:.0%} are allowed")
    p99_s = result["lag_s"]["p99"]
    if p99_s is None or p99_s > LAG_P99_MAX_S:
        said.append(f"the lag's 99th percentile is {p99_s} s, {LAG_P99_MAX_S:g} are allowed")
    if not result["verify"].get("holds"):
        said.append("the account does not hold")
    if result["restarted"]:
        said.append(f"parts were started again: {result['restarted']}")
    if result["unsent"] or result["left_out"]:
        said.append(f"{result['unsent']} records not sent, {result['left_out']} left out")
    return said


def table(result: Mapping[str, Any]) -> str:
    """Write a result for people."""
    load = f"{result['positions_per_s']:g} positions/s and {result['alerts_per_s']:g} alerts/s"
    about = f"{result['minutes']:.1f} minutes at {load}, {result['members']} members"
    sizes = f"{'memory, MiB':12} {'min 10-15':>10} {'last 5':>10} {'growth':>8} {'most':>10}"
    lines = [f"{about}; commit {result['commit']}", "", f"{sizes} {'CPU':>6}  files, threads"]
    for name, found in result["memory"].items():
        growth = "" if found["growth"] is None else f"{found['growth']:+.1%}"
        used = result["use"][name]
        lines.append(
            f"{name:12} {found['after_10_min_mib'] or '':>10} {found['last_5_min_mib'] or '':>10} "
            f"{growth:>8} {found['most_mib']:>10} {used['cpu_share'] or 0:>6.0%}  "
            f"{used['files']}, {used['threads']}"
        )
    lines += ["", f"{'seconds':34} {'p50':>8} {'p99':>8} {'p99.9':>8} {'max':>8} {'n':>8}"]
    for what, key in (
        ("a record sent → decided and heard", "lag_s"),
        ("alert sent → order heard", "alert_to_order_s"),
        ("alert received → decided", "received_to_decided_s"),
        ("deadline due → decided", "late_s"),
        ("this reader woken late by", "reader_late_s"),
        ("oldest record not taken, by group", "oldest_s"),
    ):
        found = result[key]
        row = " ".join(f"{found[q]!s:>8}" for q in ("p50", "p99", "p99_9", "max", "n"))
        lines.append(f"{what:34} {row}")
    disk, load = result["disk_mib"], result["machine_load"]
    verify = result["verify"]
    machine = f"the machine's load p50 {load['p50']}, most {load['max']}, {result['cores']} cores"
    lines += [
        "",
        f"disk {disk[0]} → {disk[1]} MiB; {machine}",
        "verify: " + ", ".join(f"{name} {verify.get(name)}" for name in VERIFIED),
        "",
        *(f"NOT: {said}" for said in result["failures"]),
        "it holds" if result["holds"] else "it does NOT hold",
    ]
    if not result["memory_judged"]:
        lines.append("too short for a word on memory: there are no two windows to compare")
    return "\n".join(lines)
