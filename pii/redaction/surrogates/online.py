"""E-mail addresses, URLs, names and numbers of accounts."""

from __future__ import annotations

import re

from pii.identifiers.contact import CN_MOBILE
from pii.identifiers.secrets import KEYS
from pii.redaction.surrogates import phones
from pii.redaction.surrogates.draw import Draw
from pii.redaction.surrogates.original import Original, draw_of
from pii.redaction.writing import Written

_DOMAINS = ("example.com", "example.org", "example.net")
"""Kept for examples by RFC 2606: nobody can receive mail there."""

_LETTERS = re.compile(r"[a-z]{2,}|[A-Z][a-z]+")
_PREFIXES = tuple(sorted({p for key in KEYS for p in key.prefixes} | {"wxid_", "eyJ"}, key=len, reverse=True))


def filled(value: str, draw: Draw) -> str:
    """Each letter and digit by one of its kind; words of letters become words that can be spoken."""
    words: list[tuple[int, str]] = []
    for run in _LETTERS.finditer(value):
        word = draw.word(len(run[0]))
        words.append((run.start(), word.capitalize() if run[0][0].isupper() else word))
    written = Written(value)
    made = list(written.filled(draw.alike(written.core)))
    for start, word in words:
        made[start : start + len(word)] = word
    return "".join(made)


def email(original: Original) -> str | None:
    """The local part alike, at a domain kept for examples; one domain has one such domain."""
    local, at, domain = original.value.replace("＠", "@").rpartition("@")
    if not at or not local:
        return None
    chosen = draw_of(original.scope, "DOMAIN", domain.strip().casefold()).pick(_DOMAINS)
    return f"{filled(local, original.draw)}@{chosen}"


def url(original: Original) -> str | None:
    """Scheme and form; the host is one kept for examples, path and query are alike."""
    parts = re.match(
        r"(?P<scheme>[A-Za-z]+://|(?=www\.))(?P<user>[^/@\s]*@)?(?P<host>[^/?#\s]+)", original.value
    )
    if not parts:
        return None
    host = draw_of(original.scope, "DOMAIN", parts["host"].casefold()).pick(_DOMAINS)
    www = "www." if parts["host"].lower().startswith("www.") else ""
    user = filled(parts["user"], original.draw) if parts["user"] else ""
    return parts["scheme"] + user + www + host + filled(original.value[parts.end() :], original.draw)


def username(original: Original) -> str:
    """A name of the same form."""
    return filled(original.value, original.draw)


def wechat(original: Original) -> str | None:
    """A WeChat id of the same form, or a telephone number that nobody has."""
    if CN_MOBILE.fullmatch(original.written.core):
        return phones.phone_like(original)
    return code(original)


def code(original: Original) -> str | None:
    """Letters and digits of the same kinds; the prefix by which an issuer's keys are known stays."""
    value = original.value
    prefix = next((p for p in _PREFIXES if value.startswith(p)), "")
    written = Written(value[len(prefix) :])
    return prefix + written.filled(original.draw.alike(written.core)) if written.core else None
