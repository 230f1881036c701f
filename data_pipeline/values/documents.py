"""Identity documents, passports and permits, licences, insurance and tax numbers, organisations' codes.

Check characters come from python-stdnum where it has the standard; the others name theirs. A mainland
resident id fits its holder: division, birth date and sex.
"""

from __future__ import annotations

import functools

from stdnum import iso7064, verhoeff
from stdnum.cn import ric, uscc
from stdnum.de import idnr
from stdnum.gb import utr

from data_pipeline.values.chance import Weighted, digits, letters, number, pick
from data_pipeline.values.registry import Draw, provides
from pii.identifiers.divisions import unassigned_codes

UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ"
ID = "NATIONAL_ID_NUMBER"
PASSPORT = "PASSPORT_NUMBER"
LICENCE = "DRIVER_LICENSE_NUMBER"
INSURANCE = "SOCIAL_INSURANCE_NUMBER"
TAX = "TAX_ID_NUMBER"
ORGANISATION = "ORG_REGISTRATION_NUMBER"


# --- national ids ------------------------------------------------------------------------------------


def resident_id(draw: Draw) -> str:
    """Eighteen characters by GB 11643: division, birth date, sequence (odd: male), check character.

    Reserved: a division code that GB/T 2260 never gave to any county.
    """
    person = draw.person
    year, month, day = person.born
    code = pick(draw.rng, unassigned_codes()) if draw.reserved else person.division.code
    sequence = number(draw.rng, 0, 99) * 10 + 2 * number(draw.rng, 0, 4) + (0 if person.female else 1)
    body = f"{code}{year:04d}{month:02d}{day:02d}{sequence:03d}"
    return f"{body}{ric.calc_check_digit(body + '0')}"


@provides("id", "cn_resident_id", ID, cn=40, any=0)
def cn_resident_id(draw: Draw) -> str:
    """The mainland's resident id; one X in twenty is written small."""
    value = resident_id(draw)
    return value.lower() if draw.rng.random() < 0.05 else value


@provides("id", "cn_resident_id_15", ID, cn=1, any=0)
def cn_resident_id_15(draw: Draw) -> str:
    """The fifteen-digit form that was issued until 1999: no century, no check character."""
    year, month, day = draw.person.born
    sequence = f"{digits(draw.rng, 2)}{2 * number(draw.rng, 0, 4) + (0 if draw.person.female else 1)}"
    return f"{draw.person.division.code}{min(year, 1998) % 100:02d}{month:02d}{day:02d}{sequence}"


def hk_check(head: str) -> str:
    """Check character of a Hong Kong identity card: weights 9 (space counts 36) to 2, modulo 11.

    Source: the scheme of the Immigration Department as described at
    https://en.wikipedia.org/wiki/Hong_Kong_identity_card#Check_digit
    """
    padded = head.rjust(8)
    values = [36 if c == " " else ord(c) - 55 if c.isalpha() else int(c) for c in padded]
    remainder = -sum(w * v for w, v in zip(range(9, 1, -1), values, strict=True)) % 11
    return "A" if remainder == 10 else str(remainder)


@provides("id", "hk_id", ID, hk=1, any=0)
def hk_id(draw: Draw) -> str:
    """One or two letters, six digits, check character in brackets."""
    prefix = pick(draw.rng, ("A", "C", "D", "E", "G", "H", "K", "P", "R", "V", "Y", "Z", "WX", "EC"))
    head = prefix + digits(draw.rng, 6)
    check = hk_check(head)
    return f"{head}({check})" if draw.rng.random() < 0.8 else head + check


@provides("id", "macau_id", ID, hk=0.15, any=0)
def macau_id(draw: Draw) -> str:
    """Macau resident identity card: 1, 5 or 7, six digits, check digit in brackets."""
    return f"{pick(draw.rng, '157')}{digits(draw.rng, 6)}({digits(draw.rng, 1)})"


_TW_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"


def tw_check(head: str) -> str:
    """Check digit of a Taiwan identity number: the letter's number (10-35), weights 1, 9, 8 ... 1, modulo 10.

    Source: https://en.wikipedia.org/wiki/National_identification_card_(Taiwan)
    """
    code = _TW_LETTERS.index(head[0]) + 10
    total = (
        code // 10 + code % 10 * 9 + sum(int(d) * w for d, w in zip(head[1:], range(8, 0, -1), strict=True))
    )
    return str(-total % 10)


