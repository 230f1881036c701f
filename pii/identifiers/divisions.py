"""Administrative divisions of the Chinese mainland with their six-digit codes (GB/T 2260).

The table is python-stdnum's ``cn/loc.dat`` (from Wikipedia's 中华人民共和国行政区划代码), read once: it knows
which code a county had in which years.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib import resources

_MUNICIPALITIES = frozenset({"11", "12", "31", "50"})
_NOT_MAINLAND = frozenset({"71", "81", "82"})
# Collective names in the table that no address is written with.
_PLACEHOLDERS = re.compile("市辖区|^县$|直辖|^市$|省属|区划")
_ENTRY = re.compile(r"(?:\[(\d*)-(\d*)\])?([^,\[\]]+)")


@dataclass(frozen=True, slots=True)
class Division:
    """A county-level division; `city` is empty for a municipality and for counties under the province."""

    code: str
    province: str
    city: str
    county: str

    @property
    def full_name(self) -> str:
        """Province, city and county, as an address begins."""
        return self.province + self.city + self.county


def _lines() -> tuple[str, ...]:
    return tuple(resources.files("stdnum.cn").joinpath("loc.dat").read_text(encoding="utf-8").splitlines())


def _current(entry: str) -> str:
    """The name that a code has today; empty for a code that is out of use or a collective name."""
    for _, until, name in _ENTRY.findall(entry):
        if not until and not _PLACEHOLDERS.search(name):
            return str(name)
    return ""


@functools.cache
def divisions() -> tuple[Division, ...]:
    """All current county-level divisions of the mainland."""
    found: list[Division] = []
    province = city = prefix = ""
    for line in _lines():
        if line.startswith("#"):
            continue
        code, _, rest = line.strip().partition(" ")
        name = rest.partition('"')[2].rstrip('"')
        if not line.startswith(" "):
            province, prefix, city = name, code, ""
        elif prefix not in _NOT_MAINLAND and code != "0000":
            current = _current(name)
            if code.endswith("00"):
                city = current
            elif current:
                shown = "" if prefix in _MUNICIPALITIES else city
                found.append(Division(prefix + code, province, shown, current))
    return tuple(found)


@functools.cache
def unassigned_codes() -> tuple[str, ...]:
    """County codes that the table has never given to any county: no id number can begin with them."""
    assigned: set[str] = set()
    prefix = ""
    for line in _lines():
        code = line.strip().partition(" ")[0]
        if line.startswith(" "):
            assigned.add(prefix + code)
        else:
            prefix = code
    provinces = sorted({d.code[:2] for d in divisions()})
    codes = (f"{p}{rest:04d}" for p in provinces for rest in range(190, 200))
    return tuple(code for code in codes if code not in assigned)


@functools.cache
def written_names() -> frozenset[str]:
    """Cities and counties as addresses write them, kind of division included: 杭州市, 西湖区, 昌黎县.

    Former names too: people go on using them.
    """
    names = (name for line in _lines() for _, _, name in _ENTRY.findall(line.partition('"')[2].rstrip('"')))
    return frozenset(name for name in names if len(name) > 2 and not _PLACEHOLDERS.search(name))
