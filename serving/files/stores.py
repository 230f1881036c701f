"""Files in stores that are reached by an address: S3 and whatever else fsspec opens.

What a store answers is told by the address and a reason of few fixed words: its own message may quote
anything.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import logging
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from configs.errors import UserError

_FLAT = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss"))
"""Protocols of stores without folders: there, making one would leave an empty object, or make a bucket."""

_ARROW_REASON = re.compile(r"AWS Error (?!UNKNOWN)([A-Z_]+)|HTTP status (\d+)")
"""What Arrow says of the answer of a store, in a message that quotes the rest of it."""

_MISSING, _DENIED = "no such bucket or file", "access denied"
_REASONS = {
    "ACCESS_DENIED": _DENIED,
    "NO_SUCH_BUCKET": _MISSING,
    "NO_SUCH_KEY": _MISSING,
    "403": _DENIED,
    "404": _MISSING,
}

READ_BYTES = 1 << 20


def is_file(address: str) -> bool:
    """Whether there is a file."""
    return _kind(address) == "file"


def is_folder(address: str) -> bool:
    """Whether there is a folder, or anything whose name begins as that of a file in it would."""
    return _kind(address) == "directory"


def _kind(address: str) -> str:
    # Not fsspec's isfile and isdir: for these a store that does not answer has no files.
    with _asked(address) as (system, path):
        try:
            kind: str = system.info(path)["type"]
        except FileNotFoundError:
            return ""
    return kind


def size_of(address: str) -> int:
    """Bytes of a file."""
    with _asked(address) as (system, path):
        return int(system.size(path) or 0)


def fingerprint(address: str) -> str:
    """What the store says of a file: size and its own mark (ETag, time of change)."""
    with _asked(address) as (system, path):
        return str(system.ukey(path))


@contextmanager
def reading(address: str) -> Iterator[BinaryIO]:
    """Open a file as it stands."""
    with _asked(address) as (system, path):
        file = system.open(path, "rb")
    with file, io.BufferedReader(_Raw(address, file), READ_BYTES) as buffered:
        yield cast(BinaryIO, buffered)


class _Raw(io.RawIOBase):
    """A file of fsspec with the whole of Python's interface, and errors that name it."""

    def __init__(self, address: str, file: Any) -> None:
        super().__init__()
        self._address, self._file = address, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, buffer: Any) -> int:
        with _named(self._address):
            return int(self._file.readinto(buffer))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with _named(self._address):
            self._file.seek(offset, whence)
            return int(self._file.tell())

    def tell(self) -> int:
        return int(self._file.tell())


def upload(source: Path, address: str) -> None:
    """Put a local file into its store. It appears there whole or, where anything fails, not at all.

    An interrupt waits for its end: it reaches the main thread alone, and the file is written in another one.
    """
    with _asked(address) as (system, path), ThreadPoolExecutor(1) as pool:
        if _is_arrow(address):
            pool.submit(_put_by_arrow, source, system.fs, path).result()
        else:
            has_folders = _protocol(address) not in _FLAT
            pool.submit(_put, source, system, path, has_folders=has_folders).result()


def _put_by_arrow(source: Path, system: Any, path: str) -> None:
    """Write a file in one call.

    A stream of Arrow cannot be given up: whatever ends it between its opening and its closing stores what it
    has. `pyarrow.fs.copy_files` is no way out, since it ignores that the last part was refused.
    """
    from pyarrow import memory_map

    with memory_map(str(source)) as file, system.open_output_stream(path, compression=None) as target:
        target.write(file.read_buffer())


def _put(source: Path, system: Any, path: str, *, has_folders: bool) -> None:
    parent = path.rpartition("/")[0]
    if parent and has_folders:
        system.makedirs(parent, exist_ok=True)
    # Outside of a transaction a file that an exception ends is stored as far as it was written.
    with source.open("rb") as file, system.transaction, system.open(path, "wb") as target:
        shutil.copyfileobj(file, target, READ_BYTES)


def found(address: str, *, is_pattern: bool) -> Iterator[tuple[str, str]]:
    """The files that a folder or pattern stands for, as (address, name below the common folder).

    Args:
        address: the folder or pattern.
        is_pattern: which of the two.
    """
    with _asked(address) as (system, path):
        if is_pattern:
            fixed = re.split(r"[^/]*[*?\[]", path, maxsplit=1)[0]
            top, paths = fixed.rstrip("/"), [one for one in system.glob(path) if system.isfile(one)]
        else:
            top, paths = path.rstrip("/"), system.find(path)
    for one in paths:
        yield f"{_protocol(address)}://{one.lstrip('/')}", one[len(top) :].lstrip("/")


def _protocol(address: str) -> str:
    return address.partition("://")[0]


def _is_arrow(address: str) -> bool:
    """Whether Arrow speaks to the store; s3fs does it where it is installed.

    It is not among the pins of the product, for it asks for an older python-dateutil.
    """
    return _protocol(address) == "s3" and importlib.util.find_spec("s3fs") is None


@contextmanager
def _asked(address: str) -> Iterator[tuple[Any, str]]:
    """Fsspec's file system for an address, and the path in it.

    Raises UserError: not installed, not known, and whatever the store raises within the block.
    """
    try:
        import fsspec
    except ModuleNotFoundError:
        raise UserError(f"{address}: reading addresses needs fsspec; install the extra files") from None
    # They tell where they have found keys.
    for library in ("aiobotocore", "botocore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    if _is_arrow(address):
        with _named(address):
            system = _arrow_s3()
        path = address.partition("://")[2]
    else:
        try:
            system, path = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as error:
            # fsspec names the package that a protocol needs.
            raise UserError(f"{address}: {error}") from None
    with _named(address):
        yield system, path


@functools.cache
def _arrow_s3() -> Any:
    """S3 as Arrow speaks it: region, keys and endpoint from the environment, as every AWS tool takes them."""
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import S3FileSystem

    return ArrowFSWrapper(S3FileSystem(endpoint_override=os.environ.get("AWS_ENDPOINT_URL")))


@contextmanager
def _named(address: str) -> Iterator[None]:
    """Raises UserError with the address and a reason for all that is raised in the block."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{address}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return _MISSING
    if isinstance(error, PermissionError):
        return _DENIED
    told = _ARROW_REASON.search(str(error))
    if told is None:
        return f"the store cannot be used ({type(error).__name__})"
    word = told[1] or told[2]
    return _REASONS.get(word, f"the store cannot be used ({word})")
