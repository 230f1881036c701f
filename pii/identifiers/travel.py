"""Passports, travel permits, driving licences."""

from __future__ import annotations

import re

from pii.identifiers import chinese
from pii.identifiers.verdict import IMPOSSIBLE, SHAPED, Verdict, compact

# Document → shape. Chinese ordinary passports: G + 8 digits, E + 8 digits, E + letter + 7 digits (no I, O);
# diplomatic DE, service SE, public affairs PE, each with 7 digits, and the older D, S, P with 8.
# Permits: C or W (to Hong Kong and Macau), H and M (home return), L and T (Taiwan).
# Source: https://en.wikipedia.org/wiki/Chinese_passport, GA/T 704.
_PASSPORTS = tuple(
    (subtype, re.compile(shape))
    for subtype, shape in (
        ("cn_passport", r"[EG][0-9]{8}|E[A-HJ-NP-Z][0-9]{7}|[DSP]E[0-9]{7}|[DSP][0-9]{7,8}|1[45][0-9]{7}"),
        ("cn_hk_macau_permit", r"C[A-HJ-NP-Z0-9][0-9]{7}|W[0-9]{8}"),
        ("cn_home_return_permit", r"[HM][0-9]{8}(?:[0-9]{2})?"),
        ("cn_taiwan_permit", r"[LT][0-9]{8}"),
        ("hk_passport", r"K[A-Z]?[0-9]{7,8}|H[A-Z][0-9]{7,8}"),
        ("macau_passport", r"MA?[0-9]{7}"),
        ("jp_passport", r"[A-Z]{2}[0-9]{7}"),
        ("us_passport", r"[A-Z][0-9]{8}"),
    )
)
_ANY_PASSPORT = re.compile(r"(?=.*[0-9]{4})[A-Z0-9]{6,12}|(?=.*[0-9])[A-Z][A-Z0-9]{8}")


def passport(value: str) -> Verdict:
    """Passport or travel permit; the letters before the digits say whose. No check digit on the page."""
    number = compact(value)
    for subtype, shape in _PASSPORTS:
        if shape.fullmatch(number):
            return Verdict(None, subtype)
    return SHAPED if _ANY_PASSPORT.fullmatch(number) else IMPOSSIBLE


_GB_LICENCE = re.compile(r"[A-Z9]{5}[0-9][0156][0-9][0-3][0-9]{2}[A-Z9]{2}[0-9A-Z]{3}")
_ANY_LICENCE = re.compile(r"(?=.*[0-9]{3})[A-Z0-9*]{5,20}")


def driving_licence(value: str) -> Verdict:
    """Driving licence: the resident identity number in mainland China, an archive number, or any other."""
    number = compact(value)
    if verdict := chinese.resident_id(number, "cn_driver_license"):
        return verdict
    if _GB_LICENCE.fullmatch(number):
        return Verdict(None, "gb_driver_license")
    return SHAPED if _ANY_LICENCE.fullmatch(number) else IMPOSSIBLE
