"""`Hash`: a short name for a value that is the same wherever the value occurs, and says nothing of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pii.redaction.occurrence import Occurrence, OperatorConfig, Scope


class Hash(OperatorConfig):
    """Put a keyed digest in its place: HMAC-SHA-256 (RFC 2104, FIPS 198-1) of type and value.

    Without the key neither a dictionary nor a list of all telephone numbers leads back, as it does for
    plain digests; with another tenant the same value has another digest.
    """

    operator: Literal["hash"] = "hash"
    digits: int = Field(default=16, ge=8, le=64)
    """Hexadecimal digits shown. Two of n values share one with a chance of about n² / 2 / 16^digits."""

    def replacement(self, occurrence: Occurrence, scope: Scope) -> str:
        """The tag ``<TYPE:digest>``. Raises KeyRequired."""
        digest = scope.digest("hash", occurrence.type, occurrence.who).hex()
        return f"<{occurrence.type}:{digest[: self.digits]}>"
