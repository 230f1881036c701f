"""Logging that cannot quote a document: what other people's code says is reduced to what is fixed in it.

A log call of a library is a template and arguments; only the arguments can hold text. An exception is a kind,
a place and a message; only the message can hold text.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from types import TracebackType

OURS = ("configs", "pii", "serving", "evaluation", "data_pipeline", "training")
"""Rooms whose log calls are known to hold ids, counts and places alone."""


def describe(error: BaseException) -> str:
    """Kind and place of an exception, such as ``ValueError at serving/rows.py:12``; never its message."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} at {'/'.join(Path(last.filename).parts[-2:])}:{last.lineno}"


def trace(error: BaseException) -> str:
    """Kind of an exception and the places it went through, innermost last; never its message."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"  {'/'.join(Path(f.filename).parts[-2:])}:{f.lineno} {f.name}" for f in frames]
    return "\n".join([type(error).__name__, *lines])


class QuietFormatter(logging.Formatter):
    """Formats records of other libraries by their template alone, and exceptions by kind and places.

    vLLM's processes are given this class by name in their logging configuration.
    """

    def __init__(self, template: str = "%(asctime)s %(levelname)s %(name)s: %(message)s") -> None:
        super().__init__(template)

    def format(self, record: logging.LogRecord) -> str:
        """One line, or one line and the places of an exception."""
        if record.name.partition(".")[0] not in OURS:
            # A copy: other handlers get the record as it was.
            record = logging.makeLogRecord(record.__dict__ | {"args": (), "exc_text": None})
        return super().format(record)

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """See `trace`."""
        return "" if ei[1] is None else trace(ei[1])


def quieten() -> None:
    """Let every handler of the root logger format through `QuietFormatter`."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(QuietFormatter())
