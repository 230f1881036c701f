"""`Encrypt` and `restore`: every value sealed by itself, and put back by whoever has the key.

A token is ``[pii1:PERSON_NAME:PAYLOAD]``. The payload is Base64url without padding of key identifier (4
bytes), nonce (12 bytes) and AES-256-SIV (RFC 5297) ciphertext with its 16-byte tag; version, type and
nonce are authenticated with it.

The nonce is a keyed digest of document, place and value instead of a random number. So the same job gives
the same bytes again, which resumable batch jobs rest on, while equal values in two places have unlike
tokens. Should two nonces ever meet, SIV gives away only whether the two values are equal.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pii.errors import DataError
from pii.redaction.keys import RedactionKey
from pii.redaction.occurrence import Occurrence, OperatorConfig, Scope

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

VERSION = "pii1"
_NONCE_BYTES = 12
_KEY_ID_BYTES = 4
_TOKEN = re.compile(r"\[pii1:([A-Z][A-Z0-9_]*):([A-Za-z0-9_-]{44,})\]")


@functools.lru_cache(maxsize=64)
def _cipher(secret: bytes) -> AESSIV:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(secret)


def _bound(type: str, nonce: bytes) -> list[bytes]:
    """What a payload is bound to: it opens under no other version, type or nonce."""
    return [VERSION.encode(), type.encode(), nonce]


class Encrypt(OperatorConfig):
    """Put a sealed token in its place, which `restore` opens."""

    operator: Literal["encrypt"] = "encrypt"

    def replacement(self, occurrence: Occurrence, scope: Scope) -> str:
        """The token. Raises KeyRequired."""
        secret = scope.secret("encrypt", 64)
        place = (scope.document, str(occurrence.start), occurrence.type, occurrence.value)
        nonce = scope.digest("nonce", *place)[:_NONCE_BYTES]
        # Lone surrogates cannot come from a file, but a library's caller may hold them.
        plain = occurrence.value.encode("utf-8", "surrogatepass")
        sealed = _cipher(secret).encrypt(plain, _bound(occurrence.type, nonce))
        assert scope.key is not None
        payload = bytes.fromhex(scope.key.id) + nonce + sealed
        return f"[{VERSION}:{occurrence.type}:{base64.urlsafe_b64encode(payload).decode().rstrip('=')}]"


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What the tokens of a text hold.

    Attributes:
        values: (start, end, value) of every token that opened, in order.
        num_foreign: what looks like a token and is none of this key's.
        refused: (start, end) of tokens of this key that do not open: altered, cut, or of another tenant.
    """

    values: tuple[tuple[int, int, str], ...] = field(repr=False)
    num_foreign: int
    refused: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """A text with its tokens opened.

    Attributes:
        text: the text.
        num_restored: tokens that were opened.
        num_foreign, refused: as of `Unsealed`; these tokens stay as they stand.
    """

    text: str = field(repr=False)
    num_restored: int
    num_foreign: int
    refused: tuple[tuple[int, int], ...] = ()


def unseal(text: str, key: RedactionKey, tenant: str = "", *, tolerant: bool = False) -> Unsealed:
    """Open every token of this key, once and from left to right, without touching the text.

    What only looks like a token does not carry the key's identifier. Values are not searched for tokens
    again, so that a value which was itself a token comes back as that.

    Args:
        text: a redacted text, edited or not.
        key: the key that it was redacted with.
        tenant: the policy's tenant.
        tolerant: report tokens that do not open, instead of raising.

    Raises:
        DataError: a token carries the key's identifier and does not open; the message has its offsets.
    """
    secret, mark = key.derive("encrypt", tenant, 64), bytes.fromhex(key.id)
    values: list[tuple[int, int, str]] = []
    refused: list[tuple[int, int]] = []
    num_foreign = 0
    for token in _TOKEN.finditer(text):
        payload = _payload(token[2])
        if payload is None or payload[:_KEY_ID_BYTES] != mark:
            num_foreign += 1
            continue
        value = _opened(secret, token[1], payload[_KEY_ID_BYTES:])
        if value is None:
            refused.append(token.span())
        else:
            values.append((*token.span(), value))
    if refused and not tolerant:
        places = ", ".join(f"{start}-{end}" for start, end in refused[:5])
        raise DataError(f"{len(refused)} tokens do not open: altered, or of another tenant ({places})")
    return Unsealed(tuple(values), num_foreign, tuple(refused))


def restore(text: str, key: RedactionKey, tenant: str = "", *, tolerant: bool = False) -> Restored:
    """The text with what its tokens hold, see `unseal`; all else stays byte for byte."""
    found = unseal(text, key, tenant, tolerant=tolerant)
    pieces: list[str] = []
    copied = 0
    for start, end, value in found.values:
        pieces += [text[copied:start], value]
        copied = end
    pieces.append(text[copied:])
    return Restored("".join(pieces), len(found.values), found.num_foreign, found.refused)


def _payload(written: str) -> bytes | None:
    try:
        payload = base64.b64decode(written + "=" * (-len(written) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # Base64 may leave bits unused at the end: only the one spelling that we write is ours.
    return payload if base64.urlsafe_b64encode(payload).decode().rstrip("=") == written else None


def _opened(secret: bytes, type: str, payload: bytes) -> str | None:
    from cryptography.exceptions import InvalidTag

    nonce, sealed = payload[:_NONCE_BYTES], payload[_NONCE_BYTES:]
    try:
        plain = _cipher(secret).decrypt(sealed, _bound(type, nonce))
    except InvalidTag:
        return None
    return plain.decode("utf-8", "surrogatepass")
