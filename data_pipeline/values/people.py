"""People: name, sex, birth, home. Their other values are drawn to fit these.

A person comes from one of the regions below; the region decides which ids, phones and plates they hold.
Length of mainland names follows the distribution seen in news text (three characters in five of six), not
Faker's, which makes two thirds of two characters.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass
from random import Random
from typing import Literal

from data_pipeline.values.chance import Weighted, number, pick
from data_pipeline.values.reference import rows, table
from pii.identifiers.divisions import Division, divisions

Region = Literal["cn", "hk", "tw", "us", "uk", "in", "eu"]
Naming = Literal["han", "ethnic", "transliterated", "hong_kong", "taiwan", "pinyin", "western"]


@dataclass(frozen=True, slots=True)
class Person:
    """One person of a document.

    Attributes:
        name: as the text writes it.
        family: the part that stands with a title (李老师, Mr. Smith); empty for names without surname.
        given: the other part.
        latin_family: lower-case ASCII, for e-mail addresses and user names.
        latin_given: lower-case ASCII.
        naming: how the name is made.
        region: which country's documents the person holds.
        female: sex, for ids and names.
        born: year, month, day.
        division: home county on the Chinese mainland, which the id number names too.
    """

    name: str
    family: str
    given: str
    latin_family: str
    latin_given: str
    naming: Naming
    region: Region
    female: bool
    born: tuple[int, int, int]
    division: Division


def ascii_fold(text: str) -> str:
    """Lower-case ASCII letters of a Latin name: accents and everything else fall away."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain.lower() if "a" <= c <= "z")


@functools.cache
def _surnames() -> tuple[Weighted[tuple[str, str]], tuple[tuple[str, str], ...]]:
    """Weighted (surname, pinyin) of one character, and the compound surnames."""
    from faker.providers.person.zh_CN import Provider

    known: dict[str, float] = dict(Provider.last_names)
    single: dict[tuple[str, str], float] = {}
    compound = []
    for pinyin, characters in rows("surnames"):
        if len(characters) == 2 and len(pinyin) > 5:
            compound.append((characters, pinyin))
            continue
        for character in characters:
            single[character, pinyin] = max(known.get(character, 0.0), 0.06)
    return Weighted(single), tuple(compound)


@functools.cache
def _given_characters(female: bool) -> tuple[tuple[str, str], ...]:
    """(character, pinyin) that a man's or a woman's given name may hold."""
    wrong = "m" if female else "f"
    return tuple((c, pinyin) for pinyin, sex, chars in rows("given_names") if sex != wrong for c in chars)


_SHARE_COMPOUND, _SHARE_ONE_GIVEN = 0.02, 0.23
"""Of Han names. Of 10,923 mentions in the training split of MSRA NER 23 % have one given character."""


def _han(rng: Random, female: bool) -> tuple[str, str, str, str]:
    single, compound = _surnames()
    is_compound = rng.random() < _SHARE_COMPOUND
    family, pinyin = pick(rng, compound) if is_compound else single.draw(rng)
    pool = _given_characters(female)
    first, first_pinyin = pick(rng, pool)
    if rng.random() < (0.5 if is_compound else _SHARE_ONE_GIVEN):
        return family, first, pinyin, first_pinyin
    second, second_pinyin = (first, first_pinyin) if rng.random() < 0.03 else pick(rng, pool)
    return family, first + second, pinyin, first_pinyin + second_pinyin


def _ethnic(rng: Random, female: bool) -> tuple[str, str]:
    """A name of one of the peoples whose names are not Han, and its Latin stand-in (for addresses)."""
    names = table("names")
    sex = "female" if female else "male"
    people = pick(rng, ("uyghur", "uyghur", "uyghur", "tibetan", "mongol", "yi"))
    given = pick(rng, names[people][sex])
    if people == "uyghur":
        name = f"{given}·{pick(rng, names[people]['male'])}"
    elif people == "tibetan":
        name = given + pick(rng, names[people][sex])
    elif people == "yi":
        name = f"{pick(rng, names[people]['clan'])}{pick(rng, '·•') if rng.random() < 0.5 else ''}{given}"
    else:
        name = given
    return name, pick(rng, ("aygul", "dorji", "tenzin", "alim", "bator", "saran", "mehmet", "dolma"))


def _hong_kong(rng: Random, female: bool) -> tuple[str, str, str, str, str]:
    """Name as written, family, given, and both in Latin letters."""
    names = table("names")["hong_kong"]
    family = pick(rng, tuple(names["surnames"]))
    characters = [pick(rng, tuple(names["given"])) for _ in range(2)]
    roman_family = names["surnames"][family]
    roman = [names["given"][c] for c in characters]
    style = rng.random()
    if style < 0.55:
        name = family + "".join(characters)
        return name, family, "".join(characters), roman_family, "".join(roman)
    if style < 0.8:
        name = f"{roman_family if style < 0.7 else roman_family.upper()} {roman[0]} {roman[1]}"
    else:
        name = f"{pick(rng, table('names')['english_given_of_chinese'])} {roman_family}"
    return name, roman_family, " ".join(roman), roman_family, "".join(roman)


@functools.cache
def _western(locale: str, female: bool) -> tuple[Weighted[str], Weighted[str]]:
    """Weighted given names and surnames of one of Faker's locales."""
    import importlib

    provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
    given = getattr(provider, "first_names_female" if female else "first_names_male", None)
    family = getattr(provider, "last_names_female" if female else "last_names_male", None)
    return _weights(given or provider.first_names), _weights(family or provider.last_names)


