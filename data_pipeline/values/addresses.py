"""Postal addresses down to the street or door, and what is only a place.

Province, city and county always belong together (`divisions`); streets, estates and villages are combined
from ``reference/places.yaml``.
"""

from __future__ import annotations

from data_pipeline.values.chance import digits, letters, number, pick
from data_pipeline.values.divisions import random_division
from data_pipeline.values.reference import table
from data_pipeline.values.registry import Draw, provides


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
    rng, places = draw.rng, table("places")
    road = pick(rng, places["roads_zh"]) + pick(rng, places["road_kinds_zh"])
    shape = rng.random()
    if shape < 0.55:
        where = f"{road}{number(rng, 1, 999)}号"
        if rng.random() < 0.6:
            where += pick(rng, places["estates_zh"]) + _door_zh(draw)
        return where
    if shape < 0.72:
        floor = number(rng, 2, 30)
        return (
            f"{road}{number(rng, 1, 999)}号{pick(rng, places['towers_zh'])}{floor}层{floor}{digits(rng, 2)}室"
        )
    if shape < 0.9:
        return pick(rng, places["estates_zh"]) + (_door_zh(draw) or f"{number(rng, 1, 30)}号")
    return f"{pick(rng, places['towns_zh'])}{pick(rng, places['villages_zh'])}村{number(rng, 1, 12)}组{number(rng, 1, 200)}号"


_DISTRICTS_EN = (
    "Chaoyang District, Beijing", "Haidian District, Beijing", "Pudong New Area, Shanghai", "Xuhui District, Shanghai",
    "Tianhe District, Guangzhou", "Nanshan District, Shenzhen", "Xihu District, Hangzhou", "Gulou District, Nanjing",
    "Wuhou District, Chengdu", "Jianghan District, Wuhan", "Siming District, Xiamen", "Shinan District, Qingdao",
)  # fmt: skip
_ROADS_EN = (
    "Renmin",
    "Zhongshan",
    "Jiefang",
    "Jianshe",
    "Xinhua",
    "Wenhua",
    "Changjiang",
    "Chang'an",
    "Century",
    "Tianhe",
)


def _cn_address_in_english(draw: Draw) -> str:
    rng = draw.rng
    room = pick(
        rng,
        (
            "",
            f"Room {number(rng, 1, 30)}0{number(rng, 1, 8)}, ",
            f"Unit {number(rng, 1, 9)}, Building {number(rng, 1, 30)}, ",
        ),
    )
    road = f"{pick(rng, _ROADS_EN)} {pick(rng, ('Road', 'East Road', 'West Road', 'Street', 'Avenue'))}"
    postcode = f" {number(rng, 1, 6)}{digits(rng, 5)}" if rng.random() < 0.4 else ""
    return (
        f"{room}{pick(rng, ('No. ', ''))}{number(rng, 1, 999)} {road}, {pick(rng, _DISTRICTS_EN)}{postcode}"
    )


@provides("address", "cn_address", "ADDRESS", cn=1, any=0)
def cn_address(draw: Draw) -> str:
    """A mainland address: from the province on, or the city, the county, the street alone."""
    rng = draw.rng
    if draw.language == "en":
        return _cn_address_in_english(draw)
    division = draw.person.division if rng.random() < 0.6 else random_division(rng)
    street = _street_zh(draw)
    shape = rng.random()
    if shape < 0.45:
        whole = division.full_name + street
    elif shape < 0.65:
        whole = (division.city or division.province) + division.county + street
    elif shape < 0.75:
        whole = " ".join(p for p in (division.province, division.city, division.county, street) if p)
    elif shape < 0.87:
        whole = division.county + street
    else:
        whole = street
    if rng.random() < 0.06:
        whole += pick(rng, table("places")["lockers_zh"])
    return whole


