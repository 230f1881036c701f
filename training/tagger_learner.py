"""The character tagger while it learns: weights, optimizers and what the last steps showed."""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from training.device import Device
from training.optimizers import Optimizers
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
        self.model = network.to(self.device)
        self._forward: Any = torch.compile(network, dynamic=True) if compiled else network
        self._where = device
        apart = {id(network.embedding.weight), id(network.head.weight)}
        matrices = [p for p in network.parameters() if p.ndim == 2 and id(p) not in apart]
        tables = [p for p in network.parameters() if id(p) in apart]
        vectors = [p for p in network.parameters() if p.ndim < 2]
        self._optimizers = Optimizers(matrices, [{"params": [*tables, *vectors], "weight_decay": 0.0}], rates)
        self._tally = torch.zeros(2, device=self.device)

    def step(self, batch: TagBatch, rate: float) -> None:
        """One optimizer step.

        Args:
            batch: what to learn from.
            rate: the learning rate as a share of the highest.
        """
        numbers_BT = torch.from_numpy(batch.numbers).to(self.device).long()
        tags_BT = torch.from_numpy(batch.tags).to(self.device)
        with self._where.autocast():
            logits_BTN = self._forward(numbers_BT)
        loss = cross_entropy(logits_BTN.float().flatten(0, 1), tags_BT.flatten(), ignore_index=UNTAGGED)
        loss.backward()
        self._optimizers.step(rate, self.model.parameters())
        self._tally += torch.stack([loss.detach(), torch.ones_like(loss)])

    def take_tally(self) -> dict[str, float]:
        """Mean loss of a tag since the last call; begins anew."""
        total, count = self._tally.tolist()
        self._tally.zero_()
        return {"loss": total / count} if count else {}

    def likeliest(self, numbers: list[int]) -> list[int]:
        """The likeliest tag of each character of one window."""
        with torch.no_grad(), self._where.autocast():
            logits_BTN = self.model(torch.tensor([numbers], device=self.device))
        tags: list[int] = logits_BTN[0].argmax(-1).tolist()
        return tags

    def state(self) -> dict[str, Any]:
        """Everything that a later start needs; tensors and plain values."""
        return {
            "network": self.model.state_dict(),
            "optimizers": self._optimizers.state(),
            "tally": self._tally,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a `state`, wherever it was computed."""
        self.model.load_state_dict(state["network"])
        self._optimizers.restore(state["optimizers"])
        self._tally.copy_(state["tally"])
