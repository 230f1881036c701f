"""Accounts and addresses of the net: e-mail, user names, WeChat, QQ, IP, devices, URLs, coordinates."""

from __future__ import annotations

from stdnum import luhn

from data_pipeline.values.chance import Weighted, digits, letters, number, pick
from data_pipeline.values.reference import table
from data_pipeline.values.registry import Draw, provides

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_FALLBACK = ("sunny", "bluesky", "coco", "dragon", "panda", "milo", "nova", "river", "echo", "mango")

_MAIL_ZH = Weighted(
    {
        "qq.com": 30,
        "163.com": 24,
        "126.com": 9,
        "gmail.com": 7,
        "foxmail.com": 5,
        "sina.com": 5,
        "outlook.com": 4,
        "139.com": 3,
        "hotmail.com": 2,
        "aliyun.com": 2,
        "yeah.net": 1,
        "icloud.com": 2,
    }
)
_MAIL_EN = Weighted(
    {
        "gmail.com": 40,
        "yahoo.com": 12,
        "outlook.com": 12,
        "hotmail.com": 10,
        "icloud.com": 6,
        "proton.me": 3,
        "aol.com": 2,
        "comcast.net": 2,
        "btinternet.com": 2,
        "gmx.de": 1,
        "fastmail.com": 1,
    }
)

_DOCUMENTATION = ("example.com", "example.org", "example.net", "mail.example.com", "example.cn")
"""Domains that RFC 2606 sets aside for examples, and one of their kind."""


def _stem(draw: Draw) -> str:
    """A word made of the person's Latin name, as people make their addresses."""
    person, rng = draw.person, draw.rng
    given, family = person.latin_given or pick(rng, _FALLBACK), person.latin_family
    if not family:
        return given
    shape = rng.random()
    if shape < 0.3:
        return family + given
    if shape < 0.5:
        return f"{given}{pick(rng, ('.', '_', '.', '-'))}{family}"
    if shape < 0.65:
        return given[0] + family
    if shape < 0.8:
        return given + family
    return given + family[0]


def _company_domain(draw: Draw) -> str:
    word = pick(draw.rng, table("places")["company_words_en"]).lower()
    kind = pick(draw.rng, ("", "", "-group", "tech", "corp"))
    return (
        f"{word}{kind}.{pick(draw.rng, ('com', 'com', 'com.cn', 'cn', 'co.uk', 'io', 'net', 'org', 'edu'))}"
    )


@provides("email", "email", "EMAIL_ADDRESS")
def email(draw: Draw) -> str:
    """Personal and company mailboxes; reserved: a domain under ``.test`` (RFC 2606)."""
    rng = draw.rng
    tail = rng.random()
    name = username(draw)
    local = name if name.isascii() and rng.random() < 0.1 else _stem(draw)
    if tail < 0.35:
        local += str(number(rng, 1, 9999))
    elif tail < 0.42:
        local += str(draw.person.born[0])
    if draw.reserved:
        domain = f"{pick(rng, _FALLBACK)}.test"
    elif rng.random() < 0.04:
        # Tests, manuals and made-up data are full of them, and nobody can tell them from people's own.
        domain = pick(rng, _DOCUMENTATION)
    elif rng.random() < 0.3:
        domain = _company_domain(draw)
    else:
        domain = (_MAIL_ZH if draw.language == "zh" else _MAIL_EN).draw(rng)
        if domain == "qq.com" and rng.random() < 0.6:
            local = f"{number(rng, 1, 9)}{digits(rng, number(rng, 6, 9))}"
    if rng.random() < 0.04:
        local = local.title()
    return f"{local}@{domain}"


@provides("user", "username", "USERNAME")
def username(draw: Draw) -> str:
    """Screen and login names; some make no use of the name."""
    rng = draw.rng
    shape = rng.random()
    if shape < 0.45:
        return _stem(draw) + str(number(rng, 1, 9999))
    if shape < 0.6:
        return f"{_stem(draw)}_{pick(rng, _FALLBACK)}"
    if shape < 0.8:
        word = pick(rng, ("night", "happy", "cyber", "lazy", "tiny", "silent", "real", "old", "super"))
        return f"{word}{pick(rng, ('_', '', '.', '-'))}{pick(rng, _FALLBACK)}{number(rng, 1, 999)}"
    if shape < 0.9 and draw.language == "zh":
        return pick(rng, _NICKS_ZH) + pick(rng, ("", str(number(rng, 1, 999)), "呀", "_"))
    return f"{_stem(draw)[:6]}{pick(rng, ('.', '_'))}{digits(rng, 3)}"


_NICKS_ZH = (
    "追风少年",
    "一只小鹿",
    "晚风不归",
    "柠檬不酸",
    "星河入梦",
    "爱吃鱼的猫",
    "云淡风轻",
    "半夏微凉",
    "快乐小天使",
    "橘子汽水",
    "夜航星",
    "山有木兮",
)


@provides("wechat", "wechat", "WECHAT_ID")
def wechat(draw: Draw) -> str:
    """Six to twenty characters, a letter first; wxid_ and fourteen more where none was chosen."""
    rng = draw.rng
    shape = rng.random()
    if shape < 0.15:
        return f"wxid_{letters(rng, _LOWER + '0123456789', 14)}"
    name = _stem(draw).replace(".", "_")[:12]
    if shape < 0.55:
        name += digits(rng, number(rng, 2, 6))
    elif shape < 0.75:
        name += f"{pick(rng, '_-')}{digits(rng, number(rng, 2, 4))}"
    else:
        name = f"{letters(rng, _LOWER, number(rng, 2, 4))}{digits(rng, number(rng, 4, 8))}"
    return name if len(name) >= 6 else name + digits(rng, 6 - len(name))


