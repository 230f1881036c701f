"""Examples: what is asked for, what is answered, what cannot be said."""

import json
import random

from hypothesis import given

from data_pipeline.rendering import (
    asked_for,
    cut,
    example_row,
    full_request,
    is_provable,
    labelled_types,
    random_request,
)
from pii.spans import Document, Span
from pii.taxonomy import shipped
from tests.strategies import documents

ALL = tuple(entity.name for entity in shipped())
MSRA = ("PERSON_NAME", "LOCATION", "ORGANIZATION")


def test_a_partly_labelled_source_is_asked_for_what_it_labels():
    document = Document("张三在北京", (Span(0, 2, "PERSON_NAME"), Span(3, 5, "LOCATION")), types=MSRA)
    assert full_request(document) == MSRA
    row = example_row(asked_for(document, full_request(document)))
    assert row["types"] == list(MSRA)
    assert row["messages"][0]["content"] == "Extract PII as JSON: PERSON_NAME, LOCATION, ORGANIZATION"
    assert json.loads(row["messages"][2]["content"])["entities"][1]["value"] == "北京"


def test_a_fully_labelled_document_is_asked_the_short_way_and_optional_types_are_left_out():
    document = Document("张三在北京", (Span(0, 2, "PERSON_NAME"), Span(3, 5, "LOCATION")), types=ALL)
    row = example_row(asked_for(document, full_request(document)))
    assert "types" not in row
    assert row["messages"][0]["content"] == "Extract PII as JSON."
    assert [entity["type"] for entity in row["entities"]] == ["PERSON_NAME"]


def test_random_requests_ask_only_for_labelled_types_and_never_for_nothing():
    document = Document("张三在北京", (Span(0, 2, "PERSON_NAME"), Span(3, 5, "LOCATION")), types=MSRA)
    requests = {random_request(document, random.Random(seed)) for seed in range(200)}
    assert all(request and set(request) <= set(MSRA) for request in requests)
    assert len(requests) == 7  # every non-empty choice of three
    for request in requests:
        kept = asked_for(document, request)
        assert {span.type for span in kept.spans} <= set(request)


@given(documents())
def test_windows_lose_no_labelled_character(document):
    shown = set()
    for window in cut(document, 16, 4):
        assert len(window.text) <= 16
        for span in window.spans:
            shown.add((span.type, span.value(window.text)))
    for span in document.spans:
        if len(span) <= 4:
            assert (span.type, span.value(document.text)) in shown


def test_a_window_does_not_carry_places_of_the_whole_document():
    document = Document("字" * 40, meta={"decoys": [[1, 2]], "form": "bare"})
    assert all(window.meta == {"form": "bare"} for window in cut(document, 16, 4))
    assert cut(document, 64, 4) == [document]


def test_the_proof_refuses_what_values_alone_cannot_say():
    text = "红，他叫红"
    assert not is_provable(Document(text, (Span(4, 5, "PERSON_NAME"),)))
    assert is_provable(Document(text, (Span(0, 1, "PERSON_NAME"), Span(4, 5, "PERSON_NAME"))))
    assert is_provable(Document(text, ()))


def test_labelled_types_of_a_document_that_names_none_are_the_default_ones():
    assert labelled_types(Document("x")) == shipped().default_types