@provides("address", "hk_address", "ADDRESS", hk=1, any=0)
def hk_address(draw: Draw) -> str:
    """Hong Kong, in either script."""
    rng, places = draw.rng, table("places")
    if draw.language == "en":
        flat = f"Flat {pick(rng, 'ABCDEFGH')}, {number(rng, 1, 45)}/F, Block {number(rng, 1, 9)}"
        return f"{flat}, {number(rng, 1, 699)} {pick(rng, ('Nathan Road', 'Hennessy Road', 'Queen’s Road East', 'Castle Peak Road'))}, {pick(rng, ('Kowloon', 'Wan Chai', 'Sha Tin', 'Tsuen Wan'))}"
    floor = f"{number(rng, 1, 45)}樓{pick(rng, 'ABCDEFGH')}室"
    return f"{pick(rng, ('', '香港', '九龍', '新界'))}{pick(rng, places['hk_districts'])}{pick(rng, places['hk_roads'])}{number(rng, 1, 699)}號{floor}"


@provides("address", "tw_address", "ADDRESS", tw=1, any=0)
def tw_address(draw: Draw) -> str:
    """Taiwan, in either script."""
    if draw.language == "en":
        section = f"No. {number(draw.rng, 1, 400)}, Sec. {number(draw.rng, 1, 5)}"
        return f"{number(draw.rng, 2, 18)}F, {section}, {pick(draw.rng, ('Zhongxiao E. Rd.', 'Minsheng E. Rd.', 'Zhongshan N. Rd.'))}, {pick(draw.rng, ('Da’an', 'Xinyi', 'Songshan'))} District, Taipei"
    rng, places = draw.rng, table("places")
    return f"{pick(rng, places['tw_districts'])}{pick(rng, places['tw_roads'])}{number(rng, 1, 400)}號{number(rng, 2, 18)}樓"


def _street_en(draw: Draw) -> str:
    rng, places = draw.rng, table("places")
    return f"{number(rng, 1, 9999)} {pick(rng, places['streets_en'])} {pick(rng, places['street_kinds_en'])}"


@provides("address", "us_address", "ADDRESS", us=1, any=0)
def us_address(draw: Draw) -> str:
    """United States: street, unit, city, state and ZIP whose first three digits fit the city."""
    rng, places = draw.rng, table("places")
    street = _street_en(draw)
    if rng.random() < 0.35:
        unit = pick(rng, ("Apt {}", "Apt. {}", "Unit {}", "Suite {}", "#{}")).format(
            pick(rng, (str(number(rng, 1, 999)), f"{number(rng, 1, 30)}{pick(rng, 'ABCD')}"))
        )
        street += pick(rng, (", ", " ")) + unit
    if rng.random() < 0.15:
        return street
    city = pick(rng, tuple(places["us_cities"]))
    state, zip_head = places["us_cities"][city]
    zip_code = f" {zip_head}{digits(rng, 2)}" + (f"-{digits(rng, 4)}" if rng.random() < 0.08 else "")
    return f"{street}, {city}, {state}" + (zip_code if rng.random() < 0.85 else "")


@provides("address", "uk_address", "ADDRESS", uk=1, any=0)
def uk_address(draw: Draw) -> str:
    """United Kingdom: postcode area fits the city."""
    rng, places = draw.rng, table("places")
    city = pick(rng, tuple(places["uk_cities"]))
    postcode = f"{places['uk_cities'][city]}{number(rng, 1, 20)} {number(rng, 1, 9)}{letters(rng, 'ABDEFGHJLNPQRSTUWXYZ', 2)}"
    flat = f"Flat {number(rng, 1, 60)}, " if rng.random() < 0.25 else ""
    return f"{flat}{number(rng, 1, 250)} {pick(rng, places['streets_en'])} {pick(rng, places['street_kinds_en'])}, {city} {postcode}"


