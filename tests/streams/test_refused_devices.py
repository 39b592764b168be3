"""Unknown devices are told of once an hour each, and remembered up to a limit."""

import pytest

from xiaohe.streams import whose_fix
from xiaohe.streams.whose_fix import UNKNOWN_DEVICE_MS, RefusedDevices

HOUR_MS = UNKNOWN_DEVICE_MS


def test_a_device_is_refused_aloud_once_an_hour() -> None:
    """The hour counts from the last time it was told, not from the last fix."""
    refused = RefusedDevices()
    assert refused.refuse("d", 0)
    assert not refused.refuse("d", HOUR_MS - 1)
    assert refused.refuse("d", HOUR_MS)
    assert not refused.refuse("d", HOUR_MS + 1)


def test_a_refusal_from_the_log_counts_whatever_its_order() -> None:
    """A replay that comes to an older one does not make the device unknown again."""
    refused = RefusedDevices()
    refused.note("d", 2 * HOUR_MS)
    refused.note("d", HOUR_MS)
    assert not refused.refuse("d", 3 * HOUR_MS - 1)


def test_a_flood_of_devices_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those refused longest ago are forgotten; the newest are not told of twice."""
    monkeypatch.setattr(whose_fix, "DEVICES_KEPT_MAX", 100)
    refused = RefusedDevices()
    for number in range(1_000):
        assert refused.refuse(f"d{number}", number)
    assert len(refused) == 100
    assert not any(refused.refuse(f"d{number}", 1_000) for number in range(900, 1_000))
    assert refused.refuse("d899", 1_000)
