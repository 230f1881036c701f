"""What looks like an entity and is none: orders, ISBN, versions, prices, hotlines, broken check digits.

A value with a type of None is written into the text and registered as a look-alike, so that a scan of
finished texts knows it from an unlabelled entity. Which of them is no entity, and why:
docs/annotation_guide.md.
"""

from __future__ import annotations

from stdnum import ean, isbn, luhn
from stdnum.cn import ric

from data_pipeline.values.chance import digits, letters, number, pick
from data_pipeline.values.phones import mobile_segments
from data_pipeline.values.reference import table
from data_pipeline.values.registry import Draw, provides

_UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_HEX = "0123456789abcdef"


@provides("order", "order_number", None)
def order_number(draw: Draw) -> str:
    """Order numbers: date and serial, letters and digits, long digits, or just like a mobile number."""
    rng = draw.rng
    date = f"{number(rng, 2019, 2026)}{number(rng, 1, 12):02d}{number(rng, 1, 28):02d}"
    shape = rng.random()
    if shape < 0.3:
        return date + digits(rng, number(rng, 4, 12))
    if shape < 0.55:
        return pick(rng, ("DD", "SO", "PO-", "ORD-", "#", "T", "E", "INV-")) + digits(rng, number(rng, 6, 12))
    if shape < 0.7:
        return f"{number(rng, 100, 999)}-{digits(rng, 7)}-{digits(rng, 7)}"
    if shape < 0.8:
        return pick(rng, mobile_segments()) + digits(rng, 8)
    return f"{number(rng, 1, 9)}{digits(rng, number(rng, 11, 15))}"


@provides("tracking", "tracking_number", None)
def tracking_number(draw: Draw) -> str:
    """Parcel numbers of couriers: they name a parcel, not a person."""
    rng = draw.rng
    head, count = pick(
        rng, (("SF", 13), ("YT", 13), ("JD", 13), ("", 12), ("75", 13), ("1Z", 8), ("EA", 9), ("9400", 15))
    )
    if head == "1Z":
        return f"1Z{letters(rng, _UPPER, 3)}{digits(rng, 3)}{digits(rng, 10)}"
    return head + digits(rng, count) + ("CN" if head == "EA" else "")


@provides("isbn", "isbn", None)
def isbn_number(draw: Draw) -> str:
    """ISBN-13 of Chinese or English books."""
    head = pick(draw.rng, ("9787", "9780", "9781")) + digits(draw.rng, 8)
    value = head + ean.calc_check_digit(head)
    return str(isbn.format(value)) if draw.rng.random() < 0.5 else value


@provides("barcode", "barcode", None)
def barcode(draw: Draw) -> str:
    """EAN-13 of goods."""
    head = pick(draw.rng, ("69", "690", "50", "40", "00")) + digits(draw.rng, 9)
    head = (head + digits(draw.rng, 3))[:12]
    return f"{head}{ean.calc_check_digit(head)}"


@provides("version", "version", None)
def version(draw: Draw) -> str:
    """Version numbers; with four parts they look like an IP address."""
    rng = draw.rng
    shape = rng.random()
    if shape < 0.35:
        return f"{pick(rng, ('v', 'V', ''))}{number(rng, 0, 20)}.{number(rng, 0, 30)}.{number(rng, 0, 99)}"
    if shape < 0.7:
        return f"{number(rng, 1, 20)}.{number(rng, 0, 9)}.{number(rng, 1000, 9999)}.{number(rng, 256, 999)}"
    return f"{number(rng, 1, 9)}.{number(rng, 0, 30)}{pick(rng, ('', '-rc1', '-beta.2', '.0'))}"


@provides("amount", "amount", None)
def amount(draw: Draw) -> str:
    """Prices and sums."""
    rng = draw.rng
    value = number(rng, 1, 99999)
    if draw.language == "zh":
        return pick(
            rng,
            (
                f"{value}元",
                f"¥{value}.00",
                f"{value}.{digits(rng, 2)}元",
                f"{number(rng, 1, 99)}万元",
                f"人民币{value:,}元",
            ),
        )
    return pick(
        rng, (f"${value:,}", f"${value}.{digits(rng, 2)}", f"£{value}", f"USD {value:,}.00", f"€{value}")
    )


