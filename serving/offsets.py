"""Offsets in the unit of the caller's language: JavaScript and Java count UTF-16, Go and Rust UTF-8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

OffsetUnit = Literal["codepoint", "utf16", "utf8"]
"""Unicode code points (Python), UTF-16 code units (JavaScript, Java, C#), UTF-8 bytes (Go, Rust)."""

_ENCODINGS = {"utf16": ("utf-16-le", 2), "utf8": ("utf-8", 1)}


def in_unit(text: str, positions: Iterable[int], unit: OffsetUnit) -> Mapping[int, int]:
    """Code point positions of a text → the same positions in another unit, in the time of one encoding.

    Args:
        text: any string without lone surrogates.
        positions: code point offsets from 0 to ``len(text)``, in any order.
        unit: what to count.
    """
    wanted = sorted(set(positions))
    if unit == "codepoint" or text.isascii():
        return {position: position for position in wanted}
    encoding, width = _ENCODINGS[unit]
    counted, last, table = 0, 0, {}
    for position in wanted:
        counted += len(text[last:position].encode(encoding)) // width
        table[position], last = counted, position
    return table
