"""Every provider is checked against the rule of its number, by another implementation where there is one."""

import hashlib
import ipaddress
import re
from collections import Counter
from random import Random

import phonenumbers
import pytest
from stdnum import bitcoin, ean, iban, imei, isbn, luhn, verhoeff
from stdnum.cn import ric, uscc
from stdnum.de import idnr
from stdnum.es import dni
from stdnum.gb import nhs, utr
from stdnum.pl import pesel
from stdnum.us import itin, ssn

from data_pipeline.values import Draw, draw_value, kinds, providers, slots
from data_pipeline.values.documents import hk_check, tw_check
from data_pipeline.values.people import draw_person
from data_pipeline.values.phones import mobile_segments
from data_pipeline.values.vehicles import vin_check
from pii.identifiers.divisions import divisions, unassigned_codes
from pii.taxonomy import shipped


def draws(kind: str, count: int = 300, language: str = "zh", *, reserved: bool = False) -> list[str]:
    """Values of one kind for people whom their slot would give that kind."""
    slot = next(s for s in slots() if any(p.kind == kind for p in providers(s)))
    provider = next(p for p in providers(slot) if p.kind == kind)
    rng, values = Random(kind), list[str]()
    while len(values) < count:
        person = draw_person(rng, language)
        if provider.weight(person.region, language) or provider.weight("us", language):
            values.append(draw_value(slot, Draw(rng, person, language, reserved), kind).text)
    return values


def bare(value: str) -> str:
    return value.replace(" ", "").replace("-", "")


RULES = {
    "us_ssn": lambda v: ssn.is_valid(v.replace(" ", "-")),
    "us_itin": lambda v: itin.is_valid(v),
    "uk_utr": lambda v: utr.is_valid(v),
    "de_idnr": lambda v: idnr.is_valid(v),
    "es_dni": lambda v: dni.is_valid(v),
    "pl_pesel": lambda v: pesel.is_valid(v),
    "nhs_number": lambda v: nhs.is_valid(v),
    "aadhaar": lambda v: verhoeff.is_valid(bare(v)),
    "uscc": lambda v: uscc.is_valid(v),
    "cn_card": lambda v: luhn.is_valid(v) and 16 <= len(v) <= 19,
    "western_card": lambda v: luhn.is_valid(bare(v)) and 14 <= len(bare(v)) <= 16,
    "cn_account": lambda v: 12 <= len(v) <= 19 and v.isdecimal() and not luhn.is_valid(v),
    "iban": lambda v: iban.is_valid(v, check_country=False),
    "bitcoin": lambda v: bitcoin.is_valid(v),
    "imei": lambda v: imei.is_valid(v),
    "isbn": lambda v: isbn.is_valid(v),
    "barcode": lambda v: ean.is_valid(v),
    "ipv4": lambda v: bool(ipaddress.IPv4Address(v)),
    "ipv6": lambda v: bool(ipaddress.IPv6Address(v)),
    "broken_resident_id": lambda v: v[-1] != ric.calc_check_digit(v),
    "broken_card": lambda v: not luhn.is_valid(v),
    "vin": lambda v: len(v) == 17 and v[8] == vin_check(v) and not set(v) & set("IOQ"),
}


@pytest.mark.parametrize("kind", sorted(RULES))
def test_value_obeys_its_rule(kind: str) -> None:
    language = "en" if kind == "western_card" else "zh"
    for value in draws(kind, language=language):
        assert RULES[kind](value)


@pytest.mark.parametrize(
    ("kind", "country"),
    [
        ("cn_mobile", "CN"),
        ("cn_landline", "CN"),
        ("hk_phone", "HK"),
        ("tw_phone", "TW"),
        ("us_phone", "US"),
        ("uk_phone", "GB"),
        ("in_phone", "IN"),
        ("international_phone", None),
    ],
)
def test_phones_are_possible_numbers_of_their_country(kind: str, country: str | None) -> None:
    values = draws(kind, 200)
    for value in values:
        without_extension = re.sub(r"(?:转|-)\d{3,4}$", "", value) if kind == "cn_landline" else value
        international = re.sub(r"^00", "+", without_extension)
        assert phonenumbers.is_possible_number(phonenumbers.parse(international, country))


def test_mainland_mobiles_use_every_segment_of_the_current_plan() -> None:
    heads = {value[:3] for value in draws("cn_mobile", 3000)}
    assert heads == set(mobile_segments())
    assert {"166", "170", "191", "199", "198", "192"} <= heads
    # Allocated segments only: phonenumbers knows the ranges of the operators.
    valid = [phonenumbers.is_valid_number(phonenumbers.parse(v, "CN")) for v in draws("cn_mobile", 500)]
    assert sum(valid) >= 0.95 * len(valid)


def test_resident_id_names_division_birth_and_sex_of_its_holder() -> None:
    rng = Random(5)
    for _ in range(500):
        person = draw_person(rng, "zh")
        value = draw_value("id", Draw(rng, person, "zh", False), "cn_resident_id").text.upper()
        year, month, day = person.born
        assert value[:6] == person.division.code
        assert value[6:14] == f"{year}{month:02d}{day:02d}"
        assert (int(value[16]) % 2 == 0) == person.female
        assert value[17] == ric.calc_check_digit(value)
        assert ric.get_birth_date(value).year == year


