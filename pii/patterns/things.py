"""Vehicles, devices, network addresses, places and dates by shape."""

from __future__ import annotations

import re

from pii.identifiers import Verdict, check
from pii.identifiers.dates import DATE
from pii.identifiers.vehicles import PLATE_PROVINCES
from pii.patterns.shapes import ALNUM, END, shape, starts

_IMEI_BODIES = ("01", "35", "86", "99")
"""What nearly all type allocation codes begin with; without one, a Luhn digit alone is chance."""


def _imei(value: str) -> Verdict:
    verdict = check("DEVICE_ID", value)
    known = value.startswith(_IMEI_BODIES)
    return verdict if known or not verdict.valid else Verdict(None, verdict.subtype)


_GATEWAYS = frozenset(("192.168.0.1", "192.168.1.1"))
"""What half of the world's routers are set to: in every manual, and nobody's."""


def _routable_ip(value: str) -> Verdict:
    """An address that may belong to somebody: no loopback, no netmask, no section number such as 1.2.3.4."""
    verdict = check("IP_ADDRESS", value)
    if verdict.subtype == "ipv4":
        if value in _GATEWAYS:
            return Verdict(False, "ipv4")
        octets = value.split(".")
        if octets[0] in ("0", "127", "255") or all(len(octet) == 1 for octet in octets):
            return Verdict(False, "ipv4")
    elif verdict.subtype == "ipv6":
        groups = [group for group in value.split(":") if group]
        if len(groups) < 3 or not any(c.isdigit() for c in value):
            return Verdict(False, "ipv6")
    return verdict


def _mac(value: str) -> Verdict:
    nobodys = len(set(value.lower()) - {":", "-"}) < 2
    return Verdict(False, "mac") if nobodys else check("DEVICE_ID", value)


def _plate(value: str) -> Verdict:
    verdict = check("VEHICLE_PLATE_NUMBER", value)
    return verdict if any(c.isdigit() for c in value) else Verdict(False)


def _precise(value: str) -> Verdict:
    """A pair of coordinates with at least four decimals each, or with degrees."""
    decimals = re.findall(r"\.([0-9]+)", value)
    exact = "°" in value or (len(decimals) == 2 and min(map(len, decimals)) >= 4)
    return check("GEO_COORDINATE", value) if exact else Verdict(False)


def _named(value: str) -> Verdict:
    """Chinese coordinates name their directions: ``北纬39.9度，东经116.4度``."""
    degrees = [float(n) for n in re.findall(r"[纬緯经經][ :]?([0-9]+(?:\.[0-9]+)?)", value)]
    return Verdict(None if degrees[0] <= 90 and degrees[1] <= 180 else False)


_TIME = r"(?:[ t]?[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?:z| ?[+-][0-9]{2}:?[0-9]{2})?)"
"""A time of day behind a date, with seconds, fractions and zone as ISO 8601 has them; lower case."""
_CLOCK = re.compile(rf"{_TIME}$", re.IGNORECASE)


def _date(value: str) -> Verdict:
    return check("DATE_TIME", _CLOCK.sub("", value))


_DECIMAL = r"[0-9]{1,3}\.[0-9]{2,15}°?"
_SECONDS = r"(?: ?[0-9]{1,2}(?:\.[0-9]{1,6})? ?(?:[\"″]|''|′′))?"
_DEGREES = rf"(?:\.[0-9]{{1,10}})? ?°(?: ?[0-9]{{1,2}} ?['′]{_SECONDS})? ?[NSEW]"
_DEGREES_ZH = r"[ :]?[0-9]{1,3}(?:\.[0-9]{1,10})?[度°]?(?:[0-9]{1,2}[分'′])?(?:[0-9]{1,2}[秒\"″])?"

