"""Telephone numbers, e-mail addresses, messenger accounts."""

from __future__ import annotations

import re

from pii.identifiers.verdict import IMPOSSIBLE, SHAPED, Verdict, compact, plain

CN_MOBILE = re.compile(r"(?:(?:\+|00)?86)?(1[3-9][0-9]{9})")
"""Mainland mobile number: 13 to 19, eleven digits. Blocks inside are assigned as time goes by, so every block
counts (https://en.wikipedia.org/wiki/Telephone_numbers_in_China#Mobile_phones)."""

_EXTENSION = re.compile(r"[ ,]*(?:ext\.?|extension|x|#|转|分机)[ :.]*[0-9]{1,6}$", re.IGNORECASE)
_DIALLED = re.compile(r"[+0-9][0-9]{4,18}")
_LANDLINE_EXTENSION = re.compile(r"(\(?0[1-9][0-9]{1,2}\)?[ -]?[0-9]{7,8})-[0-9]{1,5}$")
_CN_LANDLINE = re.compile(r"0(?:10|2[0-9]|[3-9][0-9]{2})[2-9][0-9]{6,7}")
_CN_SERVICE = re.compile(r"(?:\+?86)?(?:400|800)[0-9]{7}|(?:95|96|10|11|12)[0-9]{3,4}|1[12][0-9]|[0-9]{1,5}")
_KINDS = {
    0: "landline",
    1: "mobile",
    2: "landline_or_mobile",
    3: "toll_free",
    4: "premium_rate",
    5: "shared_cost",
    6: "voip",
}  # phonenumbers.PhoneNumberType


def phone(value: str) -> Verdict:
    """A telephone number with an assigned or possible length; subtype as ``cn_mobile``."""
    written = plain(value)
    if len(written) > 40:
        return IMPOSSIBLE
    number = compact(_LANDLINE_EXTENSION.sub(r"\1", _EXTENSION.sub("", written))).replace("/", "")
    if not _DIALLED.fullmatch(number):
        return IMPOSSIBLE
    if CN_MOBILE.fullmatch(number):
        return Verdict(None, "cn_mobile")
    return _numbering_plan(number)


def is_hotline(value: str) -> bool:
    """Whether it is a public service number of mainland China: 400, 800, 95xxx, 10086, 110."""
    return bool(_CN_SERVICE.fullmatch(compact(value)))


def _numbering_plan(number: str) -> Verdict:
    import phonenumbers

    if number.startswith("00"):
        number = "+" + number[2:]
    region = "CN" if _CN_LANDLINE.fullmatch(number) else "US"
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return IMPOSSIBLE
    if not phonenumbers.is_possible_number(parsed):
        # Written in a national form of an unknown country, such as 020 7946 0958.
        national = number.startswith("0") and 9 <= len(number) <= 12
        return SHAPED if national or len(number) == 7 else IMPOSSIBLE
    if not phonenumbers.is_valid_number(parsed):
        return SHAPED
    country = (phonenumbers.region_code_for_number(parsed) or "intl").lower()
    kind = _KINDS.get(phonenumbers.number_type(parsed), "phone")
    return Verdict(None, f"{country}_{kind}")


_LOCAL = r"[\w!#$%&'*+/=?^`{|}~.-]{1,64}"
_EMAIL = re.compile(rf"({_LOCAL})@((?:[^\W_](?:[\w-]{{0,61}}[^\W_])?\.)+[^\W\d_]{{2,24}}|\[[0-9a-fA-F:.]+\])")


def email(value: str) -> Verdict:
    """Address syntax of RFC 5321 and 6531 (international letters) without quoted local parts."""
    match = _EMAIL.fullmatch(plain(value))
    if not match or len(match[0]) > 254:
        return IMPOSSIBLE
    local = match[1]
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    return IMPOSSIBLE if dots else SHAPED


_QQ = re.compile(r"[1-9][0-9]{4,10}")
_WECHAT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{5,19}|wxid_[a-z0-9]{8,20}")
_USERNAME = re.compile(r"[^\s@:;,，。；：]{2,40}|@[^\s@:;,，。；：]{2,40}")


def qq(value: str) -> Verdict:
    """QQ number: 5 to 11 digits, the first not zero."""
    return Verdict(None, "qq") if _QQ.fullmatch(compact(value)) else IMPOSSIBLE


def wechat(value: str) -> Verdict:
    """WeChat id: a letter and 5 to 19 of letters, digits, - and _; or the phone or QQ number bound to it."""
    written = plain(value)
    if _WECHAT.fullmatch(written):
        return Verdict(None, "wechat")
    number = compact(value)
    return SHAPED if CN_MOBILE.fullmatch(number) or _QQ.fullmatch(number) else IMPOSSIBLE


def username(value: str) -> Verdict:
    """A name of an account: no spaces, at most 40 characters."""
    return SHAPED if _USERNAME.fullmatch(plain(value)) else IMPOSSIBLE
