"""Do scores mean what they say? Of the spans with a score of 0.9, nine in ten should be right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NUM_BINS = 10


def table(scores: Sequence[float], right: Sequence[bool]) -> list[dict[str, Any]]:
    """The reliability table: scores in ten bins of equal width, those with a span in them.

    Args:
        scores: from 0 to 1.
        right: whether the span of each score is right.

    Returns:
        For each bin ``low``, ``high``, ``count``, ``mean_score`` and ``share_right``.
    """
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(NUM_BINS)]
    for score, is_right in zip(scores, right, strict=True):
        bins[min(int(score * NUM_BINS), NUM_BINS - 1)].append((score, is_right))
    return [
        {
            "low": index / NUM_BINS,
            "high": (index + 1) / NUM_BINS,
            "count": len(members),
            "mean_score": round(sum(score for score, _ in members) / len(members), 4),
            "share_right": round(sum(is_right for _, is_right in members) / len(members), 4),
        }
        for index, members in enumerate(bins)
        if members
    ]


def expected_calibration_error(rows: Sequence[dict[str, Any]]) -> float | None:
    """Mean distance between score and share of right spans over the bins of `table`, weighted by count.

    None where there is no score. Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3.
    """
    count = sum(row["count"] for row in rows)
    if not count:
        return None
    apart = sum(row["count"] * abs(row["mean_score"] - row["share_right"]) for row in rows)
    error: float = apart / count
    return round(error, 4)


def judge(scores: Sequence[float], right: Sequence[bool]) -> dict[str, Any]:
    """Calibration error and reliability table together, with the number of spans."""
    rows = table(scores, right)
    return {"num_spans": len(scores), "ece": expected_calibration_error(rows), "reliability": rows}
