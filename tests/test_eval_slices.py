"""Documents fall into the groups that a report shows."""

import pytest

from evaluation import slices
from pii.spans import Document, Span


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("我叫张三，电话 138", "han"),
        ("My name is Ann", "latin"),
        ("ＡＢＣ full width", "latin"),
        ("我叫 John Smith", "mixed"),
        ("Привет, мир", "other"),
        ("12345 !?", "none"),
        ("", "none"),
    ],
)
def test_script(text, script):
    assert slices.script_of(text) == script


@pytest.mark.parametrize(
    ("length", "group"),
    [(0, "to 50"), (50, "to 50"), (51, "51-200"), (1000, "201-1000"), (1001, "over 1000")],
)
def test_length(length, group):
    assert slices.length_of("x" * length) == group


def test_meta_may_be_a_word_or_a_list_and_nothing_else():
    meta = {"form": ["spaced", "bare", "bare"], "carrier": "chat", "domain": {"a": 1}, "template": "t1"}
    found = list(slices.of(Document("Ann", (Span(0, 3, "PERSON_NAME"),), meta=meta)))
    assert ("form", "bare") in found
    assert found.count(("form", "bare")) == 1
    assert ("carrier", "chat") in found
    assert ("entities", "with") in found
    assert {dimension for dimension, _ in found} == {"form", "carrier", "length", "script", "entities"}
