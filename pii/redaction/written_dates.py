"""Dates in the form in which they are written: read with places, and written again in the same form.

    WrittenDate.read("1990年05月06日").rewritten(date(1991, 12, 1)) == "1991年12月01日"

Digits of any script, Chinese numerals, month names, order, separators and padding stay as they are.
"""

from __future__ import annotations

import calendar
import datetime
import re
from dataclasses import dataclass, field

from pii.folding import Folded, lowered, scan
from pii.identifiers.dates import MONTH, century, han_number, possible
from pii.redaction.writing import restyled

_HAN_YEAR = "[〇零○一二三四五六七八九]{4}"
_HAN = "[一二三四五六七八九十]{1,3}"
_NUM = "[0-9]{1,2}"
_SEP = r" ?[-/.] ?"
_NAME = rf"(?P<name>{MONTH})\.?"
_DAY = rf"(?P<day>{_NUM})(?P<ordinal>st|nd|rd|th)?"

# The first that matches; `a` and `b` are day and month in an order that the form does not say.
_FORMS = tuple(
    re.compile(rf"(?<![0-9a-z]){form}(?![0-9])")
    for form in (
        rf"(?P<year>[12][0-9]{{3}}|{_HAN_YEAR}|[0-9]{{2}}) ?年 ?(?P<month>{_HAN}|{_NUM}) ?月份? ?"
        rf"(?P<day>{_HAN}|{_NUM}) ?[日号]?",
        rf"(?P<year>[12][0-9]{{3}}|{_HAN_YEAR}|[0-9]{{2}}) ?年 ?(?P<month>{_HAN}|{_NUM}) ?月(?:份|底)?",
        rf"(?P<year>[12][0-9]{{3}}){_SEP}(?P<month>{_NUM}){_SEP}(?P<day>{_NUM})",
        rf"(?P<a>{_NUM}){_SEP}(?P<b>{_NUM}){_SEP}(?P<year>[12][0-9]{{3}}|[0-9]{{2}})",
        rf"{_NAME} {_DAY},? (?P<year>[12][0-9]{{3}})",
        rf"{_DAY}[- ](?:of )?{_NAME}[-, ]{{1,2}}(?P<year>[12][0-9]{{3}})",
        r"(?P<year>(?:19|20)[0-9]{2})(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12][0-9]|3[01])",
        r"(?P<year>(?:19|20)[0-9]{2})[-/.](?P<month>0?[1-9]|1[0-2])",
        rf"{_NAME} (?P<year>[12][0-9]{{3}})",
        rf"(?P<month>{_HAN}|{_NUM}) ?月 ?(?P<day>{_HAN}|{_NUM}) ?[日号]",
        rf"{_NAME} {_DAY}(?![0-9a-z])",
        rf"{_DAY} (?:of )?{_NAME}(?![0-9a-z])",
        rf"(?P<year>(?:19|20)[0-9]{{2}}|{_HAN_YEAR}) ?年",
        r"(?P<year>(?:19|20)[0-9]{2})",
    )
)
_BEHIND = re.compile(
    r"[ t,，]*(?:(?:凌晨|早上|上午|中午|下午|傍晚|晚上|晚)? ?"
    r"[0-9]{1,2}[:点时](?:[0-9]{1,2}(?:[:分][0-9]{0,2}秒?)?|半|整)?"
    r"(?:\.[0-9]{1,6})? ?(?:[ap]\.?m\.?|z|utc|gmt|[-+][0-9]{2}:?[0-9]{2})?)?[ ,，]*(?:出生|生|born)?"
)
"""What may stand behind a date in one value: a time of day."""
_WEEKDAY = re.compile(
    r"星期|周[一二三四五六日天末]|礼拜|(?:mon|tues?|wed(?:nes)?|thur?s?|fri|sat(?:ur)?|sun)(?:day|\b)"
)
_MONTH_NAMES = tuple(name.lower() for name in calendar.month_name[1:])
_HAN_DIGITS = "零一二三四五六七八九"
_ANY_LEAP_YEAR = 2000
"""The year of a date without one, so that the 29th of February exists."""