@provides("qq", "qq", "QQ_NUMBER")
def qq(draw: Draw) -> str:
    """Five to eleven digits, mostly nine and ten."""
    count = pick(draw.rng, (5, 6, 7, 8, 8, 9, 9, 9, 10, 10, 10, 10, 11))
    return f"{number(draw.rng, 1, 3)}{digits(draw.rng, count - 1)}"


@provides("ip", "ipv4", "IP_ADDRESS", any=4)
def ipv4(draw: Draw) -> str:
    """Public and private host addresses; reserved: the documentation networks of RFC 5737."""
    rng = draw.rng
    if draw.reserved:
        return f"{pick(rng, ('192.0.2', '198.51.100', '203.0.113'))}.{number(rng, 1, 254)}"
    shape = rng.random()
    if shape < 0.15:
        return f"192.168.{number(rng, 0, 99)}.{number(rng, 2, 254)}"
    if shape < 0.25:
        return f"10.{number(rng, 0, 255)}.{number(rng, 0, 255)}.{number(rng, 2, 254)}"
    first = pick(
        rng,
        (
            14,
            27,
            36,
            39,
            42,
            58,
            61,
            101,
            106,
            110,
            113,
            117,
            120,
            123,
            171,
            180,
            202,
            218,
            221,
            24,
            66,
            71,
            86,
            91,
            185,
        ),
    )
    return f"{first}.{number(rng, 0, 255)}.{number(rng, 0, 255)}.{number(rng, 1, 254)}"


@provides("ip", "ipv6", "IP_ADDRESS", any=1)
def ipv6(draw: Draw) -> str:
    """Eight groups or a shortened form; reserved: 2001:db8::/32 (RFC 3849)."""
    rng = draw.rng
    head = (
        "2001:db8"
        if draw.reserved
        else pick(rng, ("2408:8207", "240e:3b7", "2409:8a00", "2a02:c7f", "2600:1700"))
    )
    if rng.random() < 0.5:
        return f"{head}::{number(rng, 1, 65535):x}:{number(rng, 1, 65535):x}"
    return head + "".join(f":{number(rng, 4096, 65535):x}" for _ in range(6))


@provides("device", "mac", "DEVICE_ID", any=4)
def mac(draw: Draw) -> str:
    """MAC address; reserved: 00-00-5E-00-53-xx (RFC 7042)."""
    rng = draw.rng
    octets = [0, 0, 0x5E, 0, 0x53, number(rng, 0, 255)] if draw.reserved else list(rng.randbytes(6))
    octets[0] &= 0xFC
    shape = pick(rng, (":", ":", "-"))
    value = shape.join(f"{o:02x}" for o in octets)
    return value.upper() if rng.random() < 0.5 else value


@provides("device", "imei", "DEVICE_ID", any=3)
def imei(draw: Draw) -> str:
    """Fifteen digits: type allocation code, serial number, Luhn digit (3GPP TS 23.003)."""
    head = pick(draw.rng, ("35", "86", "01")) + digits(draw.rng, 12)
    return f"{head}{luhn.calc_check_digit(head)}"


@provides("device", "imsi", "DEVICE_ID", any=1)
def imsi(draw: Draw) -> str:
    """Mobile country and network code and ten digits (ITU-T E.212)."""
    heads = (
        ("46000", "46001", "46003", "46011")
        if draw.language == "zh"
        else ("310260", "310410", "23430", "26201")
    )
    head = pick(draw.rng, heads)
    return head + digits(draw.rng, 15 - len(head))


@provides("device", "advertising_id", "DEVICE_ID", any=1)
def advertising_id(draw: Draw) -> str:
    """OAID, IDFA, GAID: a UUID, or sixteen hex digits (Android id)."""
    raw = draw.rng.randbytes(16).hex()
    if draw.rng.random() < 0.3:
        return raw[:16]
    value = f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"
    return value.upper() if draw.rng.random() < 0.4 else value


@provides("url", "url", "URL")
def url(draw: Draw) -> str:
    """A web address without personal parts."""
    rng = draw.rng
    path = pick(
        rng, ("", "/", "/help", "/news/{n}", "/p/{n}.html", "/docs/v2/setup", "/item?id={n}", "/share/{n}")
    )
    host = pick(rng, ("https://", "https://", "http://", "www.")) + pick(rng, ("", "m.", "shop."))
    return f"{host}{_company_domain(draw)}{path.format(n=number(rng, 100, 99999))}"


@provides("geo", "geo", "GEO_COORDINATE")
def geo(draw: Draw) -> str:
    """Latitude and longitude of a place where people live, in degrees, signed or with letters."""
    rng = draw.rng
    if draw.language == "zh":
        latitude, longitude = 20 + 30 * rng.random(), 98 + 30 * rng.random()
    else:
        latitude, longitude = 30 + 24 * rng.random(), -122 + 130 * rng.random()
    shape, places = rng.random(), number(rng, 4, 6)
    if shape < 0.5:
        return f"{latitude:.{places}f}{pick(rng, (', ', ',', ' , '))}{longitude:.{places}f}"
    if shape < 0.65:
        return f"{longitude:.{places}f},{latitude:.{places}f}"
    east = "E" if longitude >= 0 else "W"
    if shape < 0.85:
        return f"{latitude:.{places}f}°N, {abs(longitude):.{places}f}°{east}"
    minutes, seconds = number(rng, 0, 59), number(rng, 0, 59)
    return f"{int(latitude)}°{minutes}'{seconds}\"N {int(abs(longitude))}°{seconds}'{minutes}\"{east}"
