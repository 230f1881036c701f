"""The character tagger while it learns: weights, optimizers and what the last steps showed."""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from training.device import Device
from training.pretrain_recipe import RateRecipe
from training.tag_stream import TagBatch
from training.tagger_network import TaggerNetwork
from training.tagging import UNTAGGED


class TaggerLearner:
    """A network, its optimizers and the mean loss of its steps, each on windows that it never saw.

    Args:
        network: in float32.
        rates: the optimizers.
        device: where to compute, and in which number format.
        compiled: compile the network.
    """

    def __init__(self, network: TaggerNetwork, rates: RateRecipe, device: Device, *, compiled: bool) -> None:
        self.device = torch.device(device.kind)
        self._network = network.to(self.device)
        self._forward: Any = torch.compile(network, dynamic=True) if compiled else network
        self._rates, self._rounds = rates, device.precision == "bf16"
        apart = {id(network.embedding.weight), id(network.head.weight)}
        matrices = [p for p in network.parameters() if p.ndim == 2 and id(p) not in apart]
        tables = [p for p in network.parameters() if id(p) in apart]
        vectors = [p for p in network.parameters() if p.ndim < 2]
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices, lr=rates.matrices, weight_decay=rates.weight_decay, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW([*tables, *vectors], lr=rates.others, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self._highest = (rates.matrices, rates.others)
        self._tally = torch.zeros(2, device=self.device)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self._rounds else nullcontext()

    def step(self, batch: TagBatch, rate: float) -> None:
        """One optimizer step.

        Args:
            batch: what to learn from.
            rate: the learning rate as a share of the highest.
        """
        for optimizer, highest in zip(self._optimizers, self._highest, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * highest
        numbers_BT = torch.from_numpy(batch.numbers).to(self.device).long()
        tags_BT = torch.from_numpy(batch.tags).to(self.device)
        with self._autocast():
            logits_BTN = self._forward(numbers_BT)
        loss = cross_entropy(logits_BTN.float().flatten(0, 1), tags_BT.flatten(), ignore_index=UNTAGGED)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._rates.max_grad_norm)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._tally += torch.stack([loss.detach(), torch.ones_like(loss)])

    def take_tally(self) -> dict[str, float]:
        """Mean loss of a tag since the last call; begins anew."""
        total, count = self._tally.tolist()
        self._tally.zero_()
        return {"loss": total / count} if count else {}

    def likeliest(self, numbers: list[int]) -> list[int]:
        """The likeliest tag of each character of one window."""
        with torch.no_grad(), self._autocast():
            logits_BTN = self._network(torch.tensor([numbers], device=self.device))
        tags: list[int] = logits_BTN[0].argmax(-1).tolist()
        return tags

    def state(self) -> dict[str, Any]:
        """Everything that a later start needs; tensors and plain values."""
        return {
            "network": self._network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "tally": self._tally,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a `state`, wherever it was computed."""
        self._network.load_state_dict(state["network"])
        for optimizer, values in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self._tally.copy_(state["tally"])

    def shapes(self) -> dict[str, list[int]]:
        """Name → shape of the weights."""
        return {name: list(values.shape) for name, values in self._network.state_dict().items()}
