"""The audit log: who asked, how much, and what was found, as counts by type. No text.

One JSON object a line. Each holds the signature of the line before it, and its own over all the rest: HMAC
with SHA-256. Whoever has no key can neither change, add, move nor take out a line unseen; lines cut off at
the end show only against a last signature that was kept elsewhere, which `pii audit` prints for that.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import logging
import os
import sys
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from configs import command
from configs.errors import ConfigError, StageError
from pii.redaction.keys import RedactionKey
from serving.problems import Problem

if TYPE_CHECKING:
    from serving.extraction import Extraction
    from serving.settings import TelemetrySettings

logger = logging.getLogger(__name__)

VARIABLE = "PII_AUDIT_KEY"
"""The environment variable that is read where no key file is named."""

_PURPOSE = "audit-log"
_BEGINNING = "0" * 64
"""Stands for the signature before the first line."""


@dataclass(slots=True)
class Tally:
    """What was found for one request."""

    num_texts: int = 0
    num_chars: int = 0
    num_truncated: int = 0
    entities: Counter[str] = field(default_factory=Counter)

    def add(self, extraction: Extraction, num_chars: int) -> None:
        """Count one text."""
        self.num_texts += 1
        self.num_chars += num_chars
        self.num_truncated += bool(extraction.truncated)
        self.entities.update(span.type for span in extraction.spans)


def _sign(key: bytes, line: dict[str, Any]) -> str:
    told = json.dumps(line, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hmac.digest(key, told.encode(), "sha256").hex()


def _key(path: Path | None) -> bytes:
    secret = RedactionKey.find(path, VARIABLE)
    if secret is None:
        raise ConfigError(
            f"the audit log needs a key: name a file or set {VARIABLE} (`openssl rand -hex 32`)"
        )
    return secret.derive(_PURPOSE)


class AuditLog:
    """Appends to one file, which one process has at a time. Any thread may write.

    Args:
        path: the file; it is continued where it ends.
        key: signs its lines.

    Raises ConfigError: no file, or another process's, or its last line is not signed with this key.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._key, self._lock = key, threading.Lock()
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: not a file; the audit log is read again when it is continued")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"{path}: another process writes it; give each one a file of its own") from None
        self._file.seek(0)
        last = next(iter(deque(self._file, maxlen=1)), None)
        self._number, self._previous = (0, _BEGINNING) if last is None else self._continue(last, path)

    @classmethod
    def of(cls, settings: TelemetrySettings) -> AuditLog | None:
        """The log of a service; None where it has none."""
        return cls(settings.audit_file, _key(settings.audit_key_file)) if settings.audit_file else None

    def _continue(self, last: str, path: Path) -> tuple[int, str]:
        line = _read(last, self._key)
        if line is None:
            raise ConfigError(f"{path}: the last line is torn or signed with another key; begin a new file")
        return line["number"], line["signature"]

    def write(self, tally: Tally, *, route: str, key: str, request_id: str) -> None:
        """Append one line.

        Raises Problem 503 ``audit_failed``: nobody gets an answer that is not in the log.
        """
        try:
            with self._lock:
                line: dict[str, Any] = {
                    "number": self._number + 1,
                    "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "request_id": request_id,
                    "key": key,
                    "route": route,
                    "texts": tally.num_texts,
                    "characters": tally.num_chars,
                    "truncated": tally.num_truncated,
                    "entities": dict(sorted(tally.entities.items())),
                    "previous": self._previous,
                }
                signature = _sign(self._key, line)
                self._file.write(json.dumps(line | {"signature": signature}, ensure_ascii=False) + "\n")
                self._file.flush()
                self._number, self._previous = self._number + 1, signature
        except OSError as error:
            logger.error("the audit log cannot be written (%s)", os.strerror(error.errno or 0))
            raise Problem.busy("audit_failed", "the audit log cannot be written", 30) from None

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def _read(raw: str, key: bytes) -> dict[str, Any] | None:
    """A line whose signature is right; None for any other."""
    try:
        line = json.loads(raw) if raw.endswith("\n") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not isinstance(line.get("signature"), str):
        return None
    rest = {name: value for name, value in line.items() if name != "signature"}
    return line if hmac.compare_digest(_sign(key, rest).encode(), line["signature"].encode()) else None


def verify(path: Path, key: bytes) -> tuple[int, str]:
    """How many lines the log has, and the signature of the last.

    Raises StageError with the number of the first line that is not what was written there.
    """
    number, previous = 0, _BEGINNING
    with path.open(encoding="utf-8", errors="replace") as file:
        for raw in file:
            line = _read(raw, key)
            if line is None or (line["number"], line["previous"]) != (number + 1, previous):
                raise StageError(f"{path}:{number + 1}: changed, moved, torn, or signed with another key")
            number, previous = number + 1, line["signature"]
    return number, previous


def main(argv: list[str] | None = None) -> int:
    """Check an audit log; returns 0, or 2 where it is not as it was written."""
    parser = command.parser("pii audit", "Check the chain of an audit log and print its last signature.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--key-file", type=Path, help=f"default: the environment variable {VARIABLE}")
    arguments = parser.parse_args(argv)

    def body() -> int:
        if not arguments.file.is_file():
            raise StageError(f"{arguments.file}: no such file")
        number, last = verify(arguments.file, _key(arguments.key_file))
        sys.stdout.write(f"{number} lines, last signature {last}\n")
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
