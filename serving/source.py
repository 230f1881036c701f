"""The inputs of a batch job: which files, where each one's result goes, and their pieces in order."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from configs.errors import UserError
from serving.files import addresses
from serving.files.addresses import STANDARD, base_name, is_remote
from serving.files.choice import Options, bound
from serving.files.compression import skip, unpacked
from serving.files.records import Cut, Format


@dataclass(frozen=True, slots=True)
class Input:
    """One file of a job.

    Attributes:
        address: where it is read; ``-``: standard input.
        name: its name in reports, and below the folder of results.
        target: where its result goes; ``-``: standard output.
        size: its bytes as they are stored; 0 where nobody knows.
        format: how it is cut and written; None before `bind`.
    """

    address: str
    name: str
    target: str
    size: int = 0
    format: Format | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file on its way through a job.

    Attributes:
        file: index of its input.
        format: the format of that.
        target: the name of the result, which says how it is compressed.
        line: number of its first line or row.
        cut: the part.
        consumed: bytes of the file, as it is stored, that are read when the piece is.
    """

    file: int
    format: Format
    target: str
    line: int
    cut: Cut
    consumed: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where work on a file goes on: offset and number of the line there."""

    end: int = 0
    line: int = 1


def inputs_of(words: Sequence[str], out: str) -> list[Input]:
    """The files that a command line names.

    One file goes to one file. Several, a folder or a pattern go to a folder of the same names.

    Raises UserError: no such file, the same file twice, an output that is or lies in an input.
    """
    if len(words) == 1 and not _is_many(words[0]):
        return [_single(words[0], out)]
    if out == STANDARD:
        raise UserError("several files go to a folder: name it with -o")
    found: list[tuple[str, str]] = []
    for word in words:
        if word == STANDARD:
            raise UserError("-: standard input cannot be one of several inputs")
        if _is_many(word):
            files = addresses.expanded(word)
            if not files:
                raise UserError(f"{word}: no files there")
            _refuse_inside(word, out)
            found += files
        else:
            _refuse_missing(word)
            found.append((word, base_name(word)))
    _refuse_repeats(found)
    if not is_remote(out) and Path(out).is_file():
        raise UserError(f"{out}: is a file; several files go to a folder")
    made = [
        Input(address, name, addresses.within(out, name), addresses.size_of(address))
        for address, name in found
    ]
    for one in made:
        _refuse_same(one)
    return made


def _is_many(word: str) -> bool:
    if word == STANDARD or addresses.is_file(word):
        return False
    return addresses.is_pattern(word) or addresses.is_folder(word)


def _single(word: str, out: str) -> Input:
    if word == STANDARD:
        return Input(STANDARD, STANDARD, out)
    _refuse_missing(word)
    made = Input(word, base_name(word), out, addresses.size_of(word))
    if out != STANDARD:
        if not is_remote(out) and Path(out).is_dir():
            raise UserError(f"{out}: is a folder")
        _refuse_same(made)
    return made


def _refuse_missing(word: str) -> None:
    if addresses.is_file(word):
        return
    if not is_remote(word) and Path(word).exists():
        raise UserError(f"{word}: not a regular file; pipe it in and name -")
    raise UserError(f"{word}: no such file")


def _refuse_same(one: Input) -> None:
    """A result must not take the place of what it is made from."""
    remote = is_remote(one.address), is_remote(one.target)
    if remote == (False, False):
        target = Path(one.target)
        same = target.exists() and target.samefile(one.address)
    else:
        same = all(remote) and one.address == one.target
    if same:
        raise UserError(f"{one.target}: is the input; name another file")


def _refuse_inside(folder: str, out: str) -> None:
    """Results inside the folder that is read would be read by the next run; the other way round as well."""
    if is_remote(folder) != is_remote(out):
        return
    if is_remote(folder):
        top, target = folder.split("*")[0].rstrip("/") + "/", out.rstrip("/") + "/"
        inside = target.startswith(top) or top.startswith(target)
    else:
        fixed = Path(folder)
        while addresses.is_pattern(str(fixed)):
            fixed = fixed.parent
        source, target_path = fixed.resolve(), Path(out).resolve()
        inside = target_path.is_relative_to(source) and not addresses.is_pattern(folder)
        inside = inside or source == target_path or source.is_relative_to(target_path)
    if inside:
        raise UserError(f"{out}: is or holds the input, or lies in it; name a folder of its own")


def _refuse_repeats(found: Sequence[tuple[str, str]]) -> None:
    names: dict[str, str] = {}
    places: dict[object, str] = {}
    for address, name in found:
        if is_remote(address):
            place: object = address
        else:
            stat = Path(address).stat()
            place = stat.st_dev, stat.st_ino
        if place in places:
            raise UserError(f"{address} and {places[place]}: the same file twice")
        if name in names:
            raise UserError(f"{address} and {names[name]}: two results would have the name {name}")
        places[place], names[name] = address, address


@contextmanager
def opened(one: Input) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """An input as it is stored, and decompressed."""
    if one.address == STANDARD:
        yield sys.stdin.buffer, sys.stdin.buffer
        return
    with addresses.reading(one.address) as raw:
        yield raw, unpacked(raw, one.name)


def bind(inputs: Sequence[Input], options: Options, *, alone: bool) -> list[Input]:
    """The inputs with their formats. Raises UserError where one is not what it should be."""
    made = []
    for one in inputs:
        if one.address == STANDARD:
            chosen = replace(options, format=options.format or "text")
            if chosen.format == "parquet":
                raise UserError("a Parquet file is read from its end: name a file, not standard input")
            stdin: Any = sys.stdin.buffer
            head = stdin.peek() if chosen.format in ("csv", "tsv") else b""
            made.append(replace(one, format=bound(STANDARD, chosen, io.BytesIO(head), alone=True)))
            continue
        with opened(one) as (_, file):
            made.append(replace(one, format=bound(one.name, options, file, alone=alone)))
    return made


def fingerprint(inputs: Sequence[Input]) -> str:
    """One hash that changes with the content, or the name, of any input."""
    if len(inputs) == 1:
        return addresses.fingerprint(inputs[0].address)
    every = hashlib.sha256()
    for one in inputs:
        every.update(f"{one.name}\0{addresses.fingerprint(one.address)}\n".encode("utf-8", "surrogateescape"))
    return every.hexdigest()


@dataclass(frozen=True, slots=True)
class Pieces:
    """What is left of a job's inputs.

    Attributes:
        inputs: bound inputs.
        positions: for each, where to go on; None: it is done.
        max_rows: rows of a piece.
    """

    inputs: tuple[Input, ...]
    positions: tuple[Position | None, ...]
    max_rows: int

    def of(self, file: int) -> Iterator[Piece]:
        """The pieces of one input."""
        position = self.positions[file]
        return iter(()) if position is None else pieces_of(file, self.inputs[file], position, self.max_rows)

    def every(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[Piece]:
        """All pieces in order; before each it is asked whether to end here."""
        for file in range(len(self.inputs)):
            for piece in self.of(file):
                if stopped():
                    return
                yield piece


def pieces_of(index: int, one: Input, position: Position, max_rows: int) -> Iterator[Piece]:
    """The pieces of one input, from a position on."""
    assert one.format is not None
    with opened(one) as (raw, file):
        if one.format.skips:
            skip(file, position.end)
        line, counted = position.line, raw is not sys.stdin.buffer
        for cut in one.format.pieces(file, position.end, line, max_rows):
            consumed = cut.consumed if cut.consumed is not None else raw.tell() if counted else cut.end
            yield Piece(index, one.format, one.target, line, cut, consumed)
            line = cut.next_line
