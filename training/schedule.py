"""The learning rate as a function of progress, and the clock that bounds a run in minutes."""

from __future__ import annotations

import math
import time

from training.recipe import ScheduleRecipe


def rate(recipe: ScheduleRecipe, step: int, max_steps: int, progress: float) -> float:
    """The learning rate at a step, as a share of the highest.

    Args:
        recipe: shape, warm-up and floor. ``wsd`` is Hu et al. 2024, https://arxiv.org/abs/2404.06395.
        step: steps done, from 0.
        max_steps: steps of the whole run.
        progress: share of the run that is used up, 0 to 1; by steps or, if ahead of them, by minutes.
    """
    # A share of the run, so that a run that minutes will end early does not warm up all the way.
    share = recipe.warmup if recipe.warmup < 1 else recipe.warmup / max_steps
    warm = progress if recipe.warmup < 1 else step / max_steps
    if warm < share:
        return (warm + 1 / max_steps) / (share + 1 / max_steps)
    start = share if recipe.shape in ("cosine", "linear") else 1 - recipe.decay
    gone = min(1.0, max(0.0, (progress - start) / (1 - start))) if start < 1 else 1.0
    if recipe.shape == "constant":
        return 1.0
    left = (1 + math.cos(math.pi * gone)) / 2 if recipe.shape == "cosine" else 1 - gone
    return recipe.floor + (1 - recipe.floor) * left


class Clock:
    """Seconds of training, those before an interruption included.

    Args:
        max_minutes: the bound; None: there is none, and the clock changes nothing.
    """

    def __init__(self, max_minutes: float | None) -> None:
        self._limit_s = max_minutes * 60 if max_minutes is not None else math.inf
        self._before_s = 0.0
        self._started: float | None = None
        self._agreed_s: float | None = None

    def start(self, before_s: float = 0.0) -> None:
        """Begin to count, after `before_s` seconds of an earlier part of the run."""
        self._before_s, self._started = before_s, time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far."""
        return self._before_s + (time.monotonic() - self._started if self._started is not None else 0.0)

    def agree(self, seconds: float) -> None:
        """Take these seconds for the rate and for the end, until told others.

        Several processes have to decide alike, and their own clocks differ.
        """
        self._agreed_s = seconds

    @property
    def _decisive_s(self) -> float:
        return self.seconds if self._agreed_s is None else self._agreed_s

    @property
    def progress(self) -> float:
        """Share of the minutes that is used up; 0 without a bound."""
        return min(1.0, self._decisive_s / self._limit_s)

    @property
    def is_over(self) -> bool:
        """Whether the bound is reached."""
        return self._decisive_s >= self._limit_s
