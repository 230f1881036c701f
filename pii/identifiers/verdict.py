"""What a check says, and how a written value is made plain before it is checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pii.folding import CHINESE_DIGITS, scan


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of checking one value against one type.

    Attributes:
        valid: True, a checksum (or a signed-for structure that chance does not make) holds; None, the
            shape is right and there is no checksum to hold; False, a checksum fails or the value cannot be
            of this type (impossible date, unassigned range, wrong length).
        subtype: country or issuer, such as ``cn_resident_id``; also for a value whose checksum fails, where
            the shape alone says it; None where nothing says it.
    """

    valid: bool | None
    subtype: str | None = None


IMPOSSIBLE = Verdict(False)
"""No shape of the type fits."""

SHAPED = Verdict(None)
"""The shape fits, and says nothing of country or issuer."""

_SEPARATORS = re.compile(r"[\s\-.·•_()]+")


def plain(value: str) -> str:
    """The value with plain width, dashes, spaces and digits, without invisible characters at its ends."""
    return scan(value).text.strip()


def compact(value: str) -> str:
    """The value's letters (upper case) and digits: separators gone, Chinese digits read as digits."""
    return _SEPARATORS.sub("", plain(value)).translate(CHINESE_DIGITS).upper()
