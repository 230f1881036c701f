"""``pii redact --retry-dead``: do the bad rows of a finished job again, and put them where they belong.

The input has to be the one of the job; policy, model and limits may be others, for they are why a row may go
well now. The result, the list of bad rows, the manifest and the certificate change together: all new files
are written first, then a list of renamings; if a run is killed between two of them, the next does the rest.
"""

from __future__ import annotations

import io
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from configs.atomic import writing, writing_folder
from configs.errors import StageError, UserError
from configs.stage import file_hash
from serving import batch, source
from serving.extractor import Extractor
from serving.files import addresses
from serving.files.addresses import STANDARD, is_remote
from serving.files.compression import packed, unpacked
from serving.sinks import Places
from serving.source import Input, Position, pieces_of

logger = logging.getLogger(__name__)

RENAMINGS = "renamings.json"

SAME = ("command", "input", "format", "columns", "encoding")
"""What of a job's identity has to be as it was; the rest may be why a row goes well now."""


def retry(job: batch.Job, stop: batch.Stop) -> int:
    """Do the bad rows of a job again; returns 0, or 3 where some are still bad.

    Raises:
        UserError: nothing to do again, another input, or results that were changed since.
        StoppedError: somebody asked for an end; nothing has changed.
    """
    places = Places.of(job.out)
    if is_remote(job.out) or STANDARD in (*job.words, job.out):
        raise UserError("--retry-dead: only for jobs from files to local files")
    folder = places.folder.with_name(f"{places.folder.name}.retry")
    _rename(folder)
    if places.folder.exists():
        raise StageError(f"{places.folder}: the job is not finished; run it without --retry-dead first")
    if not places.bad_rows.exists():
        raise UserError(f"{places.bad_rows}: no list of bad rows; there is nothing to do again")
    header, *entries = _read_lines(places.manifest)
    inputs = source.inputs_of(job.words, job.out)
    with ExitStack() as stack:
        bound = source.bind(inputs, job.options, alone=batch.is_alone(inputs, job.words))
        extractor = stack.enter_context(Extractor.open(job.config.extractor))
        bound, identity = batch.prepared(job, bound, extractor)
        for name in SAME:
            if header.get(name) != identity[name]:
                raise StageError(f"{places.manifest}: a job with another {name}; nothing was done again")
        target = stack.enter_context(writing_folder(folder))
        again = _Again(job, bound, extractor, _read_faults(places.bad_rows, bound), target, stop)
        again.rewrite(entries)
        entries.append({"retried": {name: n for name, n in sorted(again.changes.items()) if n}})
        again.stage("manifest", places.manifest, [header, *entries])
        again.stage("bad", places.bad_rows, again.left)
        with writing(target / RENAMINGS) as file:
            json.dump(again.renamings, file)
    _rename(folder)
    if not again.left:
        places.bad_rows.unlink()
    if job.finish:
        job.finish(places, bound, _counts(entries), identity)
    logger.info("%d rows are good now, %d are still bad", again.changes["rows"], len(again.left))
    return 3 if again.left else 0


def _rename(folder: Path) -> None:
    """Let the new files take their names; what an earlier run has renamed is not there any more."""
    if not (folder / RENAMINGS).is_file():
        return
    for name, target in json.loads((folder / RENAMINGS).read_text(encoding="utf-8")):
        if (folder / name).exists():
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(target)
    shutil.rmtree(folder)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    except (OSError, ValueError):
        raise StageError(f"{path}: cannot be read; do the whole job again") from None


def _read_faults(path: Path, inputs: Sequence[Input]) -> list[list[dict[str, Any]]]:
    """For each input, its lines of the list of bad rows."""
    index = {one.name: number for number, one in enumerate(inputs)}
    faults: list[list[dict[str, Any]]] = [[] for _ in inputs]
    for fault in _read_lines(path):
        faults[index[fault["file"]] if "file" in fault else 0].append(fault)
    return faults


