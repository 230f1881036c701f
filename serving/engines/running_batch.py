"""Greedy decoding of many rows at once, where rows join and leave while others go on.

Tensors are named by shape: B rows, T cached positions, V vocabulary entries. Rows are padded on the left, so
that every row's newest token stands in the last column.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class Row:
    """One request under way.

    Attributes:
        prompt_ids: the prompt's tokens.
        matcher: llguidance's state of this row's grammar, or None.
        max_new_tokens: budget, the end-of-turn token included.
        done: takes the finished row; cancelled by a caller who went away.
    """

    prompt_ids: list[int]
    matcher: Any
    max_new_tokens: int
    done: Future[Row] = field(default_factory=Future)
    token_ids: list[int] = field(default_factory=list)
    token_logprobs: list[float] = field(default_factory=list)
    finish: Literal["", "stop", "length"] = ""

    def accept(self, token: int, logprob: float, stop_ids: frozenset[int]) -> None:
        """Append the chosen token and notice the end of the answer."""
        if token in stop_ids:
            self.finish = "stop"
            return
        self.token_ids.append(token)
        self.token_logprobs.append(logprob)
        if self.matcher is not None and not self.matcher.consume_token(token):
            raise RuntimeError("the grammar refused a token that it had allowed")
        if len(self.token_ids) >= self.max_new_tokens:
            self.finish = "length"
        elif self.matcher is not None and self.matcher.is_stopped():
            # Only the end of the turn is left: no need to compute it.
            self.finish = "stop"


class RunningBatch:
    """The rows under way and their key-value cache.

    Args:
        model: a causal language model of transformers, in evaluation mode.
        stop_ids: tokens that end an answer.
    """

    def __init__(self, model: Any, stop_ids: frozenset[int]) -> None:
        self._model, self._stop_ids = model, stop_ids
        self.rows: list[Row] = []
        self._cache: Any = None
        self._mask_BT: torch.Tensor | None = None

    def admit(self, rows: list[Row]) -> None:
        """Read new rows' prompts, choose their first tokens and let them join."""
        import torch
        from transformers import DynamicCache

        width = max(len(row.prompt_ids) for row in rows)
        ids_BT = torch.zeros((len(rows), width), dtype=torch.long)
        mask_BT = torch.zeros_like(ids_BT)
        for index, row in enumerate(rows):
            ids_BT[index, width - len(row.prompt_ids) :] = torch.tensor(row.prompt_ids)
            mask_BT[index, width - len(row.prompt_ids) :] = 1
        ids_BT, mask_BT = ids_BT.to(self._model.device), mask_BT.to(self._model.device)
        cache = DynamicCache()
        logits_BV = self._forward(ids_BT, mask_BT, (mask_BT.cumsum(1) - 1).clamp(min=0), cache)
        self._choose(logits_BV, rows)
        self._join(rows, cache, mask_BT)
        self.leave()

    def step(self) -> None:
        """One more token for every row."""
        import torch

        assert self._mask_BT is not None
        newest_B1 = torch.tensor([[row.token_ids[-1]] for row in self.rows], device=self._model.device)
        position_B1 = self._mask_BT.sum(1, keepdim=True)
        self._mask_BT = torch.cat([self._mask_BT, torch.ones_like(position_B1)], dim=1)
        self._choose(self._forward(newest_B1, self._mask_BT, position_B1, self._cache), self.rows)
        self.leave()

    def leave(self) -> None:
        """Hand out the finished rows, forget the cancelled ones and close the gaps."""
        import torch

        staying = [i for i, row in enumerate(self.rows) if not row.finish and not row.done.cancelled()]
        if len(staying) == len(self.rows):
            return
        leaving = [row for i, row in enumerate(self.rows) if i not in set(staying)]
        if staying:
            assert self._mask_BT is not None
            self._mask_BT = self._mask_BT[torch.tensor(staying, device=self._mask_BT.device)]
            # The longest row may have gone: drop the columns that are padding for all who stay.
            unused = self._mask_BT.shape[1] - int(self._mask_BT.sum(1).max())
            self._mask_BT = self._mask_BT[:, unused:]
            for layer in self._cache.layers:
                layer.keys = layer.keys[staying, :, unused:]
                layer.values = layer.values[staying, :, unused:]
            self.rows = [self.rows[i] for i in staying]
        else:
            self.rows, self._cache, self._mask_BT = [], None, None
        for row in leaving:
            if row.finish and row.done.set_running_or_notify_cancel():
                row.done.set_result(row)

    def _forward(
        self, ids_BT: torch.Tensor, mask_BT: torch.Tensor, positions_BT: torch.Tensor, cache: Any
    ) -> torch.Tensor:
        """Logits of the last column, float32."""
        logits: torch.Tensor = self._model(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=positions_BT,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits[:, -1].float()

    def _choose(self, logits_BV: torch.Tensor, rows: list[Row]) -> None:
        """Append to each row the likeliest token that its grammar allows."""
        import torch

        for index, row in enumerate(rows):
            if row.matcher is not None:
                allowed_V = torch.frombuffer(bytearray(row.matcher.compute_logit_bias()), dtype=torch.uint8)
                logits_BV[index].masked_fill_(allowed_V.to(logits_BV.device) == 0, float("-inf"))
        best_B = logits_BV.argmax(dim=1)
        logprobs_B = logits_BV.gather(1, best_B[:, None])[:, 0] - logits_BV.logsumexp(dim=1)
        for row, token, logprob in zip(rows, best_B.tolist(), logprobs_B.tolist(), strict=True):
            row.accept(token, logprob, self._stop_ids)

    def _join(self, rows: list[Row], cache: Any, mask_BT: torch.Tensor) -> None:
        """Put the new rows' cache below the old rows', both padded on the left to one width."""
        import torch
        from torch.nn.functional import pad

        if not self.rows:
            self.rows, self._cache, self._mask_BT = list(rows), cache, mask_BT
            return
        assert self._mask_BT is not None
        width = max(self._mask_BT.shape[1], mask_BT.shape[1])
        old, new = width - self._mask_BT.shape[1], width - mask_BT.shape[1]
        self._mask_BT = torch.cat([pad(self._mask_BT, (old, 0)), pad(mask_BT, (new, 0))])
        for layer, joining in zip(self._cache.layers, cache.layers, strict=True):
            layer.keys = torch.cat([pad(layer.keys, (0, 0, old, 0)), pad(joining.keys, (0, 0, new, 0))])
            layer.values = torch.cat([pad(layer.values, (0, 0, old, 0)), pad(joining.values, (0, 0, new, 0))])
        self.rows.extend(rows)
