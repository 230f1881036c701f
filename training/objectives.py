"""From ``objective:`` in the recipe to what a run reads and to the trainer that learns from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from training import pairs
from training.base import resolve
from training.objective_recipe import Distillation, Preference
from training.recipe import TrainRecipe

if TYPE_CHECKING:
    from training.preparation import Job
    from training.schedule import Clock
    from training.watched import WatchedTrainer


def inputs(recipe: TrainRecipe) -> dict[str, str]:
    """Content hash of what the objective reads beside the data folder and the base.

    Raises ModelFolderError or StageError: the teacher or the pairs are not there.
    """
    objective = recipe.objective
    if isinstance(objective, Distillation):
        return {"teacher": resolve(objective.teacher, objective.revision).fingerprint()}
    if isinstance(objective, Preference):
        return {"pairs": pairs.content_hash(objective.pairs)}
    return {}


def trainer_of(job: Job, clock: Clock, *, from_start: bool) -> WatchedTrainer:
    """The trainer of a run's objective; `from_start` is False where it goes on from a checkpoint."""
    from training.distillation import DistillationTrainer
    from training.preference import PreferenceTrainer
    from training.rewarding import RewardTrainer
    from training.trainer import AnswerTrainer

    trainers: dict[str, Callable[..., WatchedTrainer]] = {
        "answers": AnswerTrainer,
        "distill": DistillationTrainer,
        "dpo": PreferenceTrainer,
        "grpo": RewardTrainer,
    }
    return trainers[job.recipe.objective.kind](job, clock, from_start=from_start)
