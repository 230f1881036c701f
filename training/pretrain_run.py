"""One run that makes the embedded base model, over any number of starts.

In its folder, beside what every run on the stream keeps there (`training.endless_run`): ``tokenizer/``.
"""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from configs.atomic import writing_folder
from pii import codec
from training import device
from training.bare import make_model
from training.endless import Stream, open_stream
from training.endless_run import EndlessRun
from training.learner import Learner
from training.lessons import Lessons
from training.pools import EndlessStream
from training.pretrain_recipe import BaseRecipe
from training.probes import Probes
from training.tokenizer import load as load_tokenizer
from training.tokenizer import train as train_tokenizer

logger = logging.getLogger(__name__)

TOKENIZER = "tokenizer"


class PretrainRun(EndlessRun[BaseRecipe, Learner]):
    """A run, begun or restored from its folder.

    Args:
        recipe: what to do.
        folder: of the run.

    Raises StageError: the checkpoint is of another architecture or tokenizer.
    """

    def __init__(self, recipe: BaseRecipe, folder: Path) -> None:
        torch.set_num_threads(recipe.threads)
        where = device.choose(recipe.precision)
        self.tokenizer = _tokenizer(recipe, folder / TOKENIZER)
        model: Any = make_model(
            recipe.architecture,
            self.tokenizer,
            context_tokens=recipe.context_tokens,
            seed=recipe.seed,
            induction=recipe.induction,
        )
        compiled = device.can_compile() if recipe.compiled is None else recipe.compiled
        learner = Learner(model, recipe.rates, where, recipe.tagging, compiled=compiled)
        super().__init__(recipe, folder, learner, where, codec.fingerprint())
        logger.info("%s parameters on %s", f"{model.num_parameters():,}", where)

    @cached_property
    def _probes(self) -> Probes:
        stream = Stream(self.recipe, Lessons(self.recipe), self.tokenizer)
        return Probes(stream, self.tokenizer, self.recipe.probe)

    def opener(self) -> tuple[Callable[..., EndlessStream[Any, Any]], tuple[Any, ...]]:
        """See `EndlessRun.opener`."""
        return open_stream, (self.recipe, self._folder / TOKENIZER)

    def measure(self) -> dict[str, float]:
        """See `training.probes`."""
        return self._probes.measure(self.learner)


def _tokenizer(recipe: BaseRecipe, folder: Path) -> Any:
    """The run's own tokenizer: of an earlier start, the one that the recipe names, or a new one."""
    if not folder.is_dir():
        if recipe.tokenizer is not None:
            made = load_tokenizer(recipe.tokenizer)
        else:
            texts = Lessons(recipe).vocabulary_texts(recipe.tokenizer_documents)
            size = recipe.architecture.vocab_size
            made = train_tokenizer(texts, vocab_size=size, context_tokens=recipe.context_tokens)
            logger.info("trained a tokenizer of %d tokens on %d texts", len(made), len(texts))
        with writing_folder(folder) as half:
            made.save_pretrained(half)
    return load_tokenizer(folder)
