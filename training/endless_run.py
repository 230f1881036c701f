"""A run on the endless stream, over any number of starts: steps, measurements, checkpoint, signals.

In its folder: ``state.pt`` (weights, optimizers and counters: all that a later start needs) and
``history.jsonl``.
"""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

import json
import logging
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from configs.atomic import writing
from configs.errors import StageError
from data_pipeline.parallel import Workers
from training import device
from training.pools import EndlessStream, initialise, make_pool
from training.pretrain_recipe import EndlessRecipe
from training.progress import Progress, batches
from training.schedule import rate

logger = logging.getLogger(__name__)

STATE, HISTORY = "state.pt", "history.jsonl"


class StepTaker(Protocol):
    """What learns: a `model`, by steps."""

    model: Any

    def step(self, batch: Any, rate: float) -> None:
        """One optimizer step, at this share of the highest rate."""

    def take_tally(self) -> dict[str, float]:
        """What the steps since the last call showed."""

    def state(self) -> dict[str, Any]:
        """Everything that a later start needs."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a `state`."""


_Recipe = TypeVar("_Recipe", bound=EndlessRecipe)
_Learner = TypeVar("_Learner", bound=StepTaker)


class EndlessRun(ABC, Generic[_Recipe, _Learner]):
    """A run, begun or restored from its folder.

    Args:
        recipe: what to do.
        folder: of the run.
        learner: what learns.
        where: what computes.
        format_hash: of the form of the examples, beyond the recipe; a checkpoint keeps it.

    Raises StageError: the checkpoint is of another architecture.
    """

    def __init__(
        self,
        recipe: _Recipe,
        folder: Path,
        learner: _Learner,
        where: device.Device,
        format_hash: str,
    ) -> None:
        self.recipe, self._folder, self.learner, self._where = recipe, folder, learner, where
        self._format_hash = format_hash
        self.progress = Progress(device=str(where))
        if (folder / STATE).is_file():
            self._restore(folder / STATE)

    @abstractmethod
    def opener(self) -> tuple[Callable[..., EndlessStream[Any, Any]], tuple[Any, ...]]:
        """What opens the stream in another process, and its arguments."""

    @abstractmethod
    def measure(self) -> dict[str, float]:
        """What is measured on held-out documents."""

    def learn(self) -> bool:
        """Take steps until the tokens or the minutes are used up or a signal comes, and save.

        Returns:
            Whether the tokens are used up.
        """
        recipe, progress = self.recipe, self.progress
        sizes = recipe.batch if self._where.kind == "cpu" else recipe.accelerator_batch
        open_stream, arguments = self.opener()
        with _signals() as arrived, Workers(recipe.workers, initialise, open_stream, *arguments) as workers:
            progress.start_clock()
            begun = saved = time.monotonic()
            for batch in batches(recipe, progress, sizes, lambda tasks: workers.map(make_pool, tasks)):
                share = progress.tokens / recipe.tokens
                self.learner.step(batch, rate(recipe.schedule, progress.tokens, recipe.tokens, share))
                progress.took(batch)
                finished = progress.tokens >= recipe.tokens
                if progress.steps % recipe.probe.every_steps == 0 or finished:
                    self._record()
                if arrived or time.monotonic() - begun > 60 * (recipe.max_minutes or float("inf")):
                    break
                if time.monotonic() - saved > 60 * recipe.save_minutes:
                    self._save()
                    saved = time.monotonic()
            self._save()
        return progress.tokens >= recipe.tokens

    def _record(self) -> None:
        """One line of the history and of the log."""
        progress = self.progress
        speed = progress.take_speed()
        measured = {**self.learner.take_tally(), **self.measure()}
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
            "codec": self._format_hash,
        }
        with writing(self._folder / STATE, "wb") as file:
            torch.save(state, file)

    def _restore(self, path: Path) -> None:
        state = torch.load(path, map_location=self._where.kind, weights_only=True)
        if state["shapes"] != _shapes(self.learner.model):
            raise StageError(f"{path}: is of another architecture; name another folder")
        if state["codec"] != self._format_hash:
            logger.warning(
                "the format of examples has changed since the last start; it has yet to be learned"
            )
        self.learner.restore(state["learner"])
        self.progress.restore(state["progress"])
        logger.info("going on from %s", self.progress.describe(self.recipe))


def _shapes(model: Any) -> dict[str, list[int]]:
    return {name: list(values.shape) for name, values in model.state_dict().items()}


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
