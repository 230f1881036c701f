"""Surface forms: the spellings in which people write a value, and noise that spoils it.

A form takes the value of one piece and gives another spelling of it; since a span covers a whole piece,
offsets stay right whatever a form does. `FORMS` is the matrix: which form suits which kinds of value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from data_pipeline.scene import Piece
from data_pipeline.values.chance import number, pick

_GROUPS: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "cn_mobile": ((3, 4, 4),),
    "cn_resident_id": ((6, 8, 4), (6, 4, 4, 4), (4, 4, 4, 4, 2)),
    "cn_driver_license": ((6, 8, 4),),
    "cn_card": ((4, 4, 4, 4, 4), (6, 13), (4, 4, 4, 7)),
    "western_card": ((4, 4, 4, 4),),
    "cn_account": ((4, 4, 4, 4, 4),),
    "qq": ((3, 3, 4), (4, 4, 4)),
    "imei": ((2, 6, 6, 1),),
    "us_account": ((4, 4, 4),),
    "alipay": ((4, 4, 4, 4),),
    "cn_social_insurance": ((4, 4, 4),),
    "hk_phone": ((4, 4),),
}
"""How people break up long numbers; digits that are left over go into the last group."""

_FULLWIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_CHINESE = str.maketrans("0123456789", "零一二三四五六七八九")
_CHINESE_CALL = str.maketrans("0123456789", "零幺二三四五六七八九")
_FORMAL = str.maketrans("0123456789", "零壹贰叁肆伍陆柒捌玖")
_ZERO_WIDTH = ("\u200b", "\u200c", "\u200d", "\ufeff", "\u2060")
_OCR = {
    "0": "O",
    "1": "l",
    "5": "S",
    "8": "B",
    "2": "Z",
    "6": "b",
    "O": "0",
    "I": "1",
    "l": "1",
    "B": "8",
    "S": "5",
    "日": "曰",
    "己": "已",
    "未": "末",
    "土": "士",
    "人": "入",
}
_HYPHENS = ("-", "-", "-", "‐", "–")


def _grouped(text: str, kind: str, separator: str, rng: Random) -> str:
    sizes, parts, at = pick(rng, _GROUPS[kind]), list[str](), 0
    for index, size in enumerate(sizes):
        end = len(text) if index == len(sizes) - 1 else at + size
        if text[at:end]:
            parts.append(text[at:end])
        at = end
    return separator.join(parts)


def dashed(text: str, kind: str, rng: Random) -> str:
    """138-0013-8000."""
    return _grouped(text, kind, pick(rng, _HYPHENS), rng)


def spaced(text: str, kind: str, rng: Random) -> str:
    """138 0013 8000; the space may be a no-break or a wide one."""
    return _grouped(text, kind, pick(rng, (" ", " ", " ", " ", "\u00a0", "\u3000", "\u202f")), rng)


def dotted(text: str, kind: str, rng: Random) -> str:
    """138.0013.8000."""
    return _grouped(text, kind, pick(rng, (".", ".", "·")), rng)


def country_code(text: str, kind: str, rng: Random) -> str:
    """+86, 0086, （86）, 86- before a mainland number."""
    head = pick(
        rng, ("+86", "+86 ", "+86-", "0086", "0086-", "（86）", "(86)", "(+86)", "（+86）", "86-", "86 ")
    )
    body = text if rng.random() < 0.7 else _grouped(text, "cn_mobile", pick(rng, (" ", "-")), rng)
    return head + body


def fullwidth(text: str, kind: str, rng: Random) -> str:
    """１３８００１３８０００."""
    return text.translate(_FULLWIDTH)


def chinese_digits(text: str, kind: str, rng: Random) -> str:
    """一三八零零..., 幺三八..., 壹叁捌...."""
    if kind in _GROUPS and rng.random() < 0.3:
        text = _grouped(text, kind, pick(rng, (" ", "，", "-")), rng)
    return text.translate(pick(rng, (_CHINESE, _CHINESE, _CHINESE_CALL, _CHINESE_CALL, _FORMAL)))


def zero_width(text: str, kind: str, rng: Random) -> str:
    """An invisible character at one to three places inside."""
    for _ in range(number(rng, 1, 3)):
        at = number(rng, 1, len(text) - 1)
        text = text[:at] + pick(rng, _ZERO_WIDTH) + text[at:]
    return text


def masked(text: str, kind: str, rng: Random) -> str:
    """138****8000: enough is left to recognise the holder, so it stays an entity."""
    mark = pick(rng, ("*", "*", "*", "x", "X", "＊", "•", "#"))
    if "@" in text:
        local, _, domain = text.partition("@")
        return f"{local[0]}{mark * number(rng, 3, 5)}@{domain}"
    if kind == "full_name" or len(text) < 5:
        return " ".join(word[0] + mark * (len(word) - 1) for word in text.split(" ") if word)
    keep_head, keep_tail = pick(rng, ((3, 4), (3, 4), (6, 4), (4, 4), (1, 1), (0, 4)))
    if keep_head + keep_tail >= len(text) - 1:
        keep_head, keep_tail = 2, 2
    hidden = len(text) - keep_head - keep_tail
    hidden = hidden if rng.random() < 0.7 else 4
    return text[:keep_head] + mark * hidden + (text[-keep_tail:] if keep_tail else "")


def line_broken(text: str, kind: str, rng: Random) -> str:
    """Wrapped by a mail client or a narrow form."""
    at = number(rng, 2, len(text) - 2)
    return text[:at] + pick(rng, ("\n", "\n", "\r\n", "\n  ")) + text[at:]


def ocr(text: str, kind: str, rng: Random) -> str:
    """One or two characters misread."""
    places = [i for i, c in enumerate(text) if c in _OCR]
    for at in rng.sample(places, min(len(places), number(rng, 1, 2))):
        text = text[:at] + _OCR[text[at]] + text[at + 1 :]
    return text


def spread(text: str, kind: str, rng: Random) -> str:
    """1 3 8 0 0 ...: a character at a time."""
    return pick(rng, (" ", " ", "-", ".")).join(text)


def lower(text: str, kind: str, rng: Random) -> str:
    """Without capitals, as typed on a phone."""
    return text.lower()


def upper(text: str, kind: str, rng: Random) -> str:
    """All capitals, as in forms and travel documents."""
    return text.upper()


Form = Callable[[str, str, Random], str]

_ANY = re.compile(r"(?s).{4,}")
_DIGITS = re.compile(r"\d{4,}[Xx]?")
_ASCII = re.compile(r"[!-~]{4,}")
_LATIN = re.compile(r"(?s)(?=.*[A-Za-z]).{3,}")
_MASKABLE = frozenset(
    {
        "cn_mobile",
        "cn_landline",
        "hk_phone",
        "tw_phone",
        "us_phone",
        "cn_resident_id",
        "cn_driver_license",
        "hk_id",
        "us_ssn",
        "cn_card",
        "western_card",
        "cn_account",
        "email",
        "qq",
        "wechat",
        "cn_passport",
        "cn_plate",
        "full_name",
        "cn_social_insurance",
        "us_account",
    }
)
_NAMES_AND_PLACES = frozenset(
    {
        "full_name",
        "surname",
        "given_name",
        "cn_address",
        "us_address",
        "uk_address",
        "organization_en",
        "place_en",
        "eu_address",
    }
)
_DIGIT_RUNS = frozenset(
    {
        "cn_mobile",
        "cn_resident_id",
        "cn_card",
        "western_card",
        "cn_account",
        "qq",
        "otp",
        "cn_social_insurance",
        "imei",
        "us_account",
        "uk_account",
        "taiwan_permit",
        "cn_driver_license",
        "pin",
        "alipay",
    }
)
_CLOSED = _DIGIT_RUNS | frozenset(
    {
        "cn_landline",
        "hk_phone",
        "tw_phone",
        "us_phone",
        "cn_passport",
        "cn_plate",
        "hk_id",
        "email",
        "ipv4",
        "mac",
        "vin",
        "wechat",
        "birth_date",
        "calendar_date",
        "us_ssn",
        "staff_number",
        "student_number",
        "member_number",
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the matrix: the form, the kinds it suits, the shape a value must have."""

    form: Form
    kinds: frozenset[str]
    shape: re.Pattern[str]

    def suits(self, piece: Piece) -> bool:
        """Whether this form can be applied to the piece's value."""
        return piece.kind in self.kinds and self.shape.fullmatch(piece.text) is not None