_EUROPE = (
    (
        "{s} {n}, {z} {c}",
        ("Hauptstraße", "Bahnhofstraße", "Goethestraße", "Lindenweg"),
        ("Berlin", "Köln", "München"),
        5,
    ),
    (
        "{n} {s}, {z} {c}",
        ("rue Victor Hugo", "avenue de la République", "rue du Moulin"),
        ("Paris", "Lyon", "Lille"),
        5,
    ),
    (
        "{s} {n}, {z} {c}",
        ("Calle Mayor", "Avenida de la Constitución", "Calle del Sol"),
        ("Madrid", "Sevilla"),
        5,
    ),
    ("{s} {n}, {z} {c}", ("Via Garibaldi", "Corso Italia", "Via Roma"), ("Milano", "Torino", "Roma"), 5),
)


@provides("address", "eu_address", "ADDRESS", eu=1, any=0)
def eu_address(draw: Draw) -> str:
    """Germany, France, Spain, Italy."""
    rng = draw.rng
    shape, streets, cities, zip_digits = pick(rng, _EUROPE)
    return shape.format(
        s=pick(rng, streets),
        n=number(rng, 1, 220),
        z=f"{number(rng, 1, 9)}{digits(rng, zip_digits - 1)}",
        c=pick(rng, cities),
    )


@provides("address", "in_address", "ADDRESS", **{"in": 1, "any": 0})
def in_address(draw: Draw) -> str:
    """India."""
    rng = draw.rng
    area = pick(rng, ("MG Road", "Park Street", "Linking Road", "Anna Salai", "Brigade Road", "Sector 21"))
    city = pick(rng, ("Bengaluru 5600", "Mumbai 4000", "Chennai 6000", "Kolkata 7000", "Pune 4110"))
    return f"{pick(rng, ('House No. ', 'Flat ', '#'))}{number(rng, 1, 400)}, {area}, {city}{digits(rng, 2)}"


@provides("loc", "place_zh", "LOCATION", zh=1, en=0)
def place_zh(draw: Draw) -> str:
    """A city, county or sight, never an address."""
    rng, places = draw.rng, table("places")
    shape = rng.random()
    if shape < 0.55:
        return str(pick(rng, places["cities_zh"])) + ("市" if rng.random() < 0.1 else "")
    if shape < 0.8:
        return str(pick(rng, places["sights_zh"]))
    return random_division(rng).county


@provides("loc", "place_en", "LOCATION", en=1, zh=0)
def place_en(draw: Draw) -> str:
    """A city or sight."""
    rng, places = draw.rng, table("places")
    pool = pick(
        rng,
        (
            tuple(places["us_cities"]),
            tuple(places["uk_cities"]),
            places["other_cities_en"],
            places["sights_en"],
        ),
    )
    return str(pick(rng, pool))


@provides("org", "organization_zh", "ORGANIZATION", zh=1, en=0)
def organization_zh(draw: Draw) -> str:
    """A company, hospital, school, bureau or bank branch."""
    rng, places = draw.rng, table("places")
    shape = rng.random()
    if shape < 0.5:
        name = "".join(pick(rng, places["company_words_zh"]) for _ in range(number(rng, 2, 3)))
        city = pick(rng, places["cities_zh"]) if rng.random() < 0.6 else ""
        return f"{city}{name}{pick(rng, places['company_kinds_zh'])}"
    if shape < 0.6:
        name = "".join(pick(rng, places["company_words_zh"]) for _ in range(2))
        return f"{name}{pick(rng, ('科技', '物流', '集团', '证券', '保险', '地产'))}"
    city = pick(rng, places["cities_zh"])
    if shape < 0.9:
        return f"{city}{'市' if rng.random() < 0.3 else ''}{pick(rng, places[pick(rng, ('hospitals_zh', 'schools_zh', 'bureaus_zh'))])}"
    return f"{pick(rng, table('finance')['banks_zh'])}{city}分行"


@provides("org", "organization_en", "ORGANIZATION", en=1, zh=0)
def organization_en(draw: Draw) -> str:
    """A company, hospital or school."""
    rng, places = draw.rng, table("places")
    words = places["company_words_en"] if rng.random() < 0.8 else tuple(places["us_cities"])
    return f"{pick(rng, words)} {pick(rng, places['company_kinds_en'])}"
