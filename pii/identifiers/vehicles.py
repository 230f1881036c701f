"""Vehicle plates and vehicle identification numbers."""

from __future__ import annotations

import re

from pii.identifiers.verdict import IMPOSSIBLE, SHAPED, Verdict, compact

PLATE_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
"""First character of a mainland plate (GA 36-2018)."""

_BODY = "A-HJ-NP-Z0-9"
_CN_ORDINARY = re.compile(
    f"[{PLATE_PROVINCES}][A-HJ-NP-Z](?:[{_BODY}]{{5}}|[{_BODY}]{{4}}[警学挂港澳试超领])|[使][0-9]{{6}}|[0-9]{{6}}使"
)
_CN_NEW_ENERGY = re.compile(f"[{PLATE_PROVINCES}][A-HJ-NP-Z](?:[A-HJK][{_BODY}][0-9]{{4}}|[0-9]{{5}}[A-HJK])")
_CN_POLICE = re.compile(f"WJ[{PLATE_PROVINCES}]?[0-9]{{4}}[0-9A-Z]|[A-Z]{{2}}[0-9]{{5}}")
_ANY_PLATE = re.compile(r"(?=.*[0-9])(?=.*[A-Z粤])[A-Z0-9粤]{2,10}[港澳]?")


def plate(value: str) -> Verdict:
    """Plate: seven characters in mainland China, eight for new-energy vehicles; others by length alone."""
    number = compact(value)
    if _CN_ORDINARY.fullmatch(number):
        return Verdict(None, "cn_plate")
    if _CN_NEW_ENERGY.fullmatch(number):
        return Verdict(None, "cn_new_energy_plate")
    if _CN_POLICE.fullmatch(number) and number.startswith("WJ"):
        return Verdict(None, "cn_armed_police_plate")
    return SHAPED if _ANY_PLATE.fullmatch(number) else IMPOSSIBLE


_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
_VIN_VALUES = dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", map(int, "12345678123457923456789" + "0123456789"), strict=True)
)
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin_check(number: str) -> str:
    """The character that belongs in the ninth place of a compact VIN."""
    remainder = sum(_VIN_VALUES[c] * w for c, w in zip(number, _VIN_WEIGHTS, strict=True)) % 11
    return "X" if remainder == 10 else str(remainder)


def vin(value: str) -> Verdict:
    """VIN (ISO 3779): the ninth character checks the rest mod 11, mandatory in North America and China.

    Elsewhere (first letter S-Z: Europe) makers use the ninth place freely, so a mismatch says nothing.

    Source: 49 CFR 565.15 (table III to VI), GB 16735-2019.
    """
    number = compact(value)
    if not _VIN.fullmatch(number) or not any(c.isdigit() for c in number[-4:]) or len(set(number)) < 4:
        return IMPOSSIBLE
    if number[8] == vin_check(number):
        return Verdict(True, "vin")
    return Verdict(False if number[0] in "12345L" else None, "vin")
