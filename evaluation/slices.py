"""The groups of documents that a report shows beside the whole: language, source, form, length, script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from pii.spans import Document

META = ("form", "carrier", "domain")
"""Keys of `Document.meta` that make slices; a value is one word or a list of words."""

LENGTHS = ((50, "to 50"), (200, "51-200"), (1000, "201-1000"))
"""Upper bounds of the length groups, in characters; the last group is open."""

_SCRIPT_SAMPLE = 2000
"""Characters that are looked at to name a script: the name of a long text does not hang on its tail."""


def length_of(text: str) -> str:
    """The length group of a text."""
    return next((name for bound, name in LENGTHS if len(text) <= bound), "over 1000")


def script_of(text: str) -> str:
    """``han``, ``latin`` or ``other`` where at least nine of ten letters are of it; ``mixed``; ``none``."""
    counts = {"han": 0, "latin": 0, "other": 0}
    for char in text[:_SCRIPT_SAMPLE]:
        if "一" <= char <= "鿿" or "㐀" <= char <= "䶿":
            counts["han"] += 1
        elif char.isascii():
            counts["latin"] += char.isalpha()
        elif char.isalpha():
            # Full-width forms are letters of the Latin script that were written wide.
            name = unicodedata.name(char, "")
            counts["latin" if "LATIN" in name else "han" if "CJK" in name else "other"] += 1
    total = sum(counts.values())
    if not total:
        return "none"
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= 0.9 * total else "mixed"


def _words(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return sorted({str(item) for item in value})
    return [str(value)] if isinstance(value, str | int | bool) else []


def of(document: Document) -> Iterator[tuple[str, str]]:
    """The (dimension, group) pairs that a document belongs to; at most one per dimension, except in meta."""
    if document.language:
        yield "language", document.language
    if document.source:
        yield "source", document.source
    for key in META:
        for word in _words(document.meta.get(key)):
            yield key, word
    yield "length", length_of(document.text)
    yield "script", script_of(document.text)
    yield "entities", "with" if document.spans else "without"
