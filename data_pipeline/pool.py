"""The rows of one source on disk, in the random order of their keys.

A source may be larger than memory: its rows lie in a spool file, and memory holds a few numbers for each.
Exact duplicates are noticed on the way in.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self


class Pool:
    """A write-once, read-many store; `add` everything, then read by rank.

    Args:
        path: the spool file; removed by `close`.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("w+b")
        self._keys = array("Q")
        self._offsets = array("Q")
        self._seen: set[int] = set()
        self._order: list[int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: int, row: Mapping[str, Any]) -> bool:
        """Store a row under its key; False, and nothing stored, where the key is there already."""
        if key in self._seen:
            return False
        self._seen.add(key)
        self._keys.append(key)
        self._offsets.append(self._file.tell())
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        self._file.write(line.encode() + b"\n")
        self._order = None
        return True

    def lines(self, start: int = 0, *, backwards: bool = False) -> Iterator[bytes]:
        """The stored rows from rank `start` on, in the order of the keys, each one line of JSON.

        Args:
            start: how many of the first keys to leave out.
            backwards: the same rows from the last key to the first.
        """
        if self._order is None:
            self._order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        self._file.flush()
        chosen = self._order[start:]
        for index in reversed(chosen) if backwards else chosen:
            self._file.seek(self._offsets[index])
            yield self._file.readline()

    def close(self) -> None:
        """Remove the spool file."""
        self._file.close()
        self._path.unlink(missing_ok=True)
