"""Twenty thousand forged and replayed messages, none let in; and the forger can be let in."""

import pytest

from xiaohe.campaign import forgeries
from xiaohe.campaign.forgeries import FORGERIES, tried
from xiaohe.gateway.access import devices
from xiaohe.gateway.access.devices import Devices
from xiaohe.gateway.access.principal import Visitor
from xiaohe.gateway.access.records import Account

COUNT = 20_000


async def test_nothing_forged_is_let_in_and_nothing_genuine_is_kept_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every kind of forgery, and restarts in between."""
    monkeypatch.setattr(forgeries, "RESTART_EVERY", 8_000)
    tally = await tried(seed=7, count=COUNT)
    assert (tally.let_in, tally.kept_out) == ([], [])
    assert tally.forged >= COUNT
    assert tally.genuine > COUNT // 50
    assert tally.restarts > 0
    assert set(FORGERIES) <= set(tally.kinds)


PROVED = Devices.proved


def without_sequence(self: Devices, visitor: Visitor) -> tuple[str, Account]:
    """What a keeper does that forgets what it has seen."""
    self._last.clear()
    return PROVED(self, visitor)


@pytest.mark.parametrize(
    ("mistake", "kind"),
    [
        ("time", "held back"),
        ("sequence", "overtaken"),
        ("start", "again, after a restart"),
        ("body", "other body"),
        ("target", "other path"),
    ],
)
async def test_a_keeper_with_a_mistake_is_found_out(
    mistake: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be let in without one of the checks is let in here, so the forger tries it."""
    honest = devices.signature_of
    forgetful = {
        "body": lambda *said: honest(*said[:-1], b""),
        "target": lambda *said: honest(*said[:5], "/", said[-1]),
    }
    monkeypatch.setattr(forgeries, "RESTART_EVERY", 1_000)
    if mistake in {"time", "start"}:
        monkeypatch.setattr(Devices, "_look_at_time", lambda *_: None)
    else:
        monkeypatch.setattr(Devices, "proved", without_sequence)
    if mistake in forgetful:
        monkeypatch.setattr(devices, "signature_of", forgetful[mistake])
        monkeypatch.setattr(forgeries, "signature_of", forgetful[mistake])
    tally = await tried(seed=7, count=2_500)
    assert kind in tally.let_in
