"""The one owner of what counts as "the same text written differently".

Two foldings, both with a way back to the offsets of the original text:

- `compare`: width, case, separators and invisible characters are gone. For asking whether two strings are
  the same value (`pii.grounding`).
- `scan`: width, digits of any script, kinds of dash and of space are made plain, invisible characters are
  gone, everything else stays where it is. For running recognisers over a text (`pii.patterns`).

Source of the classes: Unicode Standard Annex 15 (NFKC) and the general categories Cf and Nd.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from array import array
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text and the way back.

    Attributes:
        text: the folded text.
        offsets: for each folded code point, the index of the original code point it came from.
        ends: for each folded code point, the end of what it came from; None where that is always one
            code point.
    """

    text: str
    offsets: Sequence[int]
    ends: Sequence[int] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The half-open range of the original text that a non-empty folded range came from."""
        return self.offsets[start], self.ends[end - 1] if self.ends else self.offsets[end - 1] + 1

    def __repr__(self) -> str:
        return f"Folded(num_chars={len(self.text)})"


_SEPARATORS = frozenset(" \t\r\n-‐‑‒–—―−.·•_()（）[]/,，、")


@functools.lru_cache(maxsize=65536)
def _compared(cluster: str) -> str:
    """What is left of a character with its combining marks when width, case and separators do not count."""
    return "".join(
        piece
        for piece in unicodedata.normalize("NFKC", cluster).casefold()
        if not (piece in _SEPARATORS or piece.isspace() or unicodedata.category(piece) == "Cf")
    )


_SAME = re.compile("[0-9a-z\u4e00-\u9fff]+")
"""What stays as it is where no combining mark follows: most of a text, taken over in one piece."""


def _before_marks(text: str, start: int, end: int) -> int:
    """The end of a run without the character that a combining mark behind it belongs to."""
    return end - 1 if end < len(text) and unicodedata.combining(text[end]) else end


def compare(text: str) -> Folded:
    """Fold width (NFKC) and case; drop separators, zero-width and other format characters.

    A letter is folded together with its combining marks: Qwen2's tokenizer composes them, so that a model
    writes ``é`` as one code point where the text has two.
    """
    folded: list[str] = []
    offsets: list[int] = []
    ends: list[int] = []
    start = 0
    while start < len(text):
        if (same := _SAME.match(text, start)) and (end := _before_marks(text, start, same.end())) > start:
            folded.append(text[start:end])
            offsets.extend(range(start, end))
            ends.extend(range(start + 1, end + 1))
            start = end
            continue
        end = start + 1
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        for piece in _compared(text[start:end]):
            folded.append(piece)
            offsets.append(start)
            ends.append(end)
        start = end
    return Folded("".join(folded), offsets, ends)


class _Kept(dict[int, int | None]):
    """Code point → itself, or None where it does not count (for `str.translate`)."""

    def __missing__(self, code: int) -> int | None:
        self[code] = kept = code if _compared(chr(code)) else None
        return kept


_KEPT = _Kept()


_FEW = 128
"""So many different characters are replaced one after the other, which is faster than one pass in a table."""

_OTHER = re.compile("[^0-9a-z\u4e00-\u9fff]")


_WIDE_MARKS = tuple((mark, unicodedata.normalize("NFKC", mark)) for mark in "，；：！？（）")
"""What alone keeps most Chinese texts from being normal as they stand, which costs nothing to find out."""


def comparable(text: str) -> str:
    """What `compare` makes of a text, without the way back: some twenty times as fast.

    Single letters may come out otherwise where combining marks pile up; both sides of a comparison have to
    come from the same function.
    """
    for wide, plain in _WIDE_MARKS:
        text = text.replace(wide, plain)
    text = unicodedata.normalize("NFKC", text).casefold()
    others = set(_OTHER.findall(text))
    if len(others) > _FEW:
        return text.translate(_KEPT)
    for char in others:
        if _KEPT[ord(char)] is None:
            text = text.replace(char, "")
    return text


_DASHES = frozenset("‐‑‒–—―−﹣－⁃")
_MIDDLE_DOTS = frozenset("·•‧・･⋅∙")
_MASKS = frozenset("＊●✱∗×✕■█")
"""What people type for a hidden digit besides ``*``."""


_CLAUSE_MARKS = frozenset("，；！？")
"""They end a clause and no value, unlike their ASCII forms, which stand inside URLs and passwords."""


class _Plain(dict[int, int]):
    """Code point → plain code point, one to one, worked out when first met (for `str.translate`)."""

    def __missing__(self, code: int) -> int:
        self[code] = plain = self._plain(chr(code))
        return plain

    @staticmethod
    def _plain(char: str) -> int:
        if char in _DASHES:
            return ord("-")
        if char in _MIDDLE_DOTS:
            return ord("·")
        if char in _MASKS:
            return ord("*")
        if char in _CLAUSE_MARKS:
            return ord(char)
        category = unicodedata.category(char)
        if category == "Nd":
            return ord("0") + unicodedata.digit(char)
        if category == "Zs":
            return ord(" ")
        folded = unicodedata.normalize("NFKC", char)
        return ord(folded) if len(folded) == 1 and folded.isascii() else ord(char)


_PLAIN = _Plain()

_UNUSUAL = re.compile("[^\\x00-\\x7f\u3001\u3002\u300a\u300b\u2018-\u201d\u4e00-\u9fff，；！？]")
"""All but what most of a Chinese or English text consists of, which is plain as it stands."""


# Format characters (Cf) that stand inside copied numbers and names; a table, since `re` knows no categories.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U000e0001-\U000e007f]+"
)

CHINESE_DIGITS = {
    ord(char): str(digit)
    for digit, chars in enumerate(
        ("〇零○", "一幺壹", "二两贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
    )
    for char in chars
}
"""Chinese digits that stand for one decimal digit when a number is spelled out digit by digit."""

_SPELLED_DIGITS = CHINESE_DIGITS | {ord("，"): " "}
_DIGIT = f"[{''.join(map(chr, CHINESE_DIGITS))}]"
_SPELLED = re.compile(f"{_DIGIT}{{3,}}(?:[ ，-]{_DIGIT}{{3,}})*(?:[ ，-]{_DIGIT}{{1,5}}(?!{_DIGIT}))?")
_SPELLED_HINT = re.compile(_DIGIT * 3)
"""What every spelled-out number begins with; most texts hold none, and need no search for its longer form."""
_FEWEST_SPELLED = 5


def _spelled_out(match: re.Match[str]) -> str:
    """The digits of a spelled-out number; its groups are parted as groups of digits are.

    Nobody changes from one way of writing digits to the other within a number: beside a digit they are words.
    """
    around = (
        match.string[max(0, match.start() - 1) : match.start()] + match.string[match.end() : match.end() + 1]
    )
    beside_digit = any(char.isascii() and char.isdigit() for char in around)
    if beside_digit or sum(char not in " ，-" for char in match[0]) < _FEWEST_SPELLED:
        return match[0]
    return match[0].translate(_SPELLED_DIGITS)


def scan(text: str) -> Folded:
    """Make width, digits, dashes and spaces plain and drop invisible characters; the rest stays.

    Five or more Chinese digits in a row or in groups (``一三八零零…``, ``一三八，零零一三，…``) are read as a
    spelled-out number; shorter runs are words. The fold costs one pass in C, and no table of offsets where
    nothing was dropped.
    """
    if text.isascii():
        return Folded(text, range(len(text)))
    plain, hidden = _made_plain(text)
    if not hidden:
        return Folded(_with_digits(plain), range(len(text)))
    pieces: list[str] = []
    offsets = array("I")
    position = 0
    for dropped in _INVISIBLE.finditer(plain):
        pieces.append(plain[position : dropped.start()])
        offsets.extend(range(position, dropped.start()))
        position = dropped.end()
    pieces.append(plain[position:])
    offsets.extend(range(position, len(plain)))
    return Folded(_with_digits("".join(pieces)), offsets)


def scannable(text: str) -> str:
    """What `scan` makes of a text, without the way back."""
    if text.isascii():
        return text
    plain, hidden = _made_plain(text)
    return _with_digits(_INVISIBLE.sub("", plain) if hidden else plain)


def _made_plain(text: str) -> tuple[str, bool]:
    """The text with each character made plain, and whether it has invisible ones."""
    unusual = set(_UNUSUAL.findall(text))
    changed = {char: chr(plain) for char in unusual if (plain := _PLAIN[ord(char)]) != ord(char)}
    if len(changed) > _FEW:
        text = text.translate(_PLAIN)
    else:
        # What a character becomes is plain itself, so the order does not matter.
        for char, plain_char in changed.items():
            text = text.replace(char, plain_char)
    return text, bool(unusual) and _INVISIBLE.search("".join(unusual)) is not None


def _with_digits(text: str) -> str:
    """The text with its spelled-out numbers in digits, of the same length."""
    pieces: list[str] = []
    done = 0
    while hint := _SPELLED_HINT.search(text, done):
        spelled = _SPELLED.match(text, hint.start())
        assert spelled is not None  # the hint is its shortest form
        pieces += [text[done : hint.start()], _spelled_out(spelled)]
        done = spelled.end()
    return "".join([*pieces, text[done:]]) if pieces else text


def lowered(text: str) -> str:
    """Lower case of the same length: letters whose lower case is longer (``İ``) stay as they are."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(piece if len(piece := char.lower()) == 1 else char for char in text)
