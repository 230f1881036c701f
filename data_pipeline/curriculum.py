"""The order of the training split from easy to hard.

Bengio et al., "Curriculum Learning", 2009 (https://dl.acm.org/doi/10.1145/1553374.1553380). An example is
harder the more entities it holds, the longer it is and the further its form is from a plain spelling; each of
the three counts as the recipe weighs it. General chat has no such measure and stays evenly spread.

The examples wait on disk, in a pool that is ordered by difficulty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from data_pipeline.mixing import interleave
from data_pipeline.pool import Pool
from data_pipeline.preparation import Example, Facts
from data_pipeline.recipe import CurriculumConfig

FORM_DIFFICULTY = {
    "upper": 0.2, "lower": 0.2,
    "dashed": 0.3, "spaced": 0.3, "dotted": 0.3, "country_code": 0.3,
    "fullwidth": 0.5, "masked": 0.6, "chinese_digits": 0.7,
    "spread": 0.8, "line_broken": 0.9, "zero_width": 0.9, "ocr": 1.0,
}  # fmt: skip
"""How far a form is from the plain spelling: parted, then in other characters, then with something inside
that a reader has to pass over or mend."""
HALF_ENTITIES, HALF_CHARS = 3, 150
"""The number of entities and of code points that count as half of the hardest."""

_KEY_BITS = 31
_COUNTER_BITS = 33


def difficulty(facts: Facts, weights: CurriculumConfig) -> float:
    """From 0 (easy) to 1 (hard), by the weights of a recipe."""
    parts = (
        (weights.entities, _saturating(len(facts.types), HALF_ENTITIES)),
        (weights.length, _saturating(facts.num_chars, HALF_CHARS)),
        (weights.form, FORM_DIFFICULTY.get(facts.form, 0.0)),
    )
    return sum(weight * value for weight, value in parts) / sum(weight for weight, _ in parts)


def _saturating(count: int, half: int) -> float:
    return count / (count + half)


def in_order(
    items: Iterable[tuple[str, Example]], weights: CurriculumConfig, labelled: Pool, chat: Pool
) -> Iterator[tuple[str, Example]]:
    """The same items, labelled ones from easy to hard, those of general chat evenly among them.

    Args:
        items: source and example, in mixed order, which decides between equal ones.
        weights: what counts as hard.
        labelled: an empty pool for labelled examples.
        chat: an empty pool for general chat.
    """
    for number, (name, example) in enumerate(items):
        row = {"name": name, "line": example.line, "facts": asdict(example.facts)}
        if example.facts.asks == "chat":
            chat.add(number, row)
        else:
            rank = round(difficulty(example.facts, weights) * (2**_KEY_BITS - 1))
            labelled.add(rank << _COUNTER_BITS | number, row)
    streams = {"labelled": labelled.lines(), "chat": chat.lines()}
    quotas = {"labelled": len(labelled), "chat": len(chat)}
    for _, line in interleave(streams, quotas, {}):
        row = json.loads(line)
        yield row["name"], Example(row["line"], _facts(row["facts"]))


def _facts(row: dict[str, Any]) -> Facts:
    return Facts(**row | {"types": tuple(row["types"]), "form_types": tuple(row["form_types"])})
