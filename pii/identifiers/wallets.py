"""Checksums of crypto wallets: Base58Check, Bech32 and Bech32m, EIP-55.

Sources: https://en.bitcoin.it/wiki/Base58Check_encoding, BIP 173 and BIP 350,
https://eips.ethereum.org/EIPS/eip-55, FIPS 202 (the Keccak permutation; Ethereum pads as before FIPS 202).
"""

from __future__ import annotations

import hashlib
import re

from pii.identifiers.verdict import Verdict

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES = {char: value for value, char in enumerate(_BASE58)}
_VERSIONS = {
    0x00: "btc",
    0x05: "btc",
    0x30: "ltc",
    0x32: "ltc",
    0x1E: "doge",
    0x16: "doge",
    0x4C: "dash",
    0x41: "tron",
}
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_VALUES = {char: value for value, char in enumerate(_BECH32)}
_BECH32_COINS = {"bc": "btc", "ltc": "ltc"}
_BECH32_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)

_BASE58_SHAPE = re.compile(f"[13LMD9AXT7][{_BASE58}]{{25,34}}")
_BECH32_SHAPE = re.compile(f"(bc|ltc)1([{_BECH32}]{{11,87}})")
_ETH_SHAPE = re.compile(r"0x[0-9a-fA-F]{40}")


def wallet(address: str) -> Verdict | None:
    """Check an address as written (case matters); None where it has no wallet's shape."""
    if _ETH_SHAPE.fullmatch(address):
        return _ethereum(address)
    if shape := _BECH32_SHAPE.fullmatch(address.lower()):
        mixed = address not in (address.lower(), address.upper())
        return Verdict(not mixed and _bech32_holds(shape[1], shape[2]), _BECH32_COINS[shape[1]])
    if _BASE58_SHAPE.fullmatch(address):
        return _base58check(address)
    return None


def base58_decode(address: str) -> bytes:
    """The bytes of an address in Bitcoin's Base58 digits, checksum included."""
    number = 0
    for char in address:
        number = number * 58 + _BASE58_VALUES[char]
    zeros = len(address) - len(address.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base58check(payload: bytes) -> str:
    """The address of a version byte and hash: Base58 with the first four bytes of double SHA-256."""
    whole = payload + _double_sha256(payload)[:4]
    number, written = int.from_bytes(whole, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        written = _BASE58[digit] + written
    return "1" * (len(whole) - len(whole.lstrip(b"\0"))) + written


def _double_sha256(content: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(content).digest()).digest()


def _base58check(address: str) -> Verdict:
    decoded = base58_decode(address)
    if len(decoded) != 25:
        return Verdict(False)
    coin = _VERSIONS.get(decoded[0])
    return Verdict(coin is not None and _double_sha256(decoded[:-4])[:4] == decoded[-4:], coin)


def bech32(prefix: str, data: str) -> str:
    """The address of a prefix (``bc``) and its data in Bech32 digits, witness version first."""
    remainder = _bech32_remainder(prefix, data + "q" * 6) ^ _bech32_constant(data)
    checksum = "".join(_BECH32[remainder >> 5 * (5 - place) & 31] for place in range(6))
    return f"{prefix}1{data}{checksum}"


def _bech32_holds(prefix: str, data: str) -> bool:
    return _bech32_remainder(prefix, data) == _bech32_constant(data)


def _bech32_constant(data: str) -> int:
    # Witness version 0 uses Bech32, later ones Bech32m.
    return 1 if data[0] == "q" else 0x2BC830A3


def _bech32_remainder(prefix: str, data: str) -> int:
    values = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    values += [_BECH32_VALUES[c] for c in data]
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_BECH32_GENERATOR):
            if top >> bit & 1:
                checksum ^= generator
    return checksum


def _ethereum(address: str) -> Verdict:
    digits = address[2:]
    if digits in (digits.lower(), digits.upper()):
        return Verdict(None, "eth")
    return Verdict(digits == eip55(digits), "eth")


def eip55(digits: str) -> str:
    """The forty hexadecimal digits of an Ethereum address in the mixed case that is their checksum."""
    digest = _keccak256(digits.lower().encode()).hex()
    cased = (c.upper() if int(d, 16) >= 8 else c for c, d in zip(digits.lower(), digest, strict=False))
    return "".join(cased)


_ROUNDS = 24
_MASK = (1 << 64) - 1


def _rotate(lane: int, bits: int) -> int:
    bits %= 64
    return ((lane << bits) | (lane >> (64 - bits))) & _MASK


def _permute(lanes: list[list[int]]) -> list[list[int]]:
    """Keccak-f[1600], FIPS 202 section 3.3, with the compact round constants of its LFSR."""
    lfsr = 1
    for _ in range(_ROUNDS):
        parity = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
        mixed = [parity[(x + 4) % 5] ^ _rotate(parity[(x + 1) % 5], 1) for x in range(5)]
        lanes = [[lanes[x][y] ^ mixed[x] for y in range(5)] for x in range(5)]
        x, y, current = 1, 0, lanes[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, lanes[x][y] = lanes[x][y], _rotate(current, (t + 1) * (t + 2) // 2)
        for y in range(5):
            row = [lanes[x][y] for x in range(5)]
            for x in range(5):
                lanes[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5])
        for j in range(7):
            lfsr = ((lfsr << 1) ^ ((lfsr >> 7) * 0x71)) % 256
            if lfsr & 2:
                lanes[0][0] ^= 1 << ((1 << j) - 1)
    return lanes


def _keccak256(message: bytes) -> bytes:
    """Keccak-256 of a message shorter than one block of 136 bytes, with Keccak's own padding."""
    block = bytearray(message.ljust(136, b"\0"))
    block[len(message)] ^= 0x01
    block[-1] ^= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for i in range(17):
        lanes[i % 5][i // 5] = int.from_bytes(block[8 * i : 8 * i + 8], "little")
    lanes = _permute(lanes)
    return b"".join(lanes[i % 5][i // 5].to_bytes(8, "little") for i in range(4))
