"""Files and folders that are either whole or not there."""

import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from configs.errors import StageError


@contextmanager
def writing(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    r"""Open a file beside ``path``; it takes the name when the block ends without an error.

    Text is UTF-8 with ``\\n`` line ends. On an error the half file is removed and ``path`` is untouched.
    What a killed process left is removed by the next writer of the same path. A device or a pipe
    (``/dev/null``) is written directly: it has no name to take.

    Raises StageError where ``path`` is a folder.
    """
    if path.is_dir():
        raise StageError(f"{path}: is a folder; name a file")
    if path.exists() and not path.is_file():
        with _opened(path, mode) as file:
            yield file
        return
    path = path.resolve()  # a symbolic link stays one; what it points at is replaced
    half = _name_beside(path)
    try:
        with _opened(half, mode) as file:
            _lock(file.fileno())
            if path.exists():
                shutil.copymode(path, half)
            yield file
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
        _sync(path.parent)
    finally:
        half.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Fill a folder beside ``path``; it takes the name, replacing an older one, when the block ends well.

    Raises StageError where ``path`` is a file.
    """
    if path.exists() and not path.is_dir():
        raise StageError(f"{path}: is a file; name a folder")
    path = path.resolve()
    half = _name_beside(path)
    half.mkdir()
    descriptor = os.open(half, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield half
        for part in (*half.rglob("*"), half):
            _sync(part)
        _replace_folder(half, path)
        _sync(path.parent)
    finally:
        os.close(descriptor)
        shutil.rmtree(half, ignore_errors=True)


def _replace_folder(new: Path, path: Path) -> None:
    """Rename; an older folder steps aside first, and comes back if the new one cannot take its name."""
    if not path.exists():
        new.replace(path)
        return
    old = _name_beside(path)
    path.replace(old)
    try:
        new.replace(path)
    except OSError:
        old.replace(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _name_beside(path: Path) -> Path:
    """A free hidden name in the same folder; halves of the same path whose writer is dead are removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.half"):
        with suppress(OSError):
            _remove_unless_locked(stale)
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.half")


def _remove_unless_locked(half: Path) -> None:
    """Remove a half file or folder; raises BlockingIOError while its writer lives."""
    descriptor = os.open(half, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if half.is_dir():
            shutil.rmtree(half)
        else:
            half.unlink()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Say that the writer lives; the kernel lets go of the lock when the process ends, however it ends."""
    with suppress(OSError):  # a file system without locks: its halves are then not cleaned up
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _opened(path: Path, mode: str) -> IO[Any]:
    return path.open(mode) if "b" in mode else path.open(mode, encoding="utf-8", newline="\n")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
