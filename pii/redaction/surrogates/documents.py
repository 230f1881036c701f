"""Numbers of registers: identity cards, passports, licences, insurance, tax, organisations."""

from __future__ import annotations

import datetime
import string
from collections.abc import Iterator

from stdnum.cn import ric, uscc

from pii.identifiers import check
from pii.identifiers.chinese import PROVINCES, resident_id
from pii.redaction.surrogates.draw import Draw
from pii.redaction.surrogates.original import Original, another_day

_MAINLAND = tuple(sorted(code for code in PROVINCES if code < "70"))

_LETTERS_OF_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""Characters of a unified social credit code (GB 32100-2015)."""

_TRIES = 60


def number(original: Original) -> str | None:
    """A number of the same register and form, with a checksum that holds where the original's did."""
    written = original.written
    core = written.core
    if not core:
        return None
    return written.filled(_core(original, core))


def _core(original: Original, core: str) -> str:
    draw = original.draw
    if resident_id(core):
        return _resident(original, core)
    if original.subtype == "cn_uscc":
        return _credit_code(core, draw)
    if original.subtype == "us_ssn" and len(core) == 9:
        # Area 666 is never given out: 20 CFR 422.103, https://www.ssa.gov/employer/randomization.html
        return f"666{1 + draw.below(99):02d}{1 + draw.below(9999):04d}"
    if original.subtype == "gb_nino":
        # HMRC gives out no prefix QQ and uses it in examples (National Insurance Manual NIM39110).
        return f"QQ{draw.digits(6)}{draw.pick('ABCD')}"
    return same_kind(original.type, core, draw)


def division(draw: Draw) -> str:
    """A county code that GB/T 2260 has never given to any county: 0190 to 0199 under a province."""
    return f"{draw.pick(_MAINLAND)}019{draw.below(10)}"


def _resident(original: Original, core: str) -> str:
    """Resident id (GB 11643): no county's code, the date of birth's surrogate, the same sex."""
    draw, long = original.draw, len(core) == 18
    # A foreigner's permanent residence card: 9, province, nationality; no county that could be wrong.
    foreign = long and core.startswith("9")
    code = f"9{division(draw)[:2]}{core[3:6]}" if foreign else division(draw)
    year, month, day = (
        (core[6:10], core[10:12], core[12:14]) if long else ("19" + core[6:8], core[8:10], core[10:12])
    )
    born = another_day(original.scope, datetime.date(int(year), int(month), int(day)))
    odd = int(core[16 if long else 14]) % 2
    sequence = f"{draw.below(500) * 2 + odd:03d}"
    if not long:
        return f"{code}{born.year % 100:02d}{born:%m%d}{sequence}"
    body = f"{code}{born.year:04d}{born:%m%d}{sequence}"
    valid = ric.calc_check_digit(core) == core[-1]
    return body + (ric.calc_check_digit(body + "0") if valid else draw.alike(core[-1]))


def _credit_code(core: str, draw: Draw) -> str:
    """Unified social credit code: the same authority and kind, no county's code, another body."""
    body = core[:2] + division(draw) + "".join(draw.pick(_LETTERS_OF_CODE) for _ in range(9))
    return body + str(uscc.calc_check_digit(body))


def same_kind(type: str, core: str, draw: Draw) -> str:
    """Other characters of the same kinds that the type's check judges as it judges the original."""
    verdict = check(type, core)
    if verdict.valid:
        return _walked(type, core, draw)
    letters = len(core) - len(core.lstrip(string.ascii_uppercase))
    kept = letters if letters < len(core) and verdict.subtype else 0
    for _ in range(_TRIES):
        made = core[:kept] + draw.alike(core[kept:])
        if check(type, made).subtype == verdict.subtype:
            return made
    return made


def _walked(type: str, core: str, draw: Draw) -> str:
    """Change one character after another, each time mending the last ones until the checksum holds.

    It needs no knowledge of the register: dates, letters of sex and the like stay where another character
    would not pass. The last character, then the last two, are the ones that mend.
    """
    wanted = check(type, core)
    for place in range(len(core) - 1):
        new = draw.alike("x" + core[place])[1]
        trial = core[:place] + new.upper() + core[place + 1 :]
        core = next((mended for mended in _mended(trial) if check(type, mended) == wanted), core)
    return core


def _mended(trial: str) -> Iterator[str]:
    kinds = [string.digits if char.isdigit() else string.ascii_uppercase for char in trial[-2:]]
    for last in kinds[1] + ("XAK" if trial[-1].isdigit() else string.digits):
        yield trial[:-1] + last
    if kinds[0] == string.digits and trial[-1].isdigit():
        for two in range(100):
            yield f"{trial[:-2]}{two:02d}"
