"""Postal addresses by their structure, found from the door number outwards.

Chinese: ``省 市 区 街道 路 号 栋 单元 室``; English: ``123 Main Street, Springfield, IL 62704``. Only
addresses that reach a street and a number are taken: a bare place name is no address.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator

from pii.identifiers.divisions import written_names
from pii.patterns.relaxed import relaxed
from pii.patterns.scanned import Candidate, Scanned

_PROVINCES = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|甘肃"
    "|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
_H = r"[\u4e00-\u9fff]"
_CUT = re.compile(r"(?<![省市区县镇乡道])[在住到至于是为的我他她你您请寄送址了就往]")
"""Ends whatever stands before an address; behind 区 or 市 it begins the name of a street (为民路)."""

_PROVINCE = re.compile(rf"(?:中国)?(?:{_PROVINCES})")

_NUM = r"(?:[0-9A-Za-z]{1,5}(?:[-#][0-9A-Za-z]{1,4})?|[一二三四五六七八九十百零]{1,4})"
_DOOR = rf"{_NUM} ?(?:号院|号楼|号|弄|幢|栋|座|单元|楼|层|室|房|户|组|队|期|区|厂|铺)"

_ROAD = "(?:路|街|大道|大街|巷|胡同|道|里|弄|村|屯|庄|园区|花园|小区|新村|公寓|苑|大厦|广场|城|社区)"
_ESTATE = r"(?:(?![的有在到和与共了是住请给附近约等])[\u4e00-\u9fff]){2,6}?"
"""A housing estate whose name does not say that it is one: 龙湖天街."""
_TAIL = re.compile(
    rf"(?:{_NUM}(?: ?(?:号院|号楼|号|弄|幢|栋))|[0-9A-Za-z]{{1,3}}座) ?"
    rf"(?:[ ,]?(?:{_H}{{2,10}}?(?:小区|花园|大厦|广场|公寓|苑|城|园|中心|家园|新村|里|楼)|{_ESTATE})?"
    rf" ?{_DOOR}){{0,5}}"
    rf"(?:(?:{_ESTATE})?[0-9]{{1,3}}-[0-9]{{1,2}}-[0-9]{{3,4}}(?![0-9]))?"
    rf"(?:[0-9]{{3,4}}(?![0-9]))?(?:{_H}{{0,8}}(?:小区|花园|大厦|广场|公寓))?"
)
# 一座桥 counts bridges: only a letter or figure names a building so.
_DOOR_SIGN = re.compile(r"[号弄幢栋座](?:(?<=[号弄幢栋])(?:院|楼)?|(?<=[0-9A-Za-z]座))")

_STREET_END = re.compile(rf"{_H}{_ROAD} ?$")
_ADMINISTRATIVE = re.compile(rf"(?:{_PROVINCES})|{_H}(?:市|区|县|镇|乡|街道)")
_LONGEST_HEAD = 48

_EN_TYPES = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Circle|Cir|Place|Pl|Square|Sq"
    r"|Terrace|Ter|Trail|Trl|Parkway|Pkwy|Highway|Hwy|Way|Crescent|Close|Row|Mews|Plaza|Alley|Loop|Path|Pike)"
)
_EN_NAME = (
    r"(?!(?:Supreme|District|High|Circuit|The|In|On) )(?:[A-Z][A-Za-z'’]{1,18}|[0-9]{1,3}(?:st|nd|rd|th))"
)
_EN_UNIT = r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|Room|Rm|#)\.? ?#?[0-9A-Za-z-]{1,6})"
_EN_CITY = r"[A-Z][a-z]{2,15}(?:[ -][A-Z][a-z]{2,15}){0,2}"
# United States and China, United Kingdom, Canada.
_EN_CODE = (
    r"(?:[0-9]{5}(?:-[0-9]{4}|[0-9])?(?![0-9])|[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}(?![A-Za-z])"
    r"|[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9](?![0-9A-Za-z]))"
)
# Behind a comma a city is enough; behind a space or on the next line it needs its state and code.
_EN_PLACE = (
    rf"(?:, ?{_EN_CITY}(?:,? (?:[A-Z]{{2}}|{_EN_CITY})(?![a-z]))?(?:,? {_EN_CODE})?"
    rf"|,?[ \n]{{1,2}}{_EN_CITY},? (?:[A-Z]{{2}}(?![A-Za-z])|{_EN_CITY}),? {_EN_CODE})?"
)
_ENGLISH = re.compile(
    r"[1-9](?<![0-9A-Za-z.,#$-][1-9])[0-9]{0,5}[A-Za-z]?(?:-[0-9]{1,4})? "
    r"(?:[NSEW]\.? |North |South |East |West )?"
    rf"(?:{_EN_NAME} ){{1,4}}{_EN_TYPES}(?![A-Za-z])\.?"
    rf"(?: (?:[NSEW]{{1,2}}|North|South|East|West|Central)(?![A-Za-z]))?{_EN_UNIT}?{_EN_PLACE}"
)

_EN_ROOM = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:Room|Rm|Unit|Flat|Apt|Suite|Building|Bldg|Block|Floor)\.? [0-9A-Za-z-]{1,5}, ?"
    r"|[0-9]{1,2}/F, ?){0,4}(?:No\. ?)?$"
)
"""What leads from the room to the number of the house."""
_ENCLOSED = re.compile(
    r"[\"']?[ \t]{0,2}(?:[:=][ \t]{0,2}(?P<mark>[\"'])|>)(?P<value>[^\"'<>\n]{6,96})(?(mark)(?P=mark)|</)"
)
_SOME_NUMBER = re.compile(rf"[0-9]|{_NUM}号")


def find_addresses(scanned: Scanned) -> Iterator[Candidate]:
    """Chinese and English addresses with street and number."""
    yield from _chinese(scanned)
    for begin, _, behind in scanned.regions.islands:
        for found in _ENGLISH.finditer(scanned.text, begin, behind):
            end = found.end() - found[0].endswith(".")
            before = _EN_ROOM.search(scanned.text, max(0, found.start() - 60), found.start())
            yield _address(scanned, before.start() if before else found.start(), end, "english_address")
    yield from _enclosed(scanned)


def anywhere() -> Iterator[str]:
    """What stands in every text in which an address is found without a label, for `pii.patterns.sieve`."""
    street = relaxed(_STREET_END, to_end=True)
    yield f"{street}{relaxed(_NUMBER_BEFORE, to_end=True)}{relaxed(_DOOR_SIGN)}"
    yield relaxed(_ENGLISH)


def behind(types: Iterable[str]) -> Iterator[str]:
    """What stands behind a label where it gives an address away, for `pii.patterns.sieve`."""
    if "ADDRESS" in types:
        yield relaxed(_ENCLOSED)


def _enclosed(scanned: Scanned) -> Iterator[Candidate]:
    """What a record encloses in quotation marks or tags behind the name of such a field."""
    for label in scanned.labels.all:
        if "ADDRESS" in label.types and (found := _ENCLOSED.match(scanned.text, label.end)):
            start, end = found.span("value")
            if _SOME_NUMBER.search(scanned.text, start, end):
                yield Candidate(start, end, "ADDRESS", "address_in_record", "context", None, True)


def _address(scanned: Scanned, start: int, end: int, rule: str) -> Candidate:
    near = scanned.labels.near(start, end, "ADDRESS", 8)
    return Candidate(start, end, "ADDRESS", rule, "context" if near else "shape", None, near)


_NUMBER_BEFORE = re.compile(rf"{_NUM} ?$")


def _chinese(scanned: Scanned) -> Iterator[Candidate]:
    text = scanned.text
    done = 0
    for sign in _DOOR_SIGN.finditer(text):
        if sign.start() < done:
            continue
        number = _NUMBER_BEFORE.search(text, max(done, sign.start() - 12), sign.start())
        if not number:
            continue
        head = _head(text, max(done, number.start() - _LONGEST_HEAD), number.start())
        if head is None:
            continue
        tail = _TAIL.match(text, number.start())
        if not tail:
            continue
        done = tail.end()
        yield _address(scanned, head, _trimmed(text, tail.start(), tail.end()), "chinese_address")


def _trimmed(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1] in " ,\n":
        end -= 1
    return end


def _head(text: str, earliest: int, end: int) -> int | None:
    """Where the address that leads to the door number begins; None where no street leads to it."""
    if not _STREET_END.search(text, earliest, end):
        return None
    # Only Chinese characters and single spaces belong to the head: cut at anything else.
    begin = end
    while begin > earliest and ("\u4e00" <= text[begin - 1] <= "\u9fff" or text[begin - 1] == " "):
        begin -= 1
    for cut in _CUT.finditer(text, begin, end):
        begin = cut.end()
    if province := _PROVINCE.search(text, begin, end):
        begin = province.start()
    else:
        begin = _division(text, begin, end)
    head = text[begin:end]
    stripped = head.lstrip()
    if len(stripped.strip()) < 3 or (not _ADMINISTRATIVE.search(stripped) and len(stripped) > 8):
        return None
    return end - len(stripped)


@functools.cache
def _divisions() -> tuple[frozenset[str], frozenset[str], int]:
    """Names of cities and counties, their last characters, the longest length; read at the first address."""
    names = written_names()
    return names, frozenset(name[-1] for name in names), max(map(len, names))


def _division(text: str, begin: int, end: int) -> int:
    """Where the first known city or county stands; `begin` where there is none.

    What stands before it is a verb that no list foresees: 反映|杭州市西湖区文三路5号.
    """
    names, endings, longest = _divisions()
    for start in range(begin, end):
        for after in range(start + 3, min(start + longest, end) + 1):
            if text[after - 1] in endings and text[start:after] in names:
                return start
    return begin
