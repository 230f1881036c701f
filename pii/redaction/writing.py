"""The way in which a value is written: its letters and digits taken out, and others put in their places.

    Written("１３８-0013").filled("7654321") == "７６５-4321"

Separators, width, script of digits and case belong to the places and stay.
"""

from __future__ import annotations

import unicodedata

from pii.folding import CHINESE_DIGITS

_WIDE = 0xFEE0
"""From an ASCII character to its full-width form."""

_HAN_ROWS = ("零壹贰叁肆伍陆柒捌玖", "零一二三四五六七八九")


def _plain(char: str) -> str:
    """The letter or digit that a character is, plain and upper case; empty for a separator."""
    if unicodedata.category(char) == "Nd":
        return str(unicodedata.digit(char))
    if digit := CHINESE_DIGITS.get(ord(char)):
        return digit
    folded = unicodedata.normalize("NFKC", char)
    if len(folded) == 1 and folded.isascii():
        return folded.upper() if folded.isalnum() else ""
    return char if char.isalnum() else ""


class Written:
    """One value, cut into what it says (`core`) and how that is written."""

    def __init__(self, value: str) -> None:
        self._value = value
        plain = [_plain(char) for char in value]
        self._places = [place for place, char in enumerate(plain) if char]
        self.core = "".join(plain)

    def filled(self, core: str) -> str:
        """The value with other letters and digits, as many as its own."""
        assert len(core) == len(self._places)
        chars = list(self._value)
        for place, new in zip(self._places, core, strict=True):
            chars[place] = _styled(chars[place], new, self._value)
        return "".join(chars)

    def with_digits(self, digits: str) -> str:
        """The value with other digits, as many as its own; letters stay."""
        fresh = iter(digits)
        return self.filled("".join(next(fresh) if char.isdecimal() else char for char in self.core))


def restyled(old: str, new: str) -> str:
    """`new` in the width, script and case of `old`; the two may differ in length."""
    if not old:
        return new
    if old.isupper():
        new = new.upper()
    elif old[0].isupper():
        new = new.capitalize()
    return "".join(_styled(old[min(place, len(old) - 1)], char, old) for place, char in enumerate(new))


def _styled(old: str, new: str, value: str) -> str:
    """One new character in the manner of the one whose place it takes."""
    if new.isdecimal() and new.isascii():
        if unicodedata.category(old) == "Nd":
            return chr(ord(old) - unicodedata.digit(old) + int(new))
        if ord(old) in CHINESE_DIGITS:
            return _han_digit(int(new), value)
    if not new.isascii():
        return new
    if old.islower() and _plain(old) != old:
        new = new.lower()
    return chr(ord(new) + _WIDE) if "\uff01" <= old <= "\uff5e" else new


def _han_digit(digit: int, value: str) -> str:
    """A digit in the set of characters that the value uses: capital numerals, 〇 or 零, 幺 or 一."""
    row = _HAN_ROWS[0] if any(char in _HAN_ROWS[0][1:] for char in value) else _HAN_ROWS[1]
    zero = next((char for char in value if char in "〇○"), row[0])
    if digit == 0:
        return zero
    return "幺" if digit == 1 and "幺" in value else row[digit]
