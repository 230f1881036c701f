"""Quick draws from a seeded generator.

`random.Random.choice` and `randrange` cost three times as much as an index computed from `random()`, and
a document takes some hundred draws.
"""

import itertools
from bisect import bisect
from collections.abc import Mapping, Sequence
from random import Random
from typing import Generic, TypeVar

Item = TypeVar("Item")


def pick(rng: Random, items: Sequence[Item]) -> Item:
    """One of the items, all equally likely."""
    return items[int(rng.random() * len(items))]


def digits(rng: Random, count: int) -> str:
    """`count` random decimal digits (at most 15: a float holds no more)."""
    return f"{int(rng.random() * 10**count):0{count}d}"


def number(rng: Random, low: int, high: int) -> int:
    """An integer from `low` to `high`, both included."""
    return low + int(rng.random() * (high - low + 1))


def letters(rng: Random, alphabet: str, count: int) -> str:
    """`count` characters of the alphabet."""
    size = len(alphabet)
    return "".join([alphabet[int(rng.random() * size)] for _ in range(count)])


class Weighted(Generic[Item]):
    """Items with weights, prepared for many draws. Raises ValueError where no weight is positive."""

    def __init__(self, weights: Mapping[Item, float]) -> None:
        self.weights = {item: weight for item, weight in weights.items() if weight > 0}
        if not self.weights:
            raise ValueError("no item has a positive weight")
        self._items = tuple(self.weights)
        self._cumulative = tuple(itertools.accumulate(self.weights.values()))

    def draw(self, rng: Random) -> Item:
        """One item, as likely as its weight says."""
        place = bisect(self._cumulative, rng.random() * self._cumulative[-1])
        return self._items[min(place, len(self._items) - 1)]
