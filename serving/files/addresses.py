"""Where input is and where results go: local paths, standard streams, or any address that fsspec opens.

Local files need no fsspec. A remote result is written whole at the end of a job (an object store has
neither renaming nor appending); until then its shards are kept on a local disk.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from configs.atomic import writing
from configs.stage import file_hash
from serving.files import stores

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


def is_file(address: str) -> bool:
    """Whether there is a file."""
    if is_remote(address):
        return stores.is_file(address)
    return Path(address).is_file()


def is_folder(address: str) -> bool:
    """Whether there is a folder."""
    if is_remote(address):
        return stores.is_folder(address)
    return Path(address).is_dir()


def size_of(address: str) -> int:
    """Bytes of a file."""
    if is_remote(address):
        return stores.size_of(address)
    return Path(address).stat().st_size


def fingerprint(address: str) -> str:
    """What changes with a file's content: SHA-256 of a local one, what its store says of a remote one.

    For a remote file that is size and the store's own mark (ETag, time of change): to hash it would be to
    fetch it twice.
    """
    if is_remote(address):
        return stores.fingerprint(address)
    return file_hash(Path(address))


@contextmanager
def reading(address: str) -> Iterator[BinaryIO]:
    """Open a file as it stands."""
    if is_remote(address):
        with stores.reading(address) as remote:
            yield remote
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
            stores.upload(Path(kept.name), address)


def within(folder: str, name: str) -> str:
    """The address of a file inside a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else str(Path(folder) / name)


def expanded(address: str) -> list[tuple[str, str]]:
    """The files that a folder or pattern stands for, as (address, name below the common folder), sorted.

    Hidden files, and what jobs leave beside their results, are not among them.
    """
    named = stores.found(address, is_pattern=is_pattern(address)) if is_remote(address) else _found(address)
    return sorted(pair for pair in named if not _is_hidden(pair[1]))


def _found(address: str) -> Iterator[tuple[str, str]]:
    if is_folder(address):
        top = Path(address)
        paths = top.rglob("*")
    else:
        fixed = Path(address).parts[:-1]
        wild = next((at for at, part in enumerate(fixed) if is_pattern(part)), len(fixed))
        top = Path(*fixed[:wild])
        paths = top.glob(str(PurePosixPath(*Path(address).parts[wild:])))
    return ((str(path), path.relative_to(top).as_posix()) for path in paths if path.is_file())


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part.endswith(".job") for part in PurePosixPath(name).parts)
