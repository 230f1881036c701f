"""Each format to documents: offsets proven, labels mapped, parts merged, bad rows refused by place."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from data_pipeline.readers.card import CARDS, SourceCard, load_card
from data_pipeline.readers.files import Refusal, Row
from data_pipeline.readers.offsets import Claim, prove
from data_pipeline.readers.source import Source
from pii.errors import DataError
from pii.spans import Document
from pii.taxonomy import shipped

SHARED = Path(__file__).parents[2] / "shared" / "data"


def read(card: SourceCard | str, *values: object) -> tuple[list[Document], list[Refusal]]:
    rows = [Row("f", number, value) for number, value in enumerate(values, 1)]
    source = Source("s", load_card(card) if isinstance(card, str) else card, rows)
    items = list(source)
    return [i for i in items if isinstance(i, Document)], [i for i in items if isinstance(i, Refusal)]


def found(document: Document) -> list[tuple[str, str]]:
    return [(span.type, span.value(document.text)) for span in document.spans]


def mask(text: str, *pairs: tuple[str, str]) -> dict[str, object]:
    """A row of today's ai4privacy schema; values stand in the text in this order."""
    spans, position = [], 0
    for label, value in pairs:
        start = text.index(value, position)
        position = start + len(value)
        spans.append({"label": label, "start": start, "end": position, "value": value})
    return {"source_text": text, "privacy_mask": spans, "language": "en"}


# --- cards ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(CARDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_card_loads_and_labels_something(path):
    card = load_card(path.stem)
    assert card.types
    assert not set(card.labels) & set(card.dropped)


def test_a_card_that_names_an_unknown_type_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        'title: "t"\norigin: "o"\nlicence: "l"\nlicence_class: "permissive"\n'
        'format: "spans"\nlanguage: "en"\n'
        'labels: {NAME: "PERSON"}\n'
    )
    with pytest.raises(ConfigError, match="lacks: PERSON"):
        load_card(str(path))
    with pytest.raises(ConfigError, match="no source card named 'nothing'"):
        load_card("nothing")


def test_a_label_that_the_card_does_not_know_stops_the_reading_with_its_count():
    row = mask("Ann Lee and Bob", ("GIVENNAME", "Ann"), ("NICKNAME", "Lee"), ("NICKNAME", "Bob"))
    with pytest.raises(DataError, match=r"NICKNAME \(2\)") as caught:
        read("openpii", row)
    assert "Bob" not in str(caught.value)


# --- tokens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        ["张\tB-PER", "三\tI-PER", "在\tO", "北\tB-LOC", "京\tI-LOC"],
        ["张 B-PER", "三 E-PER", "在 O", "北 B-LOC", "京 E-LOC"],
        ["张\tx\tI-PER", "三\tx\tI-PER", "在\tx\tO", "北\tx\tI-LOC", "京\tx\tI-LOC"],
    ],
    ids=["bio", "bioes", "iob1 with a column between"],
)
def test_tag_schemes_give_the_same_spans(lines):
    (document,), refused = read("msra", lines)
    assert document.text == "张三在北京"
    assert found(document) == [("PERSON_NAME", "张三"), ("LOCATION", "北京")]
    assert document.types == ("PERSON_NAME", "LOCATION", "ORGANIZATION")
    assert not refused


def test_neighbouring_spans_of_one_label_stay_two():
    (document,), _ = read("msra", ["张\tB-PER", "三\tI-PER", "李\tB-PER", "四\tI-PER", "王\tS-PER"])
    assert [value for _, value in found(document)] == ["张三", "李四", "王"]


def test_english_tokens_are_joined_by_spaces():
    (document,), _ = read("conll", ["John NNP B-PER", "Smith NNP I-PER", "left VBD O", "Rome NNP S-LOC"])
    assert document.text == "John Smith left Rome"
    assert found(document) == [("PERSON_NAME", "John Smith"), ("LOCATION", "Rome")]


def test_numbered_tags_take_their_names_from_the_file_and_then_from_the_card():
    tokens = {"tokens": ["李", "四"], "ner_tags": [1, 2]}
    (by_card,), _ = read("msra", tokens)
    (by_file,), _ = read("msra", {**tokens, "tag_names": ["O", "B-LOC", "I-LOC"]})
    assert found(by_card) == [("PERSON_NAME", "李四")]
    assert found(by_file) == [("LOCATION", "李四")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"tokens": ["李"], "ner_tags": [1, 2]}, "tokens_and_tags_differ"),
        ({"tokens": ["李"], "ner_tags": [99]}, "tag_number_without_name"),
        ({"tokens": ["李"]}, "missing_column: ner_tags"),
        ({"tokens": [], "ner_tags": []}, "empty_text"),
        (["李\tB-PER", "四"], "line_without_token_and_tag"),
        (["李\tX-PER"], "unknown_tag_scheme"),
    ],
)
def test_a_bad_sentence_is_refused_and_the_next_one_read(row, reason):
    documents, refused = read("msra", row, ["好\tO"])
    assert [document.text for document in documents] == ["好"]
    assert refused == [Refusal("f", 1, reason)]