FORMS: Mapping[str, Row] = {
    "dashed": Row(dashed, frozenset(_GROUPS), _DIGITS),
    "spaced": Row(spaced, frozenset(_GROUPS), _DIGITS),
    "dotted": Row(dotted, frozenset({"cn_mobile", "qq", "cn_card"}), _DIGITS),
    "country_code": Row(country_code, frozenset({"cn_mobile"}), _DIGITS),
    "fullwidth": Row(fullwidth, _CLOSED, _ASCII),
    "chinese_digits": Row(
        chinese_digits,
        frozenset({"cn_mobile", "qq", "otp", "cn_card", "cn_resident_id"}),
        re.compile(r"\d{4,}"),
    ),
    "zero_width": Row(zero_width, _CLOSED, _ANY),
    "masked": Row(masked, _MASKABLE, re.compile(r"(?s).{2,}")),
    "line_broken": Row(line_broken, _CLOSED | {"cn_address", "us_address"}, re.compile(r"[^\n]{7,}")),
    "ocr": Row(ocr, _CLOSED | {"cn_address"}, _ANY),
    "spread": Row(spread, _DIGIT_RUNS, _DIGITS),
    "lower": Row(lower, _NAMES_AND_PLACES, _LATIN),
    "upper": Row(upper, _NAMES_AND_PLACES | {"email", "ipv6"}, _LATIN),
}
"""The form matrix."""

BARE = "bare"
"""The absence of a form."""


def suitable(pieces: Sequence[Piece], shares: Mapping[str, float]) -> dict[str, float]:
    """The forms that suit at least one value, with their shares and that of ``bare``, which always suits."""
    values = [p for p in pieces if p.type]
    fitting = {
        n: w for n, w in shares.items() if n != BARE and w > 0 and any(FORMS[n].suits(p) for p in values)
    }
    return {BARE: shares.get(BARE, 0.0) or float(not fitting), **fitting}


def apply_form(pieces: Sequence[Piece], name: str, rng: Random) -> list[Piece]:
    """Write every value that the form suits in that form.

    A value that stands several times is written the same way each time, or bare the later times, as people
    do who give a number once with care and then repeat it.
    """
    row = FORMS[name]
    written: dict[str, str] = {}
    out: list[Piece] = []
    for piece in pieces:
        if piece.type and row.suits(piece):
            if piece.text not in written:
                written[piece.text] = row.form(piece.text, piece.kind, rng)
            elif rng.random() < 0.3:
                out.append(piece)
                continue
            piece = replace(piece, text=written[piece.text])
        out.append(piece)
    return out


def types_in_form(pieces: Sequence[Piece], written: Sequence[Piece], form: str) -> list[str]:
    """The types of the values that were written in the form, sorted; of all values where it is ``bare``."""
    pairs = zip(pieces, written, strict=True)
    return sorted({new.type for old, new in pairs if new.type and (form == BARE or new is not old)})
