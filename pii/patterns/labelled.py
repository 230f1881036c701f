"""Values that only a label gives away: what stands right after ``QQ：``, ``密码是``, ``My SSN is``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pii.identifiers import check
from pii.identifiers.contact import is_hotline
from pii.identifiers.dates import DATE
from pii.patterns.scanned import Candidate, Scanned

# Between a label and its value: at most a bracketed remark, some filler words and marks. Bounded.
_FILLER = (
    r"[:=#|>*`\"'“”‘’「」『』【】\[{<、]|\((?!\+?[0-9]{2,4}\))|->|→|--?(?=[ \d])|是|为|叫|改[为成]|变更为|更新为|号码?|账号|帐号|码|地址"
    r"|(?:id|no|num|number|is|was|are|at|of|to|now|here|on|set|in|ending)(?![a-z])\.?"
)
_JOIN = re.compile(
    rf"[ \t]{{0,3}}(?:\([^()\n]{{1,16}}\)[ \t]{{0,3}})?(?:(?:{_FILLER})[ \t]{{0,3}}){{0,5}}(?:\r?\n[ \t]{{0,4}})?"
)
_SAYS = re.compile(r"[:=|>]|是|为|叫|->|→|(?<![a-z])(?:is|was|are|to)(?![a-z])|[\"'“「『`]")
"""A connector that says "the value follows"; without one, only values with digits are believed."""


@dataclass(frozen=True)
class Field:
    """The values of one type behind its labels.

    Attributes:
        type: the entity type whose labels lead to it.
        rule: its name in reports.
        value: what a value looks like, matched right behind the connector.
        words: whether a value without a digit may be one, given an explicit connector.
        checked: whether `check` has a say; not for partial dates and masked numbers.
    """

    type: str
    rule: str
    value: re.Pattern[str]
    words: bool = False
    checked: bool = True


_STOP = r"(?![0-9A-Za-z@]|[-.][0-9A-Za-z])"
_TOKEN = r"[0-9A-Za-z](?:[0-9A-Za-z]|[-/.*_](?=[0-9A-Za-z*])|\*(?=[0-9A-Za-z*]))"
_SPACED = r"(?:[ ][0-9A-Z]{2,6}(?![a-z]))"


def _token(fewest: int, most: int, spaced: int = 0) -> str:
    """Letters and digits with inner marks, of a length; ``spaced`` groups may follow after spaces."""
    groups = rf"{_SPACED}{{0,{spaced}}}" if spaced else ""
    return rf"{_TOKEN}{{{fewest - 1},{most - 1}}}{groups}(?![0-9A-Za-z@])"


def _digits(fewest: int, most: int) -> str:
    return rf"[0-9](?:[ -]?[0-9]){{{fewest - 1},{most - 1}}}{_STOP}"


def _field(type: str, rule: str, value: str, *, words: bool = False, checked: bool = True) -> Field:
    return Field(type, rule, re.compile(value), words, checked)


FIELDS = (
    _field("PHONE_NUMBER", "phone_after_label", rf"\(?[0-9]{{2,5}}\)?(?:[ .-]?[0-9]{{3,4}}){{1,3}}(?: ?(?:ext\.?|x|转|分机) ?[0-9]{{1,5}})?{_STOP}"),
    _field("PHONE_NUMBER", "phone_spelled", rf"[0-9](?:[ -][0-9]){{6,11}}{_STOP}"),
    _field("PHONE_NUMBER", "phone_masked", r"[0-9]{2,4}[ -]?[*xX]{2,8}[ -]?[0-9]{2,4}(?![0-9A-Za-z])", checked=False),
    _field("NATIONAL_ID_NUMBER", "id_after_label", _token(6, 24, 4)),
    _field("NATIONAL_ID_NUMBER", "hk_id_after_label", r"[A-Za-z]{1,2}[0-9]{6} ?\([0-9Aa]\)"),
    _field("NATIONAL_ID_NUMBER", "id_masked", r"[0-9A-Z*]{3,}\*{2,}[0-9A-Z*]{1,}(?![0-9A-Za-z])", checked=False),
    _field("PASSPORT_NUMBER", "passport_after_label", _token(6, 12, 2)),
    _field("DRIVER_LICENSE_NUMBER", "licence_after_label", _token(5, 22, 5)),
    _field("SOCIAL_INSURANCE_NUMBER", "insurance_after_label", _token(6, 22, 4)),
    _field("TAX_ID_NUMBER", "tax_after_label", _token(6, 22, 3)),
    _field("ORG_REGISTRATION_NUMBER", "organisation_after_label", _token(6, 22, 3)),
    _field("BANK_CARD_NUMBER", "card_after_label", _digits(12, 19)),
    _field("BANK_CARD_NUMBER", "card_masked", r"[0-9*]{3,6}(?:[ -]?[0-9*]{2,6}){1,4}(?![0-9A-Za-z])", checked=False),
    _field("BANK_ACCOUNT_NUMBER", "account_after_label", _digits(7, 22)),
    _field("BANK_ACCOUNT_NUMBER", "iban_after_label", r"[A-Za-z]{2}[0-9]{2}(?: ?[0-9A-Za-z]{2,4}){3,8}(?![0-9A-Za-z])"),
    _field("BANK_ACCOUNT_NUMBER", "bic_after_label", r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?(?![0-9A-Za-z])", words=True),
    _field("PAYMENT_ACCOUNT", "payment_after_label", r"[A-Za-z0-9][A-Za-z0-9._+-]{3,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{2,24}){1,3}", words=True),
    _field("PAYMENT_ACCOUNT", "payment_after_label", _token(5, 64)),
    _field("VEHICLE_PLATE_NUMBER", "plate_after_label", r"[A-Z\u4e00-\u9fff]?[A-Z0-9]{1,4}[ ·-]?[A-Z0-9]{2,6}(?![0-9A-Za-z])"),
    _field("VEHICLE_ID_NUMBER", "vin_after_label", r"[A-HJ-NPR-Za-hj-npr-z0-9]{17}(?![0-9A-Za-z])"),
    _field("USERNAME", "username_after_label", r"@?[A-Za-z0-9_](?:[A-Za-z0-9_]|[.-](?=[A-Za-z0-9_])){2,38}(?![A-Za-z0-9@])", words=True),
    _field("WECHAT_ID", "wechat_after_label", r"[A-Za-z][A-Za-z0-9_-]{5,19}(?![A-Za-z0-9@_-])|1[3-9][0-9](?:[ -]?[0-9]{4}){2}(?![0-9])", words=True),
    _field("QQ_NUMBER", "qq_after_label", r"[1-9][0-9]{4,10}(?![0-9A-Za-z@]|\.[0-9])"),
    _field("QQ_NUMBER", "qq_after_label", r"[1-9][0-9]{2,4}(?:[ -][0-9]{3,4}){1,2}(?![0-9A-Za-z@])"),
    _field("DEVICE_ID", "device_after_label", _token(8, 40, 4)),
    _field("IP_ADDRESS", "ip_after_label", r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])"),
    _field("GEO_COORDINATE", "coordinate_after_label", r"[-+]?[0-9]{1,3}\.[0-9]{1,15}°?(?: ?[NSEW])?(?:[, ]{1,2}[-+]?[0-9]{1,3}\.[0-9]{1,15}°?(?: ?[NSEW])?)?(?![0-9A-Za-z.])"),
    _field("DATE_OF_BIRTH", "birth_after_label", rf"(?i:{DATE})(?![0-9A-Za-z])"),
    _field("MEMBER_ID", "member_after_label", _token(3, 32)),
    _field("MEDICAL_RECORD_NUMBER", "record_after_label", _token(4, 32)),
    _field("CREDENTIAL", "code_after_label", r"[0-9](?:[ -]?[0-9]){2,7}(?![0-9A-Za-z@]|[-.][0-9A-Za-z])"),
    _field("CREDENTIAL", "secret_after_label", r"[!-~]{4,128}(?<![.,;:!?'\"`)\]}>])", words=True),
)  # fmt: skip

_BY_TYPE: dict[str, tuple[Field, ...]] = {}
for _one in FIELDS:
    _BY_TYPE[_one.type] = (*_BY_TYPE.get(_one.type, ()), _one)


_NEEDED_DIGITS = {
    "PHONE_NUMBER": 5,
    "NATIONAL_ID_NUMBER": 4,
    "PASSPORT_NUMBER": 4,
    "DRIVER_LICENSE_NUMBER": 4,
    "SOCIAL_INSURANCE_NUMBER": 4,
    "TAX_ID_NUMBER": 4,
    "ORG_REGISTRATION_NUMBER": 4,
    "MEMBER_ID": 2,
    "MEDICAL_RECORD_NUMBER": 3,
    "DEVICE_ID": 3,
    "VEHICLE_PLATE_NUMBER": 2,
}

_NOT_SECRET = frozenset(
    "none null true false str string int bool undefined required optional incorrect invalid wrong changed expired"
    " reset needed missing hidden secret password passwd token length field input text value type empty forgotten"
    " protected correct management manager policy please must should cannot your yours".split()
)
_NOT_NAMES = frozenset(
    "the and for not was has have will can with from your our their this that name email password phone number"
    " account required invalid none null true false str string login admin root user".split()
)


def _is_secret(value: str, said: bool, chinese: bool) -> bool:
    """A password mixes kinds of characters, or a Chinese label says outright that it follows."""
    if value.lower().strip("*x•.") == "" or value.lower() in _NOT_SECRET or value[0] in "<{$(%[":
        return False
    kinds = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    return kinds >= 2 or (said and chinese and len(value) >= 5)


def _plausible(field: Field, value: str, said: bool, chinese: bool) -> bool:
    """What shape and check cannot see: enough digits, a connector for words, no word of the language."""
    digits = sum(c.isdigit() or c == "*" for c in value)
    if field.rule == "secret_after_label":
        return _is_secret(value, said, chinese)
    if field.rule == "bic_after_label":
        return said and check(field.type, value).subtype == "bic"
    if digits < _NEEDED_DIGITS.get(field.type, 0):
        return False
    if field.rule in ("id_masked", "card_masked"):
        return value.count("*") >= 2 and any(c.isdigit() for c in value)
    if field.type == "PHONE_NUMBER":
        return not is_hotline(value)
    if field.type == "USERNAME":
        return said and not value.isdigit() and value.lower() not in _NOT_NAMES
    if digits == 0 and (not field.words or not said):
        return False
    if field.type == "PAYMENT_ACCOUNT":
        return "@" in value or digits >= 4
    return True


def find_labelled(scanned: Scanned) -> Iterator[Candidate]:
    """For each label, the value behind it, for each type that the label may announce."""
    text, lower = scanned.text, scanned.lower
    for label in scanned.labels.all:
        if not any(type in _BY_TYPE for type in label.types):
            continue
        join = _JOIN.match(lower, label.end)
        assert join is not None  # it matches the empty string
        begin = join.end()
        said = bool(_SAYS.search(lower, label.end, begin))
        chinese = not text[label.end - 1].isascii()
        for type in label.types:
            for field in _BY_TYPE.get(type, ()):
                found = field.value.match(text, begin)
                if not found or not _plausible(field, found[0], said, chinese):
                    continue
                verdict = check(type, found[0]) if field.checked else None
                if verdict and verdict.valid is False and not verdict.subtype:
                    continue
                yield Candidate(
                    begin,
                    found.end(),
                    type,
                    field.rule,
                    "checksum" if verdict and verdict.valid else "context",
                    verdict.subtype if verdict else None,
                    True,
                )
                break