def _weights(names: object) -> Weighted[str]:
    if isinstance(names, dict):
        return Weighted({str(k): float(v) for k, v in names.items() if len(k) > 1})
    assert isinstance(names, tuple | list)
    return Weighted(dict.fromkeys((str(n) for n in names if len(str(n)) > 1), 1.0))


_LOCALES: dict[str, tuple[Region, float]] = {
    "en_US": ("us", 50),
    "en_GB": ("uk", 20),
    "en_IN": ("in", 8),
    "es_ES": ("eu", 5),
    "de_DE": ("eu", 5),
    "fr_FR": ("eu", 5),
    "it_IT": ("eu", 3),
    "nl_NL": ("eu", 2),
    "pl_PL": ("eu", 2),
}
_LOCALE = Weighted({locale: weight for locale, (_, weight) in _LOCALES.items()})


def _western_name(rng: Random, female: bool) -> tuple[str, str, str, Region]:
    """Name as written, family, given, region."""
    locale = _LOCALE.draw(rng)
    givens, families = _western(locale, female)
    given, family = givens.draw(rng), families.draw(rng)
    style = rng.random()
    if style < 0.86:
        name = f"{given} {family}"
    elif style < 0.92:
        name = f"{given} {pick(rng, 'ABCDEFGHJKLMNPRSTW')}. {family}"
    elif style < 0.95:
        name = f"{given} {givens.draw(rng)} {family}"
    elif style < 0.97:
        name = f"{given} {family}-{families.draw(rng)}"
    else:
        name = f"{family}, {given}"
    return name, family, given, _LOCALES[locale][0]


def _pinyin(rng: Random, latin: tuple[str, str]) -> str:
    """A Chinese name in Latin letters: Zhang Wei, Wei Zhang, ZHANG Wei, zhangwei."""
    first, last = latin[1].capitalize(), latin[0].capitalize()
    style = rng.random()
    if style < 0.4:
        return f"{first} {last}"
    if style < 0.75:
        return f"{last} {first}"
    if style < 0.85:
        return f"{last.upper()} {first}"
    return f"{pick(rng, table('names')['english_given_of_chinese'])} {last}"


def _syllables(rng: Random, characters: str) -> str:
    return "".join(pick(rng, characters) for _ in range(rng.choice((2, 2, 3, 3, 3, 4))))


def _transliterated(rng: Random) -> tuple[str, str, str]:
    names = table("names")["transliterated"]
    given, family = (
        pick(rng, names[part]) if rng.random() < 0.4 else _syllables(rng, names["syllables"])
        for part in ("given", "family")
    )
    return f"{given}·{family}" if rng.random() < 0.85 else f"{given}{family}", family, given


@functools.cache
def _taiwanese(female: bool) -> tuple[Weighted[str], Weighted[str]]:
    from faker.providers.person.zh_TW import Provider

    given = Provider.first_names_female if female else Provider.first_names_male
    return Weighted(dict(Provider.last_names)), Weighted(dict(given))


NAMINGS: dict[str, Weighted[Naming]] = {
    "zh": Weighted(
        {
            "han": 86,
            "ethnic": 3,
            "transliterated": 2,
            "hong_kong": 3,
            "taiwan": 2,
            "pinyin": 2,
            "western": 2,
        }
    ),
    "en": Weighted({"western": 86, "pinyin": 9, "hong_kong": 3, "han": 2}),
}
"""How the people of a Chinese and of an English text are named."""


def _birth(rng: Random) -> tuple[int, int, int]:
    """A birth date; ages from 3 to 90, mostly adults."""
    year = 2007 - int(abs(rng.gauss(0, 1)) * 24) if rng.random() < 0.88 else number(rng, 2008, 2022)
    month = number(rng, 1, 12)
    last = 31 if month in (1, 3, 5, 7, 8, 10, 12) else 28 if month == 2 else 30
    return max(year, 1934), month, number(rng, 1, last)


def draw_person(rng: Random, language: str) -> Person:
    """A person as a text of this language (``zh`` or ``en``) would mention one."""
    female = rng.random() < 0.5
    naming = NAMINGS[language].draw(rng)
    region: Region = "cn"
    if naming in ("han", "pinyin"):
        family, given, latin_family, latin_given = _han(rng, female)
        name = family + given
        if naming == "pinyin":
            name = _pinyin(rng, (latin_family, latin_given))
            family, given = latin_family.capitalize(), latin_given.capitalize()
    elif naming == "ethnic":
        name, latin_given = _ethnic(rng, female)
        family, given, latin_family = "", name, ""
    elif naming == "hong_kong":
        name, family, given, latin_family, latin_given = _hong_kong(rng, female)
        region = "hk"
    elif naming == "taiwan":
        families, givens = _taiwanese(female)
        family, given = families.draw(rng), givens.draw(rng)
        name, region = family + given, "tw"
        latin_family, latin_given = (
            pick(rng, ("chen", "lin", "huang", "tsai", "hsu")),
            pick(rng, ("jia", "yu")),
        )
    elif naming == "transliterated":
        name, family, given = _transliterated(rng)
        latin_family, latin_given = "", pick(rng, ("john", "maria", "david", "anna"))
        region = "us"
    else:
        name, family, given, region = _western_name(rng, female)
        latin_family, latin_given = family, given
    return Person(
        name=name,
        family=family,
        given=given,
        latin_family=ascii_fold(latin_family),
        latin_given=ascii_fold(latin_given),
        naming=naming,
        region=region,
        female=female,
        born=_birth(rng),
        division=pick(rng, divisions()),
    )
