"""What a running stack takes: memory, files, threads, CPU of each part; disk; how far it is."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import psutil
from aiokafka.admin import AIOKafkaAdminClient

from xiaohe.streams.ports import INPUTS
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster, client_options

MIB = 2**20

BLOCK_BYTES = 512
"""What the system counts the blocks of a file in, whatever the disk's own are."""


class Part(msgspec.Struct, frozen=True):
    """One process at one time. ``cpu_s`` is what it has used since it began."""

    pid: int
    rss_mib: float
    cpu_s: float
    files: int
    threads: int


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one time. ``parts`` by name; ``oldest_s`` is the age of the oldest record
    that the group does not say to have taken, ``behind`` how many those are, ``machine_load`` what
    waits for a CPU on this machine, whoever's it is (its one-minute average)."""

    at_s: float
    parts: dict[str, Part]
    disk_mib: float
    oldest_s: float
    behind: int
    machine_load: float = 0.0


def parts_of(pids: Mapping[str, Any]) -> dict[str, Part]:
    """Look at the processes of a stack; one that has just ended is left out."""
    named = {f"worker-{n}": pid for n, pid in enumerate(pids["worker"])}
    named |= {"broker": pids["broker"], "gateway": pids["gateway"], "load": os.getpid()}
    found = {}
    for name, pid in named.items():
        try:
            found[name] = _part(psutil.Process(pid))
        except psutil.Error:
            continue
    return found


def _part(process: psutil.Process) -> Part:
    with process.oneshot():
        times = process.cpu_times()
        return Part(
            pid=process.pid,
            rss_mib=round(process.memory_info().rss / MIB, 2),
            cpu_s=round(times.user + times.system, 2),
            files=process.num_fds(),
            threads=process.num_threads(),
        )


def disk_mib(folder: Path) -> float:
    """Give how much of the disk a folder takes; files that vanish meanwhile do not count."""
    taken = 0
    for path in folder.rglob("*"):
        try:
            taken += path.stat().st_blocks * BLOCK_BYTES
        except OSError:
            continue
    return round(taken / MIB, 1)


class GroupOffsets:
    """How far the workers' group says to have taken its topics; an async context manager."""

    def __init__(self, cluster: Cluster, topics: Topics, group: str = "xiaohe") -> None:
        self._group = group
        self._admin = AIOKafkaAdminClient(**client_options(cluster))
        self._names = {getattr(topics, key).name for key in INPUTS}

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._admin.close()

    async def taken(self) -> Mapping[tuple[str, int], int]:
        """Give the next offset of every topic and partition that the group reads."""
        offsets = await self._admin.list_consumer_group_offsets(self._group)
        return {
            (at.topic, at.partition): found.offset
            for at, found in offsets.items()
            if at.topic in self._names and found.offset >= 0
        }