@provides("hotline", "hotline", None)
def hotline(draw: Draw) -> str:
    """Published service numbers: they belong to no person."""
    rng = draw.rng
    if draw.language == "en":
        return pick(rng, ("911", "311", "988", "0800 1111", "1-800-FLOWERS", "101", "999"))
    if rng.random() < 0.55:
        return str(pick(rng, table("phones")["hotlines"]))
    first, second = pick(rng, ((3, 4), (4, 3)))
    return f"{pick(rng, ('400', '800'))}-{digits(rng, first)}-{digits(rng, second)}"


@provides("sku", "sku", None)
def sku(draw: Draw) -> str:
    """Product, model and part numbers."""
    rng = draw.rng
    return pick(
        rng,
        (
            f"{letters(rng, _UPPER, 2)}-{digits(rng, 4)}{pick(rng, _UPPER)}",
            f"{letters(rng, _UPPER, 3)}{digits(rng, 3)}-{digits(rng, 2)}",
            f"{pick(rng, _UPPER)}{digits(rng, 8)}",
            f"{pick(rng, ('RTX', 'GB/T', 'ISO', 'XPS', 'EN', 'RFC'))} {digits(rng, 4)}",
        ),
    )


@provides("batch", "batch", None)
def batch(draw: Draw) -> str:
    """Batch and serial numbers of goods, document numbers, tickets of an issue tracker."""
    rng = draw.rng
    head = pick(rng, ("LOT", "BN", "SN", "NO.", "PN", "OPS-", "JIRA-", "BUG-", "CASE"))
    return head + digits(rng, number(rng, 4, 10))


@provides("commit", "commit", None)
def commit(draw: Draw) -> str:
    """Short or long hashes of commits and builds."""
    return letters(draw.rng, _HEX, pick(draw.rng, (7, 8, 12, 40)))


@provides("trip", "trip", None)
def trip(draw: Draw) -> str:
    """Flights and trains."""
    rng = draw.rng
    flight = f"{pick(rng, ('CA', 'MU', 'CZ', 'HU', 'BA', 'AA', 'UA', 'LH'))}{number(rng, 100, 9999)}"
    return (
        pick(rng, (flight, f"{pick(rng, 'GDKZT')}{number(rng, 1, 9999)}"))
        if draw.language == "zh"
        else flight
    )


@provides("docket", "docket", None)
def docket(draw: Draw) -> str:
    """Numbers of cases and official papers."""
    rng = draw.rng
    if draw.language == "en":
        return f"{number(rng, 10, 26)}-cv-{digits(rng, 5)}"
    court = pick(rng, ("京01", "沪0115", "粤03", "浙0106", "苏02", "川01", "鲁0203", "鄂01"))
    kind = pick(rng, ("民初", "民终", "刑初", "行终", "执"))
    return f"（{number(rng, 2015, 2026)}）{court}{kind}{number(rng, 1, 9999)}号"


@provides("invoice", "invoice", None)
def invoice(draw: Draw) -> str:
    """Invoice numbers: eight or twenty digits in China."""
    if draw.language == "en":
        return f"INV-{number(draw.rng, 2019, 2026)}-{digits(draw.rng, 5)}"
    return "".join(digits(draw.rng, 4) for _ in range(pick(draw.rng, (2, 5))))


@provides("quantity", "quantity", None)
def quantity(draw: Draw) -> str:
    """Counts and measures."""
    units = (
        ("件", "个", "公里", "平方米", "人", "份", "%", "GB", "分钟")
        if draw.language == "zh"
        else (" items", " km", "%", " GB", " minutes", " people", " sq ft")
    )
    return f"{number(draw.rng, 1, 9999)}{pick(draw.rng, units)}"


@provides("codeplace", "code_place", None)
def code_place(draw: Draw) -> str:
    """Places in code and pictures: file and line, row and column, size, pixel."""
    rng = draw.rng
    file = pick(rng, ("main.py", "app.js", "UserService.java", "index.ts", "server.go"))
    return pick(
        rng,
        (
            f"{file}:{number(rng, 1, 999)}:{number(rng, 1, 99)}",
            f"({number(rng, 0, 1920)}, {number(rng, 0, 1080)})",
            pick(rng, ("1920x1080", "2560x1440", "640x480", "3840x2160")),
            f"[{number(rng, 0, 99)}, {number(rng, 0, 99)}]",
            f"0x{letters(rng, _HEX, 8)}",
        ),
    )


@provides("wellknown", "well_known_host", None)
def well_known_host(draw: Draw) -> str:
    """Addresses that stand for no machine of a person: loopback, wildcard, masks, documentation names."""
    return pick(
        draw.rng,
        (
            "127.0.0.1",
            "0.0.0.0",
            "255.255.255.0",
            "localhost",
            "example.com",
            "www.example.org",
            "::1",
            "10.0.0.0/8",
            "192.168.0.0/16",
            "8.8.8.8",
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
        ),
    )


