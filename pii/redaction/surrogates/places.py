"""Addresses, places and organisations that do not exist, in the form of the original.

Words that say what a thing is (市, 路, 号, Street, Ltd) stay; the names before them are invented.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from pii.redaction.surrogates.original import Original
from pii.redaction.surrogates.pools import pools
from pii.redaction.writing import Written

_COUNTED = frozenset(
    ("号", "楼", "层", "室", "单元", "栋", "幢", "座", "号楼", "号院", "组", "队", "户", "房")
)
_NUMERALS = re.compile("第?[一二三四五六七八九十百零〇]+")


@functools.cache
def _run_zh() -> re.Pattern[str]:
    """A name and the word for what it is; or a name alone."""
    kinds = "|".join(sorted(pools().kinds_zh, key=len, reverse=True))
    return re.compile(rf"(?P<stem>[\u4e00-\u9fff]*?)(?P<kind>{kinds})|(?P<rest>[\u4e00-\u9fff]+)")


_WORD_EN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_ZIP = re.compile(r"[0-9]{5}(?:-[0-9]{4})?$")


def invented(original: Original) -> str | None:
    """Invented names; other numbers of as many digits; an American ZIP code from 000."""
    value = original.value
    if not any(char.isalnum() for char in value):
        return None
    chinese = any("\u4e00" <= char <= "\u9fff" for char in value)
    made = _run_zh().sub(_chinese(original), value) if chinese else _WORD_EN.sub(_english(original), value)
    return _numbered(original, made)


def _chinese(original: Original) -> Callable[[re.Match[str]], str]:
    draw = original.draw

    def stem(old: str) -> str:
        made = ""
        while len(made) < len(old):
            made += draw.pick(pools().places_zh)
        return made[: len(old)]

    def named(found: re.Match[str]) -> str:
        if found["rest"]:
            return stem(found["rest"])
        old, kind = found["stem"], found["kind"]
        # 三单元, 第三医院: a count says nothing; 三里屯 is a name.
        counted = _NUMERALS.fullmatch(old) and (kind in _COUNTED or old.startswith("第"))
        return (old if counted else stem(old)) + kind

    return named


def _english(original: Original) -> Callable[[re.Match[str]], str]:
    draw = original.draw

    def named(found: re.Match[str]) -> str:
        word = found[0]
        if word.casefold() in pools().kinds_en:
            return word
        if not word.isascii():
            return "".join(draw.alike(char) for char in word)
        if len(word) == 2 and word.isupper():
            return draw.pick(pools().states_us)
        if len(word) == 1:
            return draw.alike(word)
        invented = draw.pick(pools().places_en)
        return invented.upper() if word.isupper() else invented.lower() if word.islower() else invented

    return named


def _numbered(original: Original, made: str) -> str:
    """Other digits in all numbers; no ZIP code begins with 000 (USPS, Publication 65)."""
    draw = original.draw
    zip_code = None if any("\u4e00" <= char <= "\u9fff" for char in made) else _ZIP.search(made)

    def drawn(found: re.Match[str]) -> str:
        if zip_code and found.start() == zip_code.start():
            return f"000{draw.digits(2)}"
        return Written(found[0]).filled(draw.alike(Written(found[0]).core))

    return re.sub(r"\d+", drawn, made)