def _counts(entries: Iterable[Mapping[str, Any]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for entry in entries:
        counts.update(entry.get("counts", entry.get("retried", {})))
    return counts


class _Again:
    """The bad rows of a job, done again into a folder of new files.

    Attributes:
        left: lines about the rows that are still bad.
        changes: what to add to the job's counts.
        renamings: (name in the folder, path that it will take).
    """

    def __init__(
        self,
        job: batch.Job,
        inputs: Sequence[Input],
        extractor: Extractor,
        faults: Sequence[list[dict[str, Any]]],
        folder: Path,
        stop: batch.Stop,
    ) -> None:
        self._work = replace(job.work, names=tuple(one.name for one in inputs) if len(inputs) > 1 else ())
        self._max_rows, self._inputs, self._extractor = job.config.shard_rows, inputs, extractor
        self._faults, self._folder, self._stop = faults, folder, stop
        self.left: list[dict[str, Any]] = []
        self.changes: Counter[str] = Counter()
        self.renamings: list[tuple[str, str]] = []

    def stage(self, name: str, target: Path, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write a file of lines that will take a path."""
        with writing(self._folder / name, "wb") as file:
            for line in lines:
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self.renamings.append((name, str(target.resolve())))

    def rewrite(self, entries: Sequence[dict[str, Any]]) -> None:
        """Write every result that had bad rows anew, and its hash into the manifest's entry.

        Raises StageError: a result is not that of the job any more, and rows have no place in it.
        """
        finished = {entry["finished"]: entry for entry in entries if "finished" in entry}
        for index, (one, faults) in enumerate(zip(self._inputs, self._faults, strict=True)):
            if not faults:
                continue
            target, format, entry = Path(one.target), one.format, finished[index]
            assert format is not None
            if (file_hash(target) if target.is_file() else "") != entry["output"]:
                raise StageError(f"{target}: was changed since the job; do the whole job again")
            name = f"{index:06d}"
            with (self._folder / name).open("wb") as new:
                if format.whole:
                    new.writelines(packed(output, one.target) for _, output in self._good(index))
                else:
                    with addresses.reading(one.target) as old:
                        format.insert(unpacked(old, one.target), self._good(index), _Packing(new, one))
            if format.whole and not (self._folder / name).stat().st_size:
                continue
            entry["output"] = file_hash(self._folder / name)
            self.renamings.append((name, str(target.resolve())))

    def _good(self, index: int) -> Iterator[tuple[int, bytes]]:
        """Place in the old result, and output, of each row of a file that is good now."""
        waiting = {fault["line"]: fault for fault in self._faults[index]}
        inserted = 0
        for piece in pieces_of(index, self._inputs[index], Position(), self._max_rows):
            if self._stop.requested:
                raise batch.StoppedError
            if not any(piece.line <= line < max(piece.cut.next_line, piece.line + 1) for line in waiting):
                continue
            records = [r for r in self._work.read(piece, self._extractor.check_text) if r.line in waiting]
            found = iter(list(self._work.extractions(self._work.texts(records), self._extractor)))
            for record in records:
                fault = waiting.pop(record.line)
                reason, output = self._work.outcome(piece.format, record, found, self.changes)
                self.changes[f"bad: {fault['reason']}"] -= 1
                if output is None:
                    self.changes[f"bad: {reason}"] += 1
                    self.left.append(fault | {"reason": reason, "at": fault["at"] + inserted})
                    continue
                self.changes["bad_rows"] -= 1
                output = piece.format.assembled(piece.cut.content, [(record, output)])
                yield fault["at"], output
                inserted += piece.format.length(output, 1)


class _Packing(io.RawIOBase):
    """Writes what it is given as members of a compressed file, where the result's name says so."""

    def __init__(self, file: BinaryIO, one: Input) -> None:
        self._file, self._target = file, one.target
        self._packs = one.format is not None and one.format.packs

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def write(self, content: Any) -> int:
        """One member."""
        self._file.write(packed(bytes(content), self._target) if self._packs else content)
        return len(content)
