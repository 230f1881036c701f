"""The secret behind hashes, tokens, surrogates and signatures: where it comes from and what is made of it.

A key is 32 bytes or more from a random source (``openssl rand -hex 32``), written as hexadecimal or Base64
digits in a file of its own or in an environment variable. It is never part of a recipe.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from pathlib import Path
from typing import Self

from configs.errors import ConfigError, UserError

ENVIRONMENT = "PII_REDACTION_KEY"
"""The environment variable that is read where no file is named."""

MIN_BYTES = 32

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")


class KeyRequired(UserError):
    """An operator of the policy needs a key, and none was given."""

    def __init__(self, operator: str) -> None:
        self.operator = operator
        super().__init__(f"the operator {operator} needs a key: name a key file or set {ENVIRONMENT}")

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.operator,)


class RedactionKey:
    """One secret, from which an independent key is derived for each purpose and tenant.

    Nothing derived for one purpose or tenant says anything about another. `repr` shows the identifier alone.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_BYTES:
            raise ConfigError(f"the redaction key has {len(secret)} bytes; expected {MIN_BYTES} or more")
        self._secret = secret
        self._derived: dict[tuple[str, str, int], bytes] = {}
        self.id = self.derive("identifier", length=4).hex()

    def __repr__(self) -> str:
        return f"RedactionKey(id={self.id})"

    def derive(self, purpose: str, tenant: str = "", length: int = 32) -> bytes:
        """A key of `length` bytes for one purpose and tenant (HKDF-SHA-256, RFC 5869)."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        wanted = purpose, tenant, length
        if wanted not in self._derived:
            # A zero byte cannot stand in a purpose, so no two pairs give the same information string.
            info = f"pii-redaction/1/{purpose}\0{tenant}".encode("utf-8", "surrogatepass")
            self._derived[wanted] = HKDF(SHA256(), length, None, info).derive(self._secret)
        return self._derived[wanted]

    @classmethod
    def from_file(cls, path: Path) -> RedactionKey:
        """Read a key file. Raises ConfigError, without the content, where it holds no key."""
        try:
            written = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: the key cannot be read ({type(error).__name__})") from None
        return cls(_decoded(written, str(path)))

    @classmethod
    def find(cls, path: Path | None = None, variable: str = ENVIRONMENT) -> RedactionKey | None:
        """The key of a file, else of the environment variable, else None."""
        if path is not None:
            return cls.from_file(path)
        written = os.environ.get(variable, "")
        return cls(_decoded(written, variable)) if written else None


def digest(key: bytes, *parts: str) -> bytes:
    """HMAC-SHA-256 over parts that cannot run into each other: each is preceded by its length."""
    message = bytearray()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        message += len(encoded).to_bytes(8, "big") + encoded
    return hmac.digest(key, message, "sha256")


def _decoded(written: str, where: str) -> bytes:
    written = written.strip()
    if _HEX.fullmatch(written):
        return bytes.fromhex(written)
    try:
        return base64.b64decode(written.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"{where}: expected a key in hexadecimal or Base64 digits") from None
