"""Calendar dates as people write them in Chinese and English."""

from __future__ import annotations

import datetime
import re

from pii.folding import CHINESE_DIGITS
from pii.identifiers.verdict import IMPOSSIBLE, SHAPED, Verdict, plain

OLDEST_YEAR = 1890
"""Nobody who is alive was born before; older years are history, not dates of birth."""

MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
"""English month names and their abbreviations, lower case."""

_HAN = "〇零○一二三四五六七八九十"
_DAY_HAN = r"(?:[初]?[一二三四五六七八九十]{1,3}|[0-9]{1,2})"

YEAR_FIRST = r"[12][0-9]{3} ?[-/.] ?[0-9]{1,2} ?[-/.] ?[0-9]{1,2}"
DAY_OR_MONTH_FIRST = r"[0-9]{1,2} ?[-/.] ?[0-9]{1,2} ?[-/.] ?(?:[12][0-9]{3}|[0-9]{2})"
CHINESE = (
    rf"(?:[12][0-9]{{3}}|[0-9]{{2}}|[{_HAN}]{{4}}) ?年 ?{_DAY_HAN} ?月(?:份|底|初)?(?: ?{_DAY_HAN} ?[日号])?"
)
ENGLISH = (
    rf"(?:{MONTH}\.? ?[0-9]{{1,2}}(?:st|nd|rd|th)?(?:, ?| )[12][0-9]{{3}}"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th)?[- ]?(?:of )?{MONTH}\.?[-, ]{{0,2}}[12][0-9]{{3}})"
)
YEAR_MONTH = r"(?:19|20)[0-9]{2}[-/.](?:0?[1-9]|1[0-2])"
COMPACT = r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"

MONTH_DAY = rf"{_DAY_HAN} ?月 ?{_DAY_HAN} ?[日号]"
"""A birthday without its year; believed only behind a label."""

DATE = rf"(?:{CHINESE}|{ENGLISH}|{YEAR_FIRST}|{DAY_OR_MONTH_FIRST}|{COMPACT}|{YEAR_MONTH})"
"""Any of the forms; for lower-case text without letters or digits around it."""

_DATE = re.compile(DATE)
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: n for n, name in enumerate(_MONTH_NAMES, 1)}


def possible(year: int, month: int, day: int) -> bool:
    """Whether the calendar has this day."""
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True


def han_number(written: str) -> int:
    """A number up to 99 as dates have them (``十二``, ``初五``), plain digits, or a spelled-out year."""
    if "十" in written:
        tens, _, ones = written.removeprefix("初").partition("十")
        return 10 * int((tens or "一").translate(CHINESE_DIGITS)) + int(
            (ones or "零").translate(CHINESE_DIGITS)
        )
    return int(written.removeprefix("初").translate(CHINESE_DIGITS))


def _fields(written: str) -> list[tuple[int, int, int]]:
    """The (year, month, day) readings of a date; several where day and month cannot be told apart."""
    if "年" in written:
        year, rest = written.split("年", 1)
        month, _, day = rest.partition("月")
        day = day.strip("份底初日号 ") if day.strip() != "初" else ""
        return [(han_number(year.strip()), han_number(month.strip()), han_number(day) if day else 1)]
    if name := re.search(MONTH, written):
        numbers = [int(n) for n in re.findall(r"[0-9]+", written)]
        return [(numbers[1], _MONTHS[name[0][:3]], numbers[0])]
    if written.isdigit():
        return [(int(written[:4]), int(written[4:6]), int(written[6:]))]
    a, b, c = ([int(n) for n in re.findall(r"[0-9]+", written)] + [1])[:3]
    return [(a, b, c)] if a > 999 else [(c, a, b), (c, b, a)]


def century(year: int) -> int:
    """A two-digit year as a year of birth."""
    if year > 99:
        return year
    this_year = datetime.date.today().year
    return 2000 + year if 2000 + year <= this_year else 1900 + year


def readings(value: str) -> list[datetime.date]:
    """Every calendar date that the written value can mean; empty where it is none."""
    written = plain(value).lower()
    if not _DATE.fullmatch(written):
        return []
    try:
        fields = _fields(written)
    except (ValueError, IndexError):
        return []
    return [
        datetime.date(century(year), month, day)
        for year, month, day in fields
        if possible(century(year), month, day)
    ]


def check_birth_date(value: str) -> Verdict:
    """A calendar date that a living person may have been born on."""
    today = datetime.date.today()
    born = any(date.year >= OLDEST_YEAR and date <= today for date in readings(value))
    return SHAPED if born else IMPOSSIBLE


def check_date(value: str) -> Verdict:
    """A calendar date of any age."""
    return SHAPED if readings(value) else IMPOSSIBLE
