"""`Span`, `Document` and their rows: what is refused, and that nothing shows the text."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii.errors import DataError
from pii.spans import Document, Span, is_unicode, read_documents
from tests.strategies import documents, texts

SENTINEL = "司马相如"


@pytest.mark.parametrize(("start", "end"), [(0, 0), (2, 1), (-1, 1), (-2, -1)])
def test_a_span_is_a_non_empty_range(start: int, end: int) -> None:
    with pytest.raises(DataError, match=f"span {start}-{end}"):
        Span(start, end, "PERSON_NAME")


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_is_a_probability(score: float) -> None:
    with pytest.raises(DataError, match="score"):
        Span(0, 1, "PERSON_NAME", score=score)


def test_spans_are_equal_by_place_and_type_alone() -> None:
    plain = Span(0, 1, "PERSON_NAME")
    assert plain == Span(0, 1, "PERSON_NAME", subtype="x", score=0.5, source="model")
    assert hash(plain) == hash(Span(0, 1, "PERSON_NAME", score=0.5))
    assert plain != Span(0, 1, "ADDRESS")


def test_spans_sort_by_place() -> None:
    spans = [Span(3, 4, "A"), Span(0, 5, "B"), Span(0, 2, "C")]
    assert [(s.start, s.end) for s in sorted(spans)] == [(0, 2), (0, 5), (3, 4)]


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [((0, 2), (2, 4), False), ((0, 2), (1, 4), True), ((0, 4), (1, 2), True), ((0, 1), (5, 6), False)],
)
def test_overlap_is_a_shared_character(one: tuple[int, int], other: tuple[int, int], overlap: bool) -> None:
    first, second = Span(*one, "A"), Span(*other, "B")
    assert first.overlaps(second) is overlap
    assert second.overlaps(first) is overlap


def test_offsets_are_code_points_of_the_original_text() -> None:
    text = "👨‍👩‍👧e\u0301 张三"
    span = Span(8, 10, "PERSON_NAME")
    assert span.as_entity(text) == {"type": "PERSON_NAME", "value": "张三", "start": 8, "end": 10}
    assert len(span) == 2


@pytest.mark.parametrize(
    ("text", "spans", "reason"),
    [
        ("abc", (Span(0, 4, "A"),), "ends at 4, the text at 3"),
        ("abc", (Span(1, 2, "A"), Span(0, 1, "A")), "unsorted at 0"),
        ("abc", (Span(0, 2, "A"), Span(1, 3, "A")), "overlap or are unsorted at 1"),
        ("a\ud800", (), "lone surrogate"),
    ],
)
def test_a_document_refuses_spans_that_cannot_be(text: str, spans: tuple[Span, ...], reason: str) -> None:
    with pytest.raises(DataError, match=f"document d7: .*{reason}"):
        Document(text, spans, id="d7")


def test_neighbours_are_no_overlap() -> None:
    assert len(Document("abcd", (Span(0, 2, "A"), Span(2, 4, "A"))).spans) == 2


@given(documents())
def test_a_document_survives_its_row(document: Document) -> None:
    row = json.loads(json.dumps(document.as_row(), ensure_ascii=False))
    assert Document.from_row(row) == document


def test_a_row_carries_types_and_facts() -> None:
    document = Document("a", id="1", source="msra", language="zh", types=("PERSON_NAME",), meta={"form": "x"})
    again = Document.from_row(document.as_row())
    assert again == document
    assert again.meta == {"form": "x"}


def test_absent_and_null_words_of_a_row_are_empty() -> None:
    made = Document.from_row({"text": "a", "id": 7, "source": None, "types": None, "meta": None})
    assert (made.id, made.source, made.language, made.types, made.meta) == ("7", "", "", None, {})


def test_spans_of_a_row_may_stand_in_any_order() -> None:
    row = {
        "text": "ab",
        "entities": [{"type": "B", "start": 1, "end": 2}, {"type": "A", "start": 0, "end": 1}],
    }
    assert [s.type for s in Document.from_row(row).spans] == ["A", "B"]


ENTITY = {"type": "PERSON_NAME", "value": SENTINEL, "start": 0, "end": 4}

BAD_ROWS = [
    ({}, "text is missing"),
    ({"text": 5}, "text is missing"),
    ({"text": SENTINEL, "entities": {}}, "entities is not a list"),
    ({"text": SENTINEL, "entities": None}, "entities is not a list"),
    ({"text": SENTINEL, "entities": [1]}, r"entities\[0\] is not an object"),
    ({"text": SENTINEL, "entities": [ENTITY | {"start": "0"}]}, r"entities\[0\] needs"),
    ({"text": SENTINEL, "entities": [ENTITY | {"start": True}]}, r"entities\[0\] needs"),
    ({"text": SENTINEL, "entities": [ENTITY | {"start": 0.0}]}, r"entities\[0\] needs"),
    ({"text": SENTINEL, "entities": [{"start": 0, "end": 4}]}, r"entities\[0\] needs"),
    ({"text": SENTINEL, "entities": [ENTITY | {"end": 3}]}, r"entities\[0\].value is not text\[0:3\]"),
    ({"text": SENTINEL, "entities": [ENTITY | {"value": None}]}, r"entities\[0\].value is not"),
    ({"text": SENTINEL, "entities": [ENTITY | {"end": 9}]}, "ends at 9, the text at 4"),
    ({"text": SENTINEL, "entities": [ENTITY, ENTITY]}, "overlap"),
    ({"text": SENTINEL, "entities": [ENTITY | {"start": 4}]}, "expected 0 <= start < end"),
    ({"text": SENTINEL, "types": "PERSON_NAME"}, "types is not a list of strings"),
    ({"text": SENTINEL, "types": [1]}, "types is not a list of strings"),
    ({"text": SENTINEL, "types": 1}, "types is not a list of strings"),
    ({"text": SENTINEL, "meta": [1]}, "meta is not an object"),
    ({"text": SENTINEL + "\ud800"}, "lone surrogate"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_says_why_and_shows_nothing(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        Document.from_row(row)
    assert SENTINEL not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts, lambda v: st.lists(v) | st.dictionaries(texts, v)
    )
)
def test_a_row_of_any_shape_is_read_or_refused(value: Any) -> None:
    for row in (
        {"text": value},
        {"text": "a", "entities": value},
        {"text": "a", "types": value, "meta": value},
    ):
        try:
            Document.from_row(row)
        except DataError:
            continue


def test_no_repr_shows_the_text() -> None:
    document = Document(SENTINEL, (Span(0, 4, "PERSON_NAME"),), meta={"form": "chat"})
    assert SENTINEL not in f"{document!r} {document} {document.spans}"


GOOD = b'{"text": "a\xe2\x80\xa8b"}'


def test_a_file_of_documents_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD + b"\r\n\n" + GOOD)
    assert [d.text for d in read_documents(path)] == ["a\u2028b"] * 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'{"text": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"text": 1}', "text is missing"),
        (b'{"text": "\\ud800"}', "lone surrogate"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD + b"\n\n" + line + b"\n" + GOOD)
    with pytest.raises(DataError, match=rf"rows\.jsonl:3: .*{reason}"):
        list(read_documents(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            list(read_documents(path))


@pytest.mark.parametrize(("text", "whole"), [("", True), ("张三😀", True), ("\ud83d", False)])
def test_lone_surrogates_are_no_unicode(text: str, whole: bool) -> None:
    assert is_unicode(text) is whole