@dataclass(frozen=True, slots=True)
class WrittenDate:
    """One date in a value.

    Attributes:
        date: what it means; the first of the month or year where no day or month is written.
        has_year: whether the year is written.
        chinese: whether it is written with 年 or 月.
    """

    date: datetime.date
    has_year: bool
    chinese: bool
    _value: str = field(repr=False)
    _folded: Folded = field(repr=False)
    _parts: dict[str, tuple[int, int]] = field(repr=False)

    @classmethod
    def read(cls, value: str) -> WrittenDate | None:
        """The date of a value, with or without a time of day; None where there is none or more beside it.

        A weekday, for one, would give away by how much the date was moved.
        """
        folded = scan(value)
        text = lowered(folded.text)
        if _WEEKDAY.search(text):
            return None
        for form in _FORMS:
            if found := form.search(text):
                # What cannot be moved along, such as a second date, must not stay.
                if not _alone(text[: found.start()], text[found.end() :]):
                    return None
                parts = {name: found.span(name) for name, part in found.groupdict().items() if part}
                if "a" in parts:
                    parts = _ordered(text, parts)
                if date := _meant({name: text[slice(*place)] for name, place in parts.items()}):
                    return cls(date, "year" in parts, "年" in text or "月" in text, value, folded, parts)
        return None

    def rewritten(self, date: datetime.date) -> str:
        """The value with another date in the same form."""
        text, value = self._folded.text, self._value
        padded = self._padded()
        for name, (start, end) in sorted(self._parts.items(), key=lambda part: part[1], reverse=True):
            old = text[start:end]
            first, last = self._folded.original(start, end)
            new = _component(name, old, date, padded)
            value = value[:first] + restyled(self._value[first:last], new) + value[last:]
        return value

    def _padded(self) -> bool:
        """Whether one-digit days and months get a zero; where the value does not say: not in words."""
        numbers = [self._folded.text[s:e] for n, (s, e) in self._parts.items() if n in ("month", "day")]
        if any(number.startswith("0") for number in numbers):
            return True
        in_words = self.chinese or "name" in self._parts
        return not in_words and all(len(number) == 2 for number in numbers)


def _alone(before: str, behind: str) -> bool:
    """Whether nothing but a time of day stands beside a date."""
    return not any(char.isalnum() for char in before) and bool(_BEHIND.fullmatch(behind))


def _ordered(text: str, parts: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Day and month told apart: by their size, else by the dots of the continent, else as in America."""
    first, second = (int(text[slice(*parts[name])]) for name in "ab")
    dotted = "." in text[parts["a"][1] : parts["b"][0]]
    day_first = first > 12 or (dotted and second <= 12)
    day, month = ("a", "b") if day_first else ("b", "a")
    return {"year": parts["year"], "day": parts[day], "month": parts[month]}


def _meant(parts: dict[str, str]) -> datetime.date | None:
    try:
        year = century(han_number(parts["year"])) if "year" in parts else _ANY_LEAP_YEAR
        month = han_number(parts.get("month", "1"))
        if "name" in parts:
            month = next(n for n, name in enumerate(_MONTH_NAMES, 1) if name.startswith(parts["name"][:3]))
        day = han_number(parts.get("day", "1"))
    except (ValueError, StopIteration):
        return None
    return datetime.date(year, month, day) if possible(year, month, day) else None


def _component(name: str, old: str, date: datetime.date, padded: bool) -> str:
    if name == "ordinal":
        endings = {1: "st", 2: "nd", 3: "rd"}
        return "th" if date.day in (11, 12, 13) else endings.get(date.day % 10, "th")
    if name == "name":
        full = _MONTH_NAMES[date.month - 1]
        return full if len(old) > 4 or old.lower() in _MONTH_NAMES else full[:3]
    if name == "year":
        written = f"{date.year:04d}"[-len(old) :]
        return written if old.isdigit() else "".join(_HAN_DIGITS[int(digit)] for digit in written)
    number: int = getattr(date, name)
    if not old.isdecimal():
        return _han_word(number)
    return f"{number:02d}" if padded else str(number)


def _han_word(number: int) -> str:
    """A number below 100 as dates are spoken: 五, 十, 十二, 二十一."""
    tens, ones = divmod(number, 10)
    head = "" if not tens else "十" if tens == 1 else _HAN_DIGITS[tens] + "十"
    return head + (_HAN_DIGITS[ones] if ones or not tens else "")
