"""The stores beside which a choice is measured: started, asked, and ended for certain."""

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from xiaohe.bench.crowd import Crowd
from xiaohe.bench.peers import PEERS, PostGis, Redis, Tile38
from xiaohe.bench.servers import PeerUnavailable
from xiaohe.geo.projection import Projection

PLANE = Projection(120.14, 30.32)
SIDE = 8
SPACING_M = 100.0
HERE_M = (265.0, 350.0)
"""A place from which no two members are nearly as far: Redis takes the earth for a ball."""


@pytest.fixture
def crowd():
    """Members on a chessboard, a little out of line so that no two are equally far."""
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    metres = np.column_stack((column * SPACING_M + 7.0 * row, row * SPACING_M + 13.0 * column))
    lon, lat = PLANE.many_to_deg(metres).T
    nobody = np.zeros(len(lon), dtype=bool)
    ids = [f"m{number}" for number in range(len(lon))]
    return Crowd(ids, lon, lat, np.ones(len(lon), dtype=np.int64), nobody, nobody)


def nearest(crowd, at, count):
    """The ids of the nearest, measured one by one."""
    metres = PLANE.many_to_m(np.column_stack((crowd.lon, crowd.lat)))
    away_m = np.hypot(*(metres - PLANE.to_m(*at)).T)
    return [crowd.ids[index] for index in np.argsort(away_m)[:count]]


@contextmanager
def running(kind):
    """A store that runs; skips the test, with the reason, where it cannot."""
    with ExitStack() as stack:
        try:
            peer = stack.enter_context(kind(PLANE, 5))
        except PeerUnavailable as fault:
            pytest.skip(f"{kind.name}: {fault}")
        yield peer


def children():
    """The processes that this one has started and that still run."""
    found = psutil.Process().children(recursive=True)
    return {child.pid for child in found if child.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.parametrize("kind", PEERS, ids=lambda kind: kind.name)
def test_a_store_finds_the_nearest_takes_positions_and_leaves_nothing(kind, crowd):
    """The nearest in their order, before a move and after it; then process and folder are gone."""
    before = children()
    with running(kind) as peer:
        peer.load(crowd)
        here = PLANE.to_deg(*HERE_M)
        assert peer.nearest(here) == nearest(crowd, here, 5)
        peer.nearest_of_each([here, here])
        peer.ping()
        peer.ping_for_each([here, here])
        far = crowd.ids.index("m0")
        peer.move(("m0", *here))
        assert peer.nearest(here)[0] == "m0"
        peer.move_all([("m0", float(crowd.lon[far]), float(crowd.lat[far])), ("m63", *here)])
        assert peer.nearest(here)[0] == "m63"
        folder = Path(peer.folder)
        assert children() > before
    assert children() == before
    assert not folder.exists()


@pytest.mark.parametrize("kind", [Redis, PostGis], ids=lambda kind: kind.name)
def test_ctrl_c_ends_a_store(kind):
    """Whatever happens while it is measured, it does not stay."""
    before = children()
    with pytest.raises(KeyboardInterrupt), running(kind):
        raise KeyboardInterrupt
    assert children() == before


@pytest.mark.parametrize("kind", [Redis, Tile38], ids=lambda kind: kind.name)
def test_a_store_that_is_not_installed_is_named(kind, monkeypatch):
    """The message says which program is missing."""
    pytest.importorskip("redis", reason="the extra `peers` is not installed")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PeerUnavailable, match=kind.program), kind(PLANE, 5):
        pass


def test_a_store_that_does_not_start_says_why(monkeypatch, tmp_path):
    """Its last words are the reason, and nothing of it is left."""
    pytest.importorskip("redis", reason="the extra `peers` is not installed")
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'out of sorts' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    before = children()
    with pytest.raises(PeerUnavailable, match="out of sorts"), Redis(PLANE, 5):
        pass
    assert children() == before
