"""Which columns of tables, and which paths of JSON lines, hold personal information: found by sampling."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from configs.errors import UserError
from pii.patterns.labels import is_label
from serving.extractor import Extractor
from serving.files.json_text import dump
from serving.files.lines import Jsonl
from serving.files.parquet import Parquet
from serving.files.records import Format, Record
from serving.files.tables import Table
from serving.source import Input, Position, pieces_of
from serving.work import Work

logger = logging.getLogger(__name__)

SAMPLE_ROWS = 500
"""Rows of each file that are read where nobody names another number."""


def written(inputs: Sequence[Input]) -> str:
    """The columns of all inputs, for the manifest of a job."""
    chosen = [_chosen(one.format) for one in inputs]
    if all(one == chosen[0] for one in chosen):
        chosen = chosen[:1]
    return dump(chosen)


def _chosen(format: Format | None) -> list[str]:
    if isinstance(format, Table):
        return [f"{format.header[index]}={type or '?'}" for index, type in format.columns]
    pairs: Sequence[tuple[str, str | None]] = getattr(format, "columns", getattr(format, "paths", ()))
    return [f"{name}={type or '?'}" for name, type in pairs]


def detected(inputs: Sequence[Input], work: Work, extractor: Extractor, num_rows: int) -> list[Input]:
    """The inputs with those columns alone in which something was found, or whose name is a label.

    A column without any find among the sampled rows is not looked through: that is the price of the speed.

    Raises UserError: a format without columns, or nothing was found anywhere.
    """
    return [replace(one, format=_format(one, work, extractor, num_rows)) for one in inputs]


def _format(one: Input, work: Work, extractor: Extractor, num_rows: int) -> Format:
    if not isinstance(one.format, Table | Parquet | Jsonl):
        raise UserError(f"{one.name}: has no columns; leave out --detect-columns")
    by_column: dict[str, list[str]] = {}
    for column, text in _sample(one, extractor, num_rows):
        by_column.setdefault(column, []).append(text)
    chosen = [
        column
        for column, texts in by_column.items()
        if is_label(_last(column)) or any(seen.suspected for seen in work.extractions(texts, extractor))
    ]
    if not chosen:
        raise UserError(
            f"{one.name}: nothing found in its first {num_rows} rows; name its columns with --columns"
        )
    logger.info("%s: looks through %d of %d columns", one.name, len(chosen), len(by_column))
    if isinstance(one.format, Table):
        return replace(one.format, columns=tuple((int(column.split(":")[0]), None) for column in chosen))
    if isinstance(one.format, Parquet):
        return replace(one.format, columns=tuple((column, None) for column in chosen))
    return replace(one.format, paths=tuple((column, None) for column in chosen))


def _last(column: str) -> str:
    """The last name of a column or path."""
    return (
        column.rpartition(":")[2] if ":" in column else column.rpartition("'")[0].rpartition("'")[2] or column
    )


def _sample(one: Input, extractor: Extractor, num_rows: int) -> Iterator[tuple[str, str]]:
    """Column and text of the first rows."""
    if isinstance(one.format, Jsonl):
        yield from _of_json(one, num_rows)
        return
    for record in itertools.islice(_records(one, extractor), num_rows):
        for slot, place in zip(record.slots, _places(one.format, record), strict=True):
            yield place, slot.text


def _records(one: Input, extractor: Extractor) -> Iterator[Record]:
    assert one.format is not None
    for piece in pieces_of(0, one, Position(), SAMPLE_ROWS):
        for record in one.format.records(piece.cut.content, piece.line, extractor.check_text):
            if record.slots:
                yield record


def _places(format: Format | None, record: Record) -> list[str]:
    if isinstance(format, Table):
        return [f"{index}:{format.header[index]}" for index, _ in format.columns]
    return [name for name, _ in record.layout]


def _of_json(one: Input, num_rows: int) -> Iterator[tuple[str, str]]:
    lines = (
        line
        for piece in pieces_of(0, one, Position(), SAMPLE_ROWS)
        for line in piece.cut.content.splitlines()
    )
    for line in itertools.islice(lines, num_rows):
        try:
            yield from _leaves(json.loads(line), "$")
        except (ValueError, RecursionError):
            continue


def _leaves(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Path and text of every string and number; a list's members share one path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            quote = '"' if "'" in key else "'"
            yield from _leaves(inner, f"{path}[{quote}{key}{quote}]")
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, f"{path}[*]")
    elif isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
        yield path, str(value)
