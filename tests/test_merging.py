"""Merging: one rule for what the model and the patterns say of the same characters."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii.patterns import Match
from pii.patterns.match import Evidence
from pii.spans import Span
from serving.merging import merge

TEXT = "我住在北京市海淀区中关村大街27号院6号楼电话13800138000转8001谢谢，再见。"
TYPES = ("ADDRESS", "PHONE_NUMBER", "BANK_CARD_NUMBER")


def matched(start: int, end: int, kind: str, evidence: Evidence) -> Match:
    return Match(Span(start, end, kind, subtype="pattern_subtype", source="pattern"), evidence, "test")


@pytest.mark.parametrize(
    ("model", "match", "expected"),
    [
        # Equal spans become one.
        (
            (23, 34, "PHONE_NUMBER"),
            (23, 34, "PHONE_NUMBER", "shape"),
            [(23, 34, "PHONE_NUMBER", "model+pattern")],
        ),
        # Only one of them found it.
        ((23, 34, "PHONE_NUMBER"), None, [(23, 34, "PHONE_NUMBER", "model")]),
        (None, (23, 34, "PHONE_NUMBER", "context"), [(23, 34, "PHONE_NUMBER", "pattern")]),
        # A checksum beats the model, the model beats a shape.
        (
            (21, 34, "PHONE_NUMBER"),
            (23, 34, "PHONE_NUMBER", "checksum"),
            [(23, 34, "PHONE_NUMBER", "pattern")],
        ),
        ((21, 34, "PHONE_NUMBER"), (23, 34, "PHONE_NUMBER", "context"), [(21, 34, "PHONE_NUMBER", "model")]),
        (
            (23, 34, "PHONE_NUMBER"),
            (23, 34, "BANK_CARD_NUMBER", "checksum"),
            [(23, 34, "BANK_CARD_NUMBER", "pattern")],
        ),
        (
            (23, 34, "PHONE_NUMBER"),
            (23, 34, "BANK_CARD_NUMBER", "shape"),
            [(23, 34, "PHONE_NUMBER", "model")],
        ),
        # A phone number inside an address does not make the rest of the address public.
        (
            (3, 34, "ADDRESS"),
            (23, 34, "PHONE_NUMBER", "checksum"),
            [(3, 23, "ADDRESS", "model"), (23, 34, "PHONE_NUMBER", "pattern")],
        ),
        # Less than half of it is not worth keeping.
        ((20, 34, "ADDRESS"), (23, 34, "PHONE_NUMBER", "checksum"), [(23, 34, "PHONE_NUMBER", "pattern")]),
        # What is kept ends in no punctuation.
        (
            (23, 45, "ADDRESS"),
            (23, 27, "PHONE_NUMBER", "checksum"),
            [(23, 27, "PHONE_NUMBER", "pattern"), (27, 44, "ADDRESS", "model")],
        ),
        # Neighbours do not overlap.
        (
            (3, 23, "ADDRESS"),
            (23, 34, "PHONE_NUMBER", "shape"),
            [(3, 23, "ADDRESS", "model"), (23, 34, "PHONE_NUMBER", "pattern")],
        ),
    ],
)
def test_the_rule(
    model: tuple[int, int, str] | None,
    match: tuple[int, int, str, Evidence] | None,
    expected: list[tuple[int, int, str, str]],
) -> None:
    merged = merge(TEXT, [Span(*model)] if model else [], [matched(*match)] if match else [])
    assert [(s.start, s.end, s.type, s.source) for s in merged] == expected
    assert all(s.subtype == "pattern_subtype" for s in merged if "pattern" in (s.source or ""))


spans = st.builds(
    lambda start, length, kind: Span(start, min(start + length, len(TEXT)), kind),
    st.integers(0, len(TEXT) - 1),
    st.integers(1, 15),
    st.sampled_from(TYPES),
)
matches = st.builds(
    lambda span, evidence: matched(span.start, span.end, span.type, evidence),
    spans,
    st.sampled_from(("checksum", "context", "shape")),
)


@given(st.lists(spans, max_size=8), st.lists(matches, max_size=8))
def test_the_result_is_sorted_disjoint_and_invents_nothing(found: list[Span], marked: list[Match]) -> None:
    merged = merge(TEXT, found, marked)
    assert all(one.end <= other.start for one, other in itertools.pairwise(merged))
    given_spans = [*found, *(match.span for match in marked)]
    for span in merged:
        assert any(
            whole.type == span.type and whole.start <= span.start and span.end <= whole.end
            for whole in given_spans
        )
    # Whatever was marked is either in the result or in the way of something in it.
    for whole in given_spans:
        assert any(span.overlaps(whole) for span in merged)


@given(st.lists(spans, max_size=8), st.lists(matches, max_size=8), st.randoms())
def test_the_order_of_the_finds_does_not_matter(
    found: list[Span], marked: list[Match], shuffler: object
) -> None:
    once = merge(TEXT, found, marked)
    shuffler.shuffle(found)  # type: ignore[attr-defined]
    assert merge(TEXT, found, marked) == once
