"""Recognisers by shape: each a regular expression over the scanned text, one row of a table.

Every expression begins with a class of first characters, so that the search skips all others in C, and
bounds its left side by a lookbehind *behind* that character. All repetitions are bounded and no two
neighbouring parts can match the same characters, so the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pii.identifiers import Verdict, check
from pii.identifiers.chinese import resident_id
from pii.identifiers.contact import is_hotline
from pii.identifiers.dates import DATE
from pii.identifiers.secrets import KEY_PREFIXES, KEYS
from pii.identifiers.vehicles import PLATE_PROVINCES
from pii.identifiers.verdict import compact

Alone = Literal["shape", "checksum", "never"]
"""What a value needs where no label is near: its shape alone, a checksum that holds, or it is not taken."""


@dataclass(frozen=True)
class Shape:
    """One recogniser.

    Attributes:
        rule: its name in reports.
        type: the entity type.
        pattern: where candidates stand; group ``value`` where only a part is the value.
        alone: what it needs without a label.
        strong: whether its checksum may be believed against another type's label.
        judge: gives the verdict on a candidate; `check` of the type where None.
        narrow: whether trailing groups may be cut off until the verdict is not a failure.
        needs: literals one of which a text must hold; the whole text is searched then. Where empty, only
            the surroundings of digits are searched.
    """

    rule: str
    type: str
    pattern: re.Pattern[str]
    alone: Alone = "shape"
    strong: bool = False
    judge: Callable[[str], Verdict] | None = None
    narrow: bool = False
    needs: tuple[str, ...] = ()

    def verdict(self, value: str) -> Verdict:
        """Judge one candidate."""
        return self.judge(value) if self.judge else check(self.type, value)


GAP = r"(?: ?[-.·] ?| |\r?\n *)?"
"""What people put between the groups of one number; also a line break."""

_ALNUM = "0-9A-Za-z"
_END = rf"(?![{_ALNUM}]|[-.][0-9])"


def _starts(first: str, not_after: str = _ALNUM) -> str:
    """One character of a class that does not continue another token, nor a number such as ``2024-``."""
    return rf"{first}(?<![{not_after}]{first})(?<![0-9][-.]{first})"


def _resident(value: str) -> Verdict:
    return resident_id(compact(value)) or Verdict(False)


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


def _public(value: str) -> Verdict:
    """A telephone number that is not a hotline."""
    return Verdict(False) if is_hotline(value) else check("PHONE_NUMBER", value)


_LONG_ISSUERS = {"unionpay": 16, "mastercard": 16, "visa": 16, "amex": 15, "discover": 16, "jcb": 16}


def _card(value: str) -> Verdict:
    """Cards of the large issuers: alone, a Luhn digit is too weak a reason for the others."""
    verdict = check("BANK_CARD_NUMBER", value)
    num_digits = sum(c.isdigit() for c in value)
    shortest = _LONG_ISSUERS.get(verdict.subtype or "")
    usual = shortest is not None and (num_digits == shortest or verdict.subtype == "unionpay")
    return verdict if usual else Verdict(False if verdict.valid is False else None, verdict.subtype)


_IMEI_BODIES = ("01", "35", "86", "99")


def _imei(value: str) -> Verdict:
    verdict = check("DEVICE_ID", value)
    known = value.startswith(_IMEI_BODIES)
    return verdict if known or not verdict.valid else Verdict(None, verdict.subtype)


def _routable_ip(value: str) -> Verdict:
    """An address that may belong to somebody: no loopback, no netmask, no section number such as 1.2.3.4."""
    verdict = check("IP_ADDRESS", value)
    if verdict.subtype == "ipv4":
        octets = value.split(".")
        if octets[0] in ("0", "127", "255") or all(len(octet) == 1 for octet in octets):
            return Verdict(False, "ipv4")
        if any(len(octet) > 1 and octet[0] == "0" for octet in octets):
            return Verdict(False)
    elif verdict.subtype == "ipv6":
        groups = [group for group in value.split(":") if group]
        if len(groups) < 3 or not any(c.isdigit() for c in value):
            return Verdict(False, "ipv6")
    return verdict


def _mac(value: str) -> Verdict:
    return Verdict(False, "mac") if len(set(value.lower()) - {":", "-"}) < 2 else check("DEVICE_ID", value)


def _plate(value: str) -> Verdict:
    verdict = check("VEHICLE_PLATE_NUMBER", value)
    enough = sum(c.isdigit() for c in value) >= 2
    return verdict if enough and verdict.subtype else Verdict(False)


def _precise(value: str) -> Verdict:
    """A pair of coordinates with at least four decimals each, or with degrees."""
    decimals = re.findall(r"\.([0-9]+)", value)
    exact = "°" in value or "度" in value or (len(decimals) == 2 and min(map(len, decimals)) >= 4)
    return check("GEO_COORDINATE", value.replace("度", "°")) if exact else Verdict(False)


_CLOCK = re.compile(r"[ T]?[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?$", re.IGNORECASE)


def _date(value: str) -> Verdict:
    return check("DATE_TIME", _CLOCK.sub("", value))


def _shape(
    rule: str,
    type: str,
    pattern: str,
    alone: Alone = "shape",
    *,
    strong: bool = False,
    judge: Callable[[str], Verdict] | None = None,
    narrow: bool = False,
    needs: tuple[str, ...] = (),
    flags: int = 0,
) -> Shape:
    return Shape(rule, type, re.compile(pattern, flags), alone, strong, judge, narrow, needs)


_EXTENSION = r"(?:[ ,]{0,2}(?:ext\.?|extension|x|转|分机|-)[ :.]{0,2}[0-9]{1,5}(?![0-9]))?"

PHONES = (
    _shape(
        "cn_mobile",
        "PHONE_NUMBER",
        _starts("[+(018]", _ALNUM + "+")
        + rf"(?:(?<=\+)86{GAP}1|(?<=\()\+?86\){GAP}1|(?<=0)086{GAP}1|(?<=8)6{GAP}1|(?<=1))"
        + rf"[3-9](?:{GAP}[0-9]){{9}}"
        + _END,
        judge=_mobile,
    ),
    _shape(
        "cn_landline",
        "PHONE_NUMBER",
        _starts(r"[(0]", _ALNUM + "+")
        + r"(?:(?:(?<=\()0[1-9][0-9]{1,2}\)[ -]?|(?<=0)[1-9][0-9]{1,2}[ -])[1-9][0-9]{2,3}[ -]?[0-9]{4}"
        r"|(?<=0)(?:10|2[0-57-9])[2-8][0-9]{7}|(?<=0)[3-9][0-9]{2}[1-9][0-9]{6,7})" + _EXTENSION + _END,
        judge=_public,
    ),
    _shape(
        "international",
        "PHONE_NUMBER",
        r"\+(?<![0-9A-Za-z+]\+)[1-9][0-9]{0,2}(?:[ .-]{0,2}\(?[0-9]{1,5}\)?){2,6}"
        + _EXTENSION
        + r"(?![0-9A-Za-z])",
        judge=_public,
        narrow=True,
    ),
    _shape(
        "north_american",
        "PHONE_NUMBER",
        _starts(r"[(0-9]", _ALNUM + "+")
        + r"(?:(?<=\()[2-9][0-9]{2}\)[ .-]?|(?:(?<=1)|(?<=0)01)[ .-]\(?[2-9][0-9]{2}\)?[ .-]|(?<=[2-9])[0-9]{2}[.-])"
        + r"[2-9][0-9]{2}[ .-][0-9]{4}"
        + _EXTENSION
        + _END,
        judge=_public,
    ),
    _shape(
        "masked_mobile",
        "PHONE_NUMBER",
        _starts("1", _ALNUM) + r"[3-9][0-9](?: ?-?[*xX]){3,6} ?-?[0-9]{2,4}" + _END,
        "never",
        judge=lambda _: Verdict(None, "cn_mobile"),
    ),
)

IDENTITIES = (
    _shape(
        "cn_resident_id",
        "NATIONAL_ID_NUMBER",
        _starts("[1-9]") + rf"(?:{GAP}[0-9]){{16}}{GAP}[0-9Xx]" + r"(?![0-9A-Za-z])",
        strong=True,
        judge=_resident,
    ),
    _shape("cn_resident_id_15", "NATIONAL_ID_NUMBER", _starts("[1-8]") + r"[0-9]{14}" + _END, "never", judge=_resident),
    _shape(
        "cn_resident_id_masked",
        "NATIONAL_ID_NUMBER",
        _starts("[1-9]") + r"(?:[0-9]{2,13})[*xX]{4,14}[0-9]{0,4}[0-9Xx*]" + r"(?![0-9A-Za-z])",
        "never",
        judge=lambda _: Verdict(None, "cn_resident_id"),
    ),
    _shape("hk_id", "NATIONAL_ID_NUMBER", _starts("[A-Z]") + r"[A-Z]?[0-9]{6} ?\([0-9A]\)", "checksum"),
    _shape("hk_id_plain", "NATIONAL_ID_NUMBER", _starts("[A-Z]") + r"[A-Z]?[0-9]{6}[0-9A]" + _END, "never"),
    _shape("macau_id", "NATIONAL_ID_NUMBER", _starts("[1578]") + r"[0-9]{6}(?:/[0-9]|\([0-9]\))" + _END),
    _shape("tw_id", "NATIONAL_ID_NUMBER", _starts("[A-Z]") + r"[1289A-D][0-9]{8}" + _END, "checksum"),
    _shape("us_ssn", "NATIONAL_ID_NUMBER", _starts("[0-8]") + r"[0-9]{2}-[0-9]{2}-[0-9]{4}" + _END),
    _shape(
        "letters_and_check",
        "NATIONAL_ID_NUMBER",
        _starts("[A-Z]") + r"(?:[A-Z]{5}[0-9A-Z]{9}[A-Z]|[A-Z]{3}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]|[0-9]{7}[A-Z])" + _END,
        "checksum",
    ),
    _shape("es_dni", "NATIONAL_ID_NUMBER", _starts("[0-9]") + r"[0-9]{7}-?[A-HJ-NP-TV-Z]" + _END, "checksum"),
    _shape("br_cpf", "NATIONAL_ID_NUMBER", _starts("[0-9]") + r"[0-9]{2}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}" + _END, "checksum"),
    _shape("kr_rrn", "NATIONAL_ID_NUMBER", _starts("[0-9]") + r"[0-9]{5}-[1-8][0-9]{6}" + _END, "checksum"),
    _shape("us_itin", "TAX_ID_NUMBER", _starts("9") + r"[0-9]{2}-[5-9][0-9]-[0-9]{4}" + _END),
    _shape(
        "gb_nino",
        "SOCIAL_INSURANCE_NUMBER",
        _starts("[A-CEGHJ-PR-TW-Z]") + r"[A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]" + _END,
    ),
    _shape(
        "passport",
        "PASSPORT_NUMBER",
        _starts("[A-Z1]") + r"[A-Z0-9]?[ -]?[0-9]{7,8}(?:[0-9]{2})?" + _END,
        "never",
    ),
)  # fmt: skip

MONEY = (
    _shape(
        "card",
        "BANK_CARD_NUMBER",
        _starts("[2-689]") + rf"(?:{GAP}[0-9]){{12,18}}" + _END,
        "checksum",
        judge=_card,
    ),
    _shape(
        "masked_card",
        "BANK_CARD_NUMBER",
        _starts("[1-9*]", _ALNUM + "*") + r"[0-9*]{3}(?:[ -]?[0-9*]{1,6}){1,4}(?<=[0-9])" + _END,
        "never",
        judge=lambda value: Verdict(None if value.count("*") >= 4 else False),
    ),
    _shape(
        "iban",
        "BANK_ACCOUNT_NUMBER",
        _starts("[A-Z]") + r"[A-Z][0-9]{2}(?:[ -]?[0-9A-Z]){11,30}" + _END,
        "checksum",
        strong=True,
        narrow=True,
    ),
    _shape("eth", "PAYMENT_ACCOUNT", r"0(?<![0-9A-Za-z]0)x[0-9a-fA-F]{40}(?![0-9A-Za-z])", strong=True),
    _shape("bech32", "PAYMENT_ACCOUNT", _starts("[bBlL]") + r"(?:[cC]|[tT][cC])1[0-9A-Za-z]{20,87}" + _END, "checksum", strong=True),
    _shape("base58", "PAYMENT_ACCOUNT", _starts("[13LMDT]") + r"[1-9A-HJ-NP-Za-km-z]{25,34}" + _END, "checksum", strong=True),
    _shape("uscc", "ORG_REGISTRATION_NUMBER", _starts("[0-9ANYany]") + r"[0-9A-HJ-NPQRTUWXY](?:[ -]?[0-9]){6}(?:[ -]?[0-9A-HJ-NPQRTUWXY]){10}" + _END, "checksum", strong=True, flags=re.IGNORECASE),
    _shape("lei", "ORG_REGISTRATION_NUMBER", _starts("[0-9A-Z]") + r"[0-9A-Z]{17}[0-9]{2}" + _END, "checksum", strong=True),
)  # fmt: skip

THINGS = (
    _shape(
        "cn_plate",
        "VEHICLE_PLATE_NUMBER",
        rf"[{PLATE_PROVINCES}][A-HJ-NP-Z][ ·.-]{{0,2}}[A-HJ-NP-Z0-9]{{4}}(?:[A-HJ-NP-Z0-9]{{1,2}}|[警学挂港澳试超领])(?![0-9A-Za-z])",
        judge=_plate,
    ),
    _shape("vin", "VEHICLE_ID_NUMBER", _starts("[A-HJ-NPR-Z1-9]") + r"[A-HJ-NPR-Z0-9]{16}" + _END, "checksum"),
    _shape("imei", "DEVICE_ID", _starts("[0-9]") + r"[0-9](?:[ /-]?[0-9]){13}" + _END, "checksum", judge=_imei),
    _shape(
        "mac",
        "DEVICE_ID",
        _starts("[0-9A-Fa-f]", _ALNUM + ":") + r"[0-9A-Fa-f](?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})(?![0-9A-Za-z:]|-[0-9A-Fa-f])",
        judge=_mac,
    ),
    _shape("ipv4", "IP_ADDRESS", _starts("[0-9]") + r"[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z]|\.[0-9])", judge=_routable_ip),
    _shape("ipv6", "IP_ADDRESS", _starts("[0-9A-Fa-f:]", _ALNUM + ":") + r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{2,35}(?:[0-9.]{7,15})?(?![0-9A-Za-z:])", judge=_routable_ip),
    _shape(
        "coordinates",
        "GEO_COORDINATE",
        r"[-+0-9](?<![0-9A-Za-z.][-+0-9])[0-9]{0,3}\.[0-9]{2,15}°? ?[NSEWnsew]?[,，/ ] ?[-+]?[0-9]{1,3}\.[0-9]{2,15}°?(?: ?[NSEWnsew](?![A-Za-z]))?(?![0-9]|\.[0-9])",
        judge=_precise,
    ),
    _shape(
        "degrees",
        "GEO_COORDINATE",
        r"[0-9](?<![0-9.][0-9])[0-9]{0,2}(?:\.[0-9]{1,10})? ?°(?: ?[0-9]{1,2} ?['′](?: ?[0-9]{1,2}(?:\.[0-9]{1,6})? ?(?:[\"″]|''|′′))?)? ?[NSEW]"
        r"(?:[, ，]{0,2}[0-9]{1,3}(?:\.[0-9]{1,10})? ?°(?: ?[0-9]{1,2} ?['′](?: ?[0-9]{1,2}(?:\.[0-9]{1,6})? ?(?:[\"″]|''|′′))?)? ?[NSEW])?",
        judge=_precise,
    ),
    _shape(
        "degrees_zh",
        "GEO_COORDINATE",
        r"[北南][纬緯][ :]?[0-9]{1,2}(?:\.[0-9]{1,10})?[度°]?(?:[0-9]{1,2}[分'′])?(?:[0-9]{1,2}[秒\"″])?[, ;、，；]{0,2}[东西東][经經][ :]?[0-9]{1,3}(?:\.[0-9]{1,10})?[度°]?(?:[0-9]{1,2}[分'′])?(?:[0-9]{1,2}[秒\"″])?",
        judge=lambda _: Verdict(None),
    ),
    _shape(
        "born_on",
        "DATE_OF_BIRTH",
        r"[0-9一二](?<![0-9A-Za-z][0-9一二])(?:[0-9]{3}|[0-9]|[〇零○一二三四五六七八九]{3}) ?年[0-9一二三四五六七八九十初底月日号 ]{0,12}"
        r"(?=出生|生(?![产成活效日涯病气育存理物态长动意命词字肖前后还]))",
        needs=("生",),
    ),
)  # fmt: skip

SECRETS = (
    _shape(
        "key_prefix",
        "CREDENTIAL",
        rf"(?:{'|'.join(shape for _, shape in KEYS)})(?![{_ALNUM}_])",
    ),
    _shape(
        "jwt", "CREDENTIAL", r"eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{2,16000}\.[A-Za-z0-9_-]{0,2000}"
    ),
    _shape(
        "private_key",
        "CREDENTIAL",
        r"-----BEGIN [A-Z ]{0,24}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s:,-]{0,8000}?-----END [A-Z ]{0,24}PRIVATE KEY-----"
        r"|(?:\s{1,4}[A-Za-z0-9+/=]{40,128}){1,200})",
        needs=("-----BEGIN",),
    ),
    _shape("url_password", "CREDENTIAL", r"://[^\s:@/]{1,64}:(?P<value>[^\s@/]{3,64})@", needs=("://",)),
)

OPTIONAL = (
    _shape(
        "url",
        "URL",
        r"[hHfFwW](?<![0-9A-Za-z][hHfFwW])(?:(?:(?<=[hH])ttps?|(?<=[fF])tp|(?<=[wW])ss?)://|(?<=[wW])ww\.)"
        r"[!-~]{3,2000}(?<![.,;:!?'\")\]}>])",
        flags=re.IGNORECASE,
        needs=("://", "www.", "WWW."),
    ),
    _shape(
        "date",
        "DATE_TIME",
        rf"(?<![0-9A-Za-z]){DATE}(?:[ T]?[0-9]{{1,2}}:[0-9]{{2}}(?::[0-9]{{2}})?)?(?![0-9A-Za-z])",
        judge=_date,
        flags=re.IGNORECASE,
        needs=("",),
    ),
)
"""Recognisers that run only where their type is asked for: what they mark contains other entities."""

ALWAYS = (*PHONES, *IDENTITIES, *MONEY, *THINGS, *SECRETS)
"""Recognisers that always run: what one marks is not free for another, whether it is asked for or not."""
