"""An endless stream of documents for the character tagger: numbers of characters and their tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
import numpy.typing as npt

from pii.tagger_folder import PADDING, Numbering, class_of
from pii.tags import tags_of
from pii.taxonomy import shipped
from training.batches import padded
from training.lessons import Lessons
from training.pools import EndlessStream, by_length
from training.pretrain_recipe import Phase
from training.tagger_recipe import TaggerRecipe
from training.tagging import UNTAGGED


@dataclass(frozen=True, slots=True)
class TaggedText:
    """The numbers of a window's characters and the tag of each."""

    numbers: list[int] = field(repr=False)
    tags: list[int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TagBatch:
    """Windows of similar length, padded on the right.

    Attributes:
        numbers: of the characters (B, T), int32; `PADDING` behind a window's end.
        tags: of the characters (B, T), int64; `UNTAGGED` there.
        num_tokens: characters without padding.
    """

    numbers: npt.NDArray[np.int32] = field(repr=False)
    tags: npt.NDArray[np.int64] = field(repr=False)
    num_tokens: int


class TagStream(EndlessStream[TaggedText, TagBatch]):
    """The examples of a run.

    Args:
        recipe: seed and phases.
        characters: those that are known by themselves.
    """

    recipe: TaggerRecipe

    def __init__(self, recipe: TaggerRecipe, characters: str) -> None:
        self.recipe, self._numbering = recipe, Numbering(characters)
        self._lessons, self._types = Lessons(recipe), shipped().default_types

    def example(self, phase: Phase, index: int) -> TaggedText | str:
        """Example `index` of a phase, or the reason why there is none."""
        document = self._lessons.labelled(phase, index)
        if isinstance(document, str):
            return document
        text = document.text
        drawn = Random(f"{self.recipe.seed}/{phase.name}/{index}/unknown")
        numbers = [
            class_of(character) if drawn.random() < self.recipe.unknown else number
            for character, number in zip(text, self._numbering.numbers(text), strict=True)
        ]
        pieces = ((place, place + 1) for place in range(len(text)))
        return TaggedText(numbers, tags_of(pieces, document.spans, self._types))

    def cut(self, examples: Sequence[TaggedText], max_tokens: int) -> list[TagBatch]:
        """See `cut`."""
        return cut(examples, max_tokens)


def cut(examples: Sequence[TaggedText], max_tokens: int) -> list[TagBatch]:
    """Batches of similar lengths; a longer window than a batch may have is one of its own."""
    written = [example for example in examples if example.numbers]
    return [_padded(group) for group in by_length(written, lambda e: len(e.numbers), max_tokens)]


def _padded(examples: Sequence[TaggedText]) -> TagBatch:
    shape = len(examples), padded(max(len(example.numbers) for example in examples))
    numbers, tags = np.full(shape, PADDING, np.int32), np.full(shape, UNTAGGED, np.int64)
    for row, example in enumerate(examples):
        numbers[row, : len(example.numbers)] = example.numbers
        tags[row, : len(example.tags)] = example.tags
    return TagBatch(numbers, tags, sum(len(example.numbers) for example in examples))
