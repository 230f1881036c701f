"""Identity numbers of mainland China, Hong Kong, Macau and Taiwan."""

from __future__ import annotations

import re

from stdnum.cn import ric, uscc

from pii.identifiers.dates import OLDEST_YEAR, possible
from pii.identifiers.verdict import Verdict

PROVINCES = frozenset(
    str(code)
    for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83))
    for code in range(first, last + 1)
)
"""First two digits of an administrative division code (GB/T 2260; 81-83 for residence permits of people from
Hong Kong, Macau and Taiwan). Finer regions change over the years and are not checked."""

_RIC18 = re.compile(r"[1-9][0-9]{16}[0-9X]")
_RIC15 = re.compile(r"[1-8][0-9]{14}")
_HKID = re.compile(r"[A-Z]{1,2}[0-9]{6}[0-9A]")
_MACAU = re.compile(r"[1578][0-9]{7}")
_TAIWAN = re.compile(r"[A-Z][A-D1-9][0-9]{8}")
_TAIWAN_LETTERS = {letter: n for n, letter in enumerate("ABCDEFGHJKLMNPQRSTUVXYWZIO", 10)}
_USCC = re.compile(r"[0-9ANY][0-9A-HJ-NPQRTUWXY][0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")


def _province(number: str) -> bool:
    # A permanent residence card of a foreigner (2023 form) is 9 + province + nationality + date.
    return number[:2] in PROVINCES or (number[0] == "9" and number[1:3] in PROVINCES)


def resident_id(number: str, subtype: str = "cn_resident_id") -> Verdict | None:
    """Resident identity number, 18 digits (GB 11643-1999, ISO 7064 mod 11-2) or the older 15.

    Returns:
        None where the number does not have the shape: length, province and a date that exists.
    """
    if _RIC18.fullmatch(number) and _province(number):
        year, month, day = int(number[6:10]), int(number[10:12]), int(number[12:14])
        if OLDEST_YEAR <= year <= 2099 and possible(year, month, day):
            return Verdict(ric.calc_check_digit(number) == number[-1], subtype)
    elif (
        _RIC15.fullmatch(number)
        and _province(number)
        and possible(1900 + int(number[6:8]), int(number[8:10]), int(number[10:12]))
    ):
        return Verdict(None, subtype)
    return None


def hong_kong_id(number: str) -> Verdict | None:
    """Hong Kong identity card: one or two letters, six digits, check digit mod 11 (A for ten).

    Source: https://en.wikipedia.org/wiki/Hong_Kong_identity_card#Check_digit
    """
    if not _HKID.fullmatch(number):
        return None
    # A missing first letter counts as a space, 36; letters count from A = 10.
    values = [int(char, 36) for char in number]
    if len(values) == 8:
        values.insert(0, 36)
    return Verdict(sum(v * w for v, w in zip(values, range(9, 0, -1), strict=True)) % 11 == 0, "hk_id")


def macau_id(number: str) -> Verdict | None:
    """Macau resident identity card: 1, 5, 7 or 8, six digits and a check digit whose rule is not public."""
    return Verdict(None, "macau_id") if _MACAU.fullmatch(number) else None


def taiwan_id(number: str) -> Verdict | None:
    """National id (second digit 1 or 2) and residence certificates (8, 9 or A-D) of Taiwan, mod 10.

    Source: https://en.wikipedia.org/wiki/National_identification_card_(Taiwan)#Identification_numbers
    """
    if not _TAIWAN.fullmatch(number):
        return None
    code = _TAIWAN_LETTERS[number[0]]
    second = _TAIWAN_LETTERS[number[1]] % 10 if number[1].isalpha() else int(number[1])
    digits = [code // 10, code % 10, second, *map(int, number[2:])]
    weights = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)
    return Verdict(sum(d * w for d, w in zip(digits, weights, strict=True)) % 10 == 0, "tw_id")


def credit_code(number: str) -> Verdict | None:
    """Unified social credit code of organisations (GB 32100-2015), mod 31."""
    if not _USCC.fullmatch(number) or len(set(number)) < 3:
        return None
    return Verdict(uscc.calc_check_digit(number[:-1]) == number[-1], "cn_uscc")
