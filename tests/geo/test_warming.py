"""Nothing is compiled once a worker has said that it is ready."""

import subprocess
import sys

import pytest

from xiaohe.geo.kernels import COMPILED

PROGRAM = """
import sys
from xiaohe.geo import compiled_search
from xiaohe.geo.cover import cover
from xiaohe.geo.files import load_network
from xiaohe.geo.geometry import Spot
from xiaohe.geo.live import LivePositions
from xiaohe.geo.roads import MODES
from xiaohe.geo.warming import warm_up
from xiaohe.places import ROADS


def called():
    modules = [m for name, m in list(sys.modules.items()) if name.startswith("xiaohe.geo.")]
    kernels = [(n, k) for m in modules for n, k in vars(m).items() if hasattr(k, "py_func")]
    return {(name, signature) for name, kernel in kernels for signature in kernel.signatures}


network, snapper = load_network(ROADS)
warm_up(snapper)
warm = called()
compiled_search.ROWS_MIN = 8  # so that the field grows
live = LivePositions(snapper)
for edge in range(0, network.edge_count, 50):
    live.move(str(edge), *network.point_at(Spot(edge, 0.5)), 0)
site = snapper.snap(*network.point_at(Spot(network.edge_count - 1, 0.5)))
for closed in (frozenset(), frozenset({site.road_id})):
    field = compiled_search.CompiledField(network, site, MODES, closed)
    met = list(field.members(live, fresh_since_ms=0))
    routes = [field.route(reached.spot, "ebike") for reached in met]
assert len(met) > 3 and any(len(route) > 1 for route in routes)
cover(network, [(reached.spot, mode) for reached in met for mode in MODES], 180.0)
print(*sorted({name for name, _ in called() - warm}))
"""


@pytest.mark.skipif(not COMPILED, reason="numba is not here: nothing is compiled")
def test_what_a_choice_calls_is_compiled_before_the_first_alert():
    """A whole choice, in a program of its own: here other tests have called every kernel."""
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == []
