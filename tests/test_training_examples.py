"""From rows to labels: loss on the answers alone, nothing cut, nothing dropped without a name."""

import json

import pytest

from configs.errors import StageError
from data_pipeline.shards import SplitWriter
from pii.errors import DataError
from tests.rendered import SENTINEL, chat, write_data
from training.examples import NOT_TRAINED, DataFolder, encode_rows, entity_types
from training.tokenizer import train


@pytest.fixture(scope="module")
def tokenizer():
    return train(["我叫王伟，电话138。你好！1+1?"] * 3, vocab_size=400, context_tokens=512)


def trained_text(tokenizer, example) -> str:
    return tokenizer.decode([token for token in example["labels"] if token != NOT_TRAINED])


def test_the_loss_is_on_the_answer_and_its_end(tmp_path, tokenizer):
    rows = DataFolder(write_data(tmp_path / "d")).rows("train")
    examples, left_out = encode_rows(rows, tokenizer, 512)
    assert not left_out
    for row, example in zip(rows, examples, strict=True):
        answers = [m["content"] + "<|im_end|>" for m in row.messages if m["role"] == "assistant"]
        assert trained_text(tokenizer, example) == "".join(answers)


def test_every_turn_of_a_chat_is_trained(tmp_path, tokenizer):
    rows = DataFolder(write_data(tmp_path / "d")).rows("train")
    examples, _ = encode_rows(rows[-1:], tokenizer, 512)
    assert trained_text(tokenizer, examples[0]) == "你好！<|im_end|>2<|im_end|>"


def test_a_long_example_is_left_out_by_name_and_the_rest_goes_on(tmp_path, tokenizer):
    long = chat(99)
    long["messages"][0]["content"] = "好" * 600
    rows = DataFolder(write_data(tmp_path / "d", extra=(long,))).rows("train")
    examples, left_out = encode_rows(rows, tokenizer, 512)
    assert [(one.id, one.source) for one in left_out] == [("chat-99", "chat")]
    assert left_out[0].num_tokens > 600
    assert len(examples) == len(rows) - 1
    assert max(len(example["input_ids"]) for example in examples) <= 512


def test_absent_types_are_the_default_ones_and_chat_labels_none(tmp_path):
    narrow = {**chat(5), "text": "x", "types": ["LOCATION", "ORGANIZATION"]}
    folder = DataFolder(write_data(tmp_path / "d", extra=(narrow,)))
    types = entity_types(folder.rows("train"))
    assert {"PERSON_NAME", "PHONE_NUMBER", "LOCATION", "ORGANIZATION"} <= set(types)
    assert entity_types(folder.rows("train")[-1:]) == ("LOCATION", "ORGANIZATION")
    assert entity_types(folder.rows("train")[-2:-1]) == ()


@pytest.mark.parametrize(("file_format", "shard_rows"), [("jsonl", 20), ("parquet", 25), ("parquet", None)])
def test_a_split_in_shards_or_parquet_is_read_as_the_one_file(tmp_path, file_format, shard_rows):
    folder = write_data(tmp_path / "d")
    rows, lines = DataFolder(folder).rows("train"), (folder / "train.jsonl").read_text("utf-8").splitlines()
    with SplitWriter(folder, "train", file_format=file_format, shard_rows=shard_rows) as writer:
        for line in lines:
            writer.write(line)
    sharded = DataFolder(folder)
    assert not (folder / "train.jsonl").exists()
    assert sharded.rows("train") == rows
    assert set(sharded.hashes) == {*writer.names, "validation.jsonl"}
    assert next(sharded.stream("train")) == rows[0]


def test_a_missing_or_cut_off_folder_says_what_to_do(tmp_path):
    with pytest.raises(StageError, match="no such folder"):
        DataFolder(tmp_path / "nothing")
    folder = write_data(tmp_path / "d")
    (folder / "manifest.json").rename(folder / "elsewhere")
    with pytest.raises(StageError, match="cut off"):
        DataFolder(folder)
    (folder / "elsewhere").rename(folder / "manifest.json")
    (folder / "validation.jsonl").unlink()
    with pytest.raises(StageError, match=r"validation\.jsonl: missing"):
        DataFolder(folder)


@pytest.mark.parametrize(
    "line",
    [
        f'{{"id": "a", "source": "s", "text": "{SENTINEL}"',
        f'{{"id": "a", "source": "s", "text": "{SENTINEL}"}}',
        f'["{SENTINEL}"]',
        json.dumps({"id": "a", "source": "s", "messages": [{"role": "user", "content": SENTINEL}]}),
    ],
    ids=["cut off", "without messages", "not an object", "without an answer"],
)
def test_a_bad_row_is_named_by_its_line_and_never_by_its_text(tmp_path, line):
    folder = write_data(tmp_path / "d")
    with (folder / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"train.jsonl:63: ") as caught:
        DataFolder(folder).rows("train")
    assert SENTINEL not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_empty_split_is_an_error(tmp_path):
    folder = write_data(tmp_path / "d")
    (folder / "train.jsonl").write_text("")
    with pytest.raises(DataError, match="no examples"):
        DataFolder(folder).rows("train")
