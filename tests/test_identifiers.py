"""Checksums and shapes against published examples; the source stands beside each table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii.identifiers import Verdict, check
from pii.identifiers.checks import CHECKS
from pii.identifiers.dates import readings
from pii.taxonomy import shipped

VALID = [
    # GB 11643-1999, its own example; and one from https://en.wikipedia.org/wiki/Resident_Identity_Card
    ("NATIONAL_ID_NUMBER", "11010519491231002X", "cn_resident_id"),
    ("NATIONAL_ID_NUMBER", "440524188001010014", None),  # born 1880: too old to be alive, no resident id
    # https://en.wikipedia.org/wiki/Hong_Kong_identity_card
    ("NATIONAL_ID_NUMBER", "A123456(3)", "hk_id"),
    ("NATIONAL_ID_NUMBER", "G123456(A)", "hk_id"),
    # https://en.wikipedia.org/wiki/National_identification_card_(Taiwan)
    ("NATIONAL_ID_NUMBER", "A123456789", "tw_id"),
    # The documentation of python-stdnum: it.codicefiscale, mx.curp, es.dni
    ("NATIONAL_ID_NUMBER", "RCCMNL83S18D969H", "it_codice_fiscale"),
    ("NATIONAL_ID_NUMBER", "BOXW310820HNERXN09", "mx_curp"),
    ("NATIONAL_ID_NUMBER", "54362315-K", "es_dni"),
    ("NATIONAL_ID_NUMBER", "234123412346", "in_aadhaar"),
    # The documentation of python-stdnum: cn.uscc, lei
    ("ORG_REGISTRATION_NUMBER", "91110000600037341L", "cn_uscc"),
    ("ORG_REGISTRATION_NUMBER", "213800KUD8LAJWSQ9D15", "lei"),
    # https://docs.stripe.com/testing
    ("BANK_CARD_NUMBER", "4242 4242 4242 4242", "visa"),
    ("BANK_CARD_NUMBER", "5555-5555-5555-4444", "mastercard"),
    ("BANK_CARD_NUMBER", "378282246310005", "amex"),
    ("BANK_CARD_NUMBER", "6011111111111117", "discover"),
    ("BANK_CARD_NUMBER", "3566002020360505", "jcb"),
    ("BANK_CARD_NUMBER", "6200000000000005", "unionpay"),
    # https://en.wikipedia.org/wiki/International_Bank_Account_Number
    ("BANK_ACCOUNT_NUMBER", "GB82 WEST 1234 5698 7654 32", "iban"),
    ("BANK_ACCOUNT_NUMBER", "DE75 5121 0800 1245 1261 99", "iban"),
    # https://en.wikipedia.org/wiki/Vehicle_identification_number
    ("VEHICLE_ID_NUMBER", "1M8GDM9AXKP042788", "vin"),
    # https://en.wikipedia.org/wiki/International_Mobile_Equipment_Identity
    ("DEVICE_ID", "490154203237518", "imei"),
    # EIP-55, BIP 173, BIP 350; the first Bitcoin block
    ("PAYMENT_ACCOUNT", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "eth"),
    ("PAYMENT_ACCOUNT", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb", "eth"),
    ("PAYMENT_ACCOUNT", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "btc"),
    ("PAYMENT_ACCOUNT", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "btc"),
    ("PAYMENT_ACCOUNT", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "btc"),
    # RFC 7519, section 3.1
    (
        "CREDENTIAL",
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODB9.dBjftJeZ4CVP-mB92K27",
        "jwt",
    ),
]


@pytest.mark.parametrize(("type", "value", "subtype"), VALID)
def test_published_examples_hold(type, value, subtype):
    if subtype is None:
        assert check(type, value).subtype != "cn_resident_id"
    else:
        assert check(type, value) == Verdict(True, subtype)


LAST_DIGIT_CHANGED = [
    ("NATIONAL_ID_NUMBER", "110105194912310021", "cn_resident_id"),
    ("NATIONAL_ID_NUMBER", "A123456(4)", "hk_id"),
    ("NATIONAL_ID_NUMBER", "A123456788", "tw_id"),
    ("ORG_REGISTRATION_NUMBER", "91110000600037341M", "cn_uscc"),
    ("BANK_CARD_NUMBER", "4242424242424241", "visa"),
    ("BANK_ACCOUNT_NUMBER", "GB82 WEST 1234 5698 7654 33", "iban"),
    ("VEHICLE_ID_NUMBER", "1M8GDM9A1KP042788", "vin"),
    ("DEVICE_ID", "490154203237517", "imei"),
    ("PAYMENT_ACCOUNT", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "eth"),
    ("PAYMENT_ACCOUNT", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "btc"),
    ("PAYMENT_ACCOUNT", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "btc"),
]


@pytest.mark.parametrize(("type", "value", "subtype"), LAST_DIGIT_CHANGED)
def test_a_wrong_check_digit_fails_and_still_says_what_it_looks_like(type, value, subtype):
    verdict = check(type, value)
    assert verdict.valid is False
    if type != "PAYMENT_ACCOUNT":
        assert verdict.subtype == subtype


SHAPES = [
    ("NATIONAL_ID_NUMBER", "110105491231002", "cn_resident_id"),  # the form of fifteen digits
    ("NATIONAL_ID_NUMBER", "1234567(8)", "macau_id"),
    ("NATIONAL_ID_NUMBER", "219-09-9998", "us_ssn"),
    ("TAX_ID_NUMBER", "912-90-3456", "us_itin"),
    ("SOCIAL_INSURANCE_NUMBER", "AB 12 34 56 C", "gb_nino"),
    ("PASSPORT_NUMBER", "G12345678", "cn_passport"),
    ("PASSPORT_NUMBER", "EA1234567", "cn_passport"),
    ("PASSPORT_NUMBER", "SE1234567", "cn_passport"),
    ("PASSPORT_NUMBER", "C12345678", "cn_hk_macau_permit"),
    ("PASSPORT_NUMBER", "H1234567801", "cn_home_return_permit"),
    ("VEHICLE_PLATE_NUMBER", "京A·12345", "cn_plate"),
    ("VEHICLE_PLATE_NUMBER", "粤B1234学", "cn_plate"),
    ("VEHICLE_PLATE_NUMBER", "粤BD12345", "cn_new_energy_plate"),
    ("VEHICLE_PLATE_NUMBER", "沪A12345F", "cn_new_energy_plate"),
    ("PHONE_NUMBER", "138-0013-8000", "cn_mobile"),
    ("PHONE_NUMBER", "（86）１３８００１３８０００", "cn_mobile"),
    ("PHONE_NUMBER", "一三八零零一三八零零零", "cn_mobile"),
    ("PHONE_NUMBER", "010-6255 1234转801", "cn_landline"),
    ("PHONE_NUMBER", "+44 20 7946 0958", "gb_landline"),
    ("PHONE_NUMBER", "+1 (650) 253-0000", "us_landline_or_mobile"),
    ("IP_ADDRESS", "192.0.2.33", "ipv4"),
    ("IP_ADDRESS", "2001:db8::8a2e:370:7334", "ipv6"),
    ("DEVICE_ID", "00:00:5E:00:53:AF", "mac"),
    ("DEVICE_ID", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "uuid"),
    ("QQ_NUMBER", "10001", "qq"),
    ("WECHAT_ID", "wxid_abc123def", "wechat"),
    ("CREDENTIAL", "AKIAIOSFODNN7EXAMPLE", "aws_access_key"),  # the documentation of AWS
]


@pytest.mark.parametrize(("type", "value", "subtype"), SHAPES)
def test_a_shape_without_checksum_is_neither_true_nor_false(type, value, subtype):
    assert check(type, value) == Verdict(None, subtype)


IMPOSSIBLE = [
    ("NATIONAL_ID_NUMBER", "000-12-3456"),  # SSA: no area 000, 666, 9xx
    ("NATIONAL_ID_NUMBER", "078-05-1120"),  # printed in wallets of 1938, void
    ("PHONE_NUMBER", "12"),
    ("PHONE_NUMBER", "20240101123045999999"),
    ("EMAIL_ADDRESS", "a..b@example.org"),
    ("EMAIL_ADDRESS", "nobody@localhost"),
    ("BANK_CARD_NUMBER", "4444444444444444"),
    ("BANK_CARD_NUMBER", "424242424242"),
    ("IP_ADDRESS", "256.1.1.1"),
    ("VEHICLE_ID_NUMBER", "IOQ8GDM9AXKP04278"),
    ("QQ_NUMBER", "01234"),
    ("WECHAT_ID", "1abcdef"),
    ("GEO_COORDINATE", "139.7, 216.4"),
    ("DATE_OF_BIRTH", "1990-02-30"),
    ("DATE_OF_BIRTH", "2990-02-03"),
    ("MEMBER_ID", "abc"),
]


@pytest.mark.parametrize(("type", "value"), IMPOSSIBLE)
def test_what_cannot_be_fails(type, value):
    assert check(type, value).valid is False


@pytest.mark.parametrize(
    "written",
    [
        "1990年3月7日",
        "1990-03-07",
        "1990/3/7",
        "1990.03.07",
        "19900307",
        "一九九〇年三月七日",
        "１９９０年３月７日",
        "March 7, 1990",
        "7 March 1990",
        "7th of March, 1990",
        "Mar. 7 1990",
        "90年3月7日",
    ],
)
def test_every_way_to_write_one_date(written):
    assert [date.isoformat() for date in readings(written)] == ["1990-03-07"]


def test_a_date_that_can_be_read_two_ways_has_two_readings():
    assert {date.isoformat() for date in readings("03/07/1990")} == {"1990-03-07", "1990-07-03"}


def test_the_checks_name_types_of_the_taxonomy():
    assert set(CHECKS) <= {type.name for type in shipped()}


def test_a_type_without_form_has_no_verdict():
    assert check("PERSON_NAME", "张三") == Verdict(None, None)


@given(st.sampled_from(sorted(CHECKS)), st.text() | st.text("0123456789XEGH-. ()", max_size=25))
def test_check_never_raises(type, value):
    assert check(type, value).valid in (True, False, None)


@given(st.integers(0, 10**17 - 1), st.integers(0, 9), st.integers(0, 16))
def test_every_changed_digit_of_a_resident_id_is_noticed(number, digit, place):
    # ISO 7064 mod 11-2 finds all single errors.
    from stdnum.cn import ric

    body = "110105" + "19491231" + f"{number % 1000:03}"
    whole = body + ric.calc_check_digit(body + "0")
    changed = whole[:place] + str(digit) + whole[place + 1 :]
    assert check("NATIONAL_ID_NUMBER", whole) == Verdict(True, "cn_resident_id")
    if changed != whole:
        verdict = check("NATIONAL_ID_NUMBER", changed)
        assert (verdict.valid, verdict.subtype) != (True, "cn_resident_id")
