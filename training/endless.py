"""An endless stream of tokenised training examples for the embedded base model (see `training.pools`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from pii import codec
from training.batches import padded
from training.examples import RememberingTokenizer
from training.lessons import Lessons
from training.pools import EndlessStream, by_length
from training.pretrain_recipe import KINDS, BaseRecipe, Kind, Phase
from training.tagging import UNTAGGED, tags


@dataclass(frozen=True, slots=True)
class Example:
    """One tokenised example.

    Attributes:
        kind: what it is.
        ids: its tokens.
        weights: for each token how much its prediction counts.
        tags: for the first tokens, which entity of the document they belong to (`training.tagging`).
    """

    kind: Kind
    ids: list[int] = field(repr=False)
    weights: list[float] = field(repr=False)
    tags: list[int] = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples of similar length, padded on the right with weight 0.

    Attributes:
        ids: tokens (B, T), int32.
        weights: how much each token's prediction counts (B, T), float32; 1 marks an answer.
        tags: of `training.tagging` (B, T), int64.
        kinds: place of each example's kind in `KINDS` (B,), int64.
        num_tokens: tokens without padding.
    """

    ids: npt.NDArray[np.int32] = field(repr=False)
    weights: npt.NDArray[np.float32] = field(repr=False)
    tags: npt.NDArray[np.int64] = field(repr=False)
    kinds: npt.NDArray[np.int64] = field(repr=False)
    num_tokens: int


class Stream(EndlessStream[Example, Batch]):
    """The examples of a run.

    Args:
        recipe: seed, phases and context.
        lessons: where the conversations come from.
        tokenizer: as for `pii.codec.encode`.
    """

    recipe: BaseRecipe

    def __init__(self, recipe: BaseRecipe, lessons: Lessons, tokenizer: codec.Tokenizer) -> None:
        self.recipe, self.lessons = recipe, lessons
        self._plain, self._tokenizer = tokenizer, RememberingTokenizer(tokenizer)

    def example(self, phase: Phase, index: int) -> Example | str:
        """Example `index` of a phase, or the reason why there is none."""
        kind, messages = self.lessons.draw(phase, index)
        if isinstance(messages, str):
            return messages
        ids, is_answer = codec.encode(self._tokenizer, messages, answer_next=False)
        if len(ids) > self.recipe.context_tokens:
            return "longer than the context"
        # Nothing can be learned of a random string before it is repeated, and chat is language modelling.
        drawn = Random(f"{self.recipe.seed}/{phase.name}/{index}/text")
        weight = 0.0 if kind == "copy" else phase.text_weight / phase.text_share
        weights = [
            1.0 if answer and kind != "chat" else weight * (drawn.random() < phase.text_share)
            for answer in is_answer
        ]
        tagged = self.recipe.tagging is not None and kind in ("extraction", "inserted")
        return Example(kind, ids, weights, tags(self._plain, [*messages]) if tagged else [])

    def cut(self, examples: Sequence[Example], max_tokens: int) -> list[Batch]:
        """See `cut`."""
        return cut(examples, max_tokens)


def cut(examples: Sequence[Example], max_tokens: int) -> list[Batch]:
    """Batches of similar lengths; an example with more tokens than a batch may have is one of its own."""
    return [_padded(group) for group in by_length(examples, lambda e: len(e.ids), max_tokens)]


def _padded(examples: Sequence[Example]) -> Batch:
    shape = len(examples), padded(max(len(example.ids) for example in examples))
    ids, weights = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    tagged = np.full(shape, UNTAGGED, np.int64)
    for row, example in enumerate(examples):
        tagged[row, : len(example.tags)] = example.tags
        ids[row, : len(example.ids)] = example.ids
        weights[row, : len(example.ids)] = example.weights
    kinds = np.array([KINDS.index(example.kind) for example in examples], np.int64)
    return Batch(ids, weights, tagged, kinds, sum(len(example.ids) for example in examples))


def open_stream(recipe: BaseRecipe, tokenizer_folder: Path) -> Stream:
    """The stream of a run whose tokenizer is there."""
    from training.tokenizer import load

    tokenizer: Any = load(tokenizer_folder)
    return Stream(recipe, Lessons(recipe), tokenizer)
