"""What a person, or a scheduler, sees of a running batch job: a bar, JSON lines, or nothing."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, Protocol, get_args

from pii.taxonomy import shipped

Mode = Literal["bar", "json", "quiet"]
MODES: tuple[str, ...] = get_args(Mode)

_EVERY_S = 1.0
"""Seconds between two lines of JSON."""

_SHOWN = 3
"""Entity types beside the bar: the most frequent ones."""


def entities(counts: Mapping[str, int]) -> dict[str, int]:
    """Entity type → how many were found, the most frequent first."""
    found = ((name, count) for name, count in counts.items() if count and name in shipped())
    return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))


class Progress(Protocol):
    """Is told after each shard how far the job is."""

    def advance(self, num_bytes: int, counts: Counter[str]) -> None:
        """So many bytes of the input are done, and this was counted so far."""

    def close(self) -> None:
        """The job ends."""


class Quiet:
    """Nothing is shown."""

    def advance(self, num_bytes: int, counts: Counter[str]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Bar:
    """A bar with rate, time left, bad rows and the most frequent types; hidden where nobody watches.

    Args:
        name: of the command.
        total: bytes of the input; None where nobody knows.
        begun: bytes that an earlier run has done.
    """

    def __init__(self, name: str, total: int | None, begun: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=total, initial=begun, unit="B", unit_scale=True, desc=name, disable=None)

    def advance(self, num_bytes: int, counts: Counter[str]) -> None:
        """Move the bar."""
        frequent = list(entities(counts).items())[:_SHOWN]
        self._bar.set_postfix(rows=counts["rows"], bad=counts["bad_rows"], **dict(frequent), refresh=False)
        self._bar.update(num_bytes - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()


class JsonLines:
    """One JSON object a second, and one at the end, on standard error.

    Args:
        name: of the command.
        total: bytes of the input; None where nobody knows.
        begun: bytes that an earlier run has done.
    """

    def __init__(self, name: str, total: int | None, begun: int) -> None:
        self._name, self._total, self._begun = name, total, begun
        self._started = self._last = time.monotonic()
        self._state: dict[str, Any] | None = None

    def advance(self, num_bytes: int, counts: Counter[str]) -> None:
        """Write a line, unless the last one was written just now."""
        now = time.monotonic()
        rate = (num_bytes - self._begun) / max(now - self._started, 1e-6)
        left = None if self._total is None or not rate else max(0.0, (self._total - num_bytes) / rate)
        self._state = {
            "job": self._name,
            "bytes": num_bytes,
            "total_bytes": self._total,
            "rows": counts["rows"],
            "bad_rows": counts["bad_rows"],
            "bytes_per_s": round(rate),
            "seconds_left": None if left is None else round(left, 1),
            "entities": entities(counts),
        }
        if now - self._last >= _EVERY_S:
            self._write(now)

    def close(self) -> None:
        """Write the last state."""
        if self._state is not None:
            self._write(time.monotonic())

    def _write(self, now: float) -> None:
        sys.stderr.write(json.dumps(self._state) + "\n")
        sys.stderr.flush()
        self._last = now


def begun(mode: Mode, name: str, total: int | None, done: int) -> Progress:
    """The progress of a job that begins, or goes on behind bytes that are done."""
    if mode == "quiet":
        return Quiet()
    return Bar(name, total, done) if mode == "bar" else JsonLines(name, total, done)
