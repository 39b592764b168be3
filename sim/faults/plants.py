"""Bugs that can be planted into a run on purpose, so that the judges show that they see.

    >>> with planted("owed_not_published"):
    ...     evidence = run(seed)
    >>> judge(evidence)  # outside: the judges use the engine as it should be

A plant swaps functions of the product for others (``mistakes/``) and puts them back. ``breaks``
names the promises by which it is to be found; most break others as well, sooner or later.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

from xiaohe.sim.faults.faults import Kind
from xiaohe.sim.faults.mistakes import Swaps, deciding, knowing, owning, steps


class Plant(NamedTuple):
    """One bug: what is wrong, the promises that it breaks, and what is swapped.

    ``under`` names the kinds of fault under which it shows; where there are none it shows without.
    """

    what: str
    breaks: frozenset[str]
    swaps: Callable[[], Swaps]
    under: frozenset[Kind]


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have the bug of this name in the product, until the context is left.

    Raises
    ------
    KeyError
        where there is none of this name.
    """
    swaps = PLANTS[name].swaps()
    kept = [vars(each.owner)[each.name] for each in swaps]
    for each in swaps:
        setattr(each.owner, each.name, each.new)
    try:
        yield
    finally:
        for each, old in zip(swaps, kept, strict=True):
            setattr(each.owner, each.name, old)


def list_plants() -> list[tuple[str, str]]:
    """Give every bug that can be planted: its name, and what is wrong."""
    return [(name, plant.what) for name, plant in sorted(PLANTS.items())]


CRASHES: Final = (Kind.CRASH, Kind.CRASH_IN_GAP, Kind.BROKER_CRASH, Kind.CUT, Kind.REBALANCE)
ZOMBIES: Final = (Kind.ZOMBIE, Kind.ZOMBIE_IN_GAP, Kind.CUT, Kind.CLOG)


def _plant(what: str, breaks: str, swaps: Callable[[], Swaps], *under: Kind) -> Plant:
    return Plant(what, frozenset(breaks.split()), swaps, frozenset(under))


