"""Files as they really arrive: cut off, half broken, in folders, compressed, as the hub lays them out."""

import gzip
import json

import pytest

from data_pipeline.readers.files import Refusal, Row, list_files, read_hub, read_path
from pii.errors import DataError


def rows(path, *patterns):
    items = list(read_path(path, patterns or ("*",)))
    return [i.value for i in items if isinstance(i, Row)], [i for i in items if isinstance(i, Refusal)]


def test_json_lines_go_on_behind_a_broken_one(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":\n\n\xff\xfe\n{"n":2}\r\n')
    assert rows(path) == (
        [{"n": 1}, {"n": 2}],
        [Refusal("a.jsonl", 2, "broken_json"), Refusal("a.jsonl", 4, "not_utf8")],
    )


def test_a_cut_off_gzip_gives_what_it_holds_and_names_the_place(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    # Incompressible enough that half of the bytes hold some whole lines.
    lines = "".join(json.dumps({"n": i, "x": hash((i, "x")) % 10**12}) + "\n" for i in range(5000))
    path.write_bytes(gzip.compress(lines.encode())[:-4000])
    good, refused = rows(path)
    assert 100 < len(good) < 5000
    assert [value["n"] for value in good] == list(range(len(good)))
    assert refused[-1].reason == "truncated_gzip"
    assert refused[-1].line >= len(good)


def test_a_file_that_is_no_gzip_is_refused_and_the_others_read(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(b"not gzip at all")
    (tmp_path / "b.jsonl").write_text('{"n":1}\n')
    assert rows(tmp_path) == ([{"n": 1}], [Refusal("a.jsonl.gz", 1, "truncated_gzip")])


def test_the_elements_of_a_json_array_carry_their_lines(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[\n {"n":1},\n\n {"n":\n 2}\n]\n')
    items = list(read_path(path))
    assert [(item.line, item.value["n"]) for item in items] == [(2, 1), (4, 2)]


def test_a_cut_off_json_array_gives_its_whole_elements(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[\n {"n":1},\n {"n":2},\n {"n"')
    assert rows(path) == (
        [{"n": 1}, {"n": 2}],
        [Refusal("a.json", 4, "broken_json: nothing behind this place was read")],
    )
    path.write_text('[\n {"n":1}\n')
    assert rows(path) == ([{"n": 1}], [Refusal("a.json", 2, "broken_json: the array does not end")])


def test_json_lines_under_the_name_of_json_are_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"n":1}\n{"n":2}\n')
    assert rows(path) == ([{"n": 1}, {"n": 2}], [])


def test_csv_with_a_row_of_another_length(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,name\n"a, ""b""\nc",x\nonly\nd,y\n')
    good, refused = rows(path)
    assert good == [{"text": 'a, "b"\nc', "name": "x"}, {"text": "d", "name": "y"}]
    assert [(r.line, r.reason.partition(":")[0]) for r in refused] == [(4, "broken_csv")]


def test_sentences_end_at_blank_lines_and_a_broken_line_costs_its_sentence(tmp_path):
    path = tmp_path / "a.bio"
    path.write_bytes("张\tB-PER\n\n\n李\tO\n".encode() + b"\xff\tO\n" + "四\tO\n\n王\tO".encode())
    items = list(read_path(path))
    assert [(i.line, i.value) for i in items if isinstance(i, Row)] == [(1, ["张\tB-PER"]), (8, ["王\tO"])]
    assert [(i.line, i.reason) for i in items if isinstance(i, Refusal)] == [
        (5, "not_utf8"),
        (4, "sentence_with_a_broken_line"),
    ]


def test_a_folder_as_the_hub_lays_it_out(tmp_path):
    import pyarrow
    import pyarrow.parquet

    (tmp_path / "data" / "validation").mkdir(parents=True)
    table = pyarrow.table({"tokens": [["李", "四"]], "ner_tags": [[1, 2]]})
    names = {"info": {"features": {"ner_tags": {"feature": {"names": ["O", "B-PER", "I-PER"]}}}}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
    pyarrow.parquet.write_table(table, tmp_path / "data" / "train-00000-of-00001.parquet")
    (tmp_path / "data" / "validation" / "en.jsonl").write_text('{"n":1}\n')
    (tmp_path / "README.md").write_text("# a card")
    (tmp_path / ".hidden.jsonl").write_text('{"n":9}\n')

    good, refused = rows(tmp_path, "train*")
    assert good == [{"tokens": ["李", "四"], "ner_tags": [1, 2], "tag_names": ["O", "B-PER", "I-PER"]}]
    assert not refused
    assert [name for _, name in list_files(tmp_path)] == [
        "data/train-00000-of-00001.parquet",
        "data/validation/en.jsonl",
    ]
    assert rows(tmp_path, "data/validation/*") == ([{"n": 1}], [])


def test_a_broken_parquet_file_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing")
    assert rows(tmp_path) == ([], [Refusal("a.parquet", 1, "broken_parquet")])


def test_places_that_hold_nothing_are_errors(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        rows(tmp_path / "missing")
    with pytest.raises(DataError, match="no file matches"):
        rows(tmp_path)
    (tmp_path / "a.docx").write_text("x")
    with pytest.raises(DataError, match="expected a file that ends in"):
        rows(tmp_path / "a.docx")


def test_the_hub_is_read_by_split_and_an_unreachable_one_says_what_else_can_be_done(monkeypatch):
    import datasets

    splits = {"validation": [{"n": 3}], "train": [{"n": 1}, {"n": 2}]}
    monkeypatch.setattr(datasets, "load_dataset", lambda hub_id, revision, streaming: splits)
    assert [(row.file, row.line) for row in read_hub("a/b", None, ())] == [
        ("a/b:train", 1),
        ("a/b:train", 2),
        ("a/b:validation", 1),
    ]
    assert [row.value["n"] for row in read_hub("a/b", None, ("validation",))] == [3]

    def unreachable(*_, **__):
        raise OSError("proxy http://user:secret@host")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(DataError, match="HF_ENDPOINT") as caught:
        list(read_hub("a/b", None, ()))
    assert "secret" not in str(caught.value)
