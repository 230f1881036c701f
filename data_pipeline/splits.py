"""Which split a document belongs to, decided by its content or its template family, never by its place.

Real documents are ordered by a keyed hash of their text: a random order that depends on nothing else, so
that adding a file does not move a document from test to train. Synthetic documents follow their template
family: a family that test knows is never in train.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pii.spans import Document

Split = Literal["train", "validation", "test", "foreign"]


def content_key(seed: int, text: str) -> int:
    """A 64-bit number that is random but for the seed and the text (BLAKE2b)."""
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=seed.to_bytes(8, "big"))
    return int.from_bytes(digest.digest(), "big")


def synthetic_split(document: Document, seed: int, held_out: float) -> Split:
    """The split of a synthetic document.

    Args:
        document: its meta names ``template``, and ``foreign`` for the families that are set aside.
        seed: the data set's seed.
        held_out: part of the families for test, and as much again for validation.
    """
    if document.meta.get("foreign"):
        return "foreign"
    place = content_key(seed, f"family:{document.meta['template']}") / 2**64
    if place < held_out:
        return "test"
    return "validation" if place < 2 * held_out else "train"
