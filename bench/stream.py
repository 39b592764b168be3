"""``xiaohe bench stream``: from an alert to its order, and positions, through one-machine Kafka.

Beside the product, in the same run and under the same load, on the same broker: a bare Faust
pass-through and a raw aiokafka one, each as a process of its own. They show what the way through
Kafka costs before anything is decided.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from xiaohe.bench.deadlines import POLICY, deadline_late_ms
from xiaohe.bench.load import AREA, MARK_S, MARKED_BATCH, Client, Load, Measured, quantile
from xiaohe.bench.places import Point, road_points, roster
from xiaohe.bench.raw_positions import device_of, measure_raw
from xiaohe.cluster import apply
from xiaohe.parts import Part
from xiaohe.places import ROADS
from xiaohe.stack import Stack, StackOptions
from xiaohe.topics import Topics, load_topics

GATEWAY_PACK = 100
"""Positions in a record of the packed load: what comes in a tenth of a second."""

WARM_UP_SHARE = 0.25
"""Of a load's time: connections, caches and compiled code come first."""

BACKLOG_RECORDS = 100
"""Packed records in a backlog of positions: 100,000 positions, about 12 MB."""

BACKLOG_TIMES = 3
"""A backlog is taken so often; the median counts."""

PEER_READY_S = 30.0
"""A pass-through that has answered nothing by then will not."""

FIXED_S = 45.0
"""What starting, stopping and the backlogs take of the time, on two cores."""

LOADS_S_MIN = 16.0
"""Below it there would be too few alerts for a 99th percentile."""

PRODUCT_SHARE, PEER_SHARE = 0.25, 0.125
"""Of the time for loads: one load on the product, and on each of the two pass-throughs."""


@dataclass(frozen=True)
class StreamBenchOptions:
    """What is measured. ``seconds`` is about how long the whole takes, starting included."""

    seconds: float = 75.0
    alerts_per_s: float = 50.0
    positions_per_s: float = 1000.0
    members: int = 1000
    roads: Path = ROADS
    on_progress: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class _Result:
    """One load on one process."""

    measured: Measured
    cpu_share: float


async def bench_stream(options: StreamBenchOptions) -> dict[str, object]:
    """Run everything; give what the contract names as the last JSON line, and more.

    ``positions_per_s`` and its two peers take packed records of 1,000, ``raw_positions_per_s`` and
    its peer a record each, as a Traccar server forwards them; ``loads`` are first with
    positions packed as the gateway would, then single.
    """
    points = road_points(options.roads)
    with tempfile.TemporaryDirectory(prefix="xiaohe-bench-") as name:
        return await _Bench(options, Path(name), points).run()


