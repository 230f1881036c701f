"""One run that makes the embedded base model, over any number of starts.

In its folder: ``tokenizer/``, ``state.pt`` (weights, optimizers and counters: all that a later start needs)
and ``history.jsonl``.
"""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from configs.atomic import writing, writing_folder
from configs.errors import StageError
from data_pipeline.parallel import Workers
from pii import codec
from training import device
from training.bare import make_model
from training.endless import Stream, initialise, make_pool
from training.learner import Learner
from training.lessons import Lessons
from training.pretrain_recipe import BaseRecipe
from training.probes import Probes
from training.progress import Progress, batches
from training.schedule import rate
from training.tokenizer import load as load_tokenizer
from training.tokenizer import train as train_tokenizer

logger = logging.getLogger(__name__)

STATE, HISTORY, TOKENIZER = "state.pt", "history.jsonl", "tokenizer"


class PretrainRun:
    """A run, begun or restored from its folder.

    Args:
        recipe: what to do.
        folder: of the run.

    Raises StageError: the checkpoint is of another architecture or tokenizer.
    """

    def __init__(self, recipe: BaseRecipe, folder: Path) -> None:
        torch.set_num_threads(recipe.threads)
        self.recipe, self._folder = recipe, folder
        self._where = device.choose(recipe.precision)
        self.tokenizer = _tokenizer(recipe, folder / TOKENIZER)
        model: Any = make_model(
            recipe.architecture,
            self.tokenizer,
            context_tokens=recipe.context_tokens,
            seed=recipe.seed,
            induction=recipe.induction,
        )
        compiled = device.can_compile() if recipe.compiled is None else recipe.compiled
        self.learner = Learner(model, recipe.rates, self._where, recipe.tagging, compiled=compiled)
        self.progress = Progress(device=str(self._where))
        if (folder / STATE).is_file():
            self._restore(folder / STATE)
        logger.info("%s parameters on %s", f"{model.num_parameters():,}", self._where)

    def learn(self) -> bool:
        """Take steps until the tokens or the minutes are used up or a signal comes, and save.

        Returns:
            Whether the tokens are used up.
        """
        recipe, progress = self.recipe, self.progress
        stream = Stream(recipe, Lessons(recipe, recipe.data_config()), self.tokenizer)
        probes = Probes(stream, self.tokenizer, recipe.probe)
        sizes = recipe.batch if self._where.kind == "cpu" else recipe.accelerator_batch
        setup = (initialise, recipe, self._folder / TOKENIZER)
        with _signals() as arrived, Workers(recipe.workers, *setup) as workers:
            self.learner.model.train()
            progress.start_clock()
            begun = saved = time.monotonic()
            for batch in batches(recipe, progress, sizes, lambda tasks: workers.map(make_pool, tasks)):
                share = progress.tokens / recipe.tokens
                self.learner.step(batch, rate(recipe.schedule, progress.tokens, recipe.tokens, share))
                progress.took(batch)
                finished = progress.tokens >= recipe.tokens
                if progress.steps % recipe.probe.every_steps == 0 or finished:
                    self._record(probes)
                if arrived or time.monotonic() - begun > 60 * (recipe.max_minutes or float("inf")):
                    break
                if time.monotonic() - saved > 60 * recipe.save_minutes:
                    self._save()
                    saved = time.monotonic()
            self._save()
        return progress.tokens >= recipe.tokens

    def _record(self, probes: Probes) -> None:
        """One line of the history and of the log."""
        progress = self.progress
        speed = progress.take_speed()
        measured = {**self.learner.take_tally(), **probes.measure(self.learner)}
        phase = self.recipe.phase_at(progress.tokens).name
        row = {
            "step": progress.steps,
            "tokens": progress.tokens,
            "seconds": round(progress.seconds),
            "phase": phase,
            "tokens_per_s": round(speed),
            **{name: round(value, 4) for name, value in measured.items()},
        }
        with (self._folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        shown = ", ".join(f"{name} {value:.3f}" for name, value in measured.items())
        logger.info("%s, %s, %.0f tokens/s: %s", progress.describe(self.recipe), phase, speed, shown)

    # --- checkpoint -----------------------------------------------------------------------------------

    def _save(self) -> None:
        state = {
            "learner": self.learner.state(),
            "progress": self.progress.state(),
            "shapes": _shapes(self.learner.model),
            "codec": codec.fingerprint(),
        }
        with writing(self._folder / STATE, "wb") as file:
            torch.save(state, file)

    def _restore(self, path: Path) -> None:
        state = torch.load(path, map_location=self._where.kind, weights_only=True)
        if state["shapes"] != _shapes(self.learner.model):
            raise StageError(f"{path}: is of another architecture; name another folder")
        if state["codec"] != codec.fingerprint():
            logger.warning(
                "the answer format has changed since the last start; the model has yet to learn it"
            )
        self.learner.restore(state["learner"])
        self.progress.restore(state["progress"])
        logger.info("going on from %s", self.progress.describe(self.recipe))


def _shapes(model: Any) -> dict[str, list[int]]:
    return {name: list(values.shape) for name, values in model.state_dict().items()}


def _tokenizer(recipe: BaseRecipe, folder: Path) -> Any:
    """The run's own tokenizer: of an earlier start, the one that the recipe names, or a new one."""
    if not folder.is_dir():
        if recipe.tokenizer is not None:
            made = load_tokenizer(recipe.tokenizer)
        else:
            texts = Lessons(recipe, recipe.data_config()).vocabulary_texts(recipe.tokenizer_documents)
            size = recipe.architecture.vocab_size
            made = train_tokenizer(texts, vocab_size=size, context_tokens=recipe.context_tokens)
            logger.info("trained a tokenizer of %d tokens on %d texts", len(made), len(texts))
        with writing_folder(folder) as half:
            made.save_pretrained(half)
    return load_tokenizer(folder)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that arrived (Ctrl-C, SIGTERM); a second one does what it always does."""
    arrived: list[int] = []
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: object) -> None:
        arrived.append(number)
        restore()

    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        before[number] = signal.signal(number, note)
    try:
        yield arrived
    finally:
        restore()
