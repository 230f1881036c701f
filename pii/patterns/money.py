"""Cards, accounts, wallets and organisations' numbers by shape."""

from __future__ import annotations

from pii.identifiers import Verdict, check
from pii.identifiers.chinese import resident_id
from pii.identifiers.verdict import compact
from pii.patterns.shapes import ALNUM, END, GAP, shape, starts

_USUAL_LENGTHS = {
    "unionpay": range(16, 20),
    "mastercard": (16,),
    "visa": (16,),
    "amex": (15,),
    "discover": (16,),
    "jcb": (16,),
    "diners": (14,),
}


def _card(value: str) -> Verdict:
    """A checksum is believed for the usual cards: alone, one Luhn digit is a weak reason for the others."""
    verdict = check("BANK_CARD_NUMBER", value)
    num_digits = sum(c.isdigit() for c in value)
    usual = num_digits in _USUAL_LENGTHS.get(verdict.subtype or "", ())
    return verdict if usual or not verdict.valid else Verdict(None, verdict.subtype)


def _masked(value: str) -> Verdict:
    return Verdict(None if value.count("*") >= 4 else False)


def _uscc(value: str) -> Verdict:
    """A credit code's one check character is a weaker proof than a resident id's date and check digit."""
    resident = resident_id(compact(value))
    return Verdict(False) if resident and resident.valid else check(_ORGANISATION, value)


_ORGANISATION = "ORG_REGISTRATION_NUMBER"
_USCC_CHAR = "[0-9A-HJ-NPQRTUWXY]"

MONEY = (
    shape(
        "card",
        "BANK_CARD_NUMBER",
        starts("[2-689]") + rf"(?:{GAP}[0-9]){{12,18}}{END}",
        "checksum",
        judge=_card,
        kin=("BANK_ACCOUNT_NUMBER",),
        digits=13,
    ),
    shape(
        "masked_card",
        "BANK_CARD_NUMBER",
        starts("[1-9*]", ALNUM + "*") + r"[0-9*]{3}(?:[ -]?[0-9*]{1,6}){1,4}(?<=[0-9])" + END,
        "never",
        judge=_masked,
        marks="*",
    ),
    shape(
        "iban",
        "BANK_ACCOUNT_NUMBER",
        starts("[A-Z]") + r"[A-Z][0-9]{2}(?:[ -]?[0-9A-Z]){11,30}" + END,
        "checksum",
        strong=True,
        narrow=True,
    ),
    shape(
        "eth", "PAYMENT_ACCOUNT", rf"0(?<![{ALNUM}]0)x[0-9a-fA-F]{{40}}(?![{ALNUM}])", strong=True, token=True
    ),
    shape(
        "bech32",
        "PAYMENT_ACCOUNT",
        starts("[bBlL]") + "(?:[cC]|[tT][cC])1[0-9A-Za-z]{20,87}" + END,
        "checksum",
        strong=True,
        token=True,
    ),
    shape(
        "base58",
        "PAYMENT_ACCOUNT",
        starts("[13LMDT]") + "[1-9A-HJ-NP-Za-km-z]{25,34}" + END,
        "checksum",
        strong=True,
        token=True,
    ),
    shape(
        "uscc",
        _ORGANISATION,
        starts("[0-9ANY]")
        + rf"(?=[0-9 -]{{0,24}}[A-Za-z]){_USCC_CHAR}(?:[ -]?[0-9]){{6}}(?:[ -]?{_USCC_CHAR}){{10}}{END}",
        "checksum",
        strong=True,
        ignore_case=True,
        digits=6,
    ),
    shape(
        "uscc_of_digits",
        _ORGANISATION,
        # One check character is a weak proof for eighteen digits that a label calls something else.
        starts("[0-9]") + rf"(?:[ -]?[0-9]){{17}}{END}",
        "checksum",
        judge=_uscc,
        digits=18,
    ),
    shape(
        "lei",
        _ORGANISATION,
        starts("[0-9A-Z]") + "[0-9A-Z]{17}[0-9]{2}" + END,
        "checksum",
        strong=True,
        token=True,
    ),
)
