"""Names of places and organisations: the optional types LOCATION and ORGANIZATION."""

from __future__ import annotations

from data_pipeline.values.chance import number, pick
from data_pipeline.values.reference import words
from data_pipeline.values.registry import Draw, provides
from pii.identifiers.divisions import divisions


def _one(draw: Draw, name: str) -> str:
    return pick(draw.rng, words("places", name))


@provides("loc", "place_zh", "LOCATION", zh=1, en=0)
def place_zh(draw: Draw) -> str:
    """A city, county or sight, never an address."""
    shape = draw.rng.random()
    if shape < 0.55:
        return _one(draw, "cities_zh")
    return _one(draw, "sights_zh") if shape < 0.8 else pick(draw.rng, divisions()).county


@provides("loc", "place_en", "LOCATION", en=1, zh=0)
def place_en(draw: Draw) -> str:
    """A city or sight."""
    return _one(draw, pick(draw.rng, ("us_cities", "uk_cities", "other_cities_en", "sights_en")))


@provides("org", "organization_zh", "ORGANIZATION", zh=1, en=0)
def organization_zh(draw: Draw) -> str:
    """A company, hospital, school, office or bank branch."""
    rng = draw.rng
    shape, city = rng.random(), _one(draw, "cities_zh")
    if shape < 0.5:
        name = "".join(_one(draw, "company_words_zh") for _ in range(number(rng, 2, 3)))
        return f"{city if rng.random() < 0.6 else ''}{name}{_one(draw, 'company_kinds_zh')}"
    if shape < 0.6:
        name = _one(draw, "company_words_zh") + _one(draw, "company_words_zh")
        return name + pick(rng, ("科技", "物流", "集团", "证券", "保险", "地产"))
    if shape < 0.9:
        kind = _one(draw, pick(rng, ("hospitals_zh", "schools_zh", "bureaus_zh")))
        return f"{city}{'市' if rng.random() < 0.3 else ''}{kind}"
    return f"{pick(rng, words('finance', 'banks_zh'))}{city}分行"


@provides("org", "organization_en", "ORGANIZATION", en=1, zh=0)
def organization_en(draw: Draw) -> str:
    """A company, hospital or school."""
    head = "company_words_en" if draw.rng.random() < 0.8 else "us_cities"
    return f"{_one(draw, head)} {_one(draw, 'company_kinds_en')}"
