"""A second opinion on the strict numbers, by seqeval, in the very run that reports them.

seqeval (https://github.com/chakki-works/seqeval) reads tag sequences: every character is a token, tagged in
IOB2, and its strict mode counts an entity as right when type and both ends agree. That is this product's
strict match, so the numbers have to be the same, to the last count. Tags cannot say overlap: documents whose
predictions overlap each other are left out of the check and counted.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation import matching
from evaluation.metrics import Case, labelled_types, tabulate
from pii.spans import Document, Span
from pii.taxonomy import Taxonomy


def tags(document: Document, spans: Sequence[Span]) -> list[str]:
    """IOB2 tags, one per code point of the text. The spans may not overlap."""
    made = ["O"] * len(document.text)
    for span in spans:
        made[span.start] = f"B-{span.type}"
        made[span.start + 1 : span.end] = [f"I-{span.type}"] * (len(span) - 1)
    return made


def _is_flat(spans: Sequence[Span]) -> bool:
    ordered = sorted(spans)
    return all(one.end <= other.start for one, other in itertools.pairwise(ordered))


def by_seqeval(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, float]:
    """Micro precision, recall and F1 in seqeval's strict mode."""
    if not gold:
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    from seqeval.metrics.v1 import precision_recall_fscore_support
    from seqeval.scheme import IOB2

    with warnings.catch_warnings():
        # It warns where a rate is not defined and counts it as zero; so does the comparison below.
        warnings.simplefilter("ignore")
        rates = precision_recall_fscore_support(
            gold, predicted, average="micro", scheme=IOB2, zero_division=0
        )
    return {name: float(rate) for name, rate in zip(("precision", "recall", "f1"), rates, strict=False)}


def check(cases: Sequence[Case], taxonomy: Taxonomy, limit: int) -> dict[str, Any]:
    """Score the first `limit` documents both ways.

    Returns:
        What seqeval says, how many documents it read and left out, whether both agree to nine places.
    """
    flat: list[Case] = []
    overlapping = 0
    for case in cases[:limit]:
        known = labelled_types(case.document, taxonomy)
        predicted = tuple(span for span in case.predicted if span.type in known)
        if _is_flat(predicted):
            flat.append(Case(case.document, predicted))
        else:
            overlapping += 1
    theirs = by_seqeval(
        [tags(case.document, case.document.spans) for case in flat],
        [tags(case.document, case.predicted) for case in flat],
    )
    tally = tabulate(flat, taxonomy, [matching.STRICT]).spans[matching.STRICT.name]
    ours = {
        name: ratio.value or 0.0 for name, ratio in tally.rates(np.ones(len(flat), dtype=np.bool_)).items()
    }
    return {
        "seqeval": {name: round(rate, 4) for name, rate in theirs.items()},
        "num_documents": len(flat),
        "num_left_out": overlapping + max(0, len(cases) - limit),
        "agrees": all(abs(theirs[name] - ours[name]) < 1e-9 for name in theirs),
    }
