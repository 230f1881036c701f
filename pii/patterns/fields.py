"""What the values behind labels look like: one row of a table for each type and form."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pii.folding import CHINESE_DIGITS
from pii.identifiers.dates import DATE, MONTH_DAY


@dataclass(frozen=True)
class Field:
    """One form of the values of a type.

    Attributes:
        type: the entity type whose labels lead to it.
        rule: its name in reports.
        value: what a value looks like, matched right behind the connector.
        fewest_digits: digits, or the stars that hide them, that a value has to hold.
        checked: whether `pii.identifiers.check` has a say; not for masked values, which nobody can check.
    """

    type: str
    rule: str
    value: re.Pattern[str]
    fewest_digits: int = 1
    checked: bool = True


_END = r"(?![0-9A-Za-z@]|[-.][0-9A-Za-z])"
_EXTENSION = r"(?: ?(?:ext\.?|x|转|分机) ?[0-9]{1,5})?"
_INNER = r"(?:[0-9A-Za-z]|[-/._](?=[0-9A-Za-z*])|\*(?=[0-9A-Za-z*]))"
"""A letter or digit, or a mark that does not end the value."""


def _digits(fewest: int, most: int) -> str:
    """Digits, also in groups, of a length."""
    return rf"[0-9](?:[ -]?[0-9]){{{fewest - 1},{most - 1}}}{_END}"


def _grouped(fewest: int, most: int) -> str:
    """Digits of a length, also in groups, the last one maybe an X; no date."""
    date = r"(?:19|20)[0-9]{2}[- ][0-9]{2}[- ][0-9]{2}(?![0-9])"
    return rf"(?!{date})[0-9](?:[ -]?[0-9]){{{fewest - 2},{most - 2}}}[ -]?[0-9Xx]{_END}"


def _token(fewest: int, most: int, groups: int = 0) -> str:
    """Letters and digits with inner marks, of a length; further groups may follow after spaces."""
    spaced = rf"(?: [0-9A-Z]{{2,6}}(?![a-z0-9])){{0,{groups}}}" if groups else ""
    return rf"[0-9A-Za-z]{_INNER}{{{fewest - 1},{most - 1}}}{spaced}(?![0-9A-Za-z@])"


def _field(type: str, rule: str, value: str, fewest_digits: int = 1, *, checked: bool = True) -> Field:
    return Field(type, rule, re.compile(value), fewest_digits, checked)


_HAN_DIGITS = "".join(map(chr, CHINESE_DIGITS))
_NUMBER = r"[-+]?[0-9]{1,3}\.[0-9]{1,15}°?(?: ?[NSEW])?"
_EMAIL = r"[A-Za-z0-9][A-Za-z0-9._+-]{3,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{2,24}){1,3}"
_MASKED_PHONE = r"[0-9]{2,4}[ -]?[*xX]{2,8}[ -]?[0-9]{2,4}(?![0-9A-Za-z])"
_MASKED_CARD = r"[0-9*]{3,6}(?:[ -]?[0-9*]{2,6}){1,4}(?![0-9A-Za-z])"
_MASKED_ID = r"[0-9A-Z*]{3,}\*{2,}[0-9A-Z*]{1,}(?![0-9A-Za-z])"

FIELDS = (
    _field(
        "PHONE_NUMBER",
        "phone_in_groups",
        # Not a date.
        rf"(?!(?:19|20)[0-9]{{2}}[-./ ][0-9]{{2}}[-./ ][0-9]{{2}}(?![0-9]))"
        rf"[0-9]{{1,4}}([ .-])[0-9]{{2,4}}(?:\1[0-9]{{2,4}}){{2,4}}{_END}",
        7,
    ),
    _field(
        "PHONE_NUMBER",
        "phone_after_label",
        rf"\(?[0-9]{{2,5}}\)?(?:[ .-]?[0-9]{{3,4}}){{1,3}}{_EXTENSION}{_END}",
        5,
    ),
    _field("PHONE_NUMBER", "phone_spelled", rf"[0-9](?:[ -][0-9]){{6,11}}{_END}", 7),
    _field("PHONE_NUMBER", "phone_masked", _MASKED_PHONE, 7, checked=False),
    _field("NATIONAL_ID_NUMBER", "id_with_bracket", r"(?:[A-Za-z]{1,2}|[1578])[0-9]{6} ?\([0-9Aa]\)", 6),
    _field("NATIONAL_ID_NUMBER", "id_in_groups", _grouped(8, 18), 8),
    _field("NATIONAL_ID_NUMBER", "id_after_label", _token(6, 24, 4), 4),
    _field("NATIONAL_ID_NUMBER", "id_masked", _MASKED_ID, 6, checked=False),
    _field("PASSPORT_NUMBER", "passport_after_label", _token(6, 12, 2), 4),
    # The letters of German passports leave room for few digits.
    _field("PASSPORT_NUMBER", "passport_mixed", r"[A-Z](?=[A-Z]*[0-9])[A-Z0-9]{8}(?![0-9A-Za-z@])", 1),
    _field("DRIVER_LICENSE_NUMBER", "licence_in_groups", _grouped(7, 18), 7),
    _field("DRIVER_LICENSE_NUMBER", "licence_after_label", _token(5, 22, 5), 4),
    _field("SOCIAL_INSURANCE_NUMBER", "insurance_in_groups", _grouped(8, 18), 8),
    _field("SOCIAL_INSURANCE_NUMBER", "insurance_after_label", _token(6, 22, 4), 4),
    _field("TAX_ID_NUMBER", "tax_in_groups", _grouped(9, 18), 9),
    _field("TAX_ID_NUMBER", "tax_after_label", _token(6, 22, 3), 4),
    _field("ORG_REGISTRATION_NUMBER", "organisation_after_label", _token(6, 22, 3), 4),
    _field("BANK_CARD_NUMBER", "card_after_label", _digits(12, 19), 12),
    _field("BANK_CARD_NUMBER", "card_masked", _MASKED_CARD, 8, checked=False),
    _field("BANK_ACCOUNT_NUMBER", "account_after_label", _digits(7, 22), 7),
    _field(
        "BANK_ACCOUNT_NUMBER",
        "iban_after_label",
        r"[A-Za-z]{2}[0-9]{2}(?: ?[0-9A-Za-z]{2,4}){3,8}(?![0-9A-Za-z])",
        8,
    ),
    _field(
        "BANK_ACCOUNT_NUMBER", "bic_after_label", r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?(?![0-9A-Za-z])", 0
    ),
    _field("PAYMENT_ACCOUNT", "payment_email_after_label", _EMAIL, 0),
    _field("PAYMENT_ACCOUNT", "payment_in_groups", _digits(12, 20), 12),
    _field("PAYMENT_ACCOUNT", "payment_after_label", _token(5, 64), 4),
    _field(
        "VEHICLE_PLATE_NUMBER",
        "plate_in_groups",
        # Germany and India; each has up to four groups.
        r"(?:[A-Z]{1,3}-[A-Z]{1,2} ?[0-9]{1,4}[EH]?|[A-Z]{2}[ -]?[0-9]{1,2}[ -]?[A-Z]{1,3}[ -]?[0-9]{4})"
        r"(?![0-9A-Za-z])",
        2,
    ),
    _field(
        "VEHICLE_PLATE_NUMBER",
        "plate_after_label",
        r"[A-Z\u4e00-\u9fff]?[A-Z0-9]{1,4}[ ·-]?[A-Z0-9]{2,6}[警学挂港澳试超领]?(?![0-9A-Za-z])",
        2,
    ),
    _field("VEHICLE_ID_NUMBER", "vin_after_label", r"[A-HJ-NPR-Za-hj-npr-z0-9]{17}(?![0-9A-Za-z])", 3),
    _field(
        "USERNAME",
        "username_after_label",
        r"@?[A-Za-z0-9_](?:[A-Za-z0-9_]|[.-](?=[A-Za-z0-9_])){2,38}(?![A-Za-z0-9@])",
        0,
    ),
    _field(
        "WECHAT_ID",
        "wxid_after_label",
        r"wxid_[a-z0-9]{12,20}(?![A-Za-z0-9@_-])",
        0,
    ),
    _field(
        "WECHAT_ID",
        "wechat_after_label",
        r"(?!wxid_)[A-Za-z][A-Za-z0-9_-]{5,19}(?![A-Za-z0-9@_-])|1[3-9][0-9](?:[ -]?[0-9]{4}){2}(?![0-9])",
        0,
    ),
    _field("QQ_NUMBER", "qq_after_label", r"[1-9][0-9]{4,10}(?![0-9A-Za-z@]|[ .·-][0-9])", 5),
    _field(
        "QQ_NUMBER", "qq_grouped", r"[1-9][0-9]{2,4}(?:[ .·-][0-9]{1,5}){1,2}(?![0-9A-Za-z@]|[-.·][0-9])", 5
    ),
    _field(
        "DEVICE_ID", "mac_after_label", r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}", 0
    ),
    _field("DEVICE_ID", "device_after_label", _token(8, 40, 4), 3),
    _field("IP_ADDRESS", "ip_after_label", r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])", 4),
    _field(
        "GEO_COORDINATE",
        "coordinate_after_label",
        rf"{_NUMBER}(?:[, ，]{{1,2}}{_NUMBER})?(?![0-9A-Za-z]|\.[0-9])",
        2,
    ),
    _field("DATE_OF_BIRTH", "birth_after_label", rf"(?i:{DATE})(?![0-9A-Za-z])", 0),
    _field("DATE_OF_BIRTH", "birthday_after_label", MONTH_DAY, 0, checked=False),
    _field("MEMBER_ID", "member_after_label", _token(3, 32), 2),
    _field(
        "MEDICAL_RECORD_NUMBER", "record_in_groups", r"[0-9]{3}([ -])[0-9]{3}\1[0-9]{4}(?![0-9A-Za-z])", 10
    ),
    _field("MEDICAL_RECORD_NUMBER", "record_after_label", _token(4, 32), 3),
    _field(
        "CREDENTIAL",
        "code_after_label",
        r"[0-9](?:[ -]?[0-9]){2,7}(?![0-9A-Za-z@]|[-.!#$%^&*_][0-9A-Za-z])",
        3,
    ),
    _field("CREDENTIAL", "code_spelled", rf"[{_HAN_DIGITS}]{{4,6}}(?![{_HAN_DIGITS}\u4e00-\u9fff])", 0),
    # One-time codes with letters: no word has a digit or does without vowels.
    _field(
        "CREDENTIAL",
        "code_with_letters",
        r"(?:(?=[A-Z]*[0-9])|(?![A-Z]*[AEIOU]))[A-Z0-9]{6}(?![0-9A-Za-z@])",
        0,
    ),
    _field("CREDENTIAL", "secret_after_label", r"[!-~]{4,128}(?<![.,;:?'\"`)\]}>])", 0),
)
"""The forms of a type are tried in the order of the table; the first that fits is taken."""
