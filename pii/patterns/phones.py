"""Telephone numbers by shape."""

from __future__ import annotations

import re

from pii.identifiers import Verdict, check
from pii.identifiers.contact import is_hotline
from pii.patterns.shapes import ALNUM, END, GAP, shape, starts

_GROUPS = re.compile(r"[0-9]+")


def _evenly_grouped(value: str) -> bool:
    """Groups of three digits and more, as people write; not a decimal, nor a row of small numbers."""
    groups = _GROUPS.findall(value)
    if len(groups) > 1 and groups[0] in ("86", "0086"):
        groups = groups[1:]
    return min(map(len, groups)) >= 3


def _mobile(value: str) -> Verdict:
    verdict = check("PHONE_NUMBER", value)
    return verdict if _evenly_grouped(value) else Verdict(False, verdict.subtype)


def _personal(value: str) -> Verdict:
    """A telephone number that is not a hotline."""
    return Verdict(False) if is_hotline(value) else check("PHONE_NUMBER", value)


def _with_country_code(value: str) -> Verdict:
    """A plus sign says that it is a telephone number, even where the numbering plan has no such number."""
    verdict = _personal(value)
    num_digits = sum(c.isdigit() for c in value)
    return Verdict(None) if verdict.valid is False and 8 <= num_digits <= 12 else verdict


def _masked(value: str) -> Verdict:
    return Verdict(None, "cn_mobile")


_TOKEN = ALNUM + "+"
_EXTENSION = r"(?:[ ,]{0,2}(?:ext\.?|extension|x|转|分机|-)[ :.]{0,2}[0-9]{1,5}(?![0-9]))?"

PHONES = (
    shape(
        "cn_mobile",
        "PHONE_NUMBER",
        starts("[+(018]", _TOKEN)
        + rf"(?:(?<=\+)86{GAP}1|(?<=\()\+?86\){GAP}1|(?<=0)086{GAP}1|(?<=8)6{GAP}1|(?<=1))"
        + rf"[3-9](?:{GAP}[0-9]){{9}}{END}",
        judge=_mobile,
        digits=11,
    ),
    shape(
        "cn_landline",
        "PHONE_NUMBER",
        starts(r"[(0]", _TOKEN)
        # Area code apart: any subscriber number. In one piece: an assigned code and a full number.
        + r"(?:(?:(?<=\()0[1-9][0-9]{1,2}\)[ -]?|(?<=0)[1-9][0-9]{1,2}[ -])[1-9][0-9]{2,3}[ -]?[0-9]{4}"
        + r"|(?<=0)(?:10|2[0-57-9])[2-8][0-9]{7}|(?<=0)[3-9][0-9]{2}[1-9][0-9]{6,7})"
        + _EXTENSION
        + END,
        judge=_personal,
        digits=10,
    ),
    shape(
        "international",
        "PHONE_NUMBER",
        rf"\+(?<![{_TOKEN}]\+)[1-9][0-9]{{0,2}}(?:[ .-]{{0,2}}(?:\([0-9]{{1,5}}\)|[0-9]{{1,5}})){{2,6}}"
        + _EXTENSION
        + rf"(?![{ALNUM}])",
        judge=_with_country_code,
        narrow=True,
        marks="+",
    ),
    shape(
        "north_american",
        "PHONE_NUMBER",
        starts(r"[(0-9]", _TOKEN)
        + r"(?:(?<=\()[2-9][0-9]{2}\)[ .-]?"
        + r"|(?:(?<=1)|(?<=0)01)[ .-]\(?[2-9][0-9]{2}\)?[ .-]"
        + r"|(?<=[2-9])[0-9]{2}[.-])"
        + r"[2-9][0-9]{2}[ .-][0-9]{4}"
        + _EXTENSION
        + END,
        judge=_personal,
        digits=10,
    ),
    shape(
        "masked_mobile",
        "PHONE_NUMBER",
        starts("1") + r"[3-9][0-9](?: ?-?[*xX]){3,6} ?-?[0-9]{2,4}" + END,
        "never",
        judge=_masked,
        marks="*xX",
    ),
)
