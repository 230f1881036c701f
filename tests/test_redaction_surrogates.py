"""Surrogates: same form, valid, nobody's, the same for the same value, and nothing without the key."""

import itertools
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

from pii.identifiers import check
from pii.redaction import Policy, RedactionKey, Surrogate, redact
from pii.redaction.identity import identity
from pii.redaction.surrogates import MAKERS
from pii.redaction.surrogates.documents import division
from pii.redaction.surrogates.draw import Draw
from pii.redaction.surrogates.phones import CN_UNASSIGNED
from pii.spans import Span
from pii.taxonomy import shipped
from tests.strategies import texts

KEY, OTHER = RedactionKey(bytes(range(32))), RedactionKey(bytes(range(1, 33)))
POLICY = Policy(default=Surrogate())


def surrogate(type, value, key=KEY, tenant=""):
    policy = POLICY.model_copy(update={"tenant": tenant})
    return redact(value, [Span(0, len(value), type)], policy, key=key).text


def together(type, *values, key=KEY):
    """The surrogates of several values of one document."""
    text, spans, at = "\n".join(values), [], 0
    for value in values:
        spans.append(Span(at, at + len(value), type))
        at += len(value) + 1
    return redact(text, spans, POLICY, key=key).text.split("\n")


VALID = [
    ("NATIONAL_ID_NUMBER", "11010519491231002X", "cn_resident_id"),
    ("NATIONAL_ID_NUMBER", "A123456(3)", "hk_id"),
    ("NATIONAL_ID_NUMBER", "A123456789", "tw_id"),
    ("NATIONAL_ID_NUMBER", "RSSMRA85T10A562S", "it_codice_fiscale"),
    ("NATIONAL_ID_NUMBER", "12345678Z", "es_dni"),
    ("NATIONAL_ID_NUMBER", "529.982.247-25", "br_cpf"),
    ("DRIVER_LICENSE_NUMBER", "11010519491231002X", "cn_driver_license"),
    ("SOCIAL_INSURANCE_NUMBER", "11010519491231002X", "cn_social_insurance"),
    ("SOCIAL_INSURANCE_NUMBER", "756.9217.0769.85", "ch_ahv"),
    ("TAX_ID_NUMBER", "36 574 261 809", "de_idnr"),
    ("ORG_REGISTRATION_NUMBER", "91350100M000100Y43", "cn_uscc"),
    ("ORG_REGISTRATION_NUMBER", "5493001KJTIIGC8Y1R12", "lei"),
    ("BANK_CARD_NUMBER", "4111 1111 1111 1111", "visa"),
    ("BANK_CARD_NUMBER", "378282246310005", "amex"),
    ("BANK_CARD_NUMBER", "6222021234567890128", "unionpay"),
    ("BANK_ACCOUNT_NUMBER", "GB82 WEST 1234 5698 7654 32", "iban"),
    ("BANK_ACCOUNT_NUMBER", "021000021", "us_routing"),
    ("PAYMENT_ACCOUNT", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "btc"),
    ("PAYMENT_ACCOUNT", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "btc"),
    ("PAYMENT_ACCOUNT", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "eth"),
    ("VEHICLE_ID_NUMBER", "1HGCM82633A004352", "vin"),
    ("DEVICE_ID", "490154203237518", "imei"),
]


@pytest.mark.parametrize(("type", "value", "subtype"), VALID)
def test_a_valid_number_gets_a_valid_number_of_the_same_register(type, value, subtype):
    assert check(type, value).subtype == subtype
    assert check(type, value).valid is not False
    for key in (KEY, OTHER):
        verdict = check(type, made := surrogate(type, value, key))
        assert (verdict.valid, verdict.subtype) == (check(type, value).valid, subtype)
        assert len(made) == len(value)
        assert identity(type, made) != identity(type, value)


@pytest.mark.parametrize(
    ("type", "value", "head"),
    [
        ("PHONE_NUMBER", "+86 138 0013 8000", tuple(f"+86 {segment}" for segment in CN_UNASSIGNED)),
        ("PHONE_NUMBER", "+44 7911 123456", "+44 7700 900"),
        ("BANK_CARD_NUMBER", "4111111111111111", "424242"),
        ("NATIONAL_ID_NUMBER", "123-45-6789", "666-"),
        ("SOCIAL_INSURANCE_NUMBER", "AB123456C", "QQ"),
        ("IP_ADDRESS", "8.8.8.8", ("192.0.2.", "198.51.100.", "203.0.113.")),
        ("IP_ADDRESS", "2001:4860:4860::8888", "2001:db8::"),
        ("DEVICE_ID", "AA:BB:CC:DD:EE:FF", "00:00:5E:00:53:"),
        ("DEVICE_ID", "490154203237518", "00"),
        ("DEVICE_ID", "460011234567890", "00101"),
    ],
)
def test_ranges_that_nobody_holds(type, value, head):
    assert surrogate(type, value).startswith(head)