THINGS = (
    shape(
        "cn_plate",
        "VEHICLE_PLATE_NUMBER",
        rf"[{PLATE_PROVINCES}][A-HJ-NP-Z][ ·.-]{{0,2}}[A-HJ-NP-Z0-9]{{4}}"
        + rf"(?:[A-HJ-NP-Z0-9]{{1,2}}|[警学挂港澳试超领])(?![{ALNUM}])",
        judge=_plate,
    ),
    shape(
        "vin",
        "VEHICLE_ID_NUMBER",
        starts("[A-HJ-NPR-Z1-9]") + "(?=[0-9]{0,16}[A-Z])[A-HJ-NPR-Z0-9]{16}" + END,
        "checksum",
        token=True,
    ),
    shape(
        "imei",
        "DEVICE_ID",
        starts("[0-9]") + "[0-9](?:[ /-]?[0-9]){13}" + END,
        "checksum",
        judge=_imei,
        digits=15,
    ),
    shape(
        "mac",
        "DEVICE_ID",
        starts("[0-9A-Fa-f]", ALNUM + ":")
        + "[0-9A-Fa-f](?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})"
        + rf"(?![{ALNUM}:]|-[0-9A-Fa-f])",
        judge=_mac,
        marks=":-",
    ),
    shape(
        "ipv4",
        "IP_ADDRESS",
        starts("[0-9]") + rf"[0-9]{{0,2}}(?:\.[0-9]{{1,3}}){{3}}(?![{ALNUM}]|\.[0-9])",
        judge=_routable_ip,
        marks=".",
    ),
    shape(
        "ipv6",
        "IP_ADDRESS",
        starts("[0-9A-Fa-f:]", ALNUM + ":")
        + rf"[0-9A-Fa-f]{{0,4}}:[0-9A-Fa-f:]{{2,35}}(?:[0-9.]{{7,15}})?(?![{ALNUM}:])",
        judge=_routable_ip,
        marks=":",
        core=":[0-9A-Fa-f]{0,4}:",  # a time of day has one colon, an address two and more
    ),
    shape(
        "coordinates",
        "GEO_COORDINATE",
        rf"[-+0-9](?<![{ALNUM}.][-+0-9])[0-9]{{0,3}}\.[0-9]{{2,15}}°? ?[NSEWnsew]?[,，/ ] ?"
        + rf"[-+]?{_DECIMAL}(?: ?[NSEWnsew](?![A-Za-z]))?(?![0-9]|\.[0-9])",
        judge=_precise,
        marks=".",
    ),
    shape(
        "degrees",
        "GEO_COORDINATE",
        rf"[0-9](?<![0-9.][0-9])[0-9]{{0,2}}{_DEGREES}(?:[, ，]{{0,2}}[0-9]{{1,3}}{_DEGREES})?",
        judge=_precise,
        marks="°",
    ),
    shape(
        "degrees_zh",
        "GEO_COORDINATE",
        rf"[北南][纬緯]{_DEGREES_ZH}[, ;、，；]{{0,2}}[东西東][经經]{_DEGREES_ZH}",
        judge=_named,
        needs=("纬", "緯"),
    ),
    # Numbers that say what they are: EMP-34888, MRN-4994822.
    shape(
        "coded_member_id",
        "MEMBER_ID",
        starts("[CEMPS]")
        + r"(?:(?<=E)MP|(?<=C)UST|(?<=M)(?:EM|BR)|(?<=S)T(?:U|AFF)|(?<=P)OL)-[0-9]{4,12}"
        + END,
    ),
    shape("coded_record", "MEDICAL_RECORD_NUMBER", starts("M") + r"RN[-:# ]?[0-9]{5,12}" + END),
    shape(
        "born_on",
        "DATE_OF_BIRTH",
        rf"[0-9一二](?<![{ALNUM}][0-9一二])(?:[0-9]{{3}}|[0-9]|[〇零○一二三四五六七八九]{{3}}) ?年"
        + "[0-9一二三四五六七八九十初底月日号 ]{0,12}"
        + "(?=出生|生(?![产成活效日涯病气育存理物态长动意命词字肖前后还]))",
        needs=("生",),
    ),
)

OPTIONAL = (
    shape(
        "url",
        "URL",
        r"[hfw](?<![0-9a-z][hfw])(?:(?:(?<=h)ttps?|(?<=f)tp|(?<=w)ss?)://|(?<=w)ww\.)"
        + r"[!-~]{3,2000}(?<![.,;:!?'\")\]}>])",
        needs=("://", "www.", "WWW."),
        ignore_case=True,
    ),
    shape(
        "date",
        "DATE_TIME",
        rf"(?<![0-9a-z]){DATE}{_TIME}?(?![0-9a-z])",
        judge=_date,
        needs=("",),
        ignore_case=True,
    ),
)
"""Recognisers that run only where their type is asked for: what they mark contains other entities."""