@provides("id", "tw_id", ID, tw=1, any=0)
def tw_id(draw: Draw) -> str:
    """A letter and nine digits; 1 male, 2 female."""
    head = pick(draw.rng, _TW_LETTERS) + ("2" if draw.person.female else "1") + digits(draw.rng, 7)
    return head + tw_check(head)


@provides("id", "us_ssn", ID, us=1, any=0)
def us_ssn(draw: Draw) -> str:
    """Social Security number; reserved: area 666, which is never given out."""
    area = 666 if draw.reserved else number(draw.rng, 1, 665)
    group, serial = number(draw.rng, 1, 99), number(draw.rng, 1, 9999)
    separator = pick(draw.rng, ("-", "-", "-", "-", " ", ""))
    return f"{area:03d}{separator}{group:02d}{separator}{serial:04d}"


@provides("id", "aadhaar", ID, **{"in": 1, "any": 0})
def aadhaar(draw: Draw) -> str:
    """India: twelve digits with a Verhoeff check digit."""
    head = f"{number(draw.rng, 2, 9)}{digits(draw.rng, 10)}"
    value = head + verhoeff.calc_check_digit(head)
    return f"{value[:4]} {value[4:8]} {value[8:]}" if draw.rng.random() < 0.7 else value


@provides("id", "es_dni", ID, eu=1, any=0)
def es_dni(draw: Draw) -> str:
    """Spain: eight digits and the letter of their remainder by 23."""
    head = digits(draw.rng, 8)
    return head + "TRWAGMYFPDXBNJZSQVHLCKE"[int(head) % 23]


@provides("id", "pl_pesel", ID, eu=1, any=0)
def pl_pesel(draw: Draw) -> str:
    """Poland: birth date (month + 20 from 2000 on), serial number with sex, check digit."""
    year, month, day = draw.person.born
    sex = 2 * number(draw.rng, 0, 4) + (0 if draw.person.female else 1)
    head = f"{year % 100:02d}{month + (20 if year >= 2000 else 0):02d}{day:02d}{digits(draw.rng, 3)}{sex}"
    total = sum(int(d) * w for d, w in zip(head, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), strict=True))
    return head + str(-total % 10)


@provides("id", "sg_nric", ID, eu=0.3, any=0)
def sg_nric(draw: Draw) -> str:
    """Singapore: S or T, seven digits, check letter."""
    head, body = pick(draw.rng, "ST"), digits(draw.rng, 7)
    total = sum(int(d) * w for d, w in zip(body, (2, 7, 6, 5, 4, 3, 2), strict=True)) + (
        4 if head == "T" else 0
    )
    return f"{head}{body}{'JZIHGFEDCBA'[total % 11]}"


# --- passports and permits ---------------------------------------------------------------------------


_CN_PASSPORT_HEADS = Weighted(
    {"E": 60, "EA": 4, "EB": 4, "EC": 4, "ED": 4, "EE": 4, "EH": 4, "G": 12, "D": 1, "S": 1, "P": 1}
)


@provides("passport", "cn_passport", PASSPORT, cn=8, any=0)
def cn_passport(draw: Draw) -> str:
    """Ordinary passports: E (or E with a letter) or G; diplomatic D, service S, public affairs P."""
    head = _CN_PASSPORT_HEADS.draw(draw.rng)
    return head + digits(draw.rng, 9 - len(head))


@provides("passport", "hk_macau_permit", PASSPORT, cn=2, hk=0, any=0)
def hk_macau_permit(draw: Draw) -> str:
    """往来港澳通行证: C and eight characters, the first of which may be a letter."""
    return (
        "C"
        + (pick(draw.rng, UPPER) if draw.rng.random() < 0.4 else digits(draw.rng, 1))
        + digits(draw.rng, 7)
    )


@provides("passport", "home_return_permit", PASSPORT, hk=3, any=0)
def home_return_permit(draw: Draw) -> str:
    """港澳居民来往内地通行证: H (Hong Kong) or M (Macau), eight digits, sometimes two more for the issue."""
    return (
        pick(draw.rng, "HHM") + digits(draw.rng, 8) + (digits(draw.rng, 2) if draw.rng.random() < 0.2 else "")
    )


@provides("passport", "taiwan_permit", PASSPORT, tw=3, any=0)
def taiwan_permit(draw: Draw) -> str:
    """台湾居民来往大陆通行证: eight digits."""
    return digits(draw.rng, 8)


