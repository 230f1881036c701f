"""Postal addresses down to the street or door.

Province, city and county always belong together (`divisions`); streets, estates and villages are combined
from ``reference/places.yaml``.
"""

from __future__ import annotations

from data_pipeline.values.chance import digits, letters, number, pick
from data_pipeline.values.reference import table, words
from data_pipeline.values.registry import Draw, provides
from pii.identifiers.divisions import divisions

TYPE = "ADDRESS"


def _one(draw: Draw, name: str) -> str:
    """One word of a list of places."""
    return pick(draw.rng, words("places", name))


def _door_zh(draw: Draw) -> str:
    rng = draw.rng
    floor, room = number(rng, 1, 30), number(rng, 1, 4)
    shape = rng.random()
    if shape < 0.3:
        return f"{number(rng, 1, 38)}号楼{number(rng, 1, 5)}单元{floor}0{room}室"
    if shape < 0.5:
        return f"{number(rng, 1, 38)}栋{floor}0{room}"
    if shape < 0.65:
        return f"{number(rng, 1, 18)}幢{number(rng, 1, 3)}单元{floor}0{room}"
    if shape < 0.8:
        return f"{pick(rng, 'ABCDEF')}座{floor}0{room}室"
    if shape < 0.9:
        return f"{number(rng, 1, 20)}-{number(rng, 1, 4)}-{floor}0{room}"
    return ""


def _street_zh(draw: Draw) -> str:
    rng = draw.rng
    where = f"{_one(draw, 'roads_zh')}{_one(draw, 'road_kinds_zh')}{number(rng, 1, 999)}号"
    shape = rng.random()
    if shape < 0.55:
        return where + (_one(draw, "estates_zh") + _door_zh(draw) if rng.random() < 0.6 else "")
    if shape < 0.72:
        floor = number(rng, 2, 30)
        return f"{where}{_one(draw, 'towers_zh')}{floor}层{floor}{digits(rng, 2)}室"
    if shape < 0.9:
        return _one(draw, "estates_zh") + (_door_zh(draw) or f"{number(rng, 1, 30)}号")
    village = f"{_one(draw, 'towns_zh')}{_one(draw, 'villages_zh')}村"
    return f"{village}{number(rng, 1, 12)}组{number(rng, 1, 200)}号"


@provides("address", "cn_address", TYPE, cn=1, any=0)
def cn_address(draw: Draw) -> str:
    """A mainland address: from the province on, or the city, the county, the street alone."""
    rng = draw.rng
    if draw.language == "en":
        return _cn_address_in_english(draw)
    division = draw.person.division if rng.random() < 0.6 else pick(rng, divisions())
    street = _street_zh(draw)
    shape = rng.random()
    if shape < 0.45:
        whole = division.full_name + street
    elif shape < 0.65:
        whole = (division.city or division.province) + division.county + street
    elif shape < 0.75:
        parts = (division.province, division.city, division.county, street)
        whole = " ".join(part for part in parts if part)
    elif shape < 0.87:
        whole = division.county + street
    else:
        whole = street
    return whole + (_one(draw, "lockers_zh") if rng.random() < 0.06 else "")


def _cn_address_in_english(draw: Draw) -> str:
    rng = draw.rng
    room = f"Room {number(rng, 1, 30)}0{number(rng, 1, 8)}, "
    unit = f"Unit {number(rng, 1, 9)}, Building {number(rng, 1, 30)}, "
    road = f"{_one(draw, 'roads_pinyin')} {pick(rng, ('Road', 'East Road', 'West Road', 'Street', 'Avenue'))}"
    postcode = f" {number(rng, 1, 6)}{digits(rng, 5)}" if rng.random() < 0.4 else ""
    street = f"{pick(rng, ('No. ', ''))}{number(rng, 1, 999)} {road}"
    return f"{pick(rng, ('', room, unit))}{street}, {_one(draw, 'districts_pinyin')}{postcode}"


