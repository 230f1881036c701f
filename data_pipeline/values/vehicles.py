"""Vehicle plates and vehicle identification numbers. Letters and makers: ``reference/vehicles.yaml``."""

from __future__ import annotations

import functools

from data_pipeline.values.chance import digits, letters, number, pick
from data_pipeline.values.reference import table, words
from data_pipeline.values.registry import Draw, provides
from pii.identifiers.vehicles import vin_check

PLATE, VIN = "VEHICLE_PLATE_NUMBER", "VEHICLE_ID_NUMBER"
# GA 36: letters I and O are never used.
_PLATE_CHARS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_SHARE_NEW_ENERGY = 0.28


@functools.cache
def _heads() -> tuple[str, ...]:
    letters_of: dict[str, str] = table("vehicles")["plate_letters"]
    return tuple(province + letter for province, city in letters_of.items() for letter in city)


def _serial(draw: Draw) -> str:
    """Five characters, at most two of them letters."""
    rng = draw.rng
    serial = list(digits(rng, 5))
    for _ in range(number(rng, 0, 2)):
        serial[number(rng, 0, 4)] = pick(rng, _PLATE_CHARS)
    return "".join(serial)


@provides("plate", "cn_plate", PLATE, cn=1, any=0)
def cn_plate(draw: Draw) -> str:
    """Seven characters, or eight for new-energy vehicles (GA 36-2018); some with a dot or space."""
    rng = draw.rng
    head = pick(rng, _heads())
    if rng.random() < _SHARE_NEW_ENERGY:
        # Small: D (electric) or F (hybrid) first, one further letter at most; large: D or F last.
        body = (
            pick(rng, "DDDFAC")
            + (pick(rng, _PLATE_CHARS) if rng.random() < 0.3 else digits(rng, 1))
            + digits(rng, 4)
        )
        if rng.random() < 0.12:
            body = digits(rng, 5) + pick(rng, "DF")
    else:
        body = _serial(draw)
    return head + pick(rng, ("", "", "", "", "", "·", " ")) + body


@provides("plate", "hk_plate", PLATE, hk=1, any=0)
def hk_plate(draw: Draw) -> str:
    """Hong Kong: two letters and up to four digits."""
    return f"{letters(draw.rng, _PLATE_CHARS, 2)}{pick(draw.rng, (' ', ''))}{number(draw.rng, 100, 9999)}"


@provides("plate", "tw_plate", PLATE, tw=1, any=0)
def tw_plate(draw: Draw) -> str:
    """Taiwan: three letters, four digits."""
    return f"{letters(draw.rng, _PLATE_CHARS, 3)}-{digits(draw.rng, 4)}"


@provides("plate", "us_plate", PLATE, us=1, any=0)
def us_plate(draw: Draw) -> str:
    """American patterns: 7ABC123 (California), ABC-1234, ABC 1234."""
    rng = draw.rng
    shape = pick(rng, ("{d1}{l3}{d3}", "{l3}-{d4}", "{l3} {d4}", "{l3}{d4}"))
    return shape.format(
        d1=number(rng, 1, 9), l3=letters(rng, _PLATE_CHARS, 3), d3=digits(rng, 3), d4=digits(rng, 4)
    )


@provides("plate", "uk_plate", PLATE, uk=1, eu=0.2, any=0)
def uk_plate(draw: Draw) -> str:
    """Britain since 2001: area, age, three letters."""
    rng = draw.rng
    age = pick(rng, ("12", "15", "17", "19", "21", "23", "62", "66", "68", "70", "72"))
    return (
        f"{letters(rng, 'ABCDEFGHKLMNOPRSVWY', 2)}{age}{pick(rng, (' ', ''))}{letters(rng, _PLATE_CHARS, 3)}"
    )


@provides("plate", "de_plate", PLATE, eu=1, any=0)
def de_plate(draw: Draw) -> str:
    """Germany: city, letters, digits."""
    rng = draw.rng
    city = pick(rng, ("B", "M", "HH", "K", "F", "S"))
    return f"{city}-{letters(rng, _PLATE_CHARS, 2)} {number(rng, 10, 9999)}"


@provides("plate", "in_plate", PLATE, **{"in": 1, "any": 0})
def in_plate(draw: Draw) -> str:
    """India: state, district, series, number."""
    rng = draw.rng
    district = f"{pick(rng, ('KA', 'MH', 'DL', 'TN'))} {number(rng, 1, 50):02d}"
    return f"{district} {letters(rng, _PLATE_CHARS, 2)} {digits(rng, 4)}"


_VIN_CHARS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"


@provides("vin", "vin", VIN)
def vin(draw: Draw) -> str:
    """Seventeen characters: maker, description, check character, model year, plant, serial number."""
    rng = draw.rng
    draft = pick(rng, words("vehicles", "wmi")) + letters(rng, _VIN_CHARS, 5) + "0"
    draft += pick(rng, "ABCDEFGHJKLMNPRSTVWXY123456789") + pick(rng, _VIN_CHARS) + digits(rng, 6)
    return draft[:8] + vin_check(draft) + draft[9:]
