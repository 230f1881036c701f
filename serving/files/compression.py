"""gzip and zstd, by the ending of a name. What is written is a row of members, one for each shard.

Both formats allow that (RFC 1952, section 2.2; RFC 8878, section 3), and it makes a compressed result the
joined shards of a job, byte for byte the same on every run.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any, BinaryIO, cast

from configs.errors import UserError

ENDINGS = (".gz", ".zst")
_BLOCK = 1 << 17


def plain_name(name: str) -> str:
    """The name without the ending of its compression."""
    return next((name[: -len(end)] for end in ENDINGS if name.lower().endswith(end)), name)


def is_packed(name: str) -> bool:
    """Whether a file of the name is compressed."""
    return plain_name(name) != name


def _zstandard() -> Any:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise UserError("reading .zst needs zstandard; install the extra files") from None
    return zstandard


class _Guarded(io.RawIOBase):
    """A gzip stream whose faults are one line with the file's name."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._stream, self._name = gzip.GzipFile(fileobj=file), name

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; raises UserError where the file is damaged or cut off."""
        try:
            content = self._stream.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _damaged(self._name, error) from None
        buffer[: len(content)] = content
        return len(content)


class _Frames(io.RawIOBase):
    """All frames of a zstd file. The library's own reader takes a frame that is cut off for a whole one."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name, self._zstandard = file, name, _zstandard()
        self._frame: Any = None
        self._ready = b""

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; raises UserError where the file is damaged or cut off."""
        while not self._ready:
            packed = self._file.read(_BLOCK)
            if not packed:
                if self._frame is not None:
                    raise _damaged(self._name, EOFError())
                return 0
            self._ready = self._unpack(packed)
        content, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(content)] = content
        return len(content)

    def _unpack(self, packed: bytes) -> bytes:
        parts = []
        while packed:
            if self._frame is None:
                self._frame = self._zstandard.ZstdDecompressor().decompressobj()
            try:
                parts.append(self._frame.decompress(packed))
            except self._zstandard.ZstdError as error:
                raise _damaged(self._name, error) from None
            if not self._frame.eof:
                break
            packed, self._frame = self._frame.unused_data, None
        return b"".join(parts)


def _damaged(name: str, error: Exception) -> UserError:
    return UserError(f"{name}: the compressed file is damaged or cut off ({type(error).__name__})")


def unpacked(file: BinaryIO, name: str) -> BinaryIO:
    """What a file holds, decompressed where its name says so."""
    if name.lower().endswith(".gz"):
        return cast(BinaryIO, io.BufferedReader(_Guarded(file, name), _BLOCK))
    if name.lower().endswith(".zst"):
        return cast(BinaryIO, io.BufferedReader(_Frames(file, name), _BLOCK))
    return file


def packed(content: bytes, name: str) -> bytes:
    """One member that holds a content, compressed as a name says; the same for the same content."""
    if not content:
        return content
    if name.lower().endswith(".gz"):
        return gzip.compress(content, compresslevel=6, mtime=0)
    if name.lower().endswith(".zst"):
        return bytes(_zstandard().ZstdCompressor(level=3).compress(content))
    return content


def skip(file: BinaryIO, num_bytes: int) -> None:
    """Go on behind the first bytes of a file, also of one that cannot seek."""
    if not num_bytes:
        return
    if file.seekable():
        file.seek(num_bytes)
        return
    while num_bytes and (read := len(file.read(min(num_bytes, 1 << 20)))):
        num_bytes -= read
