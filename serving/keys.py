"""API keys: who may ask. The file holds a name and a hash for each key, never a key.

    keys:
      - {name: "billing", hash: "sha256:9f86...", not_after: "2027-06-30", requests_per_minute: 600}

A key is 32 random bytes that `pii keys add` makes and shows once. So much chance cannot be guessed from its
hash, and a hash that is slow on purpose, as passwords need one, would only slow down each request.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import logging
import secrets
import time
from pathlib import Path

from pydantic import Field, field_validator

from configs.atomic import writing
from configs.errors import ConfigError
from configs.reader import StrictConfig, dump, load

logger = logging.getLogger(__name__)

PREFIX = "pii_"
"""Begins every key, so that a scanner for secrets can know one."""

LOOK_S = 1.0
"""How often the file is looked at for changes."""


class ApiKey(StrictConfig):
    """One entry of the file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Stands in logs and in the audit log."""
    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """Of the key."""
    not_after: str | None = None
    """Last day on which the key is taken, in UTC, as ``2027-06-30``; null: it does not end."""
    requests_per_minute: int | None = Field(default=None, gt=0)
    """The key's own limit; null: the service's."""

    @field_validator("not_after")
    @classmethod
    def _is_a_day(cls, value: str | None) -> str | None:
        if value is not None:
            datetime.date.fromisoformat(value)
        return value

    @property
    def is_over(self) -> bool:
        """Whether its last day has passed."""
        today = datetime.datetime.now(datetime.UTC).date()
        return self.not_after is not None and datetime.date.fromisoformat(self.not_after) < today


class KeyFile(StrictConfig):
    """The file. Two keys may have one name while one is being changed for the other."""

    keys: tuple[ApiKey, ...] = ()


def hash_of(key: str) -> str:
    """What the file holds of a key."""
    return f"sha256:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


def add(path: Path, name: str, **members: str | int | None) -> str:
    """Make a key, add its hash to the file, which need not exist yet, and return the key."""
    key = PREFIX + secrets.token_urlsafe(32)
    before = load(path, KeyFile).keys if path.exists() else ()
    entry = ApiKey.model_validate({"name": name, "hash": hash_of(key), **members})
    _write(path, (*before, entry))
    return key


def remove(path: Path, name: str) -> int:
    """Take every key of that name from the file; returns how many there were."""
    before = load(path, KeyFile).keys
    kept = tuple(entry for entry in before if entry.name != name)
    _write(path, kept)
    return len(before) - len(kept)


def _write(path: Path, keys: tuple[ApiKey, ...]) -> None:
    with writing(path) as file:
        file.write(dump(KeyFile(keys=keys)))


class KeyRing:
    """The keys of a file, read again when it changes.

    Args:
        path: the file. Raises ConfigError where it cannot be read or holds no key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = load(path, KeyFile).keys
        if not self._keys:
            raise ConfigError(f"{path}: holds no key; `pii keys add NAME --file {path}` makes one")
        self._seen, self._looked_at = self._stamp(), time.monotonic()

    def find(self, key: str) -> ApiKey | None:
        """The entry of a key; None where there is none, or where its last day has passed.

        Every entry is compared, in time that does not depend on the key.
        """
        self._look()
        wanted, found = hash_of(key), None
        for entry in self._keys:
            if hmac.compare_digest(entry.hash, wanted):
                found = entry
        return None if found is None or found.is_over else found

    def _look(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_S:
            return
        self._looked_at = time.monotonic()
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._keys, self._seen = load(self._path, KeyFile).keys, stamp
            logger.info("%s: %d API keys", self._path, len(self._keys))
        except (ConfigError, OSError) as error:
            # A file that is being written, or a mistake in it, locks nobody out.
            logger.error("API keys stay as they were: %s", error)

    def _stamp(self) -> tuple[int, int, int]:
        state = self._path.stat()
        return state.st_mtime_ns, state.st_size, state.st_ino
