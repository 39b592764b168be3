"""The simulated half: `xiaohe sim faults` over the next seeds, in pieces of bounded time."""

import asyncio
import sys
import time
from typing import Any, Final

import orjson

PIECE_S: Final = 60.0
"""So long a piece should take: what a killed campaign loses."""

SEEDS_FIRST: Final = 20
"""Seeds of the first piece, from which the pace is learned."""

SEEDS_GROWTH: Final = 4
"""A piece has at most so many times the seeds of the one before."""


class NoSimulationError(Exception):
    """The program does not know `sim faults`, or it failed; the message says which."""


def repeats(seed: int) -> str:
    """Give the command that runs one seed again."""
    return f"xiaohe sim faults --seeds 1 --start {seed}"


class Seeds:
    """Runs seeds from ``start`` on."""

    def __init__(self, start: int) -> None:
        self.next = start
        self._count = SEEDS_FIRST

    async def piece(self, left_s: float) -> dict[str, Any]:
        """Run the next piece, not much longer than ``left_s``; give what the ledger says of it.

        Raises NoSimulationError.
        """
        count, first = self._count, self.next
        started_s = time.monotonic()
        found = await _simulated(first, count)
        took_s = max(0.1, time.monotonic() - started_s)
        self.next += count
        per_s = count / took_s
        wanted = int(per_s * min(PIECE_S, max(left_s - took_s, 1.0)))
        self._count = max(1, min(wanted, count * SEEDS_GROWTH))
        return {
            "kind": "seeds",
            "holds": not found["violations"],
            "seeds": {"start": first, "count": count},
            "violations": found["violations"],
            "first_bad_seed": found["first_bad_seed"],
            "simulated_hours": found["simulated_hours"],
            "faults_injected": found["faults_injected"],
            "faults": found.get("faults_by_kind", {}),
            "hash": found["hash"],
            "seconds": round(took_s),
        }


async def _simulated(start: int, count: int) -> dict[str, Any]:
    line = ["sim", "faults", "--seeds", str(count), "--start", str(start), "--json"]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "xiaohe", *line,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        said, complained = await child.communicate()
    except asyncio.CancelledError:
        child.kill()
        await child.wait()
        raise
    try:
        found: dict[str, Any] = orjson.loads(said.splitlines()[-1])
    except (IndexError, orjson.JSONDecodeError):
        last = complained.decode(errors="replace").strip().splitlines()[-1:]
        raise NoSimulationError(f"`xiaohe {' '.join(line)}` gave no result: {last}") from None
    if "violations" not in found:
        raise NoSimulationError(f"`xiaohe {' '.join(line)}` ended without its result: {found}")
    return found
