"""What the parts log: to stderr, and never what a record held (``wire.fault_text`` says why)."""

import logging
import sys
from types import TracebackType
from typing import Any

import structlog

from xiaohe.wire.fault_text import kind_of, told

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def log_to_stderr() -> None:
    """Set structlog, the standard logging and the hook for faults that nobody caught."""
    structlog.configure(
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_messages,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
    )
    logging.setLogRecordFactory(_Record)
    logging.Formatter.formatException = _format_exception  # type: ignore[method-assign, assignment]
    sys.excepthook = _uncaught


class _Record(logging.LogRecord):
    """A record whose arguments tell of faults by their kind."""

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - whatever logging gives
        super().__init__(*args, **more)
        if isinstance(self.args, tuple):
            self.args = tuple(
                kind_of(each) if isinstance(each, BaseException) else each for each in self.args
            )


def _without_messages(
    _: object, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Put ``exception`` in the place of ``exc_info``."""
    info = event.pop("exc_info", None)
    fault = info if isinstance(info, BaseException) else None
    if info is True:
        fault = sys.exception()
    elif isinstance(info, tuple):
        fault = info[1]
    if fault is not None:
        event["exception"] = told(fault)
    return event


def _format_exception(_: logging.Formatter, info: ExcInfo) -> str:
    return told(info[1]) if info[1] is not None else ""


def _uncaught(kind: type[BaseException], fault: BaseException, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    sys.stderr.write(told(fault) + "\n")