def test_north_american_numbers_are_those_of_films():
    assert surrogate("PHONE_NUMBER", "(415) 867-5309")[5:].startswith(" 555-01")


def test_other_countries_get_numbers_that_their_plan_does_not_assign():
    import phonenumbers

    for value in ("+852 9123 4567", "+49 30 901820", "010-62345678", "+33 6 12 34 56 78"):
        made = surrogate("PHONE_NUMBER", value)
        assert not phonenumbers.is_valid_number(phonenumbers.parse(made, "CN")), value


def test_no_county_has_the_code_of_a_surrogate_resident_id():
    """By python-stdnum's history of GB/T 2260."""
    table = Path(ric.__file__).with_name("loc.dat").read_text(encoding="utf-8")
    prefix, assigned = "", set()
    for line in table.splitlines():
        code = line.strip().partition(" ")[0]
        prefix = prefix if line.startswith(" ") else code
        assigned.add(prefix + code if line.startswith(" ") else code)
    codes = {division(Draw(bytes([n]))) for n in range(200)}
    assert len(codes) > 50
    assert not codes & assigned


def test_a_resident_id_keeps_the_sex_and_agrees_with_the_date_of_birth():
    text = "110105194912310021 1949年12月31日"
    spans = [Span(0, 18, "NATIONAL_ID_NUMBER"), Span(19, 30, "DATE_OF_BIRTH")]
    number, _, born = redact(text, spans, POLICY, key=KEY).text.partition(" ")
    year, month, day = number[6:10], int(number[10:12]), int(number[12:14])
    assert born == f"{year}年{month}月{day}日"
    assert int(number[16]) % 2 == 0


# --- the same for the same --------------------------------------------------------------------------


def test_one_number_in_many_forms_is_one_surrogate_in_those_forms():
    made = together(
        "PHONE_NUMBER",
        "13800138000",
        "138-0013-8000",
        "+86 138 0013 8000",
        "１３８００１３８０００",
        "一三八零零一三八零零零",
    )
    plain = made[0]
    assert made[1] == f"{plain[:3]}-{plain[3:7]}-{plain[7:]}"
    assert made[2] == f"+86 {plain[:3]} {plain[3:7]} {plain[7:]}"
    assert unicodedata.normalize("NFKC", made[3]) == plain
    assert made[3] != plain
    assert made[4] == "".join("零一二三四五六七八九"[int(digit)] for digit in plain)


@pytest.mark.parametrize(
    ("type", "forms"),
    [
        ("DATE_OF_BIRTH", ("1990年5月6日", "1990-05-06", "May 6, 1990", "一九九零年五月六日")),
        ("BANK_CARD_NUMBER", ("4111111111111111", "4111 1111 1111 1111", "４１１１-1111-1111-1111")),
        ("NATIONAL_ID_NUMBER", ("11010519491231002X", "110105 19491231 002x")),
        ("PERSON_NAME", ("张三", "张 三", "张三先生")),
        ("PERSON_NAME", ("John Smith", "SMITH, JOHN", "Mr. John Smith")),
        ("EMAIL_ADDRESS", ("a.b@qq.com", "A.B@QQ.COM")),
    ],
)
def test_forms_of_one_value_stay_forms_of_one_value(type, forms):
    made = [surrogate(type, form) for form in forms]
    assert len({identity(type, one) for one in made}) == 1
    assert made == together(type, *forms)


def test_a_part_of_a_name_follows_its_holder_within_a_document():
    assert together("PERSON_NAME", "张三丰", "张", "小张")[1:] == (
        (lambda whole: [whole[0], "小" + whole[0]])(together("PERSON_NAME", "张三丰")[0])
    )
    whole, last, short, first = together("PERSON_NAME", "John Smith", "Smith", "J. Smith", "John")
    given, family = whole.split()
    assert (last, short, first) == (family, f"{given[0]}. {family}", given)


def test_names_keep_script_length_sex_and_particles():
    from pii.redaction.surrogates.pools import pools

    assert set(surrogate("PERSON_NAME", "刘丽娜")[1:]) <= set(pools().given_zh.female)
    assert set(surrogate("PERSON_NAME", "刘强军")[1:]) <= set(pools().given_zh.male)
    assert surrogate("PERSON_NAME", "欧阳锋")[:2] in pools().compound_zh
    assert surrogate("PERSON_NAME", "Mary Jones").split()[0] in pools().given_en.female
    assert surrogate("PERSON_NAME", "Ludwig van Beethoven").split()[1] == "van"
    dotted = surrogate("PERSON_NAME", "买买提·艾力")
    assert (len(dotted), dotted[3]) == (6, "·")


SURFACE = [
    ("PERSON_NAME", "张三"),
    ("PHONE_NUMBER", "138-0013-8000"),
    ("NATIONAL_ID_NUMBER", "11010519491231002X"),
    ("EMAIL_ADDRESS", "zhang.san@qq.com"),
    ("ADDRESS", "北京市朝阳区建国路88号"),
    ("PASSPORT_NUMBER", "E12345678"),
]


