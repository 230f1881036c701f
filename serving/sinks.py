"""Where the shards of a batch job go: files that appear whole or not at all, or a stream.

A job that writes files keeps a folder ``OUT.job/``: numbered shards, each written aside, synced and renamed,
and then entered in ``journal.jsonl``. A job that was killed goes on behind its last entered shard, and the
result is that of an uninterrupted one, byte for byte. When all shards of a file are there they become its
result; at the end the journal becomes ``OUT.manifest.jsonl``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

from configs.atomic import writing
from configs.errors import StageError
from configs.stage import file_hash
from serving.files.addresses import appearing, is_remote
from serving.source import Input, Position
from serving.work import Shard

JOURNAL = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished shard as the journal knows it."""

    file: int
    end: int
    next_line: int
    length: int
    num_output_bytes: int
    num_bad_bytes: int
    counts: dict[str, int]


class Sink(Protocol):
    """Takes shards in order."""

    counts: Counter[str]
    """Sums over all shards, those of earlier runs included."""

    def position(self, file: int) -> Position | None:
        """Where to go on in a file; None: its result is there."""

    def add(self, shard: Shard) -> None:
        """Keep a shard, durably where the sink can."""

    def finish(self, certify: Callable[[], None]) -> None:
        """Make the results appear, certified while the job can still go on."""

    def close(self) -> None:
        """Let go without finishing; what was added durably stays."""


@dataclass(frozen=True, slots=True)
class Places:
    """The files that a job leaves beside its result.

    Attributes:
        folder: the shards and the journal, until the job is done.
        bad_rows: the list of bad rows, where there are any.
        manifest: the journal of the finished job.
        certificate: of a redaction.
    """

    folder: Path
    bad_rows: Path
    manifest: Path
    certificate: Path

    @classmethod
    def of(cls, out: str) -> Places:
        """Beside a local result; those of a remote one are kept in the working directory under its name."""
        if is_remote(out):
            name = out.rstrip("/").rpartition("/")[2] or "out"
            beside = Path(f"{name}-{hashlib.sha256(out.encode()).hexdigest()[:8]}")
        else:
            beside = Path(out) if Path(out).name else Path(out).resolve()
        endings = ("job", "bad.jsonl", "manifest.jsonl", "certificate.json")
        return cls(*(beside.with_name(f"{beside.name}.{ending}") for ending in endings))


