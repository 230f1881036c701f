"""Nothing personal may stand in a synthetic text without a label: a scan with the recognisers.

Values are registered when they are written, so a hit here is a mistake in a template or provider. Only
types whose values prove themselves by shape or checksum are asked: a recogniser of names, or one that goes
by the word before a value, guesses.
"""

from __future__ import annotations

from pii.patterns import find
from pii.spans import Document, Span
from pii.taxonomy import shipped

SELF_PROVING = (
    "PHONE_NUMBER",
    "EMAIL_ADDRESS",
    "NATIONAL_ID_NUMBER",
    "BANK_CARD_NUMBER",
    "VEHICLE_PLATE_NUMBER",
    "IP_ADDRESS",
    "DEVICE_ID",
)
"""Types that the scan asks for."""


def unlabelled(document: Document) -> tuple[Span, ...]:
    """What the recognisers find in a document that is neither labelled nor a known look-alike.

    Types that the document does not count as labelled are not asked for. ``meta["decoys"]`` of a synthetic
    document holds the offsets of look-alikes and of values whose type is not asked for.
    """
    known = [(s.start, s.end) for s in document.spans]
    known += [(start, end) for start, end in document.meta.get("decoys", ())]
    asked = set(shipped().resolve(document.types))
    found = (match.span for match in find(document.text, [name for name in SELF_PROVING if name in asked]))
    return tuple(s for s in found if not any(a < s.end and s.start < b for a, b in known))
