"""``objective: {kind: dpo}``: the right answer of a pair shall become likelier than the wrong one."""

# ruff: noqa: TID253 - it is a trainer; imported inside functions alone.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import logsigmoid

from training.batches import EpochLoader
from training.examples import NOT_TRAINED
from training.loss import answer_losses
from training.objective_recipe import Preference
from training.preparation import Job
from training.schedule import Clock
from training.trainer import AnswerTrainer


class PreferenceTrainer(AnswerTrainer):
    """Direct preference optimisation on the batches, the order and the head of supervised fine-tuning.

    TRL's own DPO trainer was not taken: it pads by numbers of examples, holds the logits of whole
    conversations and keeps a cache of its own. A test compares the loss with TRL's.

    What the model thought of the pairs before training is computed once, at the beginning; a run that goes
    on from a checkpoint computes it again, with the weights that it began with.

    Args:
        job: recipe, model, tokenizer and pairs.
        clock: bounds the run in minutes.
        from_start: False where the run goes on from a checkpoint.
    """

    loss_is_steady = False
    train_dataset: Dataset

    def __init__(self, job: Job, clock: Clock, *, from_start: bool) -> None:
        super().__init__(job, clock, from_start=from_start)
        assert isinstance(job.recipe.objective, Preference)
        self._objective = job.recipe.objective
        self._margins_seen: list[torch.Tensor] = []
        self.train_dataset = self._with_reference(self.train_dataset)

    def _with_reference(self, pairs: Dataset) -> Dataset:
        """The pairs with the margin that the model sees in each before training."""
        margins = torch.zeros(len(pairs))
        was_training = self.model.training
        self.model.eval()
        # All pairs on every process: the next epoch deals them out anew.
        for places in self._loader(pairs, training=False).batch_sampler:
            inputs = self._prepare_inputs(self._pair_up([pairs[place] for place in places]))
            with torch.no_grad(), self.compute_loss_context_manager():
                margins[places] = self._margins(self.model, inputs)[0].cpu()
        self.model.train(was_training)
        return pairs.add_column("reference", margins.tolist())

    def get_train_dataloader(self) -> EpochLoader:
        """Batches of pairs, by the tokens of both answers."""
        loader = super().get_train_dataloader()
        loader.collate_fn = self._pair_up
        return loader

    def _pair_up(self, pairs: Sequence[Any]) -> dict[str, Any]:
        """A batch whose first half are the right answers and whose second half the wrong ones."""
        wrong: list[Any] = [
            {**pair, "input_ids": pair["wrong_ids"], "labels": pair["wrong_labels"]} for pair in pairs
        ]
        batch = self._collate([*pairs, *wrong])
        batch["names"] = batch["names"][: len(pairs)]
        batch["reference"] = torch.tensor([pair.get("reference", 0.0) for pair in pairs])
        return batch

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> torch.Tensor:
        """Pairs of a step on all devices: what the sum of its losses is divided by."""
        count = torch.tensor(sum(len(batch["names"]) for batch in batch_samples), device=device)
        return self.accelerator.gather(count).sum()

    def _losses(
        self, model: Any, inputs: dict[str, torch.Tensor], source_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        margins, right_nll = self._margins(model, inputs)
        self._margins_seen.append(margins.detach())
        losses = -logsigmoid(self._objective.beta * margins) + self._objective.answers * right_nll
        # A pair counts once: at the first token of its right answer.
        trained = inputs["labels"][:, 1:] != NOT_TRAINED
        trained &= trained.cumsum(dim=1) == 1
        trained[len(losses) :] = False
        return losses, trained

    def _margins(self, model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """For each pair of a batch (P,): by how much the right answer is likelier, and its mean token loss.

        The margin is in nats of the whole answer, beyond that of the model before training.
        """
        kept = {name: inputs[name] for name in ("input_ids", "attention_mask", "labels")}
        losses, trained = answer_losses(model, kept, fused=self._fused)
        sums = losses.new_zeros(trained.shape).masked_scatter(trained, losses).sum(dim=1)
        right, wrong = sums.chunk(2)
        return wrong - right - inputs["reference"], right / trained.sum(dim=1)[: len(right)]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds how often the right answer is the likelier one, against the model before training."""
        if "loss" in logs and self._margins_seen:
            margins = torch.cat(self._margins_seen)
            logs |= {"preferred": (margins > 0).float().mean().item(), "margin": margins.mean().item()}
            self._margins_seen = []
        super().log(logs, start_time)
