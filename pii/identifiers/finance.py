"""Payment cards and bank accounts."""

from __future__ import annotations

import re

from stdnum import bic, iban, luhn
from stdnum.exceptions import ValidationError
from stdnum.us import rtn

from pii.identifiers.verdict import IMPOSSIBLE, SHAPED, Verdict, compact

# Issuer → prefix and lengths (ISO/IEC 7812; https://en.wikipedia.org/wiki/Payment_card_number#Issuer_identification_number_(IIN)).
_ISSUERS = tuple(
    (issuer, re.compile(shape))
    for issuer, shape in (
        ("unionpay", r"62[0-9]{14,17}|81[0-9]{14,17}"),
        ("visa", r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"),
        ("mastercard", r"(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"),
        ("amex", r"3[47][0-9]{13}"),
        ("discover", r"(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}"),
        ("jcb", r"35(?:2[89]|[3-8][0-9])[0-9]{12,15}"),
        ("diners", r"(?:30[0-5]|309|36[0-9]|38[0-9]|39[0-9])[0-9]{11,16}"),
        ("mir", r"220[0-4][0-9]{12,15}"),
        ("rupay", r"(?:60|81|82|508|353|356)[0-9]{13,14}"),
        ("maestro", r"(?:50[0-9]{2}|5[6-9][0-9]{2}|6[37][0-9]{2})[0-9]{8,15}"),
        # Debit cards of mainland banks issued before UnionPay's 62, such as 95588 of ICBC.
        ("cn_bank", r"(?:9[0-9]{5}|603367|601382|60169[0-9]|68858[0-9]|690755)[0-9]{7,13}"),
    )
)  # fmt: skip
_CARD = re.compile(r"[1-9][0-9]{12,18}")
_SAME_DIGIT = re.compile(r"([0-9])\1+")


def card(value: str) -> Verdict:
    """Payment card: 13 to 19 digits, Luhn (ISO/IEC 7812-1); the issuer by its prefix."""
    number = compact(value)
    if not _CARD.fullmatch(number) or _SAME_DIGIT.fullmatch(number):
        return IMPOSSIBLE
    issuer = next((name for name, shape in _ISSUERS if shape.fullmatch(number)), None)
    return Verdict(luhn.is_valid(number), issuer)


_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}")
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
_ACCOUNT = re.compile(r"[0-9]{6,22}|(?=.*[0-9]{4})[0-9A-Z]{8,24}")


def account(value: str) -> Verdict:
    """Bank account: IBAN (ISO 13616, mod 97), BIC (ISO 9362), US routing number, or any account number."""
    number = compact(value)
    if _IBAN.fullmatch(number):
        return Verdict(_iban_holds(number), "iban")
    if _BIC.fullmatch(number) and bic.is_valid(number):
        return Verdict(None, "bic")
    if len(number) == 9 and number.isdigit() and rtn.is_valid(number):
        return Verdict(True, "us_routing")
    return SHAPED if _ACCOUNT.fullmatch(number) else IMPOSSIBLE


def _iban_holds(number: str) -> bool:
    # Lengths and digits per country are checked; a bank's own inner check digits are not: they change.
    try:
        iban.validate(number, check_country=False)
    except ValidationError:
        return False
    return True
