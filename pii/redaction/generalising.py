"""`Generalise`: a value told more coarsely: an address by its city, a birth by its year."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable
from typing import Literal

from pydantic import Field

from pii.folding import scan
from pii.identifiers.dates import han_number
from pii.redaction.occurrence import Occurrence, OperatorConfig, Scope
from pii.redaction.written_dates import WrittenDate

_NETWORK_BITS = {4: 24, 6: 48}

_CITY_ZH = re.compile(
    "(?:中国)?"
    "(?:(?:北京|天津|上海|重庆)市?"
    "|(?:[\u4e00-\u9fff]{2,3}省|[\u4e00-\u9fff]{2,8}自治区)?[\u4e00-\u9fff]{2,8}?(?:市|自治州|地区|盟)"
    "|[\u4e00-\u9fff]{2,3}省|[\u4e00-\u9fff]{2,8}自治区)"
)
_CITY_EN = re.compile(r"(?:^|, ?|\n)(?P<place>[A-Z][A-Za-z.' -]{1,30}, ?[A-Z]{2})(?![A-Za-z])")
_POSTCODE_US = re.compile(r"(?P<area>[0-9]{3})[0-9]{2}(?:-[0-9]{4})?")
_POSTCODE_CN = re.compile(r"(?P<area>[0-8][0-9])[0-9]{4}")
_SPARSE_AREAS = re.compile("036|059|063|102|203|556|692|790|821|823|83[01]|87[89]|884|89[03]")
"""Three-digit ZIP areas of 20,000 people or fewer, which Safe Harbor wants as 000. Source: HHS, Guidance
Regarding Methods for De-identification of Protected Health Information (2012), from the 2000 census."""

_NUMBER = re.compile(r"[0-9]{1,3}|[一二三四五六七八九十]{1,3}")
_DECIMAL = re.compile(r"([0-9]{1,3}\.[0-9])[0-9]+")
_MINUTES = re.compile(r"(?<=[°度])[^NSEWnsew,，;；北南东西]*?[0-9][^NSEWnsew,，;；北南东西]*")


def _address(value: str, _: Generalise) -> str | None:
    """Province and city of a Chinese address; city and state of an American one; the area of a postcode."""
    written = scan(value).text.strip()
    if _POSTCODE_US.fullmatch(written) or _POSTCODE_CN.fullmatch(written):
        return _postcode(written)
    if city := _CITY_ZH.match(written):
        return city[0]
    cities = list(_CITY_EN.finditer(written))
    return cities[-1]["place"] if cities else None


def _postcode(written: str) -> str:
    if cn := _POSTCODE_CN.fullmatch(written):
        return f"{cn['area']}****"
    us = _POSTCODE_US.fullmatch(written)
    assert us is not None
    return f"{'000' if _SPARSE_AREAS.match(us['area']) else us['area']}**"


def _date(value: str, rule: Generalise) -> str | None:
    """The year, unless it tells of somebody older than the oldest age that may be told."""
    written = WrittenDate.read(value)
    if written is None or not written.has_year:
        return None
    year = written.date.year
    if rule.oldest_age is not None and datetime.date.today().year - year > rule.oldest_age:
        return None
    return f"{year}年" if written.chinese else str(year)


def _age(value: str, rule: Generalise) -> str | None:
    """The decade of an age; the rest of the value stays. What is not an age has nothing coarser."""
    written = scan(value).text
    found = _NUMBER.search(written)
    if not found or _NUMBER.search(written, found.end()):
        return None
    try:
        age = han_number(found[0])
    except ValueError:
        return None
    oldest = rule.oldest_age
    decade = f"{age // 10 * 10}-{age // 10 * 10 + 9}"
    if oldest is not None and age > oldest:
        decade = f"{oldest + 1}+"
    return written[: found.start()] + decade + written[found.end() :]


def _network(value: str, _: Generalise) -> str | None:
    """The /24 of an IPv4 address, the /48 of an IPv6 address."""
    try:
        address = ipaddress.ip_address(scan(value).text.strip())
    except ValueError:
        return None
    network = ipaddress.ip_network((address, _NETWORK_BITS[address.version]), strict=False)
    return str(network)


def _coordinate(value: str, _: Generalise) -> str | None:
    """One decimal of a degree (about 11 km), or whole degrees."""
    written = scan(value).text
    if "°" in written or "度" in written:
        written = _MINUTES.sub("", written)
    return _DECIMAL.sub(r"\1", written)


def _site(value: str, _: Generalise) -> str | None:
    """Scheme and host, without user, path and query."""
    found = re.match(r"((?:[a-z]+://)?)(?:[^/@\s]*@)?([^/?#:@\s]+)", scan(value).text.strip(), re.IGNORECASE)
    return found[1] + found[2] if found else None


_COARSER: dict[str, Callable[[str, Generalise], str | None]] = {
    "ADDRESS": _address,
    "LOCATION": _address,
    "DATE_OF_BIRTH": _date,
    "DATE_TIME": _date,
    "DEMOGRAPHIC": _age,
    "IP_ADDRESS": _network,
    "GEO_COORDINATE": _coordinate,
    "URL": _site,
}


class Generalise(OperatorConfig):
    """Tell it more coarsely: address → city, date → year, age → decade, IP → network, coordinate → 0.1°.

    A value of another type, or one that cannot be read, becomes a tag.
    """

    operator: Literal["generalise"] = "generalise"
    oldest_age: int | None = Field(default=89, ge=0)
    """Ages above it become one group, years that tell of them a tag (45 CFR 164.514); null: none."""

    def replacement(self, occurrence: Occurrence, scope: Scope) -> str | None:
        """The coarser value; None where there is none."""
        coarser = _COARSER.get(occurrence.type)
        return coarser(occurrence.value, self) if coarser else None
