"""What an answer is worth: three numbers that code computes from the gold spans, without a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pii.codec import parse
from pii.grounding import ground
from pii.spans import Span
from training.objective_recipe import Rewards


@dataclass(frozen=True, slots=True)
class Worth:
    """How good one answer is; each number is between 0 and 1.

    Attributes:
        f1: strict span F1: start, end and type are right, and a value that is not in the text is wrong.
            Nothing to find and nothing claimed is 1.
        validity: 1 for one whole answer in the format, else 0.
        leakage: share of the gold characters that no span covers, whatever its type; 0 where there are none.
    """

    f1: float
    validity: float
    leakage: float


def judge(text: str, gold: Iterable[Span], answer: str, *, ended: bool = True) -> Worth:
    """Judge one answer.

    Args:
        text: what was asked about.
        gold: its true spans.
        answer: what the model wrote, any string.
        ended: False where the budget ended it; such an answer is not valid.
    """
    read, right = parse(answer), set(gold)
    found = set(ground(text, read.mentions).spans)
    hidden, personal = _characters(found), _characters(right)
    # Every claim counts, those too whose value stands nowhere in the text.
    both = len(right) + len(read.mentions)
    return Worth(
        f1=2 * len(right & found) / both if both else 1.0,
        validity=float(ended and read.valid_schema and not read.problem),
        leakage=len(personal - hidden) / len(personal) if personal else 0.0,
    )


def _characters(spans: Iterable[Span]) -> set[int]:
    return {place for span in spans for place in range(span.start, span.end)}


def weights(recipe: Rewards) -> Mapping[str, float]:
    """The weight of each number of a `Worth`, by its name."""
    return {"f1": recipe.f1, "validity": recipe.validity, "leakage": -recipe.leakage}
