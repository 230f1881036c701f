"""A split in shards and in Parquet: the rows that were written come back, one at a time, and none is lost."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.shards import ROWS_OF_A_GROUP, SplitWriter, read_rows, read_split, split_files
from pii.errors import DataError
from tests.strategies import texts

ROWS = [
    {
        "id": f"synthetic-{index}",
        "source": "synthetic",
        "language": "zh",
        "text": f"我叫张三{index}",
        "entities": [{"type": "PERSON_NAME", "value": "张三", "start": 2, "end": 4}] if index % 2 else [],
        **({"types": ["PERSON_NAME"]} if index % 3 else {}),
        "meta": {"form": "bare", "decoys": [[1, 2]], "foreign": False},
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    }
    for index in range(7)
] + [{"id": "chat-1", "source": "chat", "language": "en", "messages": [{"role": "user", "content": "hi"}]}]


def write(folder, rows, **layout):
    with SplitWriter(folder, "train", **layout) as writer:
        for row in rows:
            writer.write(json.dumps(row, ensure_ascii=False))
    return writer.names


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
@pytest.mark.parametrize(("shard_rows", "files"), [(None, 1), (3, 3), (4, 2), (100, 1)])
def test_rows_come_back_in_order_and_as_they_were(tmp_path, file_format, shard_rows, files):
    names = write(tmp_path, ROWS, file_format=file_format, shard_rows=shard_rows)
    assert [path.name for path in split_files(tmp_path, "train")] == names
    assert len(names) == files
    assert [row for _, row in read_split(tmp_path, "train")] == ROWS


@settings(max_examples=30)
@given(texts, st.dictionaries(st.text(max_size=3), st.integers() | texts, max_size=3))
def test_parquet_keeps_every_character(tmp_path_factory, text, meta):
    row = {"id": "", "source": "s", "language": "", "text": text, "entities": [], "meta": meta}
    folder = tmp_path_factory.mktemp("hostile")
    write(folder, [row], file_format="parquet")
    assert [found for _, found in read_split(folder, "train")] == [row]


def test_many_rows_are_read_one_at_a_time(tmp_path):
    count = 2 * ROWS_OF_A_GROUP + 5
    rows = ({"id": str(index), "source": "s", "language": "en"} for index in range(count))
    write(tmp_path, rows, file_format="parquet")
    reader = read_split(tmp_path, "train")
    assert next(reader)[0].endswith("train.parquet:1")
    assert sum(1 for _ in reader) == count - 1


def test_no_rows_are_a_file_without_rows(tmp_path):
    for file_format in ("jsonl", "parquet"):
        assert write(tmp_path, [], file_format=file_format, shard_rows=5) == [f"train-00000.{file_format}"]
        assert list(read_split(tmp_path, "train")) == []


def test_files_of_an_older_layout_go_and_other_splits_stay(tmp_path):
    write(tmp_path, ROWS, shard_rows=2)
    (tmp_path / "train-notes.txt").write_text("mine")
    (tmp_path / "test.jsonl").write_text("")
    assert write(tmp_path, ROWS, shard_rows=5) == ["train-00000.jsonl", "train-00001.jsonl"]
    assert write(tmp_path, ROWS, file_format="parquet") == ["train.parquet"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "test.jsonl",
        "train-notes.txt",
        "train.parquet",
    ]


def test_an_error_leaves_no_file_and_keeps_the_older_ones(tmp_path):
    write(tmp_path, ROWS)

    def failing():
        yield from ROWS
        raise RuntimeError

    for shard_rows in (2, None):
        with pytest.raises(RuntimeError):
            write(tmp_path, failing(), shard_rows=shard_rows)
    assert [row for _, row in read_split(tmp_path, "train")] == ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_a_row_that_cannot_be_read_is_named_without_its_text(tmp_path):
    write(tmp_path, ROWS, shard_rows=4)
    with (tmp_path / "train-00001.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "欧阳铁哨兵\n')
    reader = read_split(tmp_path, "train")
    assert len(list(itertools.islice(reader, len(ROWS)))) == len(ROWS)
    with pytest.raises(DataError, match=r"train-00001\.jsonl:5: broken_json") as caught:
        next(reader)
    assert "欧阳" not in str(caught.value)
    (tmp_path / "train.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match="broken_parquet"):
        list(read_rows(tmp_path / "train.parquet"))