@pytest.mark.parametrize(
    ("head", "check"), [("A123456", "3"), ("C123456", "9"), ("AB987654", "3"), ("G123456", "A")]
)
def test_hong_kong_check_character(head: str, check: str) -> None:
    # A123456(3), G123456(A), AB987654(3) are the published worked examples.
    assert hk_check(head) == check


def test_taiwan_check_digit() -> None:
    assert tw_check("A12345678") == "9"


def test_vin_check_character_of_the_published_examples() -> None:
    assert vin_check("1M8GDM9AXKP042788") == "X"
    assert vin_check("11111111111111111") == "1"


def test_divisions_belong_together() -> None:
    by_code = {d.code: d for d in divisions()}
    assert len(by_code) > 2600
    assert by_code["330106"].full_name == "浙江省杭州市西湖区"
    assert by_code["110108"].full_name == "北京市海淀区"
    assert by_code["469001"].full_name == "海南省五指山市"
    assert not any("市辖区" in d.full_name or "[" in d.full_name for d in by_code.values())


def test_address_never_mixes_provinces() -> None:
    provinces = {d.province for d in divisions()}
    cities = {d.city: d.province for d in divisions() if d.city}
    for value in draws("cn_address", 500):
        province = next((p for p in provinces if value.startswith(p)), None)
        rest = value[len(province) :].lstrip() if province else ""
        city = next((c for c in cities if rest.startswith(c)), None)
        assert city is None or cities[city] == province


def test_plates_have_seven_or_eight_characters_and_no_i_or_o() -> None:
    plates = [v.replace("·", "").replace(" ", "") for v in draws("cn_plate", 1000)]
    lengths = Counter(map(len, plates))
    assert set(lengths) == {7, 8}
    assert 0.15 < lengths[8] / len(plates) < 0.45
    assert not any(set(p[1:]) & set("IO") for p in plates)
    assert all(p[2] in "DFAC" or p[-1] in "DF" for p in plates if len(p) == 8)


def test_names_have_real_lengths() -> None:
    rng = Random(1)
    han = [p.name for p in (draw_person(rng, "zh") for _ in range(5000)) if p.naming == "han"]
    lengths = Counter(map(len, han))
    assert 0.66 < lengths[3] / len(han) < 0.84
    assert 0.16 < lengths[2] / len(han) < 0.3
    assert 0.002 < lengths[4] / len(han) < 0.05
    compound = sum(p.startswith(("欧阳", "司马", "上官", "诸葛", "慕容", "令狐")) for p in han)
    assert compound > 10


def test_all_ways_of_naming_occur() -> None:
    rng = Random(2)
    people = [draw_person(rng, "zh") for _ in range(3000)]
    assert {p.naming for p in people} == {
        "han",
        "ethnic",
        "transliterated",
        "hong_kong",
        "taiwan",
        "pinyin",
        "western",
    }
    assert any("·" in p.name for p in people if p.naming == "ethnic")


def test_cards_are_mostly_nineteen_digits_and_unionpay_in_chinese() -> None:
    lengths = Counter(map(len, draws("cn_card", 1000)))
    assert lengths[19] > 0.5 * 1000
    assert set(lengths) <= {16, 17, 18, 19}
    assert all(value.startswith("62") for value in draws("cn_card", 300))


@pytest.mark.parametrize(
    ("kind", "holds"),
    [
        ("cn_mobile", lambda v: v[:3] not in mobile_segments()),
        ("cn_resident_id", lambda v: v[:6] in unassigned_codes()),
        ("us_ssn", lambda v: v.startswith("666")),
        ("us_phone", lambda v: "55501" in "".join(c for c in v if c.isdigit())),
        ("uk_phone", lambda v: "7700900" in bare(v)),
        ("email", lambda v: v.lower().endswith(".test")),
        ("ipv4", lambda v: v.startswith(("192.0.2.", "198.51.100.", "203.0.113."))),
        ("ipv6", lambda v: v.startswith("2001:db8:")),
        ("mac", lambda v: bare(v).replace(":", "").upper().startswith("00005E0053")),
        ("uk_nino", lambda v: v.startswith("QQ")),
    ],
)
def test_reserved_values_belong_to_nobody(kind: str, holds) -> None:
    assert all(holds(value) for value in draws(kind, 200, reserved=True))


def test_unassigned_codes_were_never_given_to_a_county() -> None:
    assert len(unassigned_codes()) > 100
    assert not {d.code for d in divisions()} & set(unassigned_codes())


def test_every_type_of_the_taxonomy_has_a_provider() -> None:
    provided = {p.type for s in slots() for p in providers(s)}
    assert {t.name for t in shipped()} <= provided


def test_every_kind_draws_something_in_both_languages() -> None:
    rng = Random(3)
    for slot in slots():
        for provider in providers(slot):
            for language in ("zh", "en"):
                value = draw_value(
                    slot, Draw(rng, draw_person(rng, language), language, False), provider.kind
                )
                assert value.text.strip() == value.text != ""
    assert len(kinds()) > 90


def test_values_do_not_show_themselves() -> None:
    rng = Random(4)
    value = draw_value("phone", Draw(rng, draw_person(rng, "zh"), "zh", False))
    assert value.text not in repr(value)


def test_same_seed_same_values() -> None:
    def run() -> str:
        rng = Random("seed")
        texts = [
            draw_value(s, Draw(rng, draw_person(rng, "zh"), "zh", False)).text
            for s in slots()
            for _ in range(5)
        ]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    assert run() == run()
