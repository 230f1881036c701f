"""Dates and times: birth dates, and calendar dates and clock times of everything else."""

from __future__ import annotations

from data_pipeline.values.chance import number, pick
from data_pipeline.values.registry import Draw, provides

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DIGITS_ZH = "〇一二三四五六七八九"


def _small_zh(value: int) -> str:
    """A number under 100 in Chinese: 二十三."""
    tens, ones = divmod(value, 10)
    head = "" if tens == 0 else "十" if tens == 1 else f"{_DIGITS_ZH[tens]}十"
    return head + (_DIGITS_ZH[ones] if ones or not tens else "")


def _date_zh(draw: Draw, year: int, month: int, day: int) -> str:
    rng = draw.rng
    shape = rng.random()
    if shape < 0.35:
        return f"{year}年{month}月{day}日"
    if shape < 0.6:
        return f"{year}-{month:02d}-{day:02d}"
    if shape < 0.72:
        return f"{year}/{month}/{day}"
    if shape < 0.82:
        return f"{year}.{month:02d}.{day:02d}"
    if shape < 0.9:
        return f"{year}{month:02d}{day:02d}"
    if shape < 0.95:
        return f"{year}年{month:02d}月{day:02d}日"
    return f"{''.join(_DIGITS_ZH[int(c)] for c in str(year))}年{_small_zh(month)}月{_small_zh(day)}日"


def _date_en(draw: Draw, year: int, month: int, day: int) -> str:
    rng = draw.rng
    name = _MONTHS[month - 1]
    first, second = (month, day) if draw.person.region == "us" else (day, month)
    return pick(
        rng,
        (
            f"{name} {day}, {year}",
            f"{day} {name} {year}",
            f"{name[:3]} {day}, {year}",
            f"{first:02d}/{second:02d}/{year}",
            f"{first}/{second}/{year}",
            f"{year}-{month:02d}-{day:02d}",
            f"{first:02d}-{second:02d}-{year}",
            f"{day:02d}.{month:02d}.{year}",
            f"{day} {name[:3]} {year}",
        ),
    )


@provides("dob", "birth_date", "DATE_OF_BIRTH")
def birth_date(draw: Draw) -> str:
    """The person's birth date; Chinese texts give the month alone now and then."""
    year, month, day = draw.person.born
    if draw.language == "en":
        return _date_en(draw, year, month, day)
    if draw.rng.random() < 0.05:
        return pick(draw.rng, (f"{year}年{month}月", f"{year % 100:02d}年{month}月{day}日"))
    return _date_zh(draw, year, month, day)


def _recent(draw: Draw) -> tuple[int, int, int]:
    return number(draw.rng, 2015, 2026), number(draw.rng, 1, 12), number(draw.rng, 1, 28)


@provides("date", "calendar_date", "DATE_TIME")
def calendar_date(draw: Draw) -> str:
    """A date that is nobody's birth date."""
    year, month, day = _recent(draw)
    if draw.language == "en":
        return _date_en(draw, year, month, day)
    return f"{month}月{day}日" if draw.rng.random() < 0.3 else _date_zh(draw, year, month, day)


@provides("time", "clock_time", "DATE_TIME")
def clock_time(draw: Draw) -> str:
    """A time of day."""
    rng = draw.rng
    hour, minute = number(rng, 0, 23), number(rng, 0, 59)
    if draw.language == "en":
        twelve = (hour + 11) % 12 + 1
        return pick(rng, (f"{twelve}:{minute:02d} {'am' if hour < 12 else 'pm'}", f"{hour:02d}:{minute:02d}"))
    return pick(rng, (f"{hour:02d}:{minute:02d}", f"{hour}点{minute}分", f"{hour}:{minute:02d}"))


@provides("stamp", "timestamp", "DATE_TIME")
def timestamp(draw: Draw) -> str:
    """Date and time as machines write them."""
    rng = draw.rng
    year, month, day = _recent(draw)
    clock = f"{number(rng, 0, 23):02d}:{number(rng, 0, 59):02d}:{number(rng, 0, 59):02d}"
    date = f"{year}-{month:02d}-{day:02d}"
    return pick(
        rng,
        (
            f"{date} {clock}",
            f"{date}T{clock}Z",
            f"{date}T{clock}+08:00",
            f"{date.replace('-', '/')} {clock}",
            f"{date} {clock},{number(rng, 0, 999):03d}",
        ),
    )
