"""The loss of the answer's tokens, each by itself."""

# ruff: noqa: TID253 - imported by the trainer alone, which is itself imported inside functions.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from training.batches import padded
from training.examples import NOT_TRAINED


def answer_losses(
    model: Any, inputs: Mapping[str, torch.Tensor], *, fused: bool, label_smoothing: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood of every trained token of a batch.

    The head of the model is computed where answers stand and nowhere else: on a CPU the prompt's logits
    would cost as much as the layers below.

    Args:
        model: a causal language model, perhaps wrapped by PEFT or for several processes.
        inputs: ``input_ids``, ``attention_mask`` or ``position_ids``, and ``labels``, each (B, T).
        fused: use TRL's fused head, which never holds the logits; worth it with a large vocabulary on a GPU.
        label_smoothing: share of the target spread over the vocabulary; not with `fused`.

    Returns:
        Losses (N,) in float32, and the mask (B, T - 1) of the tokens that they belong to, from the second on.
    """
    if not fused:
        logits, targets, trained_BT = answer_logits(model, inputs)
        return cross_entropy(logits, targets, reduction="none", label_smoothing=label_smoothing), trained_BT
    trained_BT = inputs["labels"][:, 1:] != NOT_TRAINED
    log_probs = model(**inputs, use_cache=False, fused_lm_head=True).log_probs
    # Virtual tokens of prompt methods stand in front: count from the end.
    losses = -log_probs[:, log_probs.size(1) - trained_BT.size(1) :][trained_BT].float()
    return losses, trained_BT


def answer_logits(
    model: Any, inputs: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the model expects at every trained token of a batch, in the order of `answer_losses`.

    Args:
        model: a causal language model, perhaps wrapped by PEFT or for several processes.
        inputs: as for `answer_losses`.

    Returns:
        Logits (N, V) in float32, the right tokens (N,), and the mask (B, T - 1) of `answer_losses`.
    """
    labels = inputs["labels"]
    others = {name: value for name, value in inputs.items() if name != "labels"}
    targets_BT = labels[:, 1:]
    trained_BT = targets_BT != NOT_TRAINED
    columns = _columns(trained_BT)
    logits = model(**others, use_cache=False, logits_to_keep=columns - labels.size(1)).logits
    return logits[trained_BT[:, columns]].float(), targets_BT[trained_BT], trained_BT


def _columns(trained_BT: torch.Tensor) -> torch.Tensor:
    """Columns that hold a trained token, and further ones up to a number that keeps the shapes few."""
    has_answer_T = trained_BT.any(dim=0)
    answers, others = has_answer_T.nonzero().squeeze(1), (~has_answer_T).nonzero().squeeze(1)
    return torch.cat([answers, others[: padded(len(answers)) - len(answers)]])
