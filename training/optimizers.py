"""The optimizers of a run on the endless stream: Muon for matrices, AdamW for all else."""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from training.pretrain_recipe import RateRecipe


class Optimizers:
    """Both, which take their steps together.

    Args:
        matrices: Muon's.
        groups: AdamW's, as `torch.optim.AdamW` takes them.
        rates: the highest rates, weight decay of the matrices and bound of the gradient.
    """

    def __init__(self, matrices: Sequence[Any], groups: Sequence[dict[str, Any]], rates: RateRecipe) -> None:
        self._max_grad_norm = rates.max_grad_norm
        self._highest = (rates.matrices, rates.others)
        self._both: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices, lr=rates.matrices, weight_decay=rates.weight_decay, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW([*groups], lr=rates.others, betas=(0.9, 0.95)),
        ]

    def step(self, rate: float, clipped: Iterable[Any]) -> None:
        """One step on the gradients that are there, which are gone afterwards.

        Args:
            rate: the learning rate as a share of the highest.
            clipped: the parameters whose gradients are clipped, all together.
        """
        torch.nn.utils.clip_grad_norm_(clipped, self._max_grad_norm)
        for optimizer, highest in zip(self._both, self._highest, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * highest
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        """Everything that a later start needs."""
        return [optimizer.state_dict() for optimizer in self._both]

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        """Take over a `state`."""
        for optimizer, values in zip(self._both, states, strict=True):
            optimizer.load_state_dict(values)
