"""Taking a partition over: fence, fold, publish what is owed, learn where everybody is.

1. A fence is written. Its offset is the new epoch; whoever owned the partition before will see it
   by the offset of its own next write, and what it still writes counts for nobody.
2. The newest snapshot is found, restored, and the log is folded from there up to the fence.
3. What the last batch of decisions owed is published again, with the same ids.
4. The positions of the last minutes are shown to the core, so that it knows where everybody is.
5. The offsets to read on from are those that the log names, never the consumer group's.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from itertools import pairwise

import structlog
from msgspec import Struct, structs

from xiaohe.streams.decision_log import NO_SNAPSHOT, Fence, Learned, decode, encode
from xiaohe.streams.folding import Folding
from xiaohe.streams.ports import INPUTS, POSITIONS, Clock, Core, Log, Publication
from xiaohe.streams.step_record import forwarded

_log = structlog.get_logger(__name__)

UNFOLDED_FENCES = 3
"""Take-overs in a row that leave because of a decision that cannot be folded. It may be of a newer
version of the program, which will be started; after these the area goes on without it, for not to
decide at all is worse, and a person is called."""

LONG_AGO_MS = 1
"""When a snapshot was last taken, where a new one is wanted at once."""

REPLAYING_FENCES_MAX = 6
"""Take-overs in a row without a decision after which no positions are learned from: what ends the
process while they are read would do so for ever. More than a lane needs to find an input that does
(``lane.CAREFUL_FENCES`` and its attempts). Members then stand at their posts until the next fix."""

WINDOW_RECORDS = 32
"""Records looked at first for the offset of the newest snapshot, backwards from the fence: nearly
always any of them names it, and they may be pieces of one that was cut short."""

WINDOW_GROWTH = 8
"""How much further back each next look goes when the last found no entry that names it."""


STAGES = ("fence", "fold", "owed", "positions")
"""What a take-over does, in this order."""


class LogDamagedError(Exception):
    """The decisions log does not hold what is needed to come to its state."""


class TakenOver(Struct):
    """What a lane starts from.

    ``next_offset`` is where its own next write belongs, ``next_inputs`` the first offset to take
    of each input topic, ``ends`` the input topics' ends as of the take-over. ``took_ms`` says how
    long each of its STAGES took, ``learned`` which positions were learned from.
    """

    partition: int
    epoch: int
    next_offset: int
    seq: int
    next_inputs: dict[str, int]
    ends: Mapping[str, int]
    attempts: dict[tuple[str, int], int]
    snap: int
    snapped_at_ms: int
    since_snapshot: int
    barren: int
    folded: int
    republished: int
    snapshot_bytes: int = 0
    since_bytes: int = 0
    took_ms: Mapping[str, int] = {}
    learned: Learned | None = None


async def take_over(log: Log, core: Core, clock: Clock, partition: int) -> TakenOver:
    """Make ``core``, which is new, the state of a partition that this worker now owns.

    Raises
    ------
    LogDamagedError
        where the log's beginning is gone and no snapshot is left, or a decision in it cannot be
        folded, unless that has ended some take-overs already.
    """
    times_ms = [clock.now_ms()]
    fence = Fence(worker=f"{socket.gethostname()}:{os.getpid()}", at_ms=clock.now_ms())
    epoch = (await log.append_decisions(partition, [encode(fence)]))[0].offset
    times_ms.append(clock.now_ms())
    start = await _find_start(log, partition, epoch)
    folding = Folding(core, partition)
    async for record in log.read_decisions(partition, start, epoch):
        folding.feed(record)
    _check_start(folding, start, partition)
    _check_folded(folding, partition)
    times_ms.append(clock.now_ms())
    owed = await owed_of_originals(log, folding.owed)
    await log.publish(owed)
    times_ms.append(clock.now_ms())
    next_inputs = await _next_inputs(log, partition, folding)
    if folding.barren_fences <= REPLAYING_FENCES_MAX:
        learned = await _learn_positions(log, core, clock, partition, epoch)
    else:
        learned = Learned(0, 0, clock.now_ms(), dict(core.basis()))
        _log.critical("positions_not_learned", page=True, partition=partition)
    times_ms.append(clock.now_ms())
    taken = TakenOver(
        partition=partition,
        epoch=epoch,
        next_offset=epoch + 1,
        seq=folding.seq,
        next_inputs=next_inputs,
        ends=dict(await log.input_ends(partition)),
        attempts=dict(folding.attempts),
        snap=folding.snap,
        snapped_at_ms=LONG_AGO_MS if folding.unfolded else folding.snapped_at_ms,
        since_snapshot=folding.since_snapshot,
        barren=folding.barren_fences,
        folded=folding.records,
        republished=len(owed),
        snapshot_bytes=folding.snapshot_bytes,
        since_bytes=folding.since_bytes,
        took_ms={name: b - a for name, (a, b) in zip(STAGES, pairwise(times_ms), strict=True)},
        learned=learned,
    )
    _log.info("taken_over", **structs.asdict(taken))
    return taken


async def _find_start(log: Log, partition: int, fence: int) -> int:
    """Offset of the newest snapshot, or of the log's first record where there is none."""
    first, _ = await log.decisions_range(partition)
    window = WINDOW_RECORDS
    while True:
        start = max(first, fence - window)
        snap = await _newest_snap(log, partition, start, fence)
        if snap is not None and snap != NO_SNAPSHOT:
            return snap
        if snap == NO_SNAPSHOT or start == first:
            return first
        window *= WINDOW_GROWTH


