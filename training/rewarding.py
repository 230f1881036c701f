"""``objective: {kind: grpo}``: the model answers, code judges, and the better answers become likelier."""

# ruff: noqa: TID253 - it is a trainer; imported inside functions alone.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from trl import GRPOConfig, GRPOTrainer

from configs.errors import ConfigError
from pii.codec import Message, encode
from training import device
from training.answering import budget
from training.batches import NO_SOURCE, num_steps
from training.examples import Row
from training.objective_recipe import Rewards
from training.preparation import Job
from training.rewards import Worth, judge, weights
from training.schedule import Clock
from training.watched import WatchedTrainer, common_arguments


class RewardTrainer(WatchedTrainer, GRPOTrainer):
    """Group relative policy optimisation with rewards that code computes.

    Answers are written freely, from the prompts that serve, and read by the codec that serves.

    Args:
        job: recipe, model, tokenizer and rows.
        clock: bounds the run in minutes.
        from_start: False where the run goes on from a checkpoint.

    Raises ConfigError: there are fewer labelled rows than prompts of one batch.
    """

    loss_is_steady = False

    def __init__(self, job: Job, clock: Clock, *, from_start: bool) -> None:
        objective = job.recipe.objective
        assert isinstance(objective, Rewards)
        rows = [row for row in job.rows if row.spans is not None]
        per_batch = objective.prompts * device.num_processes()
        if len(rows) < per_batch:
            raise ConfigError(f"objective.prompts: {per_batch} in a batch, of {len(rows)} labelled rows")
        max_steps = num_steps(job.recipe.length, len(rows) // per_batch, job.recipe.batch.accumulation)
        arguments = GRPOConfig(
            **common_arguments(job.recipe, job.where.precision, max_steps, from_start=from_start),
            per_device_train_batch_size=objective.prompts * objective.samples,
            num_generations=objective.samples,
            temperature=objective.temperature,
            beta=objective.kl,
            max_completion_length=budget(job.tokenizer, rows),
            reward_weights=list(weights(objective).values()),
            # Its table of answers would hold texts.
            log_completions=False,
        )
        prompts = [
            {"prompt": list(row.messages[:-1]), "row": number, "id": row.id, "source": row.source}
            for number, row in enumerate(rows)
        ]
        super().__init__(
            job,
            clock,
            args=arguments,
            train=prompts,
            reward_funcs=[_reward(name, rows, job.tokenizer.eos_token_id) for name in weights(objective)],
        )

    def _tokenize_prompts(self, prompts: list[list[Message]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Turn by turn, as serving does: a template would read a text's own control tokens."""
        return [encode(self.processing_class, turns, answer_next=True)[0] for turns in prompts], None, {}

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        scored: dict[str, Any] = super()._generate_and_score_completions(inputs)
        self._step_names += dict.fromkeys((one["id"], one["source"]) for one in inputs)
        # Where all answers of every prompt are worth the same there is nothing to learn, and nothing wrong.
        self.expects_gradient = bool(scored["advantages"].any())
        return scored

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """TRL's, remembered for the guardian and the record."""
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        stands = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1).bool()
        no_losses, trained = loss.new_zeros(0), torch.zeros_like(stands[:, 1:])
        self._tally.add(no_losses, trained, torch.where(stands, 0, NO_SOURCE))
        self._step_loss = self._step_loss + loss.detach()
        return loss


def _reward(name: str, rows: Sequence[Row], end_of_turn: int) -> Callable[..., list[float]]:
    """One of the three numbers as TRL asks for it, under its own name in the log."""

    def reward(
        completions: list[list[Message]], completion_ids: list[list[int]], row: list[int], **_: Any
    ) -> list[float]:
        """The number for each answer, of which its tokens and the number of its row are known."""
        return [
            getattr(_judged(rows[number], completion[0]["content"], end_of_turn in ids), name)
            for completion, ids, number in zip(completions, completion_ids, row, strict=True)
        ]

    reward.__name__ = name
    return reward


def _judged(row: Row, answer: str, ended: bool) -> Worth:
    return judge(row.text, row.spans or (), answer, ended=ended)
