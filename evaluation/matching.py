"""Which predicted span answers which gold span, and what the pair is worth.

One-to-one, optimal and independent of the order of the lists. Spans are first swept into components (runs
of spans that overlap through each other), nearly all of which hold one gold and one prediction; the rest is
an assignment problem, solved exactly. A greedy scan would be as fast, but its verdict depends on the order of
the gold list; dynamic programming over the sorted spans would be exact only where predictions do not overlap
each other, which holds for this product and not for every detector that it is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pii.spans import Span

VERDICTS = ("correct", "partial", "incorrect", "missed", "spurious")
"""SemEval-2013 task 9.1 (https://aclanthology.org/S13-2056/): a gold span that found a partner is correct,
partial or incorrect, one that did not is missed; a prediction without a partner is spurious."""


def iou(one: Span, other: Span) -> float:
    """Intersection over union of the two ranges of characters, 0 to 1."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    return 0.0 if shared <= 0 else shared / (len(one) + len(other) - shared)


def _same_ends(gold: Span, predicted: Span) -> bool:
    return gold.start == predicted.start and gold.end == predicted.end


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to judge a pair of overlapping spans.

    Attributes:
        name: as in the report.
        typed: whether credit needs the same type, so that the counts can be told by type.
        credit: what an overlapping pair earns: 1 correct, 0.5 partial, 0 incorrect.
    """

    name: str
    typed: bool
    credit: Callable[[Span, Span], float]


STRICT = Mode("strict", True, lambda g, p: float(_same_ends(g, p) and g.type == p.type))
EXACT = Mode("exact", False, lambda g, p: float(_same_ends(g, p)))
PARTIAL = Mode("partial", False, lambda g, p: 1.0 if _same_ends(g, p) else 0.5)
TYPE = Mode("type", True, lambda g, p: float(g.type == p.type))


LIKENESS = Mode(
    "likeness",
    False,
    lambda g, p: 0.25 + 0.5 * (g.type == p.type) + 0.25 * _same_ends(g, p),
)
"""For naming errors, not for scoring: a partner of the same type comes first, then one with the same ends."""


def iou_mode(threshold: float) -> Mode:
    """Same type and an intersection over union of at least `threshold`, above 0 and at most 1."""
    return Mode(f"iou_{threshold:.2f}", True, lambda g, p: float(g.type == p.type and iou(g, p) >= threshold))


@dataclass(frozen=True, slots=True)
class Component:
    """Spans that overlap, directly or through each other; both tuples sorted."""

    gold: tuple[Span, ...]
    predicted: tuple[Span, ...]


def components(gold: Sequence[Span], predicted: Sequence[Span]) -> Iterator[Component]:
    """Sweep both lists, in any order, into components, from left to right.

    Neighbours that share no character are in different components. n log n.
    """
    marked = sorted([(span, 0) for span in gold] + [(span, 1) for span in predicted])
    sides: tuple[list[Span], list[Span]] = ([], [])
    end = 0
    for span, side in marked:
        if span.start >= end and (sides[0] or sides[1]):
            yield Component(tuple(sides[0]), tuple(sides[1]))
            sides = ([], [])
        sides[side].append(span)
        end = max(end, span.end)
    if sides[0] or sides[1]:
        yield Component(tuple(sides[0]), tuple(sides[1]))


def pairs(component: Component, mode: Mode) -> list[tuple[Span, Span, float]]:
    """The best one-to-one pairing of a component: (gold, predicted, credit), gold in order.

    Among all pairings of overlapping spans the one with the most credit, then the most pairs, then the most
    overlap. The totals are unique; between equally good pairings the sorted order of the spans decides.
    """
    if not component.gold or not component.predicted:
        return []
    if len(component.gold) == 1 == len(component.predicted):
        found = (component.gold[0], component.predicted[0])
        return [(*found, mode.credit(*found))]
    return _assigned(component, mode)


def _assigned(component: Component, mode: Mode) -> list[tuple[Span, Span, float]]:
    """Exact solution by the Jonker-Volgenant algorithm of scipy (`linear_sum_assignment`)."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    golds, predictions = component.gold, component.predicted
    # More than all overlaps of a pairing together, so that the three wishes keep their order.
    above = min(len(golds), len(predictions)) + 1.0
    weights = np.zeros((len(golds), len(predictions)))
    for row, gold in enumerate(golds):
        for column, predicted in enumerate(predictions):
            if gold.overlaps(predicted):
                # Credits are quarters: a quarter more outweighs every additional pair.
                wish = mode.credit(gold, predicted) * 4 * above + 1.0
                weights[row, column] = wish * above + iou(gold, predicted)
    rows, columns = linear_sum_assignment(weights, maximize=True)
    chosen = [(golds[r], predictions[c]) for r, c in zip(rows, columns, strict=True) if weights[r, c] > 0]
    return [(gold, predicted, mode.credit(gold, predicted)) for gold, predicted in chosen]


def verdicts(component: Component, paired: Sequence[tuple[Span, Span, float]]) -> dict[str, int]:
    """How often each of `VERDICTS` falls in a component whose pairing is known; zeros are left out."""
    counts: dict[str, int] = {}
    for _, _, credit in paired:
        name = "correct" if credit >= 1 else "partial" if credit > 0 else "incorrect"
        counts[name] = counts.get(name, 0) + 1
    for name, spans in (("missed", component.gold), ("spurious", component.predicted)):
        if len(spans) > len(paired):
            counts[name] = len(spans) - len(paired)
    return counts
