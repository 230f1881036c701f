"""The embedded base model while it learns: weights, optimizers and what the last steps showed."""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.nn.functional import cross_entropy, pad

from training.batches import padded
from training.compilation import compile_layers
from training.device import Device
from training.endless import Batch
from training.optimizers import Optimizers
from training.pretrain_recipe import KINDS, RateRecipe, TaggingRecipe
from training.tagging import TagHead


class Learner:
    """A model, its optimizers and the tally of its steps.

    Every example is new, so the tally is a measurement on unseen examples.

    Args:
        model: a ``Qwen2ForCausalLM`` in float32.
        rates: the optimizers.
        tagging: the auxiliary task; None: there is none.
        device: where to compute, and in which number format.
        compiled: compile the model and the loss; a step on a CPU then takes 0.6 of the time.
    """

    def __init__(
        self,
        model: Any,
        rates: RateRecipe,
        device: Device,
        tagging: TaggingRecipe | None = None,
        *,
        compiled: bool = False,
    ) -> None:
        self.device = torch.device(device.kind)
        self.model = model.to(self.device)
        self._judge: Any = _judge
        if compiled:
            compile_layers(self.model)
            self._judge = torch.compile(_judge, dynamic=True)
        self._tagging = tagging
        self.model.train()
        self.tagger = TagHead(model.config.hidden_size).to(self.device)
        self._where = device
        matrices, tables, vectors = _by_shape(model)
        vectors += list(self.tagger.parameters())
        self._optimizers = Optimizers(
            matrices,
            [
                {"params": tables, "weight_decay": rates.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            rates,
        )
        self._tally = torch.zeros(len(KINDS), 3, device=self.device)

    def autocast(self) -> AbstractContextManager[Any]:
        """Products in bf16 where the device is fast at it."""
        return self._where.autocast()

    def step(self, batch: Batch, rate: float) -> None:
        """One optimizer step.

        Args:
            batch: what to learn from.
            rate: the learning rate as a share of the highest.
        """
        ids_BT = torch.from_numpy(batch.ids).to(self.device).long()
        weights_BT = torch.from_numpy(batch.weights).to(self.device)[:, 1:]
        counts_BT = weights_BT > 0
        hidden = self._hidden(ids_BT)
        logits, targets = self._logits(hidden[-1], ids_BT, counts_BT)
        losses, right = self._judge(logits, targets)
        weights = weights_BT[counts_BT]
        loss = (losses * weights).sum() / weights.sum().clamp(min=1e-9)
        if self._tagging is not None:
            tags_BT = torch.from_numpy(batch.tags).to(self.device)[:, :-1]
            with self.autocast():
                loss = loss + self._tagging.weight * self.tagger.loss(hidden[self._tagging.layer], tags_BT)
        loss.backward()
        self._optimizers.step(rate, self.model.parameters())
        kinds = torch.from_numpy(batch.kinds).to(self.device)[counts_BT.nonzero()[:, 0]]
        with torch.no_grad():
            seen = torch.stack([losses, right.float(), torch.ones_like(losses)], 1)
            self._tally.index_add_(0, kinds, seen * ((weights == 1) | (kinds == CHAT))[:, None])

    def _hidden(self, ids_BT: torch.Tensor) -> Any:
        """Hidden states (B, T - 1, hidden size) of all but the last token, of the embeddings and every layer.

        Those of the last layer are normalised.
        """
        with self.autocast():
            # No mask: padding stands on the right, where causal attention never looks.
            return self.model.model(
                input_ids=ids_BT[:, :-1], use_cache=False, output_hidden_states=True
            ).hidden_states

    def _logits(
        self, hidden_BTD: torch.Tensor, ids_BT: torch.Tensor, counts_BT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (N, vocabulary) and targets (N,) of the tokens that count, and of no other."""
        counted = hidden_BTD[counts_BT]
        # Rows of zeros keep the shapes few, as `LENGTH_STEP` says.
        filled = pad(counted, (0, 0, 0, padded(len(counted)) - len(counted)))
        with self.autocast():
            return self.model.lm_head(filled)[: len(counted)], ids_BT[:, 1:][counts_BT]

    def take_tally(self) -> dict[str, float]:
        """Mean loss and share of right tokens of each kind's answers since the last call; begins anew."""
        sums = self._tally.tolist()
        self._tally.zero_()
        means: dict[str, float] = {}
        for kind, (loss, right, count) in zip(KINDS, sums, strict=True):
            if count:
                means |= {f"loss_{kind}": loss / count, f"right_{kind}": right / count}
        return means

    def predict(self, ids: list[int], first: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What the model makes of one sequence from token `first` on, without learning.

        Returns:
            Losses (N,) and whether the likeliest token is the right one (N,), both on the CPU.
        """
        ids_BT = torch.tensor([ids], device=self.device)
        counts_BT = torch.zeros(1, len(ids) - 1, dtype=torch.bool, device=self.device)
        counts_BT[:, first - 1 :] = True
        with torch.no_grad():
            logits, targets = self._logits(self._hidden(ids_BT)[-1], ids_BT, counts_BT)
            losses, right = self._judge(logits, targets)
        return losses.cpu(), right.cpu()

    def state(self) -> dict[str, Any]:
        """Everything that a later start needs; tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "tagger": self.tagger.state_dict(),
            "optimizers": self._optimizers.state(),
            "tally": self._tally,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a `state`, wherever it was computed."""
        self.model.load_state_dict(state["model"])
        self.tagger.load_state_dict(state["tagger"])
        self._optimizers.restore(state["optimizers"])
        self._tally.copy_(state["tally"])


CHAT = KINDS.index("chat")
"""Chat's answers count less than 1, and are tallied with its prompts."""


def _judge(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each token (N,) in float32, and whether none is likelier than the right one (N,)."""
    losses = cross_entropy(logits.float(), targets, reduction="none")
    return losses, logits.gather(1, targets[:, None])[:, 0] >= logits.amax(-1)


def _by_shape(model: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Matrices of the layers, the table of embeddings, and norms and biases."""
    table = model.get_input_embeddings().weight
    matrices = [p for p in model.parameters() if p.ndim == 2 and p is not table]
    return matrices, [table], [p for p in model.parameters() if p.ndim < 2]