@provides("badid", "broken_resident_id", None)
def broken_resident_id(draw: Draw) -> str:
    """Eighteen digits of the shape of a resident id whose check character is wrong."""
    born = f"{number(draw.rng, 1950, 2010)}{number(draw.rng, 1, 12):02d}{number(draw.rng, 1, 28):02d}"
    body = f"{draw.person.division.code}{born}{digits(draw.rng, 3)}"
    right = ric.calc_check_digit(body + "0")
    return body + pick(draw.rng, tuple(c for c in "0123456789X" if c != right))


@provides("badcard", "broken_card", None)
def broken_card(draw: Draw) -> str:
    """Sixteen or nineteen digits of the shape of a card that fail Luhn's test."""
    head = pick(draw.rng, ("6222", "6217", "4512", "5244")) + digits(draw.rng, pick(draw.rng, (11, 14)))
    right = luhn.calc_check_digit(head)
    return head + pick(draw.rng, tuple(c for c in "0123456789" if c != right))


@provides("placeholder", "placeholder", None)
def placeholder(draw: Draw) -> str:
    """What stands where a value would: nothing, a pattern, a mask without any digit left."""
    if draw.language == "zh":
        return pick(
            draw.rng,
            (
                "无",
                "（空）",
                "未填写",
                "暂无",
                "同上",
                "***",
                "XXX",
                "1XXXXXXXXXX",
                "待补充",
                "不便透露",
                "____",
                "见附件",
                "null",
            ),
        )
    return pick(
        draw.rng,
        (
            "N/A",
            "none",
            "not provided",
            "TBD",
            "***",
            "xxx-xx-xxxx",
            "(blank)",
            "unknown",
            "see attached",
            "____",
            "null",
        ),
    )


@provides("thing", "eponym", None)
def eponym(draw: Draw) -> str:
    """Brands, laws, units and dishes that are named like people."""
    if draw.language == "zh":
        return pick(
            draw.rng,
            (
                "李宁运动鞋",
                "王老吉",
                "张小泉剪刀",
                "老干妈",
                "周黑鸭",
                "东坡肉",
                "中山装",
                "王致和豆腐乳",
                "陈麻婆豆腐",
                "牛顿第二定律",
                "李锦记蚝油",
                "曹操出行",
                "林肯轿车",
                "周大福金店",
            ),
        )
    return pick(
        draw.rng,
        (
            "a Ford pickup",
            "the Wilson racket",
            "Levi jeans",
            "Newton's second law",
            "a Ferrari",
            "the Dow Jones",
            "Caesar salad",
            "a Morgan loan",
            "Murphy's law",
            "a Taylor guitar",
            "Johnson baby oil",
            "Ben & Jerry's",
        ),
    )


@provides("score", "score", None)
def score(draw: Draw) -> str:
    """Results, ratios, error codes, ports."""
    rng = draw.rng
    return pick(
        rng,
        (
            f"{number(rng, 0, 9)}:{number(rng, 0, 9)}",
            f"{number(rng, 100, 599)}",
            f"E{digits(rng, 5)}",
            f"0.{digits(rng, 4)}",
            f"{number(rng, 1, 99)}/{number(rng, 100, 200)}",
            f":{number(rng, 3000, 9999)}",
        ),
    )


@provides("status", "status", None)
def status(draw: Draw) -> str:
    """States of a process."""
    if draw.language == "zh":
        return pick(draw.rng, ("已完成", "处理中", "待审核", "已发货", "已取消", "正常", "待回访", "已签收"))
    return pick(
        draw.rng, ("done", "pending", "active", "shipped", "cancelled", "open", "closed", "in review")
    )


@provides("duration", "duration", None)
def duration(draw: Draw) -> str:
    """Spans of time that name no date."""
    rng = draw.rng
    count = number(rng, 2, 36)
    if draw.language == "zh":
        return f"{count}{pick(rng, ('天', '个月', '年', '个工作日', '小时', '周'))}"
    return f"{count} {pick(rng, ('days', 'months', 'years', 'business days', 'hours', 'weeks'))}"


@provides("percent", "percent", None)
def percent(draw: Draw) -> str:
    """Rates and shares."""
    return f"{number(draw.rng, 0, 99)}.{digits(draw.rng, 1)}%"
