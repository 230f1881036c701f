"""Where the rows of a batch job go: a file that appears whole or not at all, or a stream.

A job that writes a file keeps a folder ``OUT.job/`` beside it: numbered shards, each written aside, synced
and renamed, and then entered in ``journal.jsonl``. A job that was killed goes on behind its last entered
shard, and the result is that of an uninterrupted one, byte for byte. At the end the shards become ``OUT``.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

from configs.atomic import writing
from configs.errors import StageError

JOURNAL = "journal.jsonl"


@dataclass(slots=True)
class Shard:
    """Rows that are finished together.

    Attributes:
        output: lines for the result.
        bad: lines for the list of bad rows.
        end: byte offset of the input behind the shard.
        next_line: number of the input's line behind it.
        counts: rows, bad rows, entities by type and so on.
    """

    end: int = 0
    next_line: int = 1
    output: bytearray = field(default_factory=bytearray, repr=False)
    bad: bytearray = field(default_factory=bytearray, repr=False)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A finished shard as the journal knows it."""

    end: int
    next_line: int
    num_output_bytes: int
    num_bad_bytes: int
    counts: dict[str, int]


class Sink(Protocol):
    """Takes shards in order."""

    counts: Counter[str]
    """Sums over all shards, those of earlier runs included."""

    @property
    def start(self) -> int:
        """Byte offset of the input at which to begin."""

    @property
    def next_line(self) -> int:
        """Number of the line at which to begin."""

    def add(self, shard: Shard) -> None:
        """Keep a shard, durably where the sink can."""

    def finish(self) -> None:
        """Make the result appear."""

    def close(self) -> None:
        """Let go without finishing; what was added durably stays."""


class FileSink:
    """The resumable job that ends in a file.

    Args:
        out: the result's path.
        bad_rows: the path of the list of bad rows; written only where there are any.
        identity: what the job consists of, by name; a folder of a job with another identity is refused.

    Raises:
        StageError: the job's folder belongs to another job, to a running one, or to something else.
    """

    def __init__(self, out: Path, bad_rows: Path, identity: Mapping[str, str]) -> None:
        self._out, self._bad_rows, self._folder = out, bad_rows, out.with_name(f"{out.name}.job")
        self._entries: list[_Entry] = []
        self.counts: Counter[str] = Counter()
        if self._folder.exists() and not (self._folder / JOURNAL).is_file() and any(self._folder.iterdir()):
            raise StageError(f"{self._folder}: not a job's folder; move it away")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._journal = (self._folder / JOURNAL).open("a+b")
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StageError(f"{self._folder}: another process is at this job") from None
        self._recover(dict(identity))

    @property
    def start(self) -> int:
        """Behind the last finished shard, in bytes of the input."""
        return self._entries[-1].end if self._entries else 0

    @property
    def next_line(self) -> int:
        """Behind the last finished shard, as a line number."""
        return self._entries[-1].next_line if self._entries else 1

    def add(self, shard: Shard) -> None:
        """Write the shard's files, then its entry; both are on the disk when this returns."""
        number = len(self._entries)
        for kind, content in (("out", shard.output), ("bad", shard.bad)):
            with writing(self._shard(number, kind), "wb") as file:
                file.write(content)
        entry = _Entry(
            shard.end, shard.next_line, len(shard.output), len(shard.bad), dict(sorted(shard.counts.items()))
        )
        self._append(asdict(entry))
        self._entries.append(entry)
        self.counts.update(shard.counts)

    def finish(self) -> None:
        """Join the shards into the result and its list of bad rows; then remove the job's folder."""
        if any(entry.num_bad_bytes for entry in self._entries):
            self._join("bad", self._bad_rows)
        self._join("out", self._out)
        self.close()
        shutil.rmtree(self._folder)

    def close(self) -> None:
        """Release the folder; the next run goes on from it."""
        self._journal.close()

    def _shard(self, number: int, kind: str) -> Path:
        return self._folder / f"{number:06d}.{kind}"

    def _join(self, kind: str, target: Path) -> None:
        with writing(target, "wb") as file:
            for number in range(len(self._entries)):
                with self._shard(number, kind).open("rb") as shard:
                    shutil.copyfileobj(shard, file, 1 << 20)

    def _append(self, record: Mapping[str, Any]) -> None:
        self._journal.write(json.dumps(record).encode() + b"\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def _recover(self, identity: dict[str, str]) -> None:
        """Read the journal up to the first entry that is torn or whose shard is not whole."""
        self._journal.seek(0)
        header, good = None, 0
        for raw in self._journal:
            try:
                record = json.loads(raw) if raw.endswith(b"\n") else None
            except ValueError:
                record = None
            if record is None:
                break
            if header is None:
                header = record
                self._compare(record, identity)
            else:
                entry = _Entry(**record)
                if not self._is_whole(len(self._entries), entry):
                    break
                self._entries.append(entry)
                self.counts.update(entry.counts)
            good += len(raw)
        self._journal.truncate(good)
        if header is None:
            self._append(identity)

    def _compare(self, before: dict[str, str], now: dict[str, str]) -> None:
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if changed:
            self._journal.close()
            raise StageError(
                f"{self._folder}: an unfinished job with another {', '.join(changed)};"
                " finish it as it was begun, or remove the folder"
            )

    def _is_whole(self, number: int, entry: _Entry) -> bool:
        sizes = {"out": entry.num_output_bytes, "bad": entry.num_bad_bytes}
        paths = {kind: self._shard(number, kind) for kind in sizes}
        return all(paths[k].is_file() and paths[k].stat().st_size == sizes[k] for k in sizes)


class StreamSink:
    """Standard output, or anything else that cannot be begun again. Bad rows go to another stream.

    Args:
        out: where the result goes, shard by shard.
        bad: where the lines about bad rows go.
    """

    def __init__(self, out: BinaryIO | IO[bytes], bad: BinaryIO | IO[bytes]) -> None:
        self._out, self._bad = out, bad
        self.counts: Counter[str] = Counter()

    @property
    def start(self) -> int:
        """A stream is read from where it stands."""
        return 0

    @property
    def next_line(self) -> int:
        """Its first line is line 1."""
        return 1

    def add(self, shard: Shard) -> None:
        """Write and flush a shard."""
        self._bad.write(shard.bad)
        self._bad.flush()
        self._out.write(shard.output)
        self._out.flush()
        self.counts.update(shard.counts)

    def finish(self) -> None:
        """Nothing is left to do: everything was written as it came."""

    def close(self) -> None:
        """Leave the streams to their owner."""