# --- ai4privacy -------------------------------------------------------------------------------------


def test_name_parts_become_one_name_and_the_title_stays_outside():
    text = "Dear Ms. Anna Maria Keebler, and Smith, John; also Bob"
    (document,), _ = read(
        "openpii",
        mask(
            text,
            ("TITLE", "Ms."),
            ("GIVENNAME", "Anna"),
            ("GIVENNAME", "Maria"),
            ("SURNAME", "Keebler"),
            ("SURNAME", "Smith"),
            ("GIVENNAME", "John"),
            ("GIVENNAME", "Bob"),
        ),
    )
    names = [value for _, value in found(document)]
    assert names == ["Anna Maria Keebler", "Smith, John", "Bob"]


def test_two_given_names_in_a_list_stay_two_people():
    (document,), _ = read("openpii", mask("Hi Ann, Bob", ("GIVENNAME", "Ann"), ("GIVENNAME", "Bob")))
    assert [value for _, value in found(document)] == ["Ann", "Bob"]


def test_address_parts_become_an_address_only_with_a_street_or_a_postcode():
    text = "12 Main St, Springfield, 12345. He left Boston."
    parts = [("BUILDINGNUM", "12"), ("STREET", "Main St"), ("CITY", "Springfield"), ("ZIPCODE", "12345")]
    (document,), _ = read("openpii", mask(text, *parts, ("CITY", "Boston")))
    assert found(document) == [("ADDRESS", "12 Main St, Springfield, 12345"), ("LOCATION", "Boston")]


def test_a_city_and_a_state_alone_are_one_place():
    (document,), _ = read("ai4privacy-200k", mask("in Reno, Nevada", ("CITY", "Reno"), ("STATE", "Nevada")))
    assert found(document) == [("LOCATION", "Reno, Nevada")]


def test_the_first_schema_of_200k_is_read_from_its_strings():
    row = {
        "unmasked_text": "Cher Ms. Roe, à Ely",
        "masked_text": "Cher [PREFIX_1] [LASTNAME_1], à [CITY_1]",
        "privacy_mask": "{'[PREFIX_1]': 'Ms.', '[LASTNAME_1]': 'Roe', '[CITY_1]': 'Ely'}",
        "span_labels": "[[0, 5, 'O'], [5, 8, 'PREFIX_1'], [8, 9, 'O'], [9, 12, 'LASTNAME_1'], [12, 16, 'O'], "
        "[16, 19, 'CITY_1']]",
    }
    (document,), _ = read("ai4privacy-200k", row)
    assert found(document) == [("PERSON_NAME", "Roe"), ("LOCATION", "Ely")]
    broken = {**row, "span_labels": "[[5, 8, 'PREFIX_1'"}
    lacking = {**row, "span_labels": "[[9, 12, 'LASTNAME_1']]"}
    _, refused = read("ai4privacy-200k", broken, lacking)
    assert [r.reason for r in refused] == [
        "unreadable_list: span_labels",
        "span_labels_lack_a_value_of_privacy_mask",
    ]


def test_a_list_of_spans_may_be_a_string_and_a_language_a_word():
    row = mask("Tel 555-0199", ("TELEPHONENUM", "555-0199"))
    (document,), _ = read(
        "openpii", {**row, "privacy_mask": json.dumps(row["privacy_mask"]), "language": "English"}
    )
    assert found(document) == [("PHONE_NUMBER", "555-0199")]
    assert document.language == "en"


# --- offsets ----------------------------------------------------------------------------------------


def claims_in(text: str, places: list[tuple[int, int]], unit: str, inclusive: bool) -> list[Claim]:
    width = {
        "code_points": len,
        "utf16": lambda t: len(t.encode("utf-16-le")) // 2,
        "utf8": lambda t: len(t.encode()),
    }[unit]
    return [
        Claim("X", width(text[:start]), width(text[:end]) - inclusive, text[start:end])
        for start, end in places
    ]


