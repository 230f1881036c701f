"""Parquet: row groups stream through; schema, types, other columns and the file's own metadata stay."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from configs.errors import UserError
from pii.patterns.labels import is_label
from serving.files.records import Check, Cut, Edit, Format, Record, Slot, applied, checked


def _text_columns(schema: Any) -> list[str]:
    import pyarrow as pa

    def is_text(type: Any) -> bool:
        if pa.types.is_dictionary(type):
            type = type.value_type
        if pa.types.is_list(type) or pa.types.is_large_list(type):
            return is_text(type.value_type)
        return bool(
            pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)
        )

    return [field.name for field in schema if is_text(field.type)]


def read_columns(file: BinaryIO, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All columns of a file, and those that hold texts or lists of texts. Raises UserError: not Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
    except pa.ArrowInvalid:
        raise UserError(f"{name}: not a Parquet file") from None
    return tuple(schema.names), tuple(_text_columns(schema))


@dataclass(frozen=True)
class Parquet(Format):
    """A Parquet file. Rows are its units of place; a row that is put aside is missing from the result.

    Args:
        columns: name of a column of texts, or of lists of them → entity type of its whole values, or None.
        codec: how pages are packed in the result.
    """

    columns: tuple[tuple[str, str | None], ...]
    codec: str = "snappy"
    name = "parquet"
    packs = False
    skips = False

    def pieces(self, file: BinaryIO, start: int, line: int, max_rows: int) -> Iterator[Cut]:
        """So many rows each, as Arrow streams; row groups before the start are not read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        source = pq.ParquetFile(file)
        if not source.metadata.num_rows and not start:
            yield Cut(_stream(source.schema_arrow.empty_table()), 1, 1)
            return
        groups: list[int] = []
        skipped = 0
        for index in range(source.num_row_groups):
            num_rows = source.metadata.row_group(index).num_rows
            if not groups and skipped + num_rows <= start:
                skipped += num_rows
            else:
                groups.append(index)
        position, num_bytes = skipped, file.seek(0, io.SEEK_END)
        # A batch never goes over the end of a row group, wherever reading begins.
        for group in groups:
            for batch in source.iter_batches(batch_size=max_rows, row_groups=[group]):
                position += batch.num_rows
                if position <= start:
                    continue
                consumed = num_bytes * position // source.metadata.num_rows
                yield Cut(_stream(pa.Table.from_batches([batch])), position + 1, position, consumed=consumed)

    def records(self, content: bytes, line: int, check: Check) -> Iterator[Record]:
        """A record for each row; nulls and empty lists have nothing to look through."""
        table = _table(content)
        columns = [(name, type, table.column(name).to_pylist()) for name, type in self.columns]
        for index in range(table.num_rows):
            slots: list[Slot] = []
            layout: list[tuple[str, tuple[int, ...]]] = []
            reason = ""
            for name, type, values in columns:
                label = name if is_label(name) else ""
                for at, part in _parts(values[index]):
                    text, reason = checked(part, check)
                    if reason:
                        break
                    slots.append(Slot(text, label, type))
                    layout.append((name, at))
                if reason:
                    break
            if reason:
                yield Record(line + index, line + index + 1, reason=reason)
            else:
                yield Record(
                    line + index, line + index + 1, tuple(slots), content=index, layout=tuple(layout)
                )

    def written(self, record: Record, edits: Sequence[Sequence[Edit]], *, redacted: bool) -> bytes:
        """What changes in the row, for `assembled`."""
        changes = [
            (*place, applied(slot.text, done))
            for place, slot, done in zip(record.layout, record.slots, edits, strict=True)
            if done
        ]
        return json.dumps([record.content, changes]).encode()

    def assembled(self, content: bytes, written: Sequence[tuple[Record, bytes]]) -> bytes:
        """The rows that are written, with their changes, as an Arrow stream."""
        import pyarrow as pa

        table = _table(content)
        done = [json.loads(part) for _, part in written]
        rows = [row for row, _ in done]
        if rows != list(range(table.num_rows)):
            table = table.take(pa.array(rows, pa.int64()))
        by_column: dict[str, dict[int, list[tuple[list[int], str]]]] = {}
        for row, (_, changes) in enumerate(done):
            for name, at, new in changes:
                by_column.setdefault(name, {}).setdefault(row, []).append((at, new))
        for name, changed in by_column.items():
            table = _with_changes(table, name, changed)
        return _stream(table)

    def length(self, output: bytes, num_records: int) -> int:
        """Rows."""
        return num_records

    def join(self, parts: Iterable[BinaryIO], target: BinaryIO) -> None:
        """One row group for each piece, with the schema of the input."""
        import pyarrow.parquet as pq

        writer = None
        for part in parts:
            table = _table(part.read())
            if writer is None:
                writer = pq.ParquetWriter(target, table.schema, compression=self.codec)
            if table.num_rows:
                writer.write_table(table)
        if writer is not None:
            writer.close()

    def insert(self, old: BinaryIO, parts: Iterable[tuple[int, bytes]], target: io.RawIOBase) -> None:
        """A row group for each stretch of old rows and for each new one."""
        import pyarrow.parquet as pq

        source = pq.ParquetFile(old)
        position, rest = 0, source.schema_arrow.empty_table()
        groups = iter(range(source.num_row_groups))

        def take(num_rows: int | None) -> Iterator[Any]:
            nonlocal rest
            while num_rows is None or num_rows:
                if not rest.num_rows:
                    group = next(groups, None)
                    if group is None:
                        return
                    rest = source.read_row_group(group)
                part = rest if num_rows is None else rest.slice(0, num_rows)
                rest = rest.slice(part.num_rows)
                num_rows = None if num_rows is None else num_rows - part.num_rows
                yield part

        with pq.ParquetWriter(target, source.schema_arrow, compression=self.codec) as writer:
            for at, part in parts:
                for before in take(at - position):
                    writer.write_table(before)
                position = at
                writer.write_table(_table(part))
            for after in take(None):
                writer.write_table(after)


def _stream(table: Any) -> bytes:
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _table(stream: bytes) -> Any:
    import pyarrow as pa

    with pa.ipc.open_stream(stream) as reader:
        return reader.read_all()


def _parts(value: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    """The texts of a value, with their places in its lists."""
    if isinstance(value, list):
        for at, inner in enumerate(value):
            yield from (((at, *place), part) for place, part in _parts(inner))
    elif value is not None:
        yield (), value


def _with_changes(table: Any, name: str, changed: Mapping[int, Sequence[tuple[list[int], str]]]) -> Any:
    """A table with other values in some rows of a column, of the same type."""
    import pyarrow as pa

    index = table.schema.get_field_index(name)
    field, values = table.schema.field(index), table.column(index).to_pylist()
    for row, changes in changed.items():
        for at, new in changes:
            holder, place = values, row
            for inner in at:
                holder, place = holder[place], inner
            holder[place] = new
    if pa.types.is_dictionary(field.type):
        column = pa.array(values, field.type.value_type).dictionary_encode().cast(field.type)
    else:
        column = pa.array(values, field.type)
    return table.set_column(index, field, column)


def codec_of(file: BinaryIO) -> str:
    """The codec of a file's first column; the result is packed by it too."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(file)
    if not metadata.num_row_groups or not metadata.num_columns:
        return "snappy"
    codec = str(metadata.row_group(0).column(0).compression).lower()
    return "none" if codec == "uncompressed" else codec