PLANTS: Final[Mapping[str, Plant]] = {
    "acknowledged_before_append": _plant(
        "inputs are acknowledged before the log has their decisions, and it is read on from there",
        "S1 S8 L1",
        steps.acknowledged_before_append,
        *CRASHES,
    ),
    "alert_not_known_again": _plant(
        "an alert that comes twice opens its incident twice",
        "S1 S2 S4 S8 L2",
        deciding.alert_not_known_again,
    ),
    "anybody_answers": _plant(
        "an answer counts whoever gives it", "S9", deciding.anybody_answers, Kind.BAD_ANSWER
    ),
    "attempts_not_folded": _plant(
        "how often an input has failed is forgotten with every take-over",
        "L2",
        owning.attempts_not_folded,
        Kind.POISON,
    ),
    "busy_counted_free": _plant(
        "who has an open order is asked all the same", "S2", deciding.busy_counted_free
    ),
    "fence_not_written": _plant(
        "whoever takes over writes no fence", "S5 S7 S8", owning.fence_not_written
    ),
    "late_writes_folded": _plant(
        "what a former owner wrote late counts in a fold",
        "S5 S7 S8",
        owning.late_writes_folded,
        *ZOMBIES,
    ),
    "never_set_aside": _plant(
        "an input on which the core fails is tried for ever",
        "L2",
        steps.never_set_aside,
        Kind.POISON,
    ),
    "no_barrier": _plant(
        "a deadline is decided before what was received in time", "S5", steps.no_barrier
    ),
    "no_hold": _plant(
        "what was received after a deadline is decided before it", "S5", steps.no_hold
    ),
    "old_fix_moves_back": _plant(
        "a fix that comes late puts its member back to where they were",
        "S6",
        knowing.old_fix_moves_back,
        Kind.BAD_POSITION,
    ),
    "old_fixes_believed": _plant(
        "a fix of long ago still says where somebody is",
        "S6",
        deciding.old_fixes_believed,
        Kind.SILENT_MEMBER,
        Kind.CRASH,
        Kind.CUT,
    ),
    "one_decision_a_record": _plant(
        "a record is done with after the first of its decisions",
        "S8",
        owning.one_decision_a_record,
        Kind.TORN_BATCH,
    ),
    "orders_last_first": _plant(
        "the orders of one decision are published last first", "S2 S4", knowing.orders_last_first
    ),
    "others_writes_not_looked_at": _plant(
        "an owner does not look whether somebody else has taken over",
        "S5",
        owning.others_writes_not_looked_at,
        *ZOMBIES,
    ),
    "owed_not_published": _plant(
        "what a crashed owner had decided and not published stays unpublished",
        "S8",
        owning.owed_not_published,
        *CRASHES,
    ),
    "owed_under_new_ids": _plant(
        "what is published again has other ids than at first",
        "S4 S5",
        owning.owed_under_new_ids,
        *CRASHES,
    ),
    "own_clock_followed": _plant(
        "deadlines fall due by the clock of the worker's machine, also where it is wrong",
        "S5",
        knowing.own_clock_followed,
        Kind.CLOCK_JUMP,
    ),
    "owner_not_first": _plant(
        "the nearest goes before the owner of the road", "S6", deciding.owner_not_first
    ),
    "positions_not_learned": _plant(
        "who takes over does not know where everybody is",
        "S6",
        owning.positions_not_learned,
        *CRASHES,
    ),
    "published_before_append": _plant(
        "a decision is published before the log has it",
        "S5",
        steps.published_before_append,
        *CRASHES,
        *ZOMBIES,
    ),
    "read_on_from_the_group": _plant(
        "the group's offsets, which lag, say where to read on",
        "S8",
        steps.read_on_from_the_group,
        *CRASHES,
    ),
    "refusal_untold": _plant(
        "what is refused in deciding has no dead letter",
        "S8",
        knowing.refusal_untold,
        Kind.BAD_ANSWER,
    ),
    "repeated_delivery_taken": _plant(
        "a record that is delivered again is decided again",
        "S8",
        steps.repeated_delivery_taken,
        Kind.OFFSETS_MOVED,
        Kind.DUPLICATE,
    ),
    "retry_forgotten": _plant(
        "where nobody could go nobody looks again", "L1", deciding.retry_forgotten
    ),
    "roster_change_ignored": _plant(
        "a change of the roster does not reach the owner of an area",
        "S6",
        knowing.roster_change_ignored,
        Kind.ROSTER_CHANGE,
    ),
    "second_receipt_counts": _plant(
        "the windows of a record that was sent on count from when it came again",
        "S5",
        knowing.second_receipt_counts,
        Kind.MALFORMED,
    ),
    "snapshot_of_many_moments": _plant(
        "a snapshot has each incident as it is when its piece is written",
        "S7 L2",
        owning.snapshot_of_many_moments,
    ),
    "snapshot_without_alerts": _plant(
        "a snapshot does not know which alerts were taken",
        "S1 S7",
        owning.snapshot_without_alerts,
    ),
    "snapshot_without_deadlines": _plant(
        "a snapshot does not know what is to fall due",
        "S7 L1",
        owning.snapshot_without_deadlines,
    ),
    "snapshot_without_holding": _plant(
        "after a snapshot nobody is known to have an order",
        "S2 S7 L2",
        owning.snapshot_without_holding,
        *CRASHES,
    ),
    "snapshot_without_seq": _plant(
        "behind a snapshot decisions are numbered from the beginning",
        "S5 S7 S8",
        owning.snapshot_without_seq,
        *CRASHES,
    ),
    "stood_down_revived": _plant(
        "who was stood down may accept after all",
        "S3 S7",
        deciding.stood_down_revived,
        Kind.BAD_ANSWER,
    ),
    "surplus_kept": _plant(
        "who was asked as well is not stood down when enough have accepted",
        "S3",
        deciding.surplus_kept,
    ),
    "swap_keeps_the_old_map": _plant(
        "after an exchange of the roads file the old map is searched",
        "S6",
        knowing.swap_keeps_the_old_map,
        Kind.ROADS_SWAP,
    ),
    "swap_loses_positions": _plant(
        "after an exchange of the roads file nobody is anywhere",
        "S6",
        knowing.swap_loses_positions,
        Kind.ROADS_SWAP,
    ),
    "wake_up_always_heeded": _plant(
        "a wake-up has effect although its deadline was met or moved",
        "S5 S7 L2",
        deciding.wake_up_always_heeded,
    ),
}
"""Every bug that can be planted, by its name."""
