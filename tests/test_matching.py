"""Matching is one-to-one, optimal, and does not depend on the order of the lists."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import matching
from evaluation.matching import EXACT, LIKENESS, PARTIAL, STRICT, TYPE, Mode, components, iou_mode, pairs
from pii.spans import Span

NAME, PHONE = "PERSON_NAME", "PHONE_NUMBER"
MODES = (STRICT, EXACT, PARTIAL, TYPE, LIKENESS, iou_mode(0.5), iou_mode(1.0))

# The ways to be right and wrong, after the scenarios of SemEval-2013 task 9.1:
# gold, prediction, verdict by strict, exact, partial, type.
SCENARIOS = [
    ("right", [(0, 4, NAME)], [(0, 4, NAME)], ["correct", "correct", "correct", "correct"]),
    ("spurious", [], [(0, 4, NAME)], ["spurious"] * 4),
    ("missed", [(0, 4, NAME)], [], ["missed"] * 4),
    ("wrong type", [(0, 4, NAME)], [(0, 4, PHONE)], ["incorrect", "correct", "correct", "incorrect"]),
    ("wrong end", [(0, 4, NAME)], [(0, 3, NAME)], ["incorrect", "incorrect", "partial", "correct"]),
    ("both wrong", [(0, 4, NAME)], [(1, 6, PHONE)], ["incorrect", "incorrect", "partial", "incorrect"]),
    ("one character", [(0, 4, NAME)], [(3, 9, NAME)], ["incorrect", "incorrect", "partial", "correct"]),
]


def spans(*triples):
    return [Span(*triple) for triple in triples]


def verdict_counts(gold, predicted, mode):
    counts = {}
    for component in components(gold, predicted):
        for name, count in matching.verdicts(component, pairs(component, mode)).items():
            counts[name] = counts.get(name, 0) + count
    return counts


@pytest.mark.parametrize(
    ("gold", "predicted", "wanted"), [s[1:] for s in SCENARIOS], ids=[s[0] for s in SCENARIOS]
)
def test_scenarios_of_semeval(gold, predicted, wanted):
    for mode, verdict in zip((STRICT, EXACT, PARTIAL, TYPE), wanted, strict=True):
        assert verdict_counts(spans(*gold), spans(*predicted), mode) == {verdict: 1}, mode.name


def test_neighbours_do_not_overlap():
    assert verdict_counts(spans((0, 2, NAME)), spans((2, 4, NAME)), PARTIAL) == {"missed": 1, "spurious": 1}


def test_one_prediction_over_two_gold_spans_answers_one():
    gold, predicted = spans((0, 2, NAME), (3, 5, NAME)), spans((0, 5, NAME))
    assert verdict_counts(gold, predicted, PARTIAL) == {"partial": 1, "missed": 1}


def test_a_greedy_scan_would_find_one_pair_where_there_are_two():
    # The long prediction overlaps both; taken for the first gold span, it leaves the second without partner.
    gold, predicted = spans((0, 4, NAME), (4, 8, NAME)), spans((2, 8, NAME), (0, 1, NAME))
    assert verdict_counts(gold, predicted, TYPE) == {"correct": 2}


def test_credit_comes_before_the_number_of_pairs():
    # Two pairs of the wrong type, or one pair of the right type: type mode wants the right one.
    gold, predicted = spans((0, 4, PHONE), (4, 8, NAME)), spans((2, 6, NAME), (6, 9, PHONE))
    assert verdict_counts(gold, predicted, TYPE) == {"correct": 1, "missed": 1, "spurious": 1}
    assert verdict_counts(gold, predicted, PARTIAL) == {"partial": 2}


def test_a_duplicate_prediction_is_spurious():
    assert verdict_counts(spans((0, 2, NAME)), spans((0, 2, NAME), (0, 2, NAME)), STRICT) == {
        "correct": 1,
        "spurious": 1,
    }


def test_iou():
    assert matching.iou(Span(0, 4, NAME), Span(2, 6, NAME)) == pytest.approx(2 / 6)
    assert matching.iou(Span(0, 4, NAME), Span(4, 6, NAME)) == 0
    half = iou_mode(0.5)
    assert half.credit(Span(0, 4, NAME), Span(0, 2, NAME)) == 1
    assert half.credit(Span(0, 5, NAME), Span(0, 2, NAME)) == 0
    assert half.credit(Span(0, 4, NAME), Span(0, 4, PHONE)) == 0


any_spans = st.lists(
    st.builds(
        lambda start, length, kind: Span(start, start + length, kind),
        st.integers(0, 12),
        st.integers(1, 6),
        st.sampled_from([NAME, PHONE]),
    ),
    max_size=5,
)


def best_total(gold, predicted, mode: Mode):
    """Brute force: the most credit, then the most pairs, of all one-to-one pairings of overlapping spans."""
    best = (0.0, 0)
    short, long_, flip = (gold, predicted, False) if len(gold) <= len(predicted) else (predicted, gold, True)
    for chosen in itertools.permutations(long_, len(short)):
        made = [(b, a) if flip else (a, b) for a, b in zip(short, chosen, strict=True)]
        made = [(g, p) for g, p in made if g.overlaps(p)]
        best = max(best, (sum(mode.credit(g, p) for g, p in made), len(made)))
    return best


@given(any_spans, any_spans)
def test_pairing_is_as_good_as_brute_force(gold, predicted):
    for mode in MODES:
        found = [pair for component in components(gold, predicted) for pair in pairs(component, mode)]
        assert (sum(credit for _, _, credit in found), len(found)) == best_total(gold, predicted, mode)
        assert all(g.overlaps(p) for g, p, _ in found)


@given(any_spans, any_spans, st.randoms(use_true_random=False))
def test_shuffling_changes_nothing(gold, predicted, generator: random.Random):
    shuffled_gold, shuffled = gold[:], predicted[:]
    generator.shuffle(shuffled_gold)
    generator.shuffle(shuffled)
    assert list(components(gold, predicted)) == list(components(shuffled_gold, shuffled))


@given(any_spans, any_spans)
def test_components_hold_every_span_once_and_lie_apart(gold, predicted):
    found = list(components(gold, predicted))
    assert sorted(s for c in found for s in c.gold) == sorted(gold)
    assert sorted(s for c in found for s in c.predicted) == sorted(predicted)
    for one, other in itertools.pairwise(found):
        assert max(s.end for s in one.gold + one.predicted) <= min(
            s.start for s in other.gold + other.predicted
        )
