"""Recognises a run that goes wrong before the step is taken: NaN, spike, explosion, no gradient at all."""

from __future__ import annotations

import json
import logging
import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Literal

from configs.errors import StageError
from training.recipe import GuardianRecipe

logger = logging.getLogger(__name__)

Problem = Literal["not_a_number", "gradient_explosion", "loss_spike", "no_gradient"]

_WINDOW, _ENOUGH = 50, 10
"""Steps that make up what is usual; fewer than the second say nothing."""


class Guardian:
    """Judges every optimizer step by its loss and its gradient.

    A bad step is judged before the optimizer takes it, so the weights are still good: leaving the batch out
    is enough, and no older checkpoint is needed.

    Args:
        recipe: thresholds and policy.
        record: the JSONL file that each case is appended to; ids and sources of examples, never texts.
    """

    def __init__(self, recipe: GuardianRecipe, record: Path) -> None:
        self._recipe, self._record = recipe, record
        self._losses: deque[float] = deque(maxlen=_WINDOW)
        self._norms: deque[float] = deque(maxlen=_WINDOW)
        self._num_dead = 0
        self.num_recoveries = 0
        self.rate_factor = 1.0
        """Share of the schedule's rate that is left; halved by each recovery."""

    def judge(self, step: int, loss: float, norm: float, examples: Sequence[tuple[str, str]]) -> bool:
        """Whether the step may be taken.

        Args:
            step: optimizer steps done so far.
            loss: mean loss of the step.
            norm: norm of its gradient before clipping.
            examples: id and source of each example of the step.

        Raises StageError: the policy is to stop, recoveries are used up, or nothing is being trained.
        """
        problem = self._problem(loss, norm)
        if problem is None:
            self._losses.append(loss)
            self._norms.append(norm)
            return True
        self._write(step, problem, loss, norm, examples)
        sources = ", ".join(sorted({source for _, source in examples}))
        said = f"step {step}: {problem} in {len(examples)} examples of {sources}; see {self._record}"
        if problem == "no_gradient":
            raise StageError(f"{said}: nothing is being trained; look at method, targets and learning_rate")
        if self._recipe.policy == "warn":
            logger.warning("%s", said)
            return True
        if self._recipe.policy == "stop" or self.num_recoveries >= self._recipe.most_recoveries:
            raise StageError(f"{said}: lower optimizer.learning_rate or remove the examples named there")
        self.num_recoveries += 1
        self.rate_factor /= 2
        logger.warning("%s: left out, the rate is halved", said)
        return False

    def _problem(self, loss: float, norm: float) -> Problem | None:
        if not math.isfinite(loss) or not math.isfinite(norm):
            return "not_a_number"
        self._num_dead = self._num_dead + 1 if norm == 0 else 0
        if self._num_dead >= _ENOUGH:
            return "no_gradient"
        if len(self._norms) < _ENOUGH:
            return None
        if norm > self._recipe.gradient_factor * median(self._norms):
            return "gradient_explosion"
        if loss > self._recipe.loss_factor * median(self._losses):
            return "loss_spike"
        return None

    def _write(
        self, step: int, problem: Problem, loss: float, norm: float, examples: Sequence[tuple[str, str]]
    ) -> None:
        case = {
            "step": step,
            "problem": problem,
            "loss": loss if math.isfinite(loss) else str(loss),
            "gradient": norm if math.isfinite(norm) else str(norm),
            "policy": self._recipe.policy,
            "examples": [{"id": name, "source": source} for name, source in examples],
        }
        with self._record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(case, ensure_ascii=False) + "\n")
