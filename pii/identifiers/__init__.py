"""Checksums and shapes of the closed types: is this value what it says it is, and whose?

    check("NATIONAL_ID_NUMBER", "11010519491231002X") -> Verdict(valid=True, subtype="cn_resident_id")

A value may be written as people write it: full-width, grouped, with Chinese digits.
"""

from pii.identifiers.checks import check, closed_types
from pii.identifiers.verdict import Verdict

__all__ = ["Verdict", "check", "closed_types"]
