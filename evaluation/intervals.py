"""How sure is a number? Percentile bootstrap over documents.

Every rate of a report is a ratio of two sums over documents (F1 is ``2 * correct / (gold + predicted)``), so
one resampling of the documents gives the interval of all of them. The document is the unit, because the spans
of one document are not independent. Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993),
chapter 13.

Where every document agrees, resampling sees no spread, and an interval from 100 % to 100 % would claim a
certainty that sixteen documents cannot give: there the exact interval of Clopper and Pearson (Biometrika 26,
1934) over documents takes its place. Where fewer than `MIN_DOCUMENTS` speak, no interval is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float32]
"""One number per document; whole numbers below 2**24 are exact."""

MIN_DOCUMENTS = 10
"""Fewest documents with something to measure from which a resampled interval means anything."""

BLOCK_CELLS = 12_000_000
"""Most cells of a temporary array (float32: 48 MB)."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A rate: sum of `numerator` over sum of `denominator`, both of one number per document.

    Attributes:
        numerator: what is counted, per document.
        denominator: what it is a part of, or what it is measured against.
        is_share: whether the rate lies between 0 and 1; false for such as alarms per 1,000 characters.
    """

    numerator: Column
    denominator: Column
    is_share: bool = True

    @property
    def value(self) -> float | None:
        """The rate; None where the denominator is zero, for then nothing was there to measure."""
        below = float(self.denominator.sum(dtype=np.float64))
        return float(self.numerator.sum(dtype=np.float64)) / below if below else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A rate with its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Rounded to what the sample can carry: four places."""
        rounded = {"value": self.value, "low": self.low, "high": self.high}
        return {key: None if x is None else round(x, 4) for key, x in rounded.items()}


def draws(num_documents: int, num_resamples: int, seed: int) -> NDArray[np.float32]:
    """How often each document is drawn in each resample: (resamples, documents); rows sum to documents."""
    generator = np.random.default_rng(seed)
    counts = np.empty((num_resamples, num_documents), dtype=np.float32)
    for row in range(num_resamples):
        drawn = generator.integers(0, num_documents, num_documents)
        counts[row] = np.bincount(drawn, minlength=num_documents)
    return counts


def resampled_sums(columns: NDArray[np.float32], num_resamples: int, seed: int) -> NDArray[np.float64]:
    """Sums of each column over each resample: (documents, k) → (resamples, k)."""
    num_documents = columns.shape[0]
    step = max(1, min(num_resamples, BLOCK_CELLS // max(1, num_documents)))
    blocks = [
        draws(num_documents, min(step, num_resamples - first), seed + first) @ columns
        for first in range(0, num_resamples, step)
    ]
    sums: NDArray[np.float64] = np.concatenate(blocks).astype(np.float64)
    return sums


def estimates(ratios: Sequence[Ratio], num_resamples: int, seed: int) -> list[Estimate]:
    """The value and interval of each rate; resamples where it is not defined stay out of its interval."""
    if not ratios or not len(ratios[0].numerator) or not num_resamples:
        return [Estimate(ratio.value) for ratio in ratios]
    width = max(1, BLOCK_CELLS // (2 * len(ratios[0].numerator)))
    made: list[Estimate] = []
    for first in range(0, len(ratios), width):
        block = ratios[first : first + width]
        columns = np.stack([r.numerator for r in block] + [r.denominator for r in block], axis=1)
        sums = resampled_sums(columns, num_resamples, seed)
        above, below = sums[:, : len(block)], sums[:, len(block) :]
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = np.where(below > 0, above / below, np.nan)
        made += [_estimate(ratio, rates[:, index]) for index, ratio in enumerate(block)]
    return made


def _estimate(ratio: Ratio, rates: NDArray[np.float64]) -> Estimate:
    value, num_documents = ratio.value, int(np.count_nonzero(ratio.denominator))
    defined = rates[~np.isnan(rates)]
    if value is None or not len(defined):
        return Estimate(value)
    low, high = (float(bound) for bound in np.percentile(defined, [2.5, 97.5]))
    if low == high and ratio.is_share and value in (0.0, 1.0):
        bound = 0.025 ** (1 / num_documents)
        return Estimate(value, bound, 1.0) if value else Estimate(value, 0.0, 1.0 - bound)
    if low == high or num_documents < MIN_DOCUMENTS:
        return Estimate(value)
    return Estimate(value, low, high)
