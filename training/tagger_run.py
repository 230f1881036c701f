"""One run that makes the character tagger, over any number of starts.

In its folder, beside what every run on the stream keeps there (`training.endless_run`): ``characters.json``.
"""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from configs.atomic import writing
from pii.spans import Document
from pii.tagger_folder import VERSION, Numbering
from pii.tags import num_tags, spans_of
from pii.taxonomy import shipped
from training import device
from training.endless_run import EndlessRun
from training.lessons import Lessons
from training.pools import EndlessStream
from training.probes import SETS
from training.tag_stream import TagStream
from training.tagger_learner import TaggerLearner
from training.tagger_network import TaggerNetwork
from training.tagger_recipe import TaggerRecipe

logger = logging.getLogger(__name__)

CHARACTERS = "characters.json"


class TaggerRun(EndlessRun[TaggerRecipe, TaggerLearner]):
    """A run, begun or restored from its folder.

    Args:
        recipe: what to do.
        folder: of the run.

    Raises StageError: the checkpoint is of another network.
    """

    def __init__(self, recipe: TaggerRecipe, folder: Path) -> None:
        torch.set_num_threads(recipe.threads)
        where = device.choose(recipe.precision)
        self.characters = _characters(recipe, folder / CHARACTERS)
        self.types = shipped().default_types
        self._numbering = Numbering(self.characters)
        torch.manual_seed(recipe.seed)
        self.network = TaggerNetwork(recipe.network, self._numbering.size, num_tags(self.types))
        compiled = device.can_compile() if recipe.compiled is None else recipe.compiled
        learner = TaggerLearner(self.network, recipe.rates, where, compiled=compiled)
        super().__init__(recipe, folder, learner, where, str(VERSION))
        logger.info("%s parameters on %s", f"{self.num_parameters:,}", where)

    @property
    def num_parameters(self) -> int:
        """Of the network."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @cached_property
    def _probes(self) -> dict[str, list[Document]]:
        lessons = Lessons(self.recipe)
        return {name: lessons.held_out(split, self.recipe.probe.documents) for name, split in SETS.items()}

    def opener(self) -> tuple[Callable[..., EndlessStream[Any, Any]], tuple[Any, ...]]:
        """See `EndlessRun.opener`."""
        return TagStream, (self.recipe, self.characters)

    def measure(self) -> dict[str, float]:
        """``f1_…``: strict F1 of the likeliest tags on held-out documents, by set."""
        return {f"f1_{name}": self._strict_f1(documents) for name, documents in self._probes.items()}

    def _strict_f1(self, documents: Sequence[Document]) -> float:
        right = marked = 0
        for document in documents:
            tags = self.learner.likeliest(self._numbering.numbers(document.text))
            pieces = [(place, place + 1) for place in range(len(document.text))]
            found, gold = set(spans_of(pieces, tags, self.types)), set(document.spans)
            right += len(found & gold)
            marked += len(found) + len(gold)
        return 2 * right / max(1, marked)


def _characters(recipe: TaggerRecipe, path: Path) -> str:
    """The characters that this run knows: those of an earlier start, or the most frequent ones."""
    if not path.is_file():
        texts = Lessons(recipe).vocabulary_texts(recipe.characters_documents)
        counts = Counter(character for text in texts for character in text)
        ranked = sorted(counts, key=lambda character: (-counts[character], character))
        with writing(path) as file:
            json.dump("".join(ranked[: recipe.characters]), file, ensure_ascii=False)
    known: str = json.loads(path.read_text(encoding="utf-8"))
    return known
