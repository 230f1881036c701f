"""Recognises a run that goes wrong before the step is taken, and what is to be done about it."""

from __future__ import annotations

import json
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, variance
from typing import Any, Literal

from configs.errors import StageError
from training.recipe import GuardianRecipe

logger = logging.getLogger(__name__)

Problem = Literal[
    "not_a_number", "gradient_explosion", "loss_spike", "loss_risen", "loss_unmoved", "no_gradient"
]

_FIRST, _RECENT, _RISEN = 10, 50, 25
"""Steps that show where a run began, that show what is usual, and that a risen loss has to last."""

_UNMOVED = 200
"""Steps after which the last `_RECENT` losses have to differ from the first ones."""


class Guardian:
    """Judges every optimizer step by its loss and its gradient.

    A step is compared with the *highest* of the first and of the last ones, not with their median: batches
    of one kind, such as chat, or a first sentence without entities, have ten times the median of a small run
    and are no trouble, while broken labels lie above everything that an untrained model showed.

    Going back and passing over the batches since then follows PaLM (Chowdhery et al. 2022, section 5.1,
    https://arxiv.org/abs/2204.02311).

    Args:
        recipe: thresholds and policy.
        record: the JSONL file that each case is appended to; ids and sources of examples, never texts.
        go_back: restores the newest checkpoint of at most so many steps, and the `state` that was kept with
            it; returns its steps, or None where there is none.
    """

    def __init__(self, recipe: GuardianRecipe, record: Path, go_back: Callable[[int], int | None]) -> None:
        self._recipe, self._record, self._go_back = recipe, record, go_back
        self._begun: list[float] = []
        self._losses: deque[float] = deque(maxlen=_RECENT)
        self._first_norms: list[float] = []
        self._norms: deque[float] = deque(maxlen=_RECENT)
        self._num_judged = self._num_dead = 0
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
        if problem not in ("not_a_number", "gradient_explosion", "loss_spike"):
            self._remember(loss, norm)
        if problem is None:
            return True
        if problem == "loss_risen":  # said once, and again if it lasts as long again
            self._losses.clear()
        said = (
            f"step {step}: {problem} in {len(examples)} examples of {_sources(examples)}; see {self._record}"
        )
        case: dict[str, Any] = {
            "step": step,
            "problem": problem,
            "loss": _number(loss),
            "gradient": _number(norm),
        }
        case |= {"policy": self._recipe.policy, "examples": [{"id": n, "source": s} for n, s in examples]}
        try:
            return self._act(problem, step, said, case)
        finally:
            with self._record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(case, ensure_ascii=False) + "\n")

    def _act(self, problem: Problem, step: int, said: str, case: dict[str, Any]) -> bool:
        """Follow the policy; what was done goes into the case. As `judge` otherwise."""
        if problem == "no_gradient":
            raise StageError(f"{said}: nothing is being trained; look at method, targets and learning_rate")
        policy = self._recipe.policy
        if policy == "stop" or (policy != "warn" and self.num_recoveries >= self._recipe.most_recoveries):
            raise StageError(f"{said}: lower optimizer.learning_rate or remove the examples named there")
        if policy == "warn" or problem == "loss_unmoved":
            advice = ": raise optimizer.learning_rate, or is there nothing to learn?"
            logger.warning("%s%s", said, advice if problem == "loss_unmoved" else "")
            return True
        self.num_recoveries += 1
        self.rate_factor /= 2
        done = "left out"
        if policy == "recover":
            # The step may have shown that the weights are bad; where the loss rose, they have been for long.
            back_to = self._go_back(step - (_RISEN if problem == "loss_risen" else 1))
            case["back_to"] = back_to
            done += f", back to step {back_to}" if back_to is not None else ", no checkpoint to go back to"
        case["rate_factor"] = self.rate_factor
        logger.warning("%s: %s, the rate is halved", said, done)
        return False

    def _remember(self, loss: float, norm: float) -> None:
        self._num_judged += 1
        if len(self._begun) < _RECENT:
            self._begun.append(loss)
        self._losses.append(loss)
        if len(self._first_norms) < _FIRST:
            self._first_norms.append(norm)
        self._norms.append(norm)

    def _problem(self, loss: float, norm: float) -> Problem | None:
        if not math.isfinite(loss) or not math.isfinite(norm):
            return "not_a_number"
        self._num_dead = self._num_dead + 1 if norm == 0 else 0
        if self._num_dead >= _FIRST:
            return "no_gradient"
        if len(self._first_norms) < _FIRST:
            return None
        if norm > self._recipe.gradient_factor * max(*self._first_norms, *self._norms):
            return "gradient_explosion"
        highest_at_first = max(self._begun[:_FIRST])
        if loss > self._recipe.loss_factor * max([highest_at_first, *self._losses]):
            return "loss_spike"
        last = list(self._losses)[-_RISEN:]
        if len(last) == _RISEN and self._num_judged >= _FIRST + _RISEN and mean(last) > highest_at_first:
            return "loss_risen"
        return "loss_unmoved" if self._num_judged == _UNMOVED and self._is_unmoved() else None

    def _is_unmoved(self) -> bool:
        """Whether the loss has not fallen: not by 5 %, and by no more than chance, three standard errors."""
        before, after = self._begun, self._losses
        if len(after) < _RECENT or not mean(before):
            return False
        fallen = mean(before) - mean(after)
        error = math.sqrt((variance(before) + variance(after)) / _RECENT)
        return fallen <= 3 * error and fallen < 0.05 * mean(before)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain values."""
        return {
            "begun": self._begun,
            "losses": list(self._losses),
            "first_norms": self._first_norms,
            "norms": list(self._norms),
            "num_judged": self._num_judged,
            "num_recoveries": self.num_recoveries,
            "rate_factor": self.rate_factor,
        }

    def restore(self, state: dict[str, Any], *, weights_alone: bool = False) -> None:
        """Take over a `state`; with `weights_alone` without its recoveries: the run has had more since."""
        self._begun, self._first_norms = list(state["begun"]), list(state["first_norms"])
        self._losses = deque(state["losses"], maxlen=_RECENT)
        self._norms = deque(state["norms"], maxlen=_RECENT)
        self._num_judged = state["num_judged"]
        if not weights_alone:
            self.num_recoveries, self.rate_factor = state["num_recoveries"], state["rate_factor"]


def _sources(examples: Sequence[tuple[str, str]]) -> str:
    return ", ".join(sorted({source for _, source in examples}))


def _number(value: float) -> float | str:
    """As JSON has it: it knows no NaN."""
    return value if math.isfinite(value) else str(value)