@provides("address", "hk_address", TYPE, hk=1, any=0)
def hk_address(draw: Draw) -> str:
    """Hong Kong, in either script."""
    rng = draw.rng
    floor, flat, house = number(rng, 1, 45), pick(rng, "ABCDEFGH"), number(rng, 1, 699)
    if draw.language == "en":
        block = f"Flat {flat}, {floor}/F, Block {number(rng, 1, 9)}"
        return f"{block}, {house} {_one(draw, 'hk_roads_en')}, {_one(draw, 'hk_districts_en')}"
    area = pick(rng, ("", "香港", "九龍", "新界")) + _one(draw, "hk_districts")
    return f"{area}{_one(draw, 'hk_roads')}{house}號{floor}樓{flat}室"


@provides("address", "tw_address", TYPE, tw=1, any=0)
def tw_address(draw: Draw) -> str:
    """Taiwan, in either script."""
    rng = draw.rng
    house, floor = number(rng, 1, 400), number(rng, 2, 18)
    if draw.language == "en":
        road = f"Sec. {number(rng, 1, 5)}, {_one(draw, 'tw_roads_en')}"
        return f"{floor}F, No. {house}, {road}, {_one(draw, 'tw_districts_en')}"
    return f"{_one(draw, 'tw_districts')}{_one(draw, 'tw_roads')}{house}號{floor}樓"


def _street_en(draw: Draw) -> str:
    return f"{_one(draw, 'streets_en')} {_one(draw, 'street_kinds_en')}"


@provides("address", "us_address", TYPE, us=1, any=0)
def us_address(draw: Draw) -> str:
    """United States: street, unit, city, state and ZIP whose first three digits fit the city."""
    rng = draw.rng
    street = f"{number(rng, 1, 9999)} {_street_en(draw)}"
    if rng.random() < 0.35:
        room = pick(rng, (str(number(rng, 1, 999)), f"{number(rng, 1, 30)}{pick(rng, 'ABCD')}"))
        unit = pick(rng, ("Apt {}", "Apt. {}", "Unit {}", "Suite {}", "#{}")).format(room)
        street += pick(rng, (", ", " ")) + unit
    if rng.random() < 0.15:
        return street
    city = _one(draw, "us_cities")
    state, zip_head = table("places")["us_cities"][city]
    zip_code = f" {zip_head}{digits(rng, 2)}" + (f"-{digits(rng, 4)}" if rng.random() < 0.08 else "")
    return f"{street}, {city}, {state}" + (zip_code if rng.random() < 0.85 else "")


@provides("address", "uk_address", TYPE, uk=1, any=0)
def uk_address(draw: Draw) -> str:
    """United Kingdom: postcode area fits the city."""
    rng = draw.rng
    city = _one(draw, "uk_cities")
    inward = f"{number(rng, 1, 9)}{letters(rng, 'ABDEFGHJLNPQRSTUWXYZ', 2)}"
    postcode = f"{table('places')['uk_cities'][city]}{number(rng, 1, 20)} {inward}"
    flat = f"Flat {number(rng, 1, 60)}, " if rng.random() < 0.25 else ""
    return f"{flat}{number(rng, 1, 250)} {_street_en(draw)}, {city} {postcode}"


@provides("address", "eu_address", TYPE, eu=1, any=0)
def eu_address(draw: Draw) -> str:
    """Germany, France, Spain, Italy: order of street and number as the country writes it."""
    rng = draw.rng
    shape, streets, cities = pick(rng, table("places")["europe"])
    postcode = f"{number(rng, 1, 9)}{digits(rng, 4)}"
    where = {"street": pick(rng, streets), "house": number(rng, 1, 220), "city": pick(rng, cities)}
    return str(shape).format(postcode=postcode, **where)


@provides("address", "in_address", TYPE, **{"in": 1, "any": 0})
def in_address(draw: Draw) -> str:
    """India."""
    rng = draw.rng
    house = f"{pick(rng, ('House No. ', 'Flat ', '#'))}{number(rng, 1, 400)}"
    return f"{house}, {_one(draw, 'in_areas')}, {_one(draw, 'in_cities')}{digits(rng, 2)}"
