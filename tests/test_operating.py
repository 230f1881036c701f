"""The curve over the threshold, and the best recall within a budget of false alarms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import operating
from evaluation.operating import Marked
from pii.spans import Document, Span
from pii.taxonomy import shipped

TEXT = "Ann and Bob in Rome, 1,000 characters in all: ".ljust(1000, ".")
ANN, BOB, ROME = (Span(TEXT.index(w), TEXT.index(w) + len(w), "PERSON_NAME") for w in ("Ann", "Bob", "Rome"))


def scored(span, score):
    return Span(span.start, span.end, span.type, score=score)


DOCUMENT = Marked(
    Document(TEXT, (ANN, BOB)), (scored(ANN, 0.9), scored(BOB, 0.4), scored(ROME, 0.6)), by_patterns=()
)


def test_the_curve_by_hand():
    points = {p["threshold"]: p for p in operating.curve([DOCUMENT], shipped())}
    at = lambda t: tuple(points[t][k] for k in ("precision", "recall", "alarms_per_1000_characters"))  # noqa: E731
    assert at(0.0) == (pytest.approx(2 / 3), 1.0, 1.0)
    assert at(0.4) == (0.5, 0.5, 1.0)  # a candidate counts over the threshold, as serving has it
    assert at(0.6) == (1.0, 0.5, 0.0)
    assert at(0.9) == (None, 0.0, 0.0)


@pytest.mark.parametrize(
    ("budget", "recall", "threshold"), [(1.0, 1.0, 0.0), (5.0, 1.0, 0.0), (0.5, 0.5, 0.6), (0.0, 0.5, 0.6)]
)
def test_recall_at_a_budget_of_false_alarms(budget, recall, threshold):
    points = operating.curve([DOCUMENT], shipped())
    assert operating.recall_at(budget, points) == {"budget": budget, "recall": recall, "threshold": threshold}


def test_what_is_answered_counts_wherever_it_stands():
    text = "Gwen met Gwen"
    twice = Document(text, (Span(0, 4, "PERSON_NAME"), Span(9, 13, "PERSON_NAME")))
    found = (scored(twice.spans[0], 0.8),)
    assert len(Marked(twice, found, ()).answered(0.5).predicted) == 1
    marked = Marked(twice, found, (), propagates=True)
    assert {(s.start, s.end) for s in marked.answered(0.5).predicted} == {(0, 4), (9, 13)}
    assert {(s.start, s.end) for s in marked.hidden(0.5).predicted} == {(0, 4), (9, 13)}
    assert not marked.answered(0.9).predicted


def test_nothing_to_choose_from_is_null():
    assert operating.curve([Marked(Document(TEXT, (ANN,)), (), ())], shipped()) == []
    assert operating.recall_at(1.0, [])["recall"] is None


@given(st.lists(st.floats(0, 5), min_size=1, max_size=5))
def test_a_larger_budget_never_costs_recall(budgets):
    points = operating.curve([DOCUMENT], shipped())
    found = [operating.recall_at(budget, points)["recall"] for budget in sorted(budgets)]
    assert found == sorted(found)
