"""Telephone numbers that no person can hold, in the form of the original."""

from __future__ import annotations

import re
from dataclasses import replace

from pii.redaction.identity import phone_number
from pii.redaction.surrogates.draw import Draw
from pii.redaction.surrogates.original import Original
from pii.redaction.surrogates.pools import pools

CN_UNASSIGNED = ("154", "163", "164", "168", "179")
"""Mainland mobile segments that no operator has been given (numbering plan of the Ministry of Industry and
Information Technology, as of 2025; `phonenumbers` knows no valid number in them)."""

_TRIES = 200


def phone(original: Original) -> str | None:
    """A number of the same length and country in a range for fiction, else one that the plan does not assign.

    Country code and separators stay; an extension is drawn as well.
    """
    digits = "".join(re.findall("[0-9]", original.written.core))
    number = original.who.partition("x")[0]
    country, old = _parted(number)
    at = digits.find(old)
    if len(old) < 5 or at < 0:
        return None
    new = _fictional(country, old, original.draw) or _unassigned(country, old, original.draw)
    extension = original.draw.digits(len(digits) - at - len(old))
    return original.written.with_digits(digits[:at] + new + extension)


def _parted(number: str) -> tuple[str, str]:
    """Country code (empty where none is known) and what follows it."""
    import phonenumbers

    if not number.startswith("+"):
        return "", number
    try:
        country = str(phonenumbers.parse(number).country_code)
    except phonenumbers.NumberParseException:
        return "", number[1:]
    return country, number[1 + len(country) :]


def _fictional(country: str, old: str, draw: Draw) -> str:
    """A number that is kept for fiction or can belong to nobody; empty where the country has none."""
    if country == "86" and re.fullmatch("1[3-9][0-9]{9}", old):
        return draw.pick(CN_UNASSIGNED) + draw.digits(8)
    if country == "1" and len(old) == 10:
        # 555-0100 to 555-0199 in every area: https://en.wikipedia.org/wiki/555_(telephone_number)
        return f"{draw.pick(pools().area_codes_us)}55501{draw.digits(2)}"
    british = re.fullmatch("(0?)7[0-9]{9}", old)
    if british and (country == "44" or (not country and british[1])):
        # 07700 900000 to 900999: Ofcom, Telephone numbers for use in TV and radio drama programmes.
        return f"{british[1]}7700900{draw.digits(3)}"
    return ""


def _unassigned(country: str, old: str, draw: Draw) -> str:
    """Other digits, until the numbering plan (China's, where none is written) has no such number."""
    import phonenumbers

    kept = int(not country and old.startswith("0"))
    for _ in range(_TRIES):
        new = old[:kept] + draw.alike(old[kept:])
        try:
            parsed = phonenumbers.parse(f"+{country}{new}" if country else new, "CN")
        except phonenumbers.NumberParseException:
            break
        if not phonenumbers.is_valid_number(parsed):
            break
    return new


def phone_like(original: Original) -> str | None:
    """As `phone`, for a value of another type that is a telephone number (an account, a WeChat id)."""
    return phone(replace(original, who=phone_number(original.value)))
