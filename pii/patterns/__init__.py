"""Deterministic recognisers for the closed types, right for text without spaces between words.

    find("我叫张三，电话13800138000")

What is found follows one rule: a checksum beats a label, a label beats a bare shape; then the longer match
wins, then the earlier one.
"""

from pii.patterns.announced import announced
from pii.patterns.finder import find, known_types, sifted
from pii.patterns.match import Match

__all__ = ["Match", "announced", "find", "known_types", "sifted"]
