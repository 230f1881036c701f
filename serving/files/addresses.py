"""Where input is and where results go: local paths, standard streams, or any address that fsspec opens.

Local files need no fsspec. A remote result is written whole at the end of a job (an object store has
neither renaming nor appending); until then its shards are kept on a local disk.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from configs.atomic import writing
from configs.errors import UserError
from configs.stage import file_hash

STANDARD = "-"
"""Standard input or output."""

_WILD = frozenset("*?[")


def is_remote(address: str) -> bool:
    """Whether fsspec is asked: ``s3://bucket/key``, ``memory://x``; a plain path is not."""
    return "://" in address


def is_pattern(address: str) -> bool:
    """Whether an address stands for all files that match it."""
    return any(char in _WILD for char in address)


def base_name(address: str) -> str:
    """The last part of an address."""
    return PurePosixPath(address).name


def _system(address: str) -> tuple[Any, str]:
    """Fsspec's file system for an address, and the path in it. Raises UserError: not installed, not known."""
    try:
        import fsspec
    except ModuleNotFoundError:
        raise UserError(f"{address}: reading addresses needs fsspec; install the extra files") from None
    protocol, _, path = address.partition("://")
    if protocol == "s3" and importlib.util.find_spec("s3fs") is None:
        return _arrow_s3(), path
    try:
        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        # fsspec names the package that a protocol needs.
        raise UserError(f"{address}: {error}") from None
    return system, path


@functools.cache
def _arrow_s3() -> Any:
    """S3 as Arrow speaks it: region, keys and endpoint from the environment, as every AWS tool takes them.

    s3fs is taken where it is installed; it is not among the pins, for it wants an older python-dateutil.
    """
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import S3FileSystem

    return ArrowFSWrapper(S3FileSystem(endpoint_override=os.environ.get("AWS_ENDPOINT_URL")))


def is_file(address: str) -> bool:
    """Whether there is a file."""
    if is_remote(address):
        system, path = _system(address)
        return bool(system.isfile(path))
    return Path(address).is_file()


def is_folder(address: str) -> bool:
    """Whether there is a folder."""
    if is_remote(address):
        system, path = _system(address)
        return bool(system.isdir(path))
    return Path(address).is_dir()


def size_of(address: str) -> int:
    """Bytes of a file."""
    if is_remote(address):
        system, path = _system(address)
        return int(system.size(path) or 0)
    return Path(address).stat().st_size


def fingerprint(address: str) -> str:
    """What changes with a file's content: SHA-256 of a local one, what its store says of a remote one.

    For a remote file that is size and the store's own mark (ETag, time of change): to hash it would be to
    fetch it twice.
    """
    if is_remote(address):
        system, path = _system(address)
        return str(system.ukey(path))
    return file_hash(Path(address))


@contextmanager
def reading(address: str) -> Iterator[BinaryIO]:
    """Open a file as it stands."""
    if is_remote(address):
        system, path = _system(address)
        with system.open(path, "rb") as file:
            yield cast(BinaryIO, file)
    else:
        with Path(address).open("rb") as file:
            yield file


@contextmanager
def appearing(address: str, folder: Path | None = None) -> Iterator[BinaryIO]:
    """Open a result that is there whole when the block ends without an error, and not there otherwise.

    Args:
        address: a path, standard output, or a remote address.
        folder: where what cannot be renamed into its place is kept until then; None: the system's own.
    """
    if address != STANDARD and not is_remote(address):
        with writing(Path(address), "wb") as local:
            yield cast(BinaryIO, local)
        return
    with tempfile.NamedTemporaryFile(dir=folder) as kept:
        yield cast(BinaryIO, kept)
        kept.flush()
        if address == STANDARD:
            kept.seek(0)
            shutil.copyfileobj(kept, sys.stdout.buffer)
        else:
            _upload(Path(kept.name), address)


def _upload(source: Path, address: str) -> None:
    system, path = _system(address)
    parent = path.rpartition("/")[0]
    if parent:
        system.makedirs(parent, exist_ok=True)
    with source.open("rb") as file, system.open(path, "wb") as target:
        shutil.copyfileobj(file, target, 1 << 20)


def within(folder: str, name: str) -> str:
    """The address of a file inside a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else str(Path(folder) / name)


def expanded(address: str) -> list[tuple[str, str]]:
    """The files that a folder or pattern stands for, as (address, name below the common folder), sorted.

    Hidden files, and what jobs leave beside their results, are not among them.
    """
    if is_remote(address):
        return _expanded_remote(address)
    if is_folder(address):
        top = Path(address)
        found = [path for path in top.rglob("*") if path.is_file()]
    else:
        fixed = Path(address).parts[:-1]
        wild = next((at for at, part in enumerate(fixed) if is_pattern(part)), len(fixed))
        top = Path(*fixed[:wild])
        rest = str(PurePosixPath(*Path(address).parts[wild:]))
        found = [path for path in top.glob(rest) if path.is_file()]
    named = ((str(path), path.relative_to(top).as_posix()) for path in found)
    return sorted(pair for pair in named if not _is_hidden(pair[1]))


def _expanded_remote(address: str) -> list[tuple[str, str]]:
    system, path = _system(address)
    if is_pattern(address):
        parts = path.split("/")
        wild = next(at for at, part in enumerate(parts) if is_pattern(part))
        top, found = "/".join(parts[:wild]), system.glob(path)
    else:
        top, found = path.rstrip("/"), system.find(path)
    protocol = address.partition("://")[0]
    files = (one for one in found if not is_pattern(address) or system.isfile(one))
    named = ((f"{protocol}://{one.lstrip('/')}", one[len(top) :].lstrip("/")) for one in files)
    return sorted(pair for pair in named if not _is_hidden(pair[1]))


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part.endswith(".job") for part in PurePosixPath(name).parts)
