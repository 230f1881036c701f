"""Network addresses, device identifiers, URLs, coordinates."""

from __future__ import annotations

import functools
import ipaddress
import re

from stdnum import luhn

from pii.identifiers.verdict import IMPOSSIBLE, SHAPED, Verdict, compact, plain


def ip(value: str) -> Verdict:
    """IPv4 or IPv6, with an optional prefix length, port or zone; subtype ``ipv4`` or ``ipv6``."""
    written = plain(value).split("%")[0].split("/")[0]
    if match := re.fullmatch(r"\[(.+)\](?::[0-9]+)?|([0-9.]+):[0-9]+", written):
        written = match[1] or match[2]
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return IMPOSSIBLE
    return Verdict(None, f"ipv{address.version}")


_MAC = re.compile(r"[0-9A-F]{2}(?:([:-])[0-9A-F]{2})(?:\1[0-9A-F]{2}){4}|(?:[0-9A-F]{4}\.){2}[0-9A-F]{4}")
_UUID = re.compile(r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_HEX = re.compile(r"[0-9A-F]{12}|[0-9A-F]{14,16}|[0-9A-F]{32,64}")
_SERIAL = re.compile(r"(?=.*[0-9])[A-Z0-9-]{6,40}")


def device(value: str) -> Verdict:
    """IMEI (Luhn), IMSI (assigned country), MAC, advertising ids (UUID), or a serial number."""
    written = plain(value).upper()
    if _MAC.fullmatch(written):
        return Verdict(None, "mac")
    if _UUID.fullmatch(written):
        return Verdict(None, "uuid")
    number = compact(value).replace("/", "")
    if number.isdigit() and len(number) == 15:
        return _fifteen_digits(number)
    if number.isdigit() and len(number) in (14, 16):
        return Verdict(None, "imei")
    if _HEX.fullmatch(number) or _SERIAL.fullmatch(number):
        return SHAPED
    return IMPOSSIBLE


def _fifteen_digits(number: str) -> Verdict:
    """IMEI (3GPP TS 23.003 annex B) or IMSI (ITU-T E.212): both have fifteen digits."""
    if luhn.is_valid(number) and len(set(number)) > 2:
        return Verdict(True, "imei")
    return Verdict(None, "imsi") if _is_country(number[:3]) else Verdict(False, "imei")


@functools.cache
def _is_country(code: str) -> bool:
    """Whether a mobile country code is assigned, which is all that there is to check of an IMSI.

    Kept, since each look goes through the whole table: a text of nothing but numbers asked for it so often
    that it took longer than all recognisers.
    """
    from stdnum import imsi

    known: bool = imsi.is_valid(code.ljust(15, "0"))
    return known


_URL = re.compile(
    r"(?:(?:https?|ftp|wss?)://|www\.)[^\s/?#<>\"']{1,255}(?:[/?#][^\s<>\"']{0,2000})?", re.IGNORECASE
)


def url(value: str) -> Verdict:
    """A web address with a scheme or ``www.``."""
    return SHAPED if _URL.fullmatch(plain(value)) else IMPOSSIBLE


_DEGREES = re.compile(r"([-+]?[0-9]{1,3}(?:\.[0-9]+)?)")


def coordinate(value: str) -> Verdict:
    """Latitude and longitude in either order, in degrees; or one of them."""
    written = plain(value)
    if "°" in written:
        degrees = [float(n) for n in re.findall(r"([0-9]{1,3}(?:\.[0-9]+)?) ?°", written)]
    else:
        degrees = [abs(float(n)) for n in _DEGREES.findall(written)]
    if not 1 <= len(degrees) <= 2 or max(degrees) > 180 or min(degrees) > 90:
        in_range = len(degrees) == 1 and degrees[0] <= 180
        return SHAPED if in_range else IMPOSSIBLE
    return SHAPED
