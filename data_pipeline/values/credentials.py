"""Secrets: passwords, keys, tokens, one-time codes, PINs and card verification values."""

from __future__ import annotations

import base64
import json

from data_pipeline.values.chance import digits, letters, number, pick
from data_pipeline.values.registry import Draw, provides

TYPE = "CREDENTIAL"
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = _LOWER + _LOWER.upper() + "0123456789"


@provides("password", "password", TYPE)
def password(draw: Draw) -> str:
    """Passwords as people make them (name, word, year, sign) and as machines do."""
    rng, person = draw.rng, draw.person
    shape = rng.random()
    if shape < 0.35:
        word = (person.latin_family or person.latin_given or "hello")[:6]
        sign = pick(rng, "!@#$%*.")
        return f"{word.capitalize()}{pick(rng, ('@', '#', '_', ''))}{number(rng, 1970, 2025)}{sign}"
    if shape < 0.6:
        word = pick(rng, ("Summer", "Dragon", "Passw0rd", "Qwerty", "iloveyou", "Welcome", "admin", "Spring"))
        return f"{word}{pick(rng, '@#!$')}{digits(rng, number(rng, 2, 4))}"
    if shape < 0.9:
        return letters(rng, _ALNUM + "!@#%^*-_+", number(rng, 9, 16))
    return f"{letters(rng, _LOWER, 3)}{digits(rng, number(rng, 5, 7))}"


@provides("otp", "otp", TYPE)
def otp(draw: Draw) -> str:
    """A one-time code: four or six digits, sometimes with letters."""
    if draw.rng.random() < 0.08:
        return letters(draw.rng, "ABCDEFGHJKLMNPQRSTUVWXYZ23456789", 6)
    return digits(draw.rng, pick(draw.rng, (6, 6, 6, 4)))


@provides("pin", "pin", TYPE)
def pin(draw: Draw) -> str:
    """The PIN of a card: six digits in China, four elsewhere."""
    return digits(draw.rng, 6 if draw.language == "zh" else 4)


@provides("cvv", "cvv", TYPE)
def cvv(draw: Draw) -> str:
    """Three digits on the back of a card, four on American Express."""
    return digits(draw.rng, pick(draw.rng, (3, 3, 3, 4)))


@provides("key", "api_key", TYPE, any=4)
def api_key(draw: Draw) -> str:
    """Keys with the prefixes that services publish, and bare ones."""
    rng = draw.rng
    shape = pick(
        rng,
        (
            "sk-{48}",
            "ghp_{36}",
            "AKIA{U16}",
            "LTAI{20}",
            "AIza{35}",
            "xoxb-{d11}-{24}",
            "sk_live_{24}",
            "glpat-{20}",
            "{h32}",
            "{40}",
        ),
    )
    head, _, rest = shape.partition("{")
    out = head
    for part in rest.split("{"):
        size, _, tail = part.partition("}")
        kind, count = (size[0], int(size[1:])) if size[0].isalpha() else ("", int(size))
        alphabet = {"U": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "d": "0123456789", "h": "0123456789abcdef"}.get(
            kind, _ALNUM
        )
        out += letters(rng, alphabet, count) + tail
    return out


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@provides("key", "jwt", TYPE, any=1)
def jwt(draw: Draw) -> str:
    """A JSON Web Token (RFC 7519) with a random signature."""
    header = {"alg": "HS256", "typ": "JWT"}
    claims = {"sub": digits(draw.rng, 8), "exp": 1700000000 + number(draw.rng, 0, 90000000)}
    parts = (json.dumps(p, separators=(",", ":")).encode() for p in (header, claims))
    return ".".join([*(_b64(p) for p in parts), _b64(draw.rng.randbytes(32))])