class FileSink:
    """The resumable job that ends in files.

    Args:
        inputs: the job's inputs, with their formats and targets.
        places: where its own files go.
        identity: what the job consists of, by name; a folder of a job with another identity is refused.

    Raises:
        StageError: the job's folder belongs to another job, to a running one, or to something else.
    """

    def __init__(self, inputs: Sequence[Input], places: Places, identity: Mapping[str, str]) -> None:
        self._inputs, self._places, self._folder = inputs, places, places.folder
        self._done = self._folder.with_name(f"{self._folder.name}.done")
        shutil.rmtree(self._done, ignore_errors=True)
        self._shards: list[list[tuple[int, Entry]]] = [[] for _ in inputs]
        self._finished: set[int] = set()
        self._num_shards = 0
        self.counts: Counter[str] = Counter()
        if self._folder.exists() and not (self._folder / JOURNAL).is_file() and any(self._folder.iterdir()):
            raise StageError(f"{self._folder}: not a job's folder; move it away")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._journal = (self._folder / JOURNAL).open("a+b")
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._journal.close()
            raise StageError(f"{self._folder}: another process is at this job") from None
        self._recover(dict(identity))

    @property
    def is_new(self) -> bool:
        """Whether no shard was finished before."""
        return not self._num_shards

    def position(self, file: int) -> Position | None:
        """Behind the last finished shard."""
        if file in self._finished:
            return None
        if not self._shards[file]:
            return Position()
        last = self._shards[file][-1][1]
        return Position(last.end, last.next_line)

    def add(self, shard: Shard) -> None:
        """Write the shard's files, then its entry; both are on the disk when this returns."""
        self._finish_files(shard.file)
        number = self._num_shards
        for kind, content in (("out", shard.output), ("bad", shard.bad)):
            if content or kind == "out":
                with writing(self._shard(number, kind), "wb") as file:
                    file.write(content)
        entry = Entry(
            shard.file,
            shard.end,
            shard.next_line,
            shard.length,
            len(shard.output),
            len(shard.bad),
            {name: count for name, count in sorted(shard.counts.items()) if count},
        )
        self._append(asdict(entry))
        self._enter(entry)

    def finish(self, certify: Callable[[], None]) -> None:
        """Make the last results, the list of bad rows and the manifest appear; then remove the folder."""
        self._finish_files(len(self._inputs))
        if self.counts["bad_rows"]:
            self._write_bad_rows()
        certify()
        with writing(self._places.manifest, "wb") as file:
            self._journal.seek(0)
            shutil.copyfileobj(self._journal, file)
        self.close()
        # Under another name first: what a killed job leaves of its folder would be nobody's job.
        shutil.rmtree(self._done, ignore_errors=True)
        self._folder.replace(self._done)
        shutil.rmtree(self._done)

    def close(self) -> None:
        """Release the folder; the next run goes on from it."""
        self._journal.close()

    def _finish_files(self, before: int) -> None:
        """Join the shards of the files before one into their results."""
        for file in range(before):
            if file not in self._finished:
                self._publish(file)
                target = self._inputs[file].target
                there = not is_remote(target) and Path(target).is_file()
                self._append({"finished": file, "output": file_hash(Path(target)) if there else ""})
                self._finished.add(file)

    def _publish(self, file: int) -> None:
        one, shards = self._inputs[file], self._shards[file]
        assert one.format is not None
        if one.format.whole and any(entry.num_bad_bytes for _, entry in shards):
            return
        parts = [self._shard(number, "out") for number, _ in shards]
        with appearing(one.target, self._folder) as target:
            one.format.join(_opened(parts), target)

    def _write_bad_rows(self) -> None:
        """The list of bad rows, with places in the results and not in the shards."""
        with writing(self._places.bad_rows, "wb") as file:
            for shards in self._shards:
                before = 0
                for number, entry in shards:
                    if entry.num_bad_bytes:
                        for line in self._shard(number, "bad").read_bytes().splitlines():
                            fault = json.loads(line)
                            fault["at"] += before
                            file.write(json.dumps(fault, ensure_ascii=False).encode() + b"\n")
                    before += entry.length

    def _shard(self, number: int, kind: str) -> Path:
        return self._folder / f"{number:06d}.{kind}"

    def _enter(self, entry: Entry) -> None:
        self._shards[entry.file].append((self._num_shards, entry))
        self._num_shards += 1
        self.counts.update(entry.counts)

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
            elif "finished" in record:
                self._finished.add(record["finished"])
            else:
                entry = Entry(**record)
                if not self._is_whole(self._num_shards, entry):
                    break
                self._enter(entry)
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

    def _is_whole(self, number: int, entry: Entry) -> bool:
        sizes = {"out": entry.num_output_bytes}
        if entry.num_bad_bytes:
            sizes["bad"] = entry.num_bad_bytes
        paths = {kind: self._shard(number, kind) for kind in sizes}
        return all(paths[k].is_file() and paths[k].stat().st_size == sizes[k] for k in sizes)


def _opened(paths: Iterable[Path]) -> Iterator[BinaryIO]:
    for path in paths:
        with path.open("rb") as file:
            yield file


class StreamSink:
    """Standard output, or anything else that cannot be begun again. Bad rows go to another stream.

    Args:
        out: where the result goes, shard by shard.
        bad: where the lines about bad rows go.
    """

    def __init__(self, out: BinaryIO | IO[bytes], bad: BinaryIO | IO[bytes]) -> None:
        self._out, self._bad = out, bad
        self.counts: Counter[str] = Counter()

    def position(self, file: int) -> Position:
        """A stream is read from where it stands."""
        return Position()

    def add(self, shard: Shard) -> None:
        """Write and flush a shard."""
        self._bad.write(shard.bad)
        self._bad.flush()
        self._out.write(shard.output)
        self._out.flush()
        self.counts.update(shard.counts)

    def finish(self, certify: Callable[[], None]) -> None:
        """Nothing is left to do: everything was written as it came, and nothing is certified."""

    def close(self) -> None:
        """Leave the streams to their owner."""
