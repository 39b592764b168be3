"""The figures of a run: windows met and missed, and the field's standard intervals.

All from the engine's own views of its incidents. A milestone that is missing makes an interval
null, never 0; so does one that lies before its beginning. Percentiles are by linear interpolation.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from xiaohe.dispatch.times import parse_rfc3339
from xiaohe.sim.account import WINDOWS, Ledger

Verdict = Literal["met", "missed", "void", "running"]

URGENT: Final = (1, 2)
"""Priorities for which 60, 180 and 300 s hold."""

INTERVALS: Final = {
    "alarm_processing_s": ("received", "dispatched"),
    "turnout_s": ("dispatched", "en_route"),
    "travel_s": ("en_route", "arrived"),
    "total_response_s": ("received", "arrived"),
}
"""By their standard names: from which milestone of the timeline to which."""

REACHED: Final = {"accept": "accepted", "arrive": "arrived", "backup": "backup_arrived"}
"""The milestone that meets each window."""

LIVE: Final = frozenset({"open", "dispatched", "accepted", "en_route", "on_scene"})
"""States of an incident in which its windows still run."""


def percentile(values: Sequence[float], share: float) -> float | None:
    """Give a percentile by linear interpolation; None where there are no values."""
    if not values:
        return None
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def verdict(incident: Mapping[str, Any], window: str, *, overdue: bool) -> Verdict | None:
    """Say how a window of an incident ended; None where it never was one.

    A finder who is on scene has no window to be accepted or to arrive in. Void: the incident was
    over before the window was.
    """
    timeline = incident["timeline"]
    by = _ms(incident["deadlines"].get(f"{window}_by"))
    reached = _ms(timeline.get(REACHED[window]))
    if window == "backup" and timeline.get("backup_required") is None:
        return None
    own_finding = timeline.get("dispatched") is None and timeline.get("arrived") is not None
    if by is None or (window != "backup" and own_finding):
        return None
    if reached is not None:
        return "met" if reached <= by and not overdue else "missed"
    if overdue:
        return "missed"
    if window == "accept" and timeline.get("arrived") is not None:
        return None
    return "running" if incident["state"] in LIVE else "void"


def windows(ledger: Ledger, priorities: Iterable[int] = (1, 2, 3, 4)) -> dict[str, dict[str, int]]:
    """Count the verdicts of each window over the incidents of these priorities."""
    wanted = frozenset(priorities)
    found: dict[str, dict[str, int]] = {}
    for window in WINDOWS:
        counts = Counter(
            verdict(incident, window, overdue=(incident_id, window) in ledger.overdue)
            for incident_id, incident in ledger.incidents.items()
            if incident["priority"] in wanted
        )
        found[window] = {name: counts[name] for name in ("met", "missed", "void", "running")}
    return found


def within(counts: Mapping[str, Mapping[str, int]]) -> dict[str, float | None]:
    """Give the share met of those met or missed; None where there are none."""
    shares: dict[str, float | None] = {}
    for window, by_verdict in counts.items():
        ended = by_verdict["met"] + by_verdict["missed"]
        shares[window] = round(by_verdict["met"] / ended, 4) if ended else None
    return shares


def intervals(ledger: Ledger, speed: float) -> dict[str, dict[str, float | int | None]]:
    """Give n, p50, p90 and mean of each interval in simulated seconds (multiplied back)."""
    found: dict[str, dict[str, float | int | None]] = {}
    for name, (begin, end) in INTERVALS.items():
        values = [
            value * speed
            for incident in ledger.incidents.values()
            if (value := _between_s(incident["timeline"], begin, end)) is not None
        ]
        mean = sum(values) / len(values) if values else None
        found[name] = {
            "n": len(values),
            "p50": _rounded(percentile(values, 0.5)),
            "p90": _rounded(percentile(values, 0.9)),
            "mean": _rounded(mean),
        }
    return found


def _between_s(timeline: Mapping[str, Any], begin: str, end: str) -> float | None:
    from_ms, to_ms = _ms(timeline.get(begin)), _ms(timeline.get(end))
    if from_ms is None or to_ms is None or to_ms < from_ms:
        return None
    return (to_ms - from_ms) / 1000


def _ms(stamp: object) -> int | None:
    return parse_rfc3339(stamp) if isinstance(stamp, str) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
