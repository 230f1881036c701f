"""The certificate of a redaction job: what was done, in counts and hashes, signed where there is a key."""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Mapping
from typing import Self

from pydantic import Field

from configs.reader import StrictConfig, parse
from pii.errors import DataError
from pii.redaction.keys import RedactionKey, digest
from pii.redaction.verification import Verified

_PURPOSE = "certificate"


class Certificate(StrictConfig):
    """What a job did. It holds no text, no value and no time: the same job has the same certificate."""

    version: int = 1
    """Form of the certificate."""
    rows: int = Field(ge=0)
    """Rows that were redacted and written."""
    bad_rows: int = Field(ge=0)
    """Rows that were put aside, leaking ones among them."""
    leaking_rows: int = Field(ge=0)
    """Rows that verification refused; none of them is in the result."""
    leaks: int = Field(default=0, ge=0)
    """Leaks in the result, after verification of every row: 0, or there is no certificate."""
    escalated: int = Field(ge=0)
    """Places where a tag stands because the policy's operator would have leaked."""
    by_type: Mapping[str, int]
    """Entity type → replacements."""
    by_operator: Mapping[str, int]
    """Operator → replacements."""
    by_source: Mapping[str, int]
    """Who found them (`pii.spans.Span.source`, or ``verification``) → replacements."""
    hashes: Mapping[str, str]
    """What the job consisted of: policy, input, output, model, answer format → SHA-256."""
    key_id: str = ""
    """Identifier of the key behind the signature; empty: not signed."""
    signature: str = ""
    """HMAC-SHA-256 of all other fields, hexadecimal."""

    def signed(self, key: RedactionKey) -> Self:
        """The same certificate under a key's signature."""
        named = self.model_copy(update={"key_id": key.id, "signature": ""})
        return named.model_copy(update={"signature": _signature(named, key)})

    def as_json(self) -> str:
        """One JSON object, indented, keys in order."""
        return json.dumps(self.model_dump(), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _signature(certificate: Certificate, key: RedactionKey) -> str:
    content = certificate.model_copy(update={"signature": ""}).as_json()
    return digest(key.derive(_PURPOSE), content).hex()


def verify_certificate(content: str, key: RedactionKey) -> Certificate:
    """Read a certificate and check its signature.

    Raises DataError: it is not a certificate, is not signed, or was signed by another key or altered.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        raise DataError("the certificate is not JSON") from None
    certificate = parse(values, Certificate, "certificate")
    if not certificate.signature:
        raise DataError("the certificate is not signed")
    if certificate.key_id != key.id:
        raise DataError("the certificate was signed with another key")
    if not hmac.compare_digest(certificate.signature.encode(), _signature(certificate, key).encode()):
        raise DataError("the certificate was altered after it was signed")
    return certificate


class Tally:
    """Counts for a certificate: `add` each verified row.

    Args:
        counts: what was counted before, or elsewhere; a job keeps these with its shards.
    """

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self.counts: Counter[str] = Counter(counts or {})

    def add(self, verified: Verified) -> None:
        """Count one row."""
        self.counts.update(("rows",))
        self.counts["escalated"] += verified.num_escalated
        for done in verified.redacted.replacements:
            source = done.span.source or "given"
            self.counts.update((f"type:{done.span.type}", f"operator:{done.operator}", f"source:{source}"))

    def add_refused(self, *, leaking: bool) -> None:
        """Count one row that is not in the result."""
        self.counts["bad_rows"] += 1
        self.counts["leaking_rows"] += leaking

    def certificate(self, hashes: Mapping[str, str], key: RedactionKey | None = None) -> Certificate:
        """The certificate, signed where there is a key."""
        made = Certificate(
            rows=self.counts["rows"],
            bad_rows=self.counts["bad_rows"],
            leaking_rows=self.counts["leaking_rows"],
            escalated=self.counts["escalated"],
            by_type=self._under("type"),
            by_operator=self._under("operator"),
            by_source=self._under("source"),
            hashes=dict(hashes),
        )
        return made.signed(key) if key else made

    def _under(self, head: str) -> dict[str, int]:
        return {
            name.partition(":")[2]: count
            for name, count in sorted(self.counts.items())
            if name.startswith(f"{head}:")
        }
