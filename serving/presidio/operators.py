"""Presidio's operators: what each makes of one value. Their parameters and results are Presidio's.

Compatible with what Presidio 2.2 wrote: values that it encrypted are decrypted here, and the other way round.
Its ciphertexts (AES-CBC) are not authenticated and its hashes are salted by the caller at best: our own
`encrypt` and `hash` of ``POST /redact`` are the better choice where nothing else expects these.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from pii.errors import RequestError

Parameters = Mapping[str, Any]
Operator = Callable[[str, str], str]
"""From a value and its entity type to what stands in its place."""

_AES_KEY_BYTES = (16, 24, 32)
_SALT_BYTES = 16


def _refused(detail: str) -> RequestError:
    return RequestError("wrong_operator", "anonymizers", detail)


def _parameter(parameters: Parameters, name: str, kind: type, needed: bool = True) -> Any:
    value = parameters.get(name)
    if value is None and not needed:
        return None
    if value is None:
        raise _refused(f"Expected parameter {name}")
    # In Python a bool is an int; in JSON true is no number.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _refused(f"Invalid parameter value for {name}")
    return value


def _replace(parameters: Parameters) -> Operator:
    new = _parameter(parameters, "new_value", str, needed=False)
    return lambda _, type: str(new or f"<{type}>")


def _mask(parameters: Parameters) -> Operator:
    char = _parameter(parameters, "masking_char", str)
    count = _parameter(parameters, "chars_to_mask", int)
    from_end = _parameter(parameters, "from_end", bool)
    if len(char) > 1:
        raise _refused("Invalid input, masking_char must be a character")

    def masked(value: str, _: str) -> str:
        hidden = min(len(value), max(count, 0))
        stars = char * hidden
        return f"{value[: len(value) - hidden]}{stars}" if from_end else f"{stars}{value[hidden:]}"

    return masked


def _hash(parameters: Parameters) -> Operator:
    kind = _parameter({"hash_type": "sha256", **parameters}, "hash_type", str)
    salt = _parameter(parameters, "salt", str, needed=False)
    if kind not in ("sha256", "sha512"):
        raise _refused("Parameter hash_type is not in range of values sha256, sha512")
    if salt is not None and len(salt.encode()) < _SALT_BYTES:
        raise _refused("Salt must be at least 16 bytes (128 bits)")

    def hashed(value: str, _: str) -> str:
        # Without a salt of the caller each value gets its own, and nobody can guess values by trying them.
        salted = value.encode() + (os.urandom(32) if salt is None else salt.encode())
        return hashlib.new(kind, salted).hexdigest()

    return hashed


def _key(parameters: Parameters) -> bytes:
    key: bytes = _parameter(parameters, "key", str).encode()
    if len(key) not in _AES_KEY_BYTES:
        raise _refused("Invalid input, key must be of length 128, 192 or 256 bits")
    return key


def _encrypt(parameters: Parameters) -> Operator:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    key = _key(parameters)

    def encrypted(value: str, _: str) -> str:
        padder, start = PKCS7(128).padder(), os.urandom(16)
        padded = padder.update(value.encode()) + padder.finalize()
        encryptor = Cipher(algorithms.AES(key), modes.CBC(start)).encryptor()
        return base64.urlsafe_b64encode(start + encryptor.update(padded) + encryptor.finalize()).decode()

    return encrypted


def _decrypt(parameters: Parameters) -> Operator:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    key = _key(parameters)

    def decrypted(value: str, _: str) -> str:
        try:
            sealed = base64.b64decode(value, b"-_", validate=True)
            decryptor = Cipher(algorithms.AES(key), modes.CBC(sealed[:16])).decryptor()
            padded = decryptor.update(sealed[16:]) + decryptor.finalize()
            unpadder = PKCS7(128).unpadder()
            opened: bytes = unpadder.update(padded) + unpadder.finalize()
            return opened.decode()
        except (binascii.Error, ValueError):
            raise RequestError("not_decrypted", "text", "a value does not open with this key") from None

    return decrypted


ANONYMIZERS: Mapping[str, Callable[[Parameters], Operator]] = {
    "encrypt": _encrypt,
    "hash": _hash,
    "keep": lambda _: lambda value, type: value,
    "mask": _mask,
    "redact": lambda _: lambda value, type: "",
    "replace": _replace,
}
"""Name → what makes the operator of its parameters. Presidio's ``custom`` takes code, and no request may."""

DEANONYMIZERS: Mapping[str, Callable[[Parameters], Operator]] = {
    "decrypt": _decrypt,
    "deanonymize_keep": lambda _: lambda value, type: value,
}
