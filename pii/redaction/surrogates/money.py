"""Cards, accounts and wallets."""

from __future__ import annotations

import re

from stdnum import iban, luhn

from pii.identifiers.contact import email as is_email
from pii.identifiers.contact import phone as is_phone
from pii.identifiers.wallets import base58_decode, base58check, bech32, eip55, wallet
from pii.redaction.surrogates import online, phones
from pii.redaction.surrogates.documents import same_kind
from pii.redaction.surrogates.draw import Draw
from pii.redaction.surrogates.original import Original

# Issuer → first digits of the networks' and processors' published test cards, which no bank gives out.
# Sources: https://docs.stripe.com/testing, https://docs.adyen.com/development-resources/test-cards-and-credentials
_TEST_CARDS = {
    "visa": "424242",
    "mastercard": "555555",
    "amex": "378282",
    "discover": "601111",
    "jcb": "356600",
    "diners": "305693",
    "unionpay": "620000",
}


def card(original: Original) -> str | None:
    """A card of the same network and length in a test range; the Luhn digit holds where it held before."""
    written = original.written
    core, draw = written.core, original.draw
    if not core.isdecimal() or len(core) < 12:
        return written.filled(draw.alike(core)) if core else None
    # Networks without test cards keep their first four digits, and zeros follow.
    head = _TEST_CARDS.get(original.subtype, core[:4] + "00")
    body = head + draw.digits(len(core) - len(head) - 1)
    last = str(luhn.calc_check_digit(body))
    if not luhn.is_valid(core):
        last = str((int(last) + 1 + draw.below(9)) % 10)
    return written.filled(body + last)


def account(original: Original) -> str | None:
    """An account of the same form: an IBAN of the same country with its check digits, or as many digits."""
    written = original.written
    core, draw = written.core, original.draw
    if not core:
        return None
    if original.subtype == "iban":
        bban = draw.alike("x" + core[4:])[1:]
        if iban.is_valid(core, check_country=False):
            return written.filled(f"{core[:2]}{iban.calc_check_digits(f'{core[:2]}00{bban}')}{bban}")
        return written.filled(core[:4] + bban)
    if original.subtype == "bic":
        return written.filled(draw.alike(core[:4]) + core[4:6] + draw.alike(core[6:]))
    return written.filled(same_kind(original.type, core, draw))


def payment(original: Original) -> str | None:
    """A wallet whose key nobody has, or what such an account is otherwise: e-mail, phone, name, number."""
    value = original.value
    if wallet(value) is not None:
        return _wallet(value, original.draw)
    if is_email(value).valid is not False:
        return online.email(original)
    if is_phone(value).valid is not False:
        return phones.phone_like(original)
    kept = value[:4] if value.startswith("2088") else ""  # Alipay's user numbers
    return kept + online.filled(value[len(kept) :], original.draw)


def _wallet(address: str, draw: Draw) -> str:
    """An address of the same network and length from drawn bytes, with its checksum."""
    if address.startswith("0x"):
        digits = draw.bytes(20).hex()
        if address[2:] == address[2:].lower():
            return "0x" + digits
        return "0x" + (digits.upper() if address[2:] == address[2:].upper() else eip55(digits))
    lower = address.lower()
    if shape := re.fullmatch("(bc|ltc)1([a-z0-9]+)", lower):
        made = bech32(shape[1], _witness(shape[2], draw))
        return made.upper() if address == address.upper() else made
    decoded = base58_decode(address)
    for _ in range(200):
        made = base58check(decoded[:1] + draw.bytes(len(decoded) - 5))
        if len(made) == len(address):
            break
    return made


def _witness(data: str, draw: Draw) -> str:
    """Witness version and program in Bech32 digits; the last digit holds only padding bits (BIP 173)."""
    digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    body = data[:-6]
    return body[0] + "".join(draw.pick(digits) for _ in body[1:-1]) + body[-1]