@provides("passport", "hk_passport", PASSPORT, hk=2, any=0)
def hk_passport(draw: Draw) -> str:
    """Hong Kong passports: K, KJ or H and eight digits."""
    return pick(draw.rng, ("K", "KJ", "H")) + digits(draw.rng, 8)


@provides("passport", "foreign_passport", PASSPORT, us=1, uk=1, eu=1, **{"in": 1, "any": 0})
def foreign_passport(draw: Draw) -> str:
    """US: nine digits or a letter and eight; UK: nine digits; India: letter and seven; Germany: mixed."""
    region = draw.person.region
    if region == "in":
        return pick(draw.rng, "JKLMNPRSTUVZ") + digits(draw.rng, 7)
    if region == "eu":
        return pick(draw.rng, "CFGHJK") + letters(draw.rng, "CFGHJKLMNPRTVWXYZ0123456789", 8)
    if region == "us" and draw.rng.random() < 0.5:
        return pick(draw.rng, UPPER) + digits(draw.rng, 8)
    return f"{number(draw.rng, 1, 9)}{digits(draw.rng, 8)}"


# --- driving licences --------------------------------------------------------------------------------


@provides("license", "cn_driver_license", LICENCE, cn=5, any=0)
def cn_driver_license(draw: Draw) -> str:
    """Mainland licence numbers are the holder's resident id; the type follows the word beside it."""
    return resident_id(draw)


@provides("license", "cn_driver_file", LICENCE, cn=2, any=0)
def cn_driver_file(draw: Draw) -> str:
    """The twelve-digit 档案编号 of a mainland licence."""
    return draw.person.division.code[:4] + digits(draw.rng, 8)


_US_LICENCES = ("L1D7", "L1D12", "D9", "D8", "L1D8", "L2D6", "L1D13", "D7")


@provides("license", "us_driver_license", LICENCE, us=1, eu=1, hk=1, tw=1, **{"in": 1, "any": 0})
def us_driver_license(draw: Draw) -> str:
    """Letters (L) and digits (D) as the states print them: California L1D7, Florida L1D12, Texas D8 ..."""
    shape = pick(draw.rng, _US_LICENCES)
    head = letters(draw.rng, UPPER, int(shape[1])) if shape[0] == "L" else ""
    return head + digits(draw.rng, int(shape.rpartition("D")[2]))


@provides("license", "uk_driver_license", LICENCE, uk=1, any=0)
def uk_driver_license(draw: Draw) -> str:
    """Surname, decade, month (+ 50 for women), day, year, initials, two check characters (DVLA)."""
    year, month, day = draw.person.born
    name = (draw.person.latin_family.upper() + "99999")[:5]
    initials = (draw.person.latin_given[:1].upper() or "A") + "9"
    middle = f"{year // 10 % 10}{month + (50 if draw.person.female else 0):02d}{day:02d}{year % 10}"
    return f"{name}{middle}{initials}{number(draw.rng, 2, 9)}{letters(draw.rng, UPPER, 2)}"


# --- social and medical insurance --------------------------------------------------------------------


@provides("social", "cn_social_insurance", INSURANCE, cn=3, any=0)
def cn_social_insurance(draw: Draw) -> str:
    """个人社保编号: ten to twelve digits, given by each city."""
    return f"{number(draw.rng, 1, 9)}{digits(draw.rng, number(draw.rng, 9, 11))}"


@provides("social", "cn_social_card", INSURANCE, cn=2, any=0)
def cn_social_card(draw: Draw) -> str:
    """社会保障卡号: a letter or digit and eight digits."""
    return pick(draw.rng, "ABCDEFGHJKLM") + digits(draw.rng, 8)


@provides("social", "cn_medical_insurance", INSURANCE, cn=2, any=0)
def cn_medical_insurance(draw: Draw) -> str:
    """医保号 of a city: its division and a number."""
    return draw.person.division.code[:4] + pick(draw.rng, ("Y", "YB", "")) + digits(draw.rng, 8)


@provides("social", "uk_nino", INSURANCE, uk=1, any=0)
def uk_nino(draw: Draw) -> str:
    """National Insurance number; reserved: prefix QQ, never given out."""
    head = "QQ" if draw.reserved else pick(draw.rng, ("AB", "CE", "JK", "LM", "NP", "PW", "SX", "TY", "WK"))
    groups = (head, digits(draw.rng, 2), digits(draw.rng, 2), digits(draw.rng, 2), pick(draw.rng, "ABCD"))
    return pick(draw.rng, (" ", "")).join(groups)


