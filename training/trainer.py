"""TRL's trainer with what this job adds: batches by tokens, and the loss on the answer."""

# ruff: noqa: TID253 - it subclasses the trainer; imported inside functions alone.

from __future__ import annotations

from typing import Any

import torch
from trl import SFTConfig, SFTTrainer

from training import compilation, device
from training.batches import EpochLoader, cut, num_steps
from training.examples import num_tokens
from training.loss import answer_losses
from training.preparation import Job
from training.schedule import Clock
from training.watched import WatchedTrainer, common_arguments


class AnswerTrainer(WatchedTrainer, SFTTrainer):
    """Supervised fine-tuning on tokenised examples, with the loss on the assistant's turns.

    Args:
        job: recipe, model, tokenizer and examples.
        clock: bounds the run in minutes.
        from_start: False where the run goes on from a checkpoint.
    """

    def __init__(self, job: Job, clock: Clock, *, from_start: bool) -> None:
        recipe = job.recipe
        lengths = [num_tokens(example) for example in job.train]
        packed = device.packs(recipe)
        per_epoch = len(cut(lengths, recipe, packed=packed, num_processes=device.num_processes()))
        max_steps = num_steps(recipe.length, per_epoch, recipe.batch.accumulation)
        arguments = SFTConfig(
            **common_arguments(recipe, job.where.precision, max_steps, from_start=from_start),
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            # The loader's own batches count; this number only keeps the trainer's estimates
            # apart from nonsense.
            per_device_train_batch_size=1,
        )
        super().__init__(job, clock, args=arguments, train=job.train)
        if recipe.compiled:
            compilation.compile_layers(self.model)
        # Our loss divides by the answer tokens of the whole step, over all its batches.
        self.model_accepts_loss_kwargs = True

    def get_train_dataloader(self) -> EpochLoader:
        """Batches by tokens, each process its own share."""
        return self._loader(self.train_dataset, training=True)

    def _losses(
        self, model: Any, inputs: dict[str, torch.Tensor], source_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `answer_losses`; `source_ids` (B, T) are those of the tokens."""
        smoothing = self.recipe.optimizer.label_smoothing
        return answer_losses(model, inputs, fused=self._fused, label_smoothing=smoothing)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Mean loss of the answer tokens of the step; logits are never returned."""
        assert not return_outputs
        source_ids = inputs.pop("source_ids")
        self._step_names += inputs.pop("names")
        weights = inputs.pop("weights", None)
        losses, trained = self._losses(model, inputs, source_ids)
        self._tally.add(losses.detach(), trained, source_ids)
        if weights is not None:
            losses = losses * weights[:, 1:][trained]
        count = num_items_in_batch if num_items_in_batch is not None else max(1, losses.numel())
        # The gradients of the processes are averaged, and the count is that of all of them.
        loss = losses.sum() / count * self.accelerator.num_processes
        self._step_loss = self._step_loss + loss.detach()
        return loss
