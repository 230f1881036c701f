"""How often each key may ask: token buckets (https://en.wikipedia.org/wiki/Token_bucket)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

BURST_SHARE = 6
"""This part of a minute's requests may come at once."""


@dataclass(slots=True)
class _Bucket:
    level: float
    filled_at: float


class Rates:
    """Counts the requests of each key in this process.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def wait_s(self, key: str, per_minute: int) -> float:
        """Count one request; 0 where it may go on, else the seconds until one may.

        Args:
            key: the key's name; there is a bucket for each, and so only names that exist may come here.
            per_minute: requests a minute that the key has.
        """
        capacity, now = max(1.0, per_minute / BURST_SHARE), self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(capacity, now))
        bucket.level = min(capacity, bucket.level + (now - bucket.filled_at) * per_minute / 60)
        bucket.filled_at = now
        if bucket.level >= 1:
            bucket.level -= 1
            return 0.0
        return (1 - bucket.level) * 60 / per_minute