@given(
    st.text(st.sampled_from("ab张é😀\u200d\u202f 1"), min_size=1, max_size=30),
    st.sampled_from(["code_points", "utf16", "utf8"]),
    st.booleans(),
    st.data(),
)
def test_any_way_of_counting_is_converted_to_slices_that_are_the_stated_values(text, unit, inclusive, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    proven = prove(text, claims_in(text, [(start, end)], unit, inclusive))
    assert proven is not None
    (claim,) = proven[1]
    # Another way of counting may explain a single span too; what it says must be true all the same.
    assert text[claim.start : claim.end] == text[start:end]


@pytest.mark.parametrize("unit", ["code_points", "utf16", "utf8"])
@pytest.mark.parametrize("inclusive", [False, True])
def test_the_way_of_counting_is_recognised(unit, inclusive):
    text = "😀张三的电话是13800138000，邮箱a@b.cn"
    places = [(1, 3), (7, 18), (21, 27)]
    way, claims = prove(text, claims_in(text, places, unit, inclusive))
    assert way == unit + ("_inclusive" if inclusive else "")
    assert [(claim.start, claim.end) for claim in claims] == places


def test_offsets_that_no_counting_explains_are_refused_without_the_value():
    row = {"text": "我叫张三", "entities": [{"type": "PERSON_NAME", "start": 0, "end": 2, "value": "张三"}]}
    documents, refused = read("jsonl", row)
    assert not documents
    assert refused == [Refusal("f", 1, "offset_mismatch")]


def test_overlapping_spans_are_refused():
    spans = [{"type": "PERSON_NAME", "start": 0, "end": 2}, {"type": "USERNAME", "start": 1, "end": 3}]
    _, refused = read("jsonl", {"text": "abcd", "entities": spans})
    assert [r.reason for r in refused] == ["overlapping_spans"]


# --- exports and own data ---------------------------------------------------------------------------


def test_own_rows_may_name_the_types_that_were_labelled():
    row = {"text": "我叫张三", "entities": [{"type": "PERSON_NAME", "start": 2, "end": 4}], "language": "zh"}
    (default, named), refused = read("jsonl", row, {**row, "types": ["PERSON_NAME"]})
    assert default.types == shipped().default_types
    assert named.types == ("PERSON_NAME",)
    assert not refused
    _, refused = read("jsonl", {**row, "types": ["NOBODY"]})
    assert [r.reason for r in refused] == ["wrong_type: types"]


def test_what_pii_data_writes_is_read_again():
    document = Document(
        "我叫张三", Document.from_row({"text": "我叫张三", "entities": []}).spans, "x", "s", "zh"
    )
    (again,), _ = read("jsonl", document.as_row())
    assert again.text == document.text


def test_doccano_in_both_of_its_layouts():
    old = {"text": "我叫张三", "label": [[2, 4, "PERSON_NAME"]]}
    new = {
        "text": "我叫张三",
        "entities": [{"id": 1, "label": "PERSON_NAME", "start_offset": 2, "end_offset": 4}],
    }
    documents, refused = read("doccano", old, new, {"text": "x", "label": [[0, "PERSON_NAME"]]})
    assert [found(d) for d in documents] == [[("PERSON_NAME", "张三")]] * 2
    assert [r.reason for r in refused] == ["span_is_not_start_end_label"]


def test_label_studio_counts_like_a_browser_and_its_newest_annotation_wins():
    def annotation(when, start, end, text, **more):
        value = {"start": start, "end": end, "text": text, "labels": ["PERSON_NAME"]}
        return {"updated_at": when, "result": [{"type": "labels", "value": value}], **more}

    task = {
        "data": {"text": "😀我叫张三"},
        "annotations": [
            annotation("2024-01-01", 2, 3, "我"),
            annotation("2024-01-02", 4, 6, "张三"),
            annotation("2024-01-03", 2, 3, "我", was_cancelled=True),
        ],
    }
    documents, refused = read("label-studio", task, {"data": {"text": "x"}, "annotations": []})
    assert [found(d) for d in documents] == [[("PERSON_NAME", "张三")]]
    assert [r.reason for r in refused] == ["not_annotated"]


def test_csv_columns_mark_every_place_of_their_values():
    card = load_card("jsonl").model_copy(
        update={"format": "csv", "labels": {"name": "PERSON_NAME", "phone": "PHONE_NUMBER"}}
    )
    row = {"text": "Ann Lee (Ann) 555-0199", "name": "Ann Lee|Ann", "phone": "555-0199"}
    (document,), refused = read(card, row, {**row, "phone": "555-0000"}, {"text": "x", "name": ""})
    assert found(document) == [
        ("PERSON_NAME", "Ann Lee"),
        ("PERSON_NAME", "Ann"),
        ("PHONE_NUMBER", "555-0199"),
    ]
    assert [r.reason for r in refused] == ["value_not_in_text: phone", "missing_column: phone"]


def test_a_test_case_speaks_of_its_own_label_alone():
    def case(holds, label="phone", value=None, **more):
        row = {"input": "电话 5551234，5551234", "type": label, "should_match": holds, **more}
        return row if value is None else {**row, "expected_text": value}

    documents, refused = read(
        "argus",
        case(True, value="5551234"),
        case(False),
        case(True),
        case(True, value="777"),
        case(True, "gender"),
    )
    assert [(found(d), d.types) for d in documents] == [
        ([("PHONE_NUMBER", "5551234"), ("PHONE_NUMBER", "5551234")], ("PHONE_NUMBER",)),
        ([], ("PHONE_NUMBER",)),
    ]
    assert [r.reason for r in refused] == [
        "missing_column: expected_text",
        "value_not_in_text",
        "label_is_no_type_of_ours",
    ]
    with pytest.raises(DataError, match="shoe"):
        read("argus", case(True, "shoe", value="5551234"))
    _, refused = read("argus", case(False, "shoe"))
    assert [r.reason for r in refused] == ["unknown_label"]


def test_a_value_that_repeats_unlabelled_is_refused_where_the_card_says_so():
    def row(text):
        return {
            "text": text,
            "annotations": [{"entity_type": "USERNAME", "start": 0, "end": 4, "text": "mia7"}],
        }

    documents, refused = read(
        "pii-anon-eval", row("mia7 logged in"), row("mia7 = mia7"), row("mia7 is not mia77")
    )
    assert [d.text for d in documents] == ["mia7 logged in", "mia7 is not mia77"]
    assert [r.reason for r in refused] == ["value_repeats_unlabelled"]


def test_an_honorific_is_trimmed_off_a_name():
    row = {
        "text": "Prof. Collins",
        "annotations": [{"entity_type": "PERSON_NAME", "start": 0, "end": 13, "text": "Prof. Collins"}],
    }
    (document,), _ = read("pii-anon-eval", row)
    assert found(document) == [("PERSON_NAME", "Collins")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a string", "row_is_not_an_object"),
        ({"entities": []}, "missing_column: text"),
        ({"text": 5, "entities": []}, "wrong_type: text"),
        ({"text": "x"}, "missing_column: entities"),
        ({"text": "x", "entities": [{"type": "USERNAME", "start": 0}]}, "missing_column: end"),
        ({"text": "x", "entities": [{"type": "USERNAME", "start": "0", "end": 1}]}, "wrong_type: start"),
        ({"text": "  ", "entities": []}, "empty_text"),
        ({"text": "\ud800", "entities": []}, "lone_surrogate"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(row, reason):
    documents, refused = read("jsonl", row, {"text": "fine", "entities": []})
    assert [d.text for d in documents] == ["fine"]
    assert refused == [Refusal("f", 1, reason)]


# --- the real files ---------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real sources are not on this machine")
@pytest.mark.parametrize(
    ("card", "place", "documents", "refused", "span_counts"),
    [
        ("openpii", "ai4privacy_samples/openpii_mini10k_en_9rows.jsonl", 9, 0, {"ADDRESS": 5}),
        ("ai4privacy-200k", "ai4privacy_samples/pii_masking_200k_3rows_two_schemas.jsonl", 3, 0, {"URL": 0}),
        ("presidio-research", "presidio_research/generated_small.json", 99, 1, {"PERSON_NAME": 54}),
        ("argus", "argus_fixtures", 226, 173, {"PERSON_NAME": 16, "PASSPORT_NUMBER": 2}),
        ("pii-anon-eval", "pii_anon_eval", 15598, 597, {"HEALTH_CONDITION": 1105, "BANK_CARD_NUMBER": 750}),
    ],
)
def test_the_published_files_read_as_counted_by_hand(card, place, documents, refused, span_counts):
    from data_pipeline.readers.files import read_path

    items = list(Source("s", load_card(card), read_path(SHARED / place)))
    good = [item for item in items if isinstance(item, Document)]
    assert (len(good), len(items) - len(good)) == (documents, refused)
    for kind, count in span_counts.items():
        assert sum(span.type == kind for document in good for span in document.spans) == count


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real sources are not on this machine")
def test_msra_reads_with_the_counts_of_its_publication():
    from data_pipeline.readers.files import read_path

    items = list(Source("msra", load_card("msra"), read_path(SHARED / "msra_ner" / "train.bio.gz")))
    types = [span.type for item in items if isinstance(item, Document) for span in item.spans]
    assert len(items) == 45000
    counts = {kind: types.count(kind) for kind in sorted(set(types))}
    assert counts == {"LOCATION": 36860, "ORGANIZATION": 20584, "PERSON_NAME": 17615}