class _Bench:
    """One run."""

    def __init__(self, options: StreamBenchOptions, folder: Path, points: list[Point]) -> None:
        self._options = options
        self._folder = folder
        self._points = points
        self._servers = ""
        self.loads = tuple(
            Load(options.alerts_per_s, options.positions_per_s, pack, options.members)
            for pack in (GATEWAY_PACK, 1)
        )

    async def run(self) -> dict[str, object]:
        """Product, bare Faust, raw aiokafka, one after the other on the same broker."""
        options = self._options
        chance = random.Random(1)  # noqa: S311 - places, not secrets
        entries = [
            entry | {"device_ids": [device_of(n)]}
            for n, entry in enumerate(roster(AREA, options.members, self._points, chance))
        ]
        path = self._folder / "roster.json"
        path.write_bytes(orjson.dumps(entries))
        policy = self._folder / "policy.yaml"
        policy.write_text(POLICY, encoding="utf-8")
        stack = Stack(
            StackOptions(
                data_dir=self._folder / "data",
                roads=options.roads,
                roster=path,
                policy=policy,
                http="127.0.0.1:0",
            )
        )
        options.on_progress("starting broker, worker and gateway")
        async with stack:
            self._servers = stack.bootstrap_servers
            worker = stack.pids["worker"]
            assert isinstance(worker, list)
            product = await self._measure("product", load_topics(), worker[0], PRODUCT_SHARE)
            options.on_progress("product: how late a deadline is decided")
            late_ms = await deadline_late_ms(self._servers, load_topics(), self._points)
            psutil.Process(worker[0]).suspend()  # so that the peers have the machine for themselves
            try:
                faust = await self._peer("bare_faust")
                raw = await self._peer("raw_aiokafka")
                options.on_progress("gateway: a backlog of raw positions")
                gateway = stack.pids["gateway"]
                assert isinstance(gateway, int)
                from_raw = await measure_raw(
                    self._servers, load_topics(), gateway, options.members, self._points
                )
            finally:
                psutil.Process(worker[0]).resume()
        figures = self._summary(product, faust, raw)
        return figures | {"deadline_late_ms": late_ms} | from_raw

    async def _peer(self, module: str) -> tuple[list[_Result], float]:
        prefix = f"{module.replace('_', '-')}."
        topics = load_topics(prefix=prefix)
        await apply(self._servers, topics)
        async with self._process(module, prefix) as pid:
            return await self._measure(module, topics, pid, PEER_SHARE)

    @asynccontextmanager
    async def _process(self, module: str, prefix: str) -> AsyncIterator[int]:
        command = [sys.executable, "-m", f"xiaohe.bench.{module}", self._servers, prefix]
        part = Part(module, [*command, str(self._folder / module)], self._folder / f"{module}.log")
        await part.start(lambda _: None)
        try:
            yield part.pid
        finally:
            await part.stop()

    async def _measure(
        self, name: str, topics: Topics, pid: int, share: float
    ) -> tuple[list[_Result], float]:
        """Put every load on one process, then give it backlogs of positions."""
        seconds = max(LOADS_S_MIN, self._options.seconds - FIXED_S) * share
        process = psutil.Process(pid)
        results = []
        async with Client(self._servers, topics, self._points) as client:
            await self._answering(client)
            for load in self.loads:
                self._options.on_progress(f"{name}: {_told(load)}")
                await client.run(load, seconds * WARM_UP_SHARE)
                before, started_s = process.cpu_times(), time.perf_counter()
                measured = await client.run(load, seconds * (1 - WARM_UP_SHARE))
                after, ended_s = process.cpu_times(), time.perf_counter()
                used_s = after.user + after.system - before.user - before.system
                results.append(_Result(measured, round(used_s / (ended_s - started_s), 2)))
            self._options.on_progress(f"{name}: a backlog of positions")
            rates = [await self._rate(client, process) for _ in range(BACKLOG_TIMES)]
        return results, statistics.median(rates)

    async def _answering(self, client: Client) -> None:
        """Wait until the process answers at all."""
        probe = Load(alerts_per_s=2, positions_per_s=10, pack=10, members=self._options.members)
        deadline = time.perf_counter() + PEER_READY_S
        while not (await client.run(probe, 1.0)).answered_ms:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"nothing was answered within {PEER_READY_S:.0f} s")

    async def _rate(self, client: Client, process: psutil.Process) -> float:
        """Stop the process, let a backlog gather, and see how fast it is taken."""
        process.suspend()
        try:
            answered = await client.backlog(BACKLOG_RECORDS, self._options.members)
            started_s = time.perf_counter()
        finally:
            process.resume()
        async with asyncio.timeout(MARK_S):
            took_s = await answered - started_s
        return BACKLOG_RECORDS * MARKED_BATCH / took_s

    def _summary(
        self,
        product: tuple[list[_Result], float],
        faust: tuple[list[_Result], float],
        raw: tuple[list[_Result], float],
    ) -> dict[str, object]:
        """Lay the three beside each other."""
        loads = [
            {
                "alerts_per_s": load.alerts_per_s,
                "positions_per_s": load.positions_per_s,
                "positions_packed": load.pack,
                "members": load.members,
                "alert_to_order_ms": mine.measured.quantiles(),
                "bare_faust_ms": bare.measured.quantiles(),
                "raw_aiokafka_ms": plain.measured.quantiles(),
                "alerts": mine.measured.sent,
                "orders": len(mine.measured.answered_ms),
                "worker_cpu_share": mine.cpu_share,
                "bare_faust_cpu_share": bare.cpu_share,
                "raw_aiokafka_cpu_share": plain.cpu_share,
                "send_lag_ms_p99": quantile(mine.measured.lag_ms, 0.99),
            }
            for load, mine, bare, plain in zip(
                self.loads, product[0], faust[0], raw[0], strict=True
            )
        ]
        return {
            "positions_per_s": round(product[1]),
            "bare_faust_per_s": round(faust[1]),
            "raw_aiokafka_per_s": round(raw[1]),
            "loads": loads,
        }


def _told(load: Load) -> str:
    packed = "single" if load.pack == 1 else f"packed by {load.pack}"
    rates = f"{load.alerts_per_s:g} alerts/s, {load.positions_per_s:g} positions/s {packed}"
    return f"{rates}, {load.members} members"


LOAD_FIELDS = ("alerts_per_s", "positions_per_s", "positions_packed", "members")
"""A load in the result, in the order of ``Load``."""


def table(result: dict[str, object]) -> str:
    """Write a result for people."""
    lines: list[Sequence[object]] = [("alert → order, ms", "p50", "p99", "CPU")]
    loads = result["loads"]
    assert isinstance(loads, list)
    for load in loads:
        lines.append((_told(Load(*(load[name] for name in LOAD_FIELDS))), "", "", ""))
        for name, key, cpu in (
            ("xiaohe", "alert_to_order_ms", "worker_cpu_share"),
            ("bare Faust", "bare_faust_ms", "bare_faust_cpu_share"),
            ("raw aiokafka", "raw_aiokafka_ms", "raw_aiokafka_cpu_share"),
        ):
            lines.append((f"  {name}", load[key]["p50"], load[key]["p99"], f"{load[cpu]:.0%}"))
        if load["orders"] < load["alerts"]:
            lines.append((f"  alerts {load['alerts']}, answered {load['orders']}", "", "", ""))
    text = "\n".join(f"{a!s:64} {b!s:>8} {c!s:>8} {d!s:>6}" for a, b, c, d in lines)
    late_ms = result["deadline_late_ms"]
    assert isinstance(late_ms, dict)
    return (
        f"{text}\n\na deadline is decided late by {late_ms['p50']:.0f} ms (p50), "
        f"{late_ms['max']:.0f} ms at most\n\n"
        f"positions in packed records of {MARKED_BATCH}, a second: "
        f"xiaohe {result['positions_per_s']:,} into the live index; "
        f"bare Faust {result['bare_faust_per_s']:,} and raw aiokafka "
        f"{result['raw_aiokafka_per_s']:,} passed over unread\n"
        f"raw positions of {result['raw_positions_bytes']} bytes, a second: the gateway "
        f"{result['raw_positions_per_s']:,}, read, found a member and packed; raw aiokafka "
        f"{result['raw_positions_aiokafka_per_s']:,} passed over unread "
        f"(ratio {result['raw_positions_ratio']}); µs of processor a position: "
        f"{result['raw_positions_cpu_us']} and {result['raw_positions_aiokafka_cpu_us']}"
    )
