"""``objective: {kind: distill}``: the gold answers, and what a teacher expects at every token of them."""

# ruff: noqa: TID253 - it is a trainer; imported inside functions alone.

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from pii.errors import ModelFolderError
from training.base import load_model, resolve
from training.loss import answer_logits
from training.objective_recipe import Distillation
from training.preparation import Job
from training.schedule import Clock
from training.tokenizer import load as load_tokenizer
from training.trainer import AnswerTrainer


class DistillationTrainer(AnswerTrainer):
    """Adds the teacher's voice to the loss of the gold answers.

    Args:
        job: recipe, model, tokenizer and examples.
        clock: bounds the run in minutes.
        from_start: False where the run goes on from a checkpoint.

    Raises ModelFolderError: the teacher cannot be read, or has other tokens than the student.
    """

    def __init__(self, job: Job, clock: Clock, *, from_start: bool) -> None:
        super().__init__(job, clock, from_start=from_start)
        assert isinstance(job.recipe.objective, Distillation)
        self._objective = job.recipe.objective
        self._num_tokens = len(job.tokenizer)
        self._teacher = _load_teacher(job, self._objective).to(self.args.device)
        taught = [
            self._objective.rows in ("all", "chat" if source in job.chat_sources else "labelled")
            for source in self._sources
        ]
        self._is_taught = torch.tensor(taught, device=self.args.device)

    def _losses(
        self, model: Any, inputs: dict[str, torch.Tensor], source_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits_NV, targets, trained = answer_logits(model, inputs)
        smoothing = self.recipe.optimizer.label_smoothing
        losses = cross_entropy(logits_NV, targets, reduction="none", label_smoothing=smoothing)
        taught = self._is_taught[source_ids[:, 1:][trained]]
        if taught.any():
            with torch.no_grad():
                teacher_NV, *_ = answer_logits(self._teacher, inputs)
            # A base may hold more logits than there are tokens, each its own number of them.
            student, teacher = (logits[:, : self._num_tokens] for logits in (logits_NV, teacher_NV))
            weight = self._objective.weight * taught
            losses = (1 - weight) * losses + weight * divergence(
                student, teacher, self._objective.temperature
            )
        return losses, trained


def divergence(student_NV: torch.Tensor, teacher_NV: torch.Tensor, temperature: float) -> torch.Tensor:
    """Kullback-Leibler divergence of the student from the teacher for each token (N,), in nats.

    Both distributions are flattened by the temperature; its square keeps the gradient's size (Hinton et al.
    2015, https://arxiv.org/abs/1503.02531, section 2).
    """
    student, teacher = (log_softmax(logits / temperature, dim=-1) for logits in (student_NV, teacher_NV))
    return kl_div(student, teacher, reduction="none", log_target=True).sum(-1) * temperature**2


def _load_teacher(job: Job, objective: Distillation) -> Any:
    base = resolve(objective.teacher, objective.revision)
    if load_tokenizer(base.folder).get_vocab() != job.tokenizer.get_vocab():
        raise ModelFolderError(
            f"objective.teacher: {objective.teacher} has other tokens than the base;"
            " choose a teacher of the same family"
        )
    dtype = torch.bfloat16 if job.where.kind == "cuda" else torch.float32
    return load_model(base, dtype).eval().requires_grad_(False)
