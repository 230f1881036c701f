"""Choices that a secret makes: the same for the same seed, in every process and on every platform."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

_DRAW_BYTES = 8
_UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_HAN = "云岚溪汀禾原松柏朗澜屿枫棠渡霖苇湾坞岭桐"
"""What takes the place of a Chinese character in a code."""

_SCRIPTS = {
    "CYRILLIC": "абвгдежзиклмнопрстуфхцчшэюя",
    "GREEK": "αβγδεζηθικλμνξοπρστυφχψω",
    "ARABIC": "ابتثجحخدرزسشصطعفقكلمنهوي",
    "HEBREW": "אבגדהוזחטיכלמנסעפצקרשת",
    "HIRAGANA": "あいうえおかきくけこさしすせそたちつてとなにのはひまみむめもやゆよらりるれろわ",
    "KATAKANA": "アイウエオカキクケコサシスセソタチツテトナニノハヒマミムメモヤユヨラリルレロワ",
    "HANGUL": "가나다라마바사아자차카타파하고노도로모보소오조호기니리미비시이지희",
    "THAI": "กขคงจชดตนบปพมยรลวสห",
    "DEVANAGARI": "कखगघचजटडतदनपबमयरलवसह",
}
"""Letters of other alphabets, by the first word of their Unicode names."""


class Draw:
    """A stream of choices from a seed (SHAKE-256, FIPS 202)."""

    def __init__(self, seed: bytes) -> None:
        self._seed, self._drawn, self._stream = seed, 0, b""

    def below(self, bound: int) -> int:
        """An integer from 0 to below `bound`, all as likely but for a part in 2^64 / bound."""
        end = self._drawn + _DRAW_BYTES
        if end > len(self._stream):
            # A longer output begins with the shorter one.
            self._stream = hashlib.shake_256(self._seed).digest(max(256, 2 * len(self._stream)))
        drawn = int.from_bytes(self._stream[self._drawn : end], "big")
        self._drawn = end
        return drawn % bound

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def digits(self, count: int) -> str:
        """So many decimal digits."""
        return "".join(str(self.below(10)) for _ in range(count))

    def bytes(self, count: int) -> bytes:
        """So many bytes."""
        return bytes(self.below(256) for _ in range(count))

    def alike(self, core: str) -> str:
        """As many characters of the same kinds: digits, letters of each case and script."""
        made = "".join(self._one_alike(char) for char in core)
        # A number does not begin with a zero where the original did not.
        return str(1 + self.below(9)) + made[1:] if core[:1] in tuple("123456789") and core else made

    def _one_alike(self, char: str) -> str:
        if char.isdecimal():
            return str(self.below(10))
        if not char.isalpha():
            return str(self.below(10)) if char.isalnum() else char
        letters = _UPPER
        if not char.isascii():
            script = unicodedata.name(char, "").partition(" ")[0]
            letters = _HAN if script == "CJK" else _SCRIPTS.get(script, _UPPER)
        made = self.pick(letters)
        return made.lower() if char.islower() else made.upper()

    def word(self, length: int) -> str:
        """Lower-case letters that can be spoken."""
        first = self.below(2)
        return "".join(self.pick("aeiou" if (i + first) % 2 else "bdfgklmnprstv") for i in range(length))
