"""Telephone numbers: mainland mobiles and landlines, Hong Kong, Macau, Taiwan, and other countries.

Mainland segments and area codes come from ``reference/phones.yaml``. Every number is valid for the
`phonenumbers` library, except those that the option `reserved` asks for.
"""

from __future__ import annotations

import functools

from data_pipeline.values.chance import Weighted, digits, number, pick
from data_pipeline.values.reference import table, words
from data_pipeline.values.registry import Draw, provides

PHONE = "PHONE_NUMBER"


@functools.cache
def mobile_segments() -> tuple[str, ...]:
    """Three-digit segments in use, each operator's."""
    return tuple(s for segments in table("phones")["mobile_segments"].values() for s in segments)


@functools.cache
def _area_codes() -> tuple[tuple[str, int], ...]:
    return tuple(table("phones")["area_codes"].items())


@provides("phone", "cn_mobile", PHONE, cn=20, hk=1, any=0)
def cn_mobile(draw: Draw) -> str:
    """Eleven digits: segment and subscriber."""
    segments = words("phones", "unassigned_segments") if draw.reserved else mobile_segments()
    return pick(draw.rng, segments) + digits(draw.rng, 8)


@provides("phone", "cn_landline", PHONE, cn=2, any=0)
def cn_landline(draw: Draw) -> str:
    """Area code, subscriber number, sometimes an extension."""
    area, count = pick(draw.rng, _area_codes())
    subscriber = f"{number(draw.rng, 2, 8)}{digits(draw.rng, count - 1)}"
    separator = pick(draw.rng, ("-", "-", "-", "", " "))
    extension = (
        f"{pick(draw.rng, ('-', '转'))}{number(draw.rng, 100, 8999)}" if draw.rng.random() < 0.1 else ""
    )
    return f"{area}{separator}{subscriber}{extension}"


@provides("phone", "hk_phone", PHONE, hk=6, any=0)
def hk_phone(draw: Draw) -> str:
    """Hong Kong: eight digits, mobiles begin with 5, 6 or 9."""
    head = pick(
        draw.rng,
        (
            "51",
            "53",
            "54",
            "56",
            "60",
            "61",
            "62",
            "64",
            "66",
            "67",
            "90",
            "91",
            "92",
            "93",
            "94",
            "96",
            "97",
            "98",
        ),
    )
    local = head + digits(draw.rng, 2) + pick(draw.rng, ("", " ")) + digits(draw.rng, 4)
    return pick(draw.rng, ("", "", "+852 ", "+852", "852-", "(852) ")) + local


@provides("phone", "tw_phone", PHONE, tw=6, any=0)
def tw_phone(draw: Draw) -> str:
    """Taiwan mobiles: 09 and eight digits."""
    head = pick(
        draw.rng, ("0910", "0912", "0918", "0921", "0928", "0932", "0937", "0953", "0960", "0975", "0988")
    )
    separator = pick(draw.rng, ("", "", "-"))
    return f"{head}{separator}{digits(draw.rng, 3)}{separator}{digits(draw.rng, 3)}"


_US_AREAS: tuple[str, ...] = (
    "201",
    "202",
    "206",
    "212",
    "213",
    "214",
    "303",
    "305",
    "312",
    "313",
    "404",
    "408",
    "415",
    "503",
)
_US_AREAS += (
    "512",
    "602",
    "612",
    "617",
    "619",
    "646",
    "702",
    "713",
    "718",
    "773",
    "801",
    "813",
    "858",
    "917",
)


@provides("phone", "us_phone", PHONE, us=20, eu=1, any=0)
def us_phone(draw: Draw) -> str:
    """North American Numbering Plan; reserved: 555-0100 to 555-0199, kept for fiction."""
    area = pick(draw.rng, _US_AREAS)
    exchange, line = f"{number(draw.rng, 2, 9)}{number(draw.rng, 20, 99)}", digits(draw.rng, 4)
    if draw.reserved:
        exchange, line = "555", f"01{digits(draw.rng, 2)}"
    shape = pick(draw.rng, _US_SHAPES)
    return shape.format(a=area, b=exchange, c=line)


_US_SHAPES = (
    "({a}) {b}-{c}",
    "{a}-{b}-{c}",
    "{a}.{b}.{c}",
    "+1 {a} {b} {c}",
    "+1-{a}-{b}-{c}",
    "{a}{b}{c}",
    "1-{a}-{b}-{c}",
    "+1 ({a}) {b}-{c}",
    "{a} {b} {c}",
    "({a}){b}-{c}",
)


@provides("phone", "uk_phone", PHONE, uk=20, any=0)
def uk_phone(draw: Draw) -> str:
    """British mobiles; reserved: Ofcom's 07700 900000 to 900999, kept for drama."""
    if draw.reserved:
        head, tail = "7700", f"900{digits(draw.rng, 3)}"
    else:
        head = pick(draw.rng, ("7400", "7512", "7730", "7801", "7912", "7951", "7876", "7460"))
        tail = digits(draw.rng, 6)
    return pick(draw.rng, ("0{h} {t}", "0{h}{t}", "+44 {h} {t}", "+44{h}{t}", "+44 (0){h} {t}")).format(
        h=head, t=tail
    )


_COUNTRIES: Weighted[tuple[str, str, str]] = Weighted(
    {
        ("49", "15", "1 2345678"): 3,
        ("33", "6", "12 34 56 78"): 3,
        ("34", "6", "12 345 678"): 3,
        ("31", "6", "12345678"): 2,
        ("48", "5", "12 345 678"): 2,
        ("61", "4", "12 345 678"): 2,
        ("65", "9", "123 4567"): 2,
    }
)
"""Country code, first digits of a mobile, and the grouping of what follows."""


@provides("phone", "international_phone", PHONE, eu=20, uk=1, any=0)
def international_phone(draw: Draw) -> str:
    """A mobile of another country in international spelling."""
    code, head, shape = _COUNTRIES.draw(draw.rng)
    tail = "".join(digits(draw.rng, 1) if c.isdigit() else c for c in shape)
    return f"{pick(draw.rng, ('+', '+', '00'))}{code} {head}{tail}"


@provides("phone", "in_phone", PHONE, **{"in": 20, "any": 0})
def in_phone(draw: Draw) -> str:
    """Indian mobiles: ten digits from 6 to 9."""
    local = f"{pick(draw.rng, ('98', '97', '99', '88', '81', '70', '63'))}{digits(draw.rng, 8)}"
    return pick(draw.rng, ("+91 {a} {b}", "+91-{a}{b}", "{a}{b}", "0{a}{b}", "+91{a}{b}")).format(
        a=local[:5], b=local[5:]
    )
