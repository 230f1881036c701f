"""Vehicles, devices, network addresses, coordinates."""

from __future__ import annotations

import ipaddress
import re

from stdnum import luhn

from pii.folding import scan
from pii.identifiers import check
from pii.identifiers.vehicles import vin_check
from pii.redaction.surrogates.documents import same_kind
from pii.redaction.surrogates.draw import Draw
from pii.redaction.surrogates.original import Original

_UNISSUED_HEADS = tuple(f"{province}Z" for province in "津沪渝晋蒙吉黑皖闽赣桂琼贵云藏甘青宁新")
"""A province with a letter that it has given to no city (GA 36-2018 and the provinces' lists)."""

_PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_VIN_CHARS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def plate(original: Original) -> str | None:
    """A plate of the same kind; in mainland China under a letter that its province does not use."""
    written = original.written
    core, draw = written.core, original.draw
    if not core:
        return None
    if original.subtype in ("cn_plate", "cn_new_energy_plate") and len(core) > 6 and "使" not in core:
        body = [_alike(char, _PLATE_LETTERS, draw) for char in core[2:]]
        if original.subtype == "cn_new_energy_plate":
            # The letter says how it is driven and stays; the other characters vary.
            letters = [place for place, char in enumerate(core[2:]) if char.isascii() and char.isalpha()]
            if letters:
                kept = letters[-1] if letters[-1] == 5 else letters[0]
                body[kept] = core[2 + kept]
        return written.filled(draw.pick(_UNISSUED_HEADS) + "".join(body))
    return written.filled(same_kind(original.type, core, draw))


def _alike(char: str, letters: str, draw: Draw) -> str:
    if char.isdigit():
        return str(draw.below(10))
    return draw.pick(letters) if char.isascii() and char.isalpha() else char


def vin(original: Original) -> str | None:
    """The same maker, other vehicle; the check character holds where it held before."""
    written = original.written
    core, draw = written.core, original.draw
    if len(core) != 17:
        return written.filled(draw.alike(core)) if core else None
    made = core[:3] + "".join(_alike(char, _VIN_CHARS, draw) for char in core[3:])
    right = vin_check(made)
    if check(original.type, core).valid:
        made = made[:8] + right + made[9:]
    elif made[8] == right:
        made = made[:8] + ("0" if right != "0" else "1") + made[9:]
    return written.filled(made)


# --- network and devices ---------------------------------------------------------------------------

_DOCUMENTATION = ("192.0.2.", "198.51.100.", "203.0.113.")
"""RFC 5737: nobody has an address there. For IPv6: 2001:db8::/32, RFC 3849."""

_ADDRESS = re.compile(r"(?P<v4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})|(?P<v6>[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+)")


def ip(original: Original) -> str | None:
    """An address kept for documentation, in the written form; port, prefix length and brackets stay."""
    written = scan(original.value).text
    found = _ADDRESS.search(written)
    if not found:
        return None
    made = _v4(original.draw) if found["v4"] else _v6(found["v6"], original.draw)
    if any(char.isupper() for char in found[0]):
        made = made.upper()
    return written[: found.start()] + made + written[found.end() :]


def _v4(draw: Draw) -> str:
    return f"{draw.pick(_DOCUMENTATION)}{1 + draw.below(254)}"


def _v6(old: str, draw: Draw) -> str:
    tail = int.from_bytes(draw.bytes(12), "big")
    if "::" in old:
        tail &= (1 << 32) - 1  # leaves a run of zeros to be left out
    address = ipaddress.IPv6Address((0x20010DB8 << 96) | tail)
    if "::" in old:
        return address.compressed
    full = all(len(group) == 4 for group in old.split(":"))
    return address.exploded if full else ":".join(f"{int(g, 16):x}" for g in address.exploded.split(":"))


def device(original: Original) -> str | None:
    """A device identifier of the same kind in a range for tests, where the kind has one."""
    written = original.written
    core, draw = written.core, original.draw
    if not core:
        return None
    if original.subtype == "mac":
        # RFC 7042 section 2.1.2: 00-00-5E-00-53-00 to FF are kept for documentation.
        return written.filled(f"00005E0053{draw.below(256):02X}")
    if original.subtype == "imei" and len(core) == 15:
        # Type allocation codes that begin with 00 are for tests (GSMA TS.06, section 3.3).
        body = f"00{draw.digits(12)}"
        return written.filled(body + luhn.calc_check_digit(body))
    if original.subtype == "imsi":
        # ITU-T E.212: country code 001 is for test networks.
        return written.filled(f"00101{draw.digits(10)}")
    if re.fullmatch("[0-9A-F]+", core) and not core.isdecimal():
        return written.filled("".join(_hexadecimal(char, draw) for char in core))
    return written.filled(draw.alike(core))


def _hexadecimal(char: str, draw: Draw) -> str:
    return str(draw.below(10)) if char.isdigit() else draw.pick("ABCDEF")


# --- places on the earth ---------------------------------------------------------------------------

_DEGREES = re.compile(r"(?P<whole>[0-9]+)(?P<fraction>\.[0-9]+)?(?P<unit> ?[′'分″\"秒])?")


def coordinate(original: Original) -> str | None:
    """A point elsewhere with as many digits; signs, letters and marks stay."""
    draw = original.draw
    written = scan(original.value).text
    if not _DEGREES.search(written):
        return None

    def moved(found: re.Match[str]) -> str:
        low, high = {1: (0, 9), 2: (10, 89)}.get(len(found["whole"]), (100, 179))
        if found["unit"]:
            low, high = (0, 9) if len(found["whole"]) == 1 else (10, 59)
        new = str(low + draw.below(high - low + 1)).zfill(len(found["whole"]))
        fraction = f".{draw.digits(len(found['fraction']) - 1)}" if found["fraction"] else ""
        return new + fraction + (found["unit"] or "")

    made = _DEGREES.sub(moved, written)
    # Where Chinese digits make the two counts differ, the scanned form is written.
    digits = "".join(re.findall("[0-9]", made))
    same = sum(char.isdecimal() for char in original.written.core) == len(digits)
    return original.written.with_digits(digits) if same else made
