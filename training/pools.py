"""An endless stream in pools of batches, each of which any process can make.

Example ``i`` of a phase depends on the recipe, the phase and ``i`` alone: a run may stop anywhere and go on,
and the number of processes that make examples changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from training.batches import bounds
from training.pretrain_recipe import EndlessRecipe, Phase


class Counted(Protocol):
    """A batch of which is known how many tokens it has without padding."""

    @property
    def num_tokens(self) -> int:
        """How many."""


_Example = TypeVar("_Example")
_Batch = TypeVar("_Batch", bound=Counted)


@dataclass(frozen=True, slots=True)
class Pool(Generic[_Batch]):
    """Examples that were made together: batches in random order, and what was left out, by reason."""

    batches: list[_Batch]
    left_out: Counter[str]


class EndlessStream(ABC, Generic[_Example, _Batch]):
    """The examples of a run.

    Attributes:
        recipe: seed and phases.
    """

    recipe: EndlessRecipe

    @abstractmethod
    def example(self, phase: Phase, index: int) -> _Example | str:
        """Example `index` of a phase, or the reason why there is none."""

    @abstractmethod
    def cut(self, examples: Sequence[_Example], max_tokens: int) -> list[_Batch]:
        """Batches of similar lengths, of at most so many padded tokens."""

    def pool(self, phase: Phase, start: int, count: int, batch_tokens: int) -> Pool[_Batch]:
        """Examples `start` to ``start + count`` of a phase, as batches of at most so many padded tokens."""
        made = [self.example(phase, index) for index in range(start, start + count)]
        left_out = Counter(item for item in made if isinstance(item, str))
        batches = self.cut([item for item in made if not isinstance(item, str)], batch_tokens)
        Random(f"{self.recipe.seed}/{phase.name}/{start}/order").shuffle(batches)
        return Pool(batches, left_out)


def by_length(
    examples: Iterable[_Example], length: Callable[[_Example], int], max_tokens: int
) -> list[list[_Example]]:
    """Examples in groups of similar lengths; one with more tokens than a group may have is its own."""
    ordered = sorted(examples, key=length)
    places = bounds([length(example) for example in ordered], max_tokens)
    return [ordered[start:end] for start, end in pairwise(places)]


# --- in a process of its own --------------------------------------------------------------------------

Task = tuple[str, int, int, int]
"""Name of a phase, first example, number of examples, tokens of a batch."""

_stream: EndlessStream[Any, Any]


def initialise(open_stream: Callable[..., EndlessStream[Any, Any]], *arguments: Any) -> None:
    """Set this process up for `make_pool`."""
    global _stream
    from training.silence import keep_quiet

    keep_quiet()
    _stream = open_stream(*arguments)


def make_pool(task: Task) -> Pool[Any]:
    """One pool of the stream."""
    name, start, count, batch_tokens = task
    phase = next(phase for phase in _stream.recipe.phases if phase.name == name)
    return _stream.pool(phase, start, count, batch_tokens)
