"""When two written values are the same value: ``138-0013-8000`` and ``+86 13800138000``, 张三 and 张三先生.

Hashes, surrogates and the numbers of tags go by this identity, not by what is written. It folds what
people vary without meaning another thing, and nothing else: a dot is decoration in a telephone number and
part of the address in ``1.11.1.1``.
"""

from __future__ import annotations

import ipaddress
import re

from pii.folding import compare, scan
from pii.identifiers import dates
from pii.identifiers.contact import CN_MOBILE
from pii.identifiers.verdict import compact
from pii.patterns.names import title_pattern

_EXACT = frozenset({"CREDENTIAL", "PAYMENT_ACCOUNT"})
"""Case matters."""

_MARKED = frozenset({"EMAIL_ADDRESS", "USERNAME", "WECHAT_ID", "URL", "GEO_COORDINATE"})
"""Dots, dashes and the like matter; case does not."""

_DATES = frozenset({"DATE_OF_BIRTH", "DATE_TIME"})

_PROSE = frozenset(
    {"ADDRESS", "LOCATION", "ORGANIZATION", "DEMOGRAPHIC", "HEALTH_CONDITION", "SENSITIVE_ATTRIBUTE"}
)
"""Words: Chinese digits in them are words too."""

_TITLE_EN = re.compile(r"(?:mrs?|ms|miss|dr|prof)\b\.?\s*", re.IGNORECASE)


def without_title(name: str) -> tuple[str, str, str]:
    """A name cut into the title before it, the name and the title behind it; together they are the value."""
    before = _TITLE_EN.match(name)
    start = before.end() if before else 0
    titles = [t.start() for t in title_pattern().finditer(name, start + 1) if t.end() == len(name)]
    end = titles[0] if titles else len(name)
    if start == len(name):
        return "", name, ""
    return name[:start], name[start:end], name[end:]


_EXTENSION = re.compile(r"(?:ext(?:ension)?\.?|x|#|转|分机)[ :.]*(?P<digits>[0-9]{1,6})$", re.IGNORECASE)


def phone_number(value: str) -> str:
    """A telephone number as E.164 writes it, and ``x`` with its extension where there is one.

    Without a plus sign where neither the country code is written nor the country can be told.
    """
    written = scan(value).text.strip()
    extension = _EXTENSION.search(written)
    number = re.sub(r"[^0-9+]", "", compact(written[: extension.start()] if extension else written))
    behind = f"x{extension['digits']}" if extension else ""
    if mobile := CN_MOBILE.fullmatch(number):
        number = f"+86{mobile[1]}"
    elif number.startswith("00"):
        number = f"+{number[2:]}"
    elif len(number) == 10 and number[0] in "23456789":
        number = f"+1{number}"  # the national form of the North American plan
    return number + behind


def _address(value: str) -> str:
    written = scan(value).text.strip()
    try:
        return ipaddress.ip_address(written).compressed
    except ValueError:
        return written.casefold()


_LATIN_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_FAMILY_FIRST = re.compile(r"(?P<family>[^,\d]+),(?P<given>[^,\d]+)")


def name_words(name: str) -> list[str]:
    """The words of a name as written, without dots and commas; initials are words of one letter."""
    return _LATIN_WORD.findall(scan(name).text)


def _person(name: str) -> str:
    """Chinese characters without what stands between them; other names as words, family name last."""
    folded = compare(name).text
    if not folded or not folded.isascii():
        return folded
    written = scan(name).text
    if turned := _FAMILY_FIRST.fullmatch(written):
        written = f"{turned['given']} {turned['family']}"
    return " ".join(name_words(written)).casefold() or folded


def identity(type: str, value: str) -> str:
    """The value however it is written; equal strings are the same value. Never raises, never empty."""
    return _identity(type, value) or value


def _identity(type: str, value: str) -> str:
    if type == "PERSON_NAME":
        return _person(without_title(value)[1])
    if type == "PHONE_NUMBER":
        return phone_number(value)
    if type == "IP_ADDRESS":
        return _address(value)
    if type in _DATES:
        read = dates.readings(value)
        return min(read).isoformat() if read else compare(value).text
    if type in _EXACT:
        return scan(value).text.strip()
    if type in _MARKED:
        return scan(value).text.strip().casefold()
    return compare(value).text if type in _PROSE else compact(value)