def test_the_same_in_another_process():
    made = [surrogate(type, value) for type, value in SURFACE]
    code = (
        "from tests.test_redaction_surrogates import *\n"
        "import json; print(json.dumps([surrogate(t, v) for t, v in SURFACE]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert __import__("json").loads(done.stdout) == made


def test_keys_and_tenants_are_unrelated():
    numbers = [f"138{n:08d}" for n in range(0, 40_000_000, 100_003)]
    one, two = (
        dict(zip(numbers, [surrogate("PHONE_NUMBER", n, k) for n in numbers], strict=True))
        for k in (KEY, OTHER)
    )
    third = [surrogate("PHONE_NUMBER", n, tenant="b") for n in numbers[:50]]
    assert sum(one[n] == two[n] for n in numbers) <= 1
    assert not set(third) & {one[n] for n in numbers[:50]}
    # Unrelated: digits agree as often as chance has it (a tenth), place by place.
    same = sum(a == b for n in numbers for a, b in zip(one[n][3:], two[n][3:], strict=True))
    assert 0.07 < same / (8 * len(numbers)) < 0.13


def test_a_surrogate_is_no_original_and_no_other_value_of_the_document():
    made = together("DEMOGRAPHIC", "男", "女")
    assert not {"男", "女"} & set(made)  # nothing is left but tags: both are originals
    names = [a + b for a, b in itertools.product("王李张刘陈", "宁安文晨晓佳清林新书")]
    surrogates = together("PERSON_NAME", *names)
    assert not set(surrogates) & set(names)
    assert len(set(surrogates)) == len(names)


# --- form -------------------------------------------------------------------------------------------


def shape(value):
    """Kinds of characters and separators, in order."""
    return [
        unicodedata.category(char)[0] if char.isdecimal() else ("L" if char.isalpha() else char)
        for char in value
    ]


@st.composite
def written_numbers(draw):
    """A mainland mobile number as people may write it."""
    digits = "1" + draw(st.sampled_from("3456789")) + draw(st.text("0123456789", min_size=9, max_size=9))
    groups = draw(st.sampled_from([(11,), (3, 4, 4), (3, 8), (4, 3, 4)]))
    separator = draw(st.sampled_from(["", "-", " ", "·", "－", "\u200b", "\u3000"]))
    rest, parts = iter(digits), []
    for size in groups:
        parts.append("".join(itertools.islice(rest, size)))
    value = draw(st.sampled_from(["", "+86 ", "+86-", "0086"])) + separator.join(parts)
    if draw(st.booleans()):
        value = "".join(chr(ord(c) + 0xFEE0) if c.isdecimal() else c for c in value)
    return value


@given(written_numbers())
def test_separators_width_and_length_stay(value):
    made = surrogate("PHONE_NUMBER", value)
    assert shape(made) == shape(value)
    assert [ord(a) > 0xFF00 for a in made] == [ord(a) > 0xFF00 for a in value]
    assert check("PHONE_NUMBER", made).subtype == "cn_mobile"


@given(st.sampled_from(sorted(MAKERS)), texts.filter(bool))
def test_any_value_of_any_type_is_replaced_and_never_by_itself(type, value):
    """Hostile values, too, end as a surrogate or a tag."""
    result = redact(f"<{value}>", [Span(1, 1 + len(value), type)], POLICY, key=KEY)
    assert result.text.startswith("<")
    assert result.text.endswith(">")
    made = result.text[1:-1]
    assert made != value
    (replacement,) = result.replacements
    assert replacement.operator == ("replace" if made == f"<{type}>" else "surrogate")


def test_every_type_of_the_taxonomy_has_a_maker():
    assert set(MAKERS) == {t.name for t in shipped()}


@pytest.mark.parametrize(
    ("type", "value", "gone"),
    [
        ("ADDRESS", "北京市朝阳区建国路88号3号楼502室", ("北京", "朝阳", "建国", "88", "502")),
        ("ADDRESS", "上海市浦东新区南京东路1号", ("上海", "浦东", "南京")),
        ("ADDRESS", "123 Main Street, Springfield, IL 62704", ("123", "Main", "Springfield", "62704")),
        ("EMAIL_ADDRESS", "zhang.san88@qq.com", ("zhang", "san88", "qq")),
        ("URL", "https://bob:pw@www.foo.com/u/zhangsan?id=77", ("bob", "pw", "foo", "zhangsan", "77")),
        ("ORGANIZATION", "北京大学第三医院", ("北京",)),
        ("LOCATION", "三里屯", ("三里",)),
    ],
)
def test_no_part_of_a_composed_value_stays(type, value, gone):
    made = surrogate(type, value)
    assert not [part for part in gone if part in made]
