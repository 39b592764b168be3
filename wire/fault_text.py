"""A fault in words that repeat nothing of what a record held.

A fault of Python or of a library repeats what it tripped over (``KeyError: 'm17'``,
``invalid literal for int(): '138…'``), and that may be somebody's name, number or words. So a
fault is told by its frames and its kind; the message stays only where the fault is one of this
project's own, which by rule name the field and never what it holds.
"""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

OWN: Final = ("xiaohe.", "aiokafka.errors")
"""Faults of these modules say nothing that was sent: our own by rule, the Kafka client's speak of
brokers, topics and sizes."""

FRAMES_SHOWN: Final = 40
"""Frames of a traceback: the innermost say where it happened."""


def told(fault: BaseException) -> str:
    """Give a fault's frames and kind, and those of what it came of; a message only of our own."""
    return "\n".join(_lines(fault, set()))


def _lines(fault: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(fault))
    before = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
    if before is not None and id(before) not in seen:
        yield from _lines(before, seen)
        yield "after which:"
    for frame in traceback.extract_tb(fault.__traceback__)[-FRAMES_SHOWN:]:
        yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
    yield kind_of(fault)
    if isinstance(fault, BaseExceptionGroup):
        for inner in fault.exceptions:
            if id(inner) not in seen:
                yield from _lines(inner, seen)


def kind_of(fault: BaseException) -> str:
    """Give a fault's kind, with its message where that speaks of no record."""
    kind = type(fault)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    speaks = kind.__module__.startswith(OWN) or isinstance(fault, OSError)
    return f"{name}: {fault}" if speaks else name


def briefly(fault: BaseException) -> str:
    """Give a fault's kind and the place where it was raised, in a line."""
    frames = traceback.extract_tb(fault.__traceback__)
    if not frames:
        return kind_of(fault)
    last = frames[-1]
    return f"{kind_of(fault)} at {Path(last.filename).name}:{last.lineno} in {last.name}"
