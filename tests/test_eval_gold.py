"""Bad gold is refused with file and line; samples are even and repeatable."""

import json
from collections import Counter

import pytest

from evaluation import gold
from evaluation.gold import GoldDocument
from pii.errors import DataError
from pii.spans import Document
from pii.taxonomy import shipped

SECRET = "Zacharias Sentinel"
TEXT = f"I am {SECRET}"


def entity(start=5, end=23, kind="PERSON_NAME", **more):
    return {"type": kind, "start": start, "end": end, **more}


def row(*entities, **more):
    return json.dumps({"id": "d1", "text": TEXT, "entities": list(entities), **more}).encode()


BAD = {
    "end out of the text": row(entity(end=24)),
    "negative start": row(entity(start=-1)),
    "empty": row(entity(start=5, end=5)),
    "overlapping": row(entity(), entity(start=10, kind="USERNAME")),
    "unknown type": row(entity(kind="SHOE_SIZE")),
    "type not labelled": row(entity(), types=["PHONE_NUMBER"]),
    "optional type without types": row(entity(kind="ORGANIZATION")),
    "unknown labelled type": row(types=["SHOE_SIZE"]),
    "value is another": row(entity(value="Somebody")),
    "start is no number": row(entity(start="5")),
    "entities is no list": json.dumps({"text": TEXT, "entities": 3}).encode(),
    "types is no list": row(types=7),
    "types holds no strings": row(types=[["PERSON_NAME"]]),
    "no text": json.dumps({"id": "x"}).encode(),
    "lone surrogate": b'{"text": "\\ud800"}',
    "not an object": b"[1]",
    "not JSON": TEXT.encode(),
    "not UTF-8": b'{"text": "\xff"}',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_gold_is_refused_with_its_line_and_the_rest_goes_on(tmp_path, bad):
    path = tmp_path / "gold.jsonl"
    path.write_bytes(b"\n".join([row(entity()), bad, row()]) + b"\n")
    read = gold.read(path, shipped())
    assert [d.row for d in read.documents] == [1, 3]
    (refusal,) = read.refused
    assert (refusal.file, refusal.line) == ("gold.jsonl", 2)
    assert refusal.reason
    assert SECRET not in str(refusal)


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path):
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps({"text": "a\u2028b\u0085c"}, ensure_ascii=False) + "\n", encoding="utf-8")
    read = gold.read(path, shipped())
    assert len(read.documents) == 1
    assert not read.refused


def test_a_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        gold.read(tmp_path / "none.jsonl", shipped())


def made(count, *kinds):
    return [
        GoldDocument(line, Document("x", source=kinds[line % len(kinds)], language="zh"))
        for line in range(count)
    ]


def test_a_sample_keeps_the_share_of_each_source():
    kinds = ["msra"] * 3 + ["synthetic"] * 6 + ["own"]
    sampled = gold.sample(made(1000, *kinds), 100, seed=1)
    counts = Counter(d.document.source for d in sampled)
    assert len(sampled) == len({d.row for d in sampled}) == 100
    assert abs(counts["msra"] - 30) <= 1
    assert abs(counts["synthetic"] - 60) <= 1
    assert abs(counts["own"] - 10) <= 1


def test_a_sample_is_in_order_and_hangs_on_the_seed_alone():
    documents = made(500, "a", "b")
    one = gold.sample(documents, 50, seed=1)
    assert one == gold.sample(documents, 50, seed=1)
    assert one != gold.sample(documents, 50, seed=2)
    assert [d.row for d in one] == sorted(d.row for d in one)


def test_without_a_limit_all_are_taken():
    documents = made(5, "a")
    assert gold.sample(documents, None, 0) == documents
    assert gold.sample(documents, 9, 0) == documents


def test_a_card_reads_another_format_and_maps_its_labels(tmp_path):
    card = tmp_path / "mine.yaml"
    card.write_text(
        "title: mine\norigin: here\nlicence: own\nlicence_class: restricted\nformat: spans\nlanguage: en\n"
        "fields: {text: body, spans: tags, label: kind, start: from, end: to, value: what}\n"
        "labels: {PER: PERSON_NAME}\n"
    )
    path = tmp_path / "mine.jsonl"
    good = {"body": TEXT, "tags": [{"kind": "PER", "from": 5, "to": 23, "what": SECRET}]}
    bad = {"body": TEXT, "tags": [{"kind": "PER", "from": 1, "to": 3, "what": SECRET}]}
    path.write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    read = gold.read(path, shipped(), str(card))
    (entry,) = read.documents
    assert entry.document.types == ("PERSON_NAME",)
    assert [s.type for s in entry.document.spans] == ["PERSON_NAME"]
    assert [(r.line, r.reason) for r in read.refused] == [(2, "offset_mismatch")]
    assert read.facts["licence"] == "own"


def test_the_hash_of_a_folder_changes_with_any_of_its_files(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}\n")
    (tmp_path / "b.jsonl").write_text("{}\n")
    before = gold.content_hash(tmp_path)
    (tmp_path / "b.jsonl").write_text("[]\n")
    assert gold.content_hash(tmp_path) != before


def test_general_chat_among_validation_rows_is_passed_over_and_counted(tmp_path, caplog):
    chat = {"id": "c", "source": "chat.x", "messages": [{"role": "user", "content": SECRET}]}
    path = tmp_path / "validation.jsonl"
    path.write_text(f"{json.dumps(chat)}\n{json.dumps({'text': TEXT, 'entities': []})}\n{{}}\n")
    with caplog.at_level("INFO"):
        read = gold.read(path, shipped())
    assert [(entry.row, entry.document.text) for entry in read.documents] == [(1, TEXT)]
    assert [refusal.line for refusal in read.refused] == [3]
    assert "1 rows of general chat" in caplog.text
    assert SECRET not in caplog.text
