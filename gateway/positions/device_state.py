"""How a device stands, for people: whose it is, how often its fixes come, how its clock stands."""

from collections.abc import Sequence
from typing import Final

from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.positions.devices import DeviceFigures
from xiaohe.gateway.positions.inflow import Inflow
from xiaohe.gateway.positions.owners import ASSIGNED_STATES, DUTY_STATES, Owner
from xiaohe.gateway.positions.unknown_devices import UnknownDevice

ASSIGNED_INTERVAL_S: Final = 10.0
"""Between two fixes of somebody who has an order, at most: arrival is seen, and lateness."""

DUTY_INTERVAL_S: Final = 30.0
"""Between two fixes of somebody on duty, at most: within it an e-bike rides 170 m."""

AGE_FACTOR: Final = 2.0
"""A fix that is so many intervals old is one that did not come."""

Told = dict[str, object]


def expected_interval_s(state: str) -> float | None:
    """Give how often fixes should come of a member in this state; None where it does not matter."""
    if state in ASSIGNED_STATES:
        return ASSIGNED_INTERVAL_S
    return DUTY_INTERVAL_S if state in DUTY_STATES else None


def is_slow(figures: DeviceFigures, state: str, now_ms: int) -> bool:
    """Tell whether fixes come too seldom for what the member is doing."""
    expected_s = expected_interval_s(state)
    if expected_s is None:
        return False
    seldom = figures.interval_s is not None and figures.interval_s > expected_s
    return seldom or _age_s(figures, now_ms) > expected_s * AGE_FACTOR


def _age_s(figures: DeviceFigures, now_ms: int) -> float:
    return max(0.0, (now_ms - figures.fix_ms) / 1000)


def told_of(inflow: Inflow, figures: DeviceFigures, owner: Owner | None, now_ms: int) -> Told:
    """Tell of one device that was heard of."""
    state = "" if owner is None else inflow.owners.state_of(owner.member_id)
    taken, until_ms = inflow.owners.taken_until_ms(figures.device_id, now_ms)
    lag_s = figures.least_lag_s
    return {
        "device_id": figures.device_id,
        "member_id": None if owner is None else owner.member_id,
        "area_id": None if owner is None else owner.area_id,
        "state": state or None,
        "taken_for_shift": taken,
        "taken_until": None if until_ms is None else rfc3339(until_ms),
        "door": figures.door,
        "fixes": figures.fixes,
        "fix_time": rfc3339(figures.fix_ms) if figures.fix_ms else None,
        "fix_age_s": round(_age_s(figures, now_ms), 1) if figures.fix_ms else None,
        "fix_interval_s": figures.interval_s,
        "expected_interval_s": expected_interval_s(state),
        "slow": is_slow(figures, state, now_ms),
        "received_at": rfc3339(figures.received_ms),
        "least_lag_s": lag_s,
        "clock_ahead_s": None if lag_s is None else max(0.0, -lag_s),
    }


def told_of_unknown(device: UnknownDevice) -> Told:
    """Tell of a device that nobody has."""
    return {
        "device_id": device.device_id,
        "first_at": rfc3339(device.first_ms),
        "last_at": rfc3339(device.last_ms),
        "count": device.count,
        "reason": device.reason.value,
        "door": device.door,
    }


def by_area(devices: Sequence[Told]) -> list[Told]:
    """Count, area by area, the devices of members on duty, and those whose fixes are slow."""
    found: dict[str, dict[str, int]] = {}
    for device in devices:
        area_id, expected_s = device["area_id"], device["expected_interval_s"]
        if area_id is None or expected_s is None:
            continue
        word = "assigned" if expected_s == ASSIGNED_INTERVAL_S else "on_duty"
        counts = found.setdefault(
            str(area_id), {"assigned": 0, "assigned_slow": 0, "on_duty": 0, "on_duty_slow": 0}
        )
        counts[word] += 1
        counts[f"{word}_slow"] += bool(device["slow"])
    return [{"area_id": area_id, **counts} for area_id, counts in sorted(found.items())]
