"""Payment cards, bank accounts, wallets. Issuer ranges and IBAN shapes: ``reference/finance.yaml``."""

from __future__ import annotations

import functools
import re
from typing import Any

from stdnum import iban, luhn

from data_pipeline.values.chance import Weighted, digits, letters, number, pick
from data_pipeline.values.reference import table
from data_pipeline.values.registry import Draw, provides
from pii.identifiers.wallets import base58check

CARD = "BANK_CARD_NUMBER"
ACCOUNT = "BANK_ACCOUNT_NUMBER"
WALLET = "PAYMENT_ACCOUNT"


@functools.cache
def _ranges(market: str) -> Weighted[int]:
    return Weighted({i: float(r["weight"]) for i, r in enumerate(table("finance")["card_ranges"][market])})


def _with_luhn(prefix: str, length: int, draw: Draw) -> str:
    head = prefix + "".join(digits(draw.rng, 1) for _ in range(length - len(prefix) - 1))
    return f"{head}{luhn.calc_check_digit(head)}"


def _card(draw: Draw, market: str) -> str:
    if draw.reserved:
        prefixes: dict[str, int] = table("finance")["test_prefixes"]
        prefix = pick(draw.rng, tuple(prefixes))
        return _with_luhn(prefix, prefixes[prefix], draw)
    entry: dict[str, Any] = table("finance")["card_ranges"][market][_ranges(market).draw(draw.rng)]
    return _with_luhn(pick(draw.rng, entry["prefix"]), entry["length"], draw)


@provides("card", "cn_card", CARD, cn=12, hk=1, tw=1, any=0)
def cn_card(draw: Draw) -> str:
    """Debit cards of 19 digits mostly, credit cards of 16; Luhn (ISO/IEC 7812)."""
    return _card(draw, "cn")


@provides("card", "western_card", CARD, cn=1, any=3)
def western_card(draw: Draw) -> str:
    """Visa, Mastercard, American Express, JCB, Discover, Diners; often grouped."""
    value = _card(draw, "west")
    if draw.language == "en" and draw.rng.random() < 0.35:
        sizes = (4, 6, 5) if len(value) == 15 else (4, 4, 4, 4)
        parts, at = [], 0
        for size in sizes:
            parts.append(value[at : at + size])
            at += size
        value = pick(draw.rng, (" ", "-")).join(p for p in parts if p)
    return value


@provides("account", "cn_account", ACCOUNT, cn=1, any=0)
def cn_account(draw: Draw) -> str:
    """A mainland bank's account number: twelve to nineteen digits that are no card number."""
    head = pick(draw.rng, ("1001", "0200", "3301", "4405", "1109", "8110", "7300", "3100"))
    length = number(draw.rng, 12, 19) - len(head)
    value = head + "".join(digits(draw.rng, 1) for _ in range(length))
    # One in ten passes the checksum of cards by chance, and would be a card to any reader.
    return f"{value[:-1]}{(int(value[-1]) + 1) % 10}" if luhn.is_valid(value) else value


@provides("account", "iban", ACCOUNT, uk=1, eu=6, us=0, any=0)
def iban_value(draw: Draw) -> str:
    """IBAN with its check digits (ISO 13616), in groups of four more often than not."""
    shapes: dict[str, str] = table("finance")["iban"]
    country = pick(draw.rng, tuple(shapes))
    bban = "".join(
        "".join(digits(draw.rng, 1) for _ in range(int(n)))
        if kind == "n"
        else letters(draw.rng, "ABCDEFGHJKLMNPRSTW", int(n))
        for n, kind in re.findall(r"(\d+)([na])", shapes[country])
    )
    value = f"{country}{iban.calc_check_digits(f'{country}00{bban}')}{bban}"
    return str(iban.format(value)) if draw.rng.random() < 0.6 else value


@provides("account", "us_account", ACCOUNT, us=1, **{"in": 1, "any": 0})
def us_account(draw: Draw) -> str:
    """Account number of eight to twelve digits."""
    return f"{number(draw.rng, 1, 9)}{digits(draw.rng, number(draw.rng, 7, 11))}"


@provides("account", "uk_account", ACCOUNT, uk=1, any=0)
def uk_account(draw: Draw) -> str:
    """Eight digits."""
    return digits(draw.rng, 8)


@provides("account", "hk_account", ACCOUNT, hk=1, tw=1, any=0)
def hk_account(draw: Draw) -> str:
    """Bank, branch and account number."""
    return (
        f"{pick(draw.rng, ('004', '012', '024', '016', '808'))}-{digits(draw.rng, 3)}-{digits(draw.rng, 6)}"
    )


@provides("wallet", "bitcoin", WALLET, any=2)
def bitcoin(draw: Draw) -> str:
    """A legacy address: version 0 (1...) or 5 (3...) and a hash of twenty bytes."""
    return base58check(pick(draw.rng, (b"\x00", b"\x05")) + draw.rng.randbytes(20))


@provides("wallet", "tron", WALLET, any=1)
def tron(draw: Draw) -> str:
    """A TRON address (T...), usual for USDT transfers: version 0x41."""
    return base58check(b"\x41" + draw.rng.randbytes(20))


@provides("wallet", "ethereum", WALLET, any=2)
def ethereum(draw: Draw) -> str:
    """Forty hex digits, all lower case: EIP-55's mixed-case checksum does not apply to it."""
    return "0x" + draw.rng.randbytes(20).hex()


@provides("wallet", "alipay", WALLET, zh=4, en=0)
def alipay(draw: Draw) -> str:
    """Alipay's user number: 2088 and twelve digits; a phone or e-mail keeps its own type."""
    return "2088" + digits(draw.rng, 12)


@provides("wallet", "payment_handle", WALLET, en=3, zh=0)
def payment_handle(draw: Draw) -> str:
    """PayPal.me, Cash App, Venmo and UPI handles."""
    person, rng = draw.person, draw.rng
    stem = (person.latin_given[:8] + person.latin_family[:1] or "user") + digits(rng, number(rng, 1, 3))
    return pick(rng, ("paypal.me/{}", "${}", "@{}", "{}@okaxis", "{}@ybl")).format(stem)
