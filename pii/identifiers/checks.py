"""One table: entity type → its check."""

from __future__ import annotations

import re
from collections.abc import Callable

from stdnum.us import ssn

from pii.identifiers import chinese, contact, dates, devices, finance, registers, secrets, travel, vehicles
from pii.identifiers.verdict import IMPOSSIBLE, SHAPED, Verdict, compact, plain
from pii.identifiers.wallets import wallet

_US_SSN = re.compile(r"[0-9]{3}([- ]?)[0-9]{2}\1[0-9]{4}")


def _national(value: str) -> Verdict:
    """Identity numbers of China, Hong Kong, Macau, Taiwan and the registers of other countries."""
    shaped = _US_SSN.fullmatch(written := plain(value))
    if shaped and (shaped[1] or ssn.is_valid(written)):
        return Verdict(None if ssn.is_valid(written) else False, "us_ssn")
    number = compact(value)
    for check_one in (chinese.resident_id, chinese.hong_kong_id, chinese.taiwan_id):
        if verdict := check_one(number):
            return verdict
    verdict = registers.look_up(number, registers.NATIONAL)
    if not verdict.valid and (macau := chinese.macau_id(number)):
        return macau
    return verdict


# https://www.cms.gov/medicare/new-medicare-card: letters without S, L, O, I, B and Z.
_MBI_LETTER, _MBI_ANY = "[AC-HJKMNP-RT-Y]", "[0-9AC-HJKMNP-RT-Y]"
_MBI = re.compile(
    f"[1-9]{_MBI_LETTER}{_MBI_ANY}[0-9]{_MBI_LETTER}{_MBI_ANY}[0-9]{_MBI_LETTER}{{2}}[0-9]{{2}}"
)


def _social_insurance(value: str) -> Verdict:
    """The resident identity number in mainland China; MBI, SIN, NINO, NHS, NIR, AHV and others."""
    number = compact(value)
    if _MBI.fullmatch(number):
        return Verdict(None, "us_mbi")
    chinese_number = chinese.resident_id(number, "cn_social_insurance")
    return chinese_number or registers.look_up(number, registers.SOCIAL_INSURANCE)


def _tax(value: str) -> Verdict:
    """Personal tax numbers: the resident identity number in mainland China, ITIN, and other countries."""
    number = compact(value)
    return chinese.resident_id(number, "cn_tax_id") or registers.look_up(number, registers.TAX)


def _organisation(value: str) -> Verdict:
    """Unified social credit code (GB 32100-2015, mod 31), LEI, EIN, UEN, VAT and others."""
    number = compact(value)
    return chinese.credit_code(number) or registers.look_up(number, registers.ORGANISATION)


_ALIPAY = re.compile(r"2088[0-9]{12}")
"""User numbers of Alipay, as its open platform gives them out."""


def _payment(value: str) -> Verdict:
    """Crypto wallets (Base58Check, Bech32, EIP-55), Alipay numbers; an account's e-mail, phone or name."""
    if verdict := wallet(plain(value)):
        return verdict
    if _ALIPAY.fullmatch(compact(value)):
        return Verdict(None, "alipay")
    for check_one in (contact.email, contact.phone, contact.username):
        if (verdict := check_one(value)) != IMPOSSIBLE:
            return Verdict(None, None)
    return IMPOSSIBLE


_REFERENCE = re.compile(r"(?=.*[0-9])[A-Z0-9]{2,32}")


def _reference(value: str) -> Verdict:
    """A number that one organisation gives out: letters and digits, at least one digit."""
    return SHAPED if _REFERENCE.fullmatch(compact(value).replace("/", "")) else IMPOSSIBLE


CHECKS: dict[str, Callable[[str], Verdict]] = {
    "PHONE_NUMBER": contact.phone,
    "EMAIL_ADDRESS": contact.email,
    "NATIONAL_ID_NUMBER": _national,
    "PASSPORT_NUMBER": travel.passport,
    "DRIVER_LICENSE_NUMBER": travel.driving_licence,
    "SOCIAL_INSURANCE_NUMBER": _social_insurance,
    "TAX_ID_NUMBER": _tax,
    "ORG_REGISTRATION_NUMBER": _organisation,
    "BANK_CARD_NUMBER": finance.card,
    "BANK_ACCOUNT_NUMBER": finance.account,
    "PAYMENT_ACCOUNT": _payment,
    "VEHICLE_PLATE_NUMBER": vehicles.plate,
    "VEHICLE_ID_NUMBER": vehicles.vin,
    "USERNAME": contact.username,
    "WECHAT_ID": contact.wechat,
    "QQ_NUMBER": contact.qq,
    "IP_ADDRESS": devices.ip,
    "DEVICE_ID": devices.device,
    "URL": devices.url,
    "GEO_COORDINATE": devices.coordinate,
    "DATE_OF_BIRTH": dates.check_birth_date,
    "DATE_TIME": dates.check_date,
    "MEMBER_ID": _reference,
    "MEDICAL_RECORD_NUMBER": _reference,
    "CREDENTIAL": secrets.credential,
}
"""The closed types: those whose values have a form that code can judge."""


def closed_types() -> tuple[str, ...]:
    """The types whose values have a form that code can judge."""
    return tuple(CHECKS)


def check(type: str, value: str) -> Verdict:
    """Judge a value against an entity type. Never raises.

    Args:
        type: a name of the taxonomy. A type whose values have no form (names, addresses) gets no verdict:
            ``Verdict(None, None)``.
        value: the value as it stands in the text; width, digits, dashes and spaces are made plain first.
    """
    checker = CHECKS.get(type)
    return checker(value) if checker else SHAPED
