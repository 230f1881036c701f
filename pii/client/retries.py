"""When to ask again, and after what time."""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass

RETRIED = frozenset({429, 502, 503, 504})
"""Statuses that say nothing against the request itself."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How patient a client is. Every call may be repeated: none changes anything in the service.

    Attributes:
        attempts: how often a call is made at most, the first time included.
        first_wait_s: wait after the first failure where the service names no time; doubled each time.
        longest_wait_s: no single wait is longer; a service that asks for more is given up.
    """

    attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0

    def wait_s(self, attempt: int, retry_after: str | None = None) -> float | None:
        """How long to wait after a failed attempt; None: not again.

        Args:
            attempt: which attempt failed, from 1.
            retry_after: the header of the answer (RFC 9110, section 10.2.3): seconds or a date.
        """
        if attempt >= self.attempts:
            return None
        asked = _seconds(retry_after)
        if asked is not None:
            # A little later than asked, each client by another little, so that they do not come all at once.
            return None if asked > self.longest_wait_s else asked + random.uniform(0, 0.1 * asked + 0.1)
        wait: float = min(self.longest_wait_s, self.first_wait_s * 2 ** (attempt - 1))
        return wait * random.uniform(0.5, 1.0)


def _seconds(retry_after: str | None) -> float | None:
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