async def _newest_snap(log: Log, partition: int, start: int, fence: int) -> int | None:
    """The highest ``snap`` named in a stretch of the log; None where no entry names any."""
    newest: int | None = None
    async for record in log.read_decisions(partition, start, fence):
        snap = getattr(decode(record.value), "snap", None)
        if snap is not None and (newest is None or snap > newest):
            newest = snap
    return newest


def _check_start(folding: Folding, start: int, partition: int) -> None:
    if start > 0 and folding.snap == NO_SNAPSHOT:
        raise LogDamagedError(
            f"decisions log of partition {partition}: its beginning is gone and there is no whole "
            f"snapshot at offset {start}; restore the topic from a backup"
        )


def _check_folded(folding: Folding, partition: int) -> None:
    if folding.unfolded == 0:
        return
    what = f"{folding.unfolded} decisions cannot be folded, the first {folding.first_unfolded}"
    if folding.barren_fences < UNFOLDED_FENCES:
        raise LogDamagedError(
            f"decisions log of partition {partition}: {what}. Was a newer version of the program "
            f"here? Start that one. After {UNFOLDED_FENCES} attempts this one goes on without them"
        )
    _log.critical("decisions_not_folded", page=True, partition=partition, what=what)


async def owed_of_originals(log: Log, owed: Sequence[Publication]) -> Sequence[Publication]:
    """Give what is owed, each copy made of its original."""
    made: list[Publication] = []
    for each in owed:
        if each.original is None:
            made.append(each)
            continue
        assert each.partition is not None, "a copy goes where its key belongs"
        topic, partition, offset = each.original
        found = [raw async for raw in log.read_input(topic, partition, offset, offset + 1)]
        made += [forwarded(raw, each.partition) for raw in found]
        if not found:
            # Its topic has forgotten it, as it would have in its right place.
            _log.critical("forwarded_record_gone", page=True, topic=topic, offset=offset)
    return made


async def _next_inputs(log: Log, partition: int, folding: Folding) -> dict[str, int]:
    """Where to read on in each input topic."""
    starts = await log.input_starts(partition)
    ends = await log.input_ends(partition)
    found: dict[str, int] = {}
    for topic in INPUTS:
        named = folding.next_offsets.get(topic, 0)
        if named > ends[topic]:
            # Somebody has deleted the topic and made it again: its offsets begin anew.
            _log.critical("input_topic_shorter_than_taken", page=True, topic=topic, named=named)
            named = 0
        found[topic] = max(named, starts[topic])
    return found


async def _learn_positions(
    log: Log, core: Core, clock: Clock, partition: int, epoch: int
) -> Learned:
    now_ms = clock.now_ms()
    versions = dict(core.basis())
    start = await log.input_offset_at(POSITIONS, partition, now_ms - round(core.replay_s() * 1000))
    end = (await log.input_ends(partition))[POSITIONS]
    async for raw in log.read_input(POSITIONS, partition, start, end):
        try:
            steps = core.take(structs.replace(raw, replayed=True), now_ms, epoch)
        except Exception:  # noqa: BLE001 - it only teaches; as a live one it is counted and set aside
            _log.exception("position_not_learned", partition=partition, offset=raw.offset)
        else:
            assert not steps, "a replayed position decides nothing"
    return Learned(start, end, now_ms, versions)
