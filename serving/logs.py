"""Log lines of the service: the request that each belongs to, as text or as JSON."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

from serving.silence import QuietFormatter

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that the running task works for; empty outside of one."""


class JsonFormatter(QuietFormatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, ``request_id``, and ``fields``.

    A record of our own may carry numbers and names as ``extra={"fields": {...}}``.
    """

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": super().format(record),
        }
        if identity := request_id.get():
            line["request_id"] = identity
        return json.dumps(line | getattr(record, "fields", {}), ensure_ascii=False)


def write_json() -> None:
    """Let every handler of the root logger write JSON lines."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonFormatter())