@provides("social", "us_medicare", INSURANCE, us=1, eu=1, hk=1, tw=1, **{"in": 1, "any": 0})
def us_medicare(draw: Draw) -> str:
    """Medicare Beneficiary Identifier: eleven characters by the pattern of CMS, with or without dashes."""
    rng, alphabet = draw.rng, "ACDEFGHJKMNPQRTUVWXY"
    mixed = alphabet + "0123456789"
    value = f"{number(rng, 1, 9)}{pick(rng, alphabet)}{pick(rng, mixed)}{digits(rng, 1)}"
    value += (
        f"{pick(rng, alphabet)}{pick(rng, mixed)}{digits(rng, 1)}{letters(rng, alphabet, 2)}{digits(rng, 2)}"
    )
    return f"{value[:4]}-{value[4:7]}-{value[7:]}" if rng.random() < 0.6 else value


# --- tax ---------------------------------------------------------------------------------------------


@provides("tax", "cn_tax_file", TAX, cn=1, hk=1, tw=1, any=0)
def cn_tax_file(draw: Draw) -> str:
    """A mainland person's taxpayer number: the resident id, or passport letters for foreigners."""
    return resident_id(draw) if draw.person.region == "cn" else f"C{digits(draw.rng, 17)}"


@provides("tax", "us_itin", TAX, us=1, any=0)
def us_itin(draw: Draw) -> str:
    """Individual taxpayer number: 9xx, group 70-88, 90-92 or 94-99."""
    group = pick(draw.rng, (*range(70, 89), 90, 91, 92, *range(94, 100)))
    return f"9{digits(draw.rng, 2)}-{group}-{digits(draw.rng, 4)}"


@provides("tax", "uk_utr", TAX, uk=1, any=0)
def uk_utr(draw: Draw) -> str:
    """Unique taxpayer reference: check digit and nine digits."""
    body = digits(draw.rng, 9)
    return f"{utr.calc_check_digit(body)}{body}"


@provides("tax", "de_idnr", TAX, eu=1, any=0)
def de_idnr(draw: Draw) -> str:
    """German Steuer-IdNr: one digit twice or thrice among ten, ISO 7064 check digit."""
    while True:
        order = draw.rng.sample("0123456789", 9)
        order.insert(number(draw.rng, 0, 9), pick(draw.rng, order))
        head = "".join(order)
        value = f"{head}{iso7064.mod_11_10.calc_check_digit(head)}"
        if idnr.is_valid(value):
            return value


@provides("tax", "in_pan", TAX, **{"in": 1, "any": 0})
def in_pan(draw: Draw) -> str:
    """Indian PAN of a person: three letters, P, initial of the surname, four digits, letter."""
    initial = draw.person.latin_family[:1].upper() or "K"
    return f"{letters(draw.rng, UPPER, 3)}P{initial}{digits(draw.rng, 4)}{pick(draw.rng, UPPER)}"


# --- organisations -----------------------------------------------------------------------------------


@functools.cache
def _uscc_heads() -> Weighted[str]:
    return Weighted({"91": 80, "92": 8, "93": 3, "11": 2, "12": 4, "51": 1, "52": 2})


def uscc_value(draw: Draw) -> str:
    """统一社会信用代码 by GB 32100: department, kind, division, organisation code, check character."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = _uscc_heads().draw(draw.rng) + draw.person.division.code
    body += (
        "MA" + letters(draw.rng, alphabet, 7)
        if draw.rng.random() < 0.5
        else letters(draw.rng, "0123456789", 9)
    )
    return f"{body}{uscc.calc_check_digit(body)}"


@provides("orgno", "uscc", ORGANISATION, zh=1, en=0)
def uscc_code(draw: Draw) -> str:
    """The unified social credit code of a company or office."""
    return uscc_value(draw)


@provides("orgno", "us_ein", ORGANISATION, en=2, zh=0)
def us_ein(draw: Draw) -> str:
    """US employer identification number."""
    return f"{pick(draw.rng, ('12', '20', '26', '33', '45', '47', '81', '82', '94'))}-{digits(draw.rng, 7)}"


@provides("orgno", "uk_company", ORGANISATION, en=1, zh=0)
def uk_company(draw: Draw) -> str:
    """British company number: eight characters."""
    return (
        pick(draw.rng, "01") + digits(draw.rng, 7) if draw.rng.random() < 0.8 else "SC" + digits(draw.rng, 6)
    )
