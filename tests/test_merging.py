"""Merging: which of the candidates are the answer, with scores and without."""

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii.spans import Span
from serving.merging import by_prior, by_score

TYPES = ("ADDRESS", "PHONE_NUMBER", "BANK_CARD_NUMBER")


def scored(start: int, end: int, kind: str, score: float) -> Span:
    return Span(start, end, kind, score=score)


def names(spans: tuple[Span, ...]) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.type) for span in spans]


WHOLE = (0, 20, "ADDRESS")
LEFT, RIGHT = (0, 8, "ADDRESS"), (12, 20, "PHONE_NUMBER")


@pytest.mark.parametrize(
    ("candidates", "threshold", "expected"),
    [
        # One span against the two that it overlaps: the sums over the threshold decide.
        ([(*WHOLE, 0.9), (*LEFT, 0.5), (*RIGHT, 0.3)], 0.1, [WHOLE]),
        ([(*WHOLE, 0.6), (*LEFT, 0.5), (*RIGHT, 0.5)], 0.1, [LEFT, RIGHT]),
        # A threshold is the price of each span, so that a higher one prefers the single span.
        ([(*WHOLE, 0.75), (*LEFT, 0.5), (*RIGHT, 0.5)], 0.1, [LEFT, RIGHT]),
        ([(*WHOLE, 0.75), (*LEFT, 0.5), (*RIGHT, 0.5)], 0.4, [WHOLE]),
        # At the threshold is not over it.
        ([(*LEFT, 0.5)], 0.5, []),
        ([(*LEFT, 0.51)], 0.5, [LEFT]),
        # Worth the same: fewer spans, then more characters, then the one that ends first, then by name.
        ([(*WHOLE, 0.9), (*LEFT, 0.5), (*RIGHT, 0.5)], 0.1, [WHOLE]),
        ([(0, 8, "ADDRESS", 0.5), (4, 14, "ADDRESS", 0.5)], 0.1, [(4, 14, "ADDRESS")]),
        ([(4, 12, "ADDRESS", 0.5), (0, 8, "ADDRESS", 0.5)], 0.1, [(0, 8, "ADDRESS")]),
        ([(0, 8, "PHONE_NUMBER", 0.5), (0, 8, "ADDRESS", 0.5)], 0.1, [(0, 8, "ADDRESS")]),
        # Neighbours do not overlap.
        ([(0, 8, "ADDRESS", 0.5), (8, 9, "ADDRESS", 0.5)], 0.1, [(0, 8, "ADDRESS"), (8, 9, "ADDRESS")]),
    ],
)
def test_by_score(
    candidates: list[tuple[int, int, str, float]], threshold: float, expected: list[tuple[int, int, str]]
) -> None:
    assert names(by_score([scored(*c) for c in candidates], threshold)) == expected


spans = st.lists(
    st.builds(
        lambda start, length, kind, score: Span(start, start + length, kind, score=score),
        st.integers(0, 25),
        st.integers(1, 12),
        st.sampled_from(TYPES),
        st.sampled_from((0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)),
    ),
    max_size=9,
    unique=True,
)


def worth(chosen: tuple[Span, ...], threshold: float) -> int:
    return sum(round(((span.score or 0) - threshold) * 1_000_000) for span in chosen)


@given(spans, st.sampled_from((0.0, 0.1, 0.5, 0.9)))
def test_no_other_set_is_worth_more(candidates: list[Span], threshold: float) -> None:
    chosen = by_score(candidates, threshold)
    assert set(chosen) <= set(candidates)
    assert all(one.end <= other.start for one, other in itertools.pairwise(chosen))
    allowed = [
        combination
        for size in range(len(candidates) + 1)
        for combination in itertools.combinations(sorted(candidates), size)
        if all(one.end <= other.start for one, other in itertools.pairwise(combination))
    ]
    assert worth(chosen, threshold) == max(worth(combination, threshold) for combination in allowed)


@given(spans, st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(candidates: list[Span], shuffler: random.Random) -> None:
    once = by_score(candidates, 0.1)
    shuffler.shuffle(candidates)
    assert by_score(candidates, 0.1) == once


@given(spans)
def test_a_higher_threshold_never_takes_what_lies_under_it(candidates: list[Span]) -> None:
    assert all((span.score or 0) > 0.5 for span in by_score(candidates, 0.5))


# --- without scores ---------------------------------------------------------------------------------


def disjoint(candidates: list[Span], source: str) -> list[Span]:
    kept: list[Span] = []
    for span in sorted(candidates):
        if not kept or kept[-1].end <= span.start:
            kept.append(replace(span, source=source, score=None))
    return kept


@given(spans, spans)
def test_without_scores_the_model_adds_and_takes_nothing(
    of_patterns: list[Span], of_model: list[Span]
) -> None:
    ruled, found = disjoint(of_patterns, "pattern"), disjoint(of_model, "model")
    both = {span: span for span in [*found, *ruled]}
    merged = by_prior(both.values())
    assert set(ruled) <= set(merged)
    assert set(merged) - set(ruled) == {s for s in found if not any(s.overlaps(r) for r in ruled)} - set(
        ruled
    )
    assert all(one.end <= other.start for one, other in itertools.pairwise(merged))
