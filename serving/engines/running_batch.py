"""Greedy decoding of many rows at once, where rows join and leave while others go on.

Tensors are named by shape: B rows, T cached positions, N new positions, V vocabulary entries. A row's cached
tokens are the columns that its mask marks: padding stands on the left, and between them what was guessed
wrongly (`drafting`), until the columns are closed up.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from serving.engines.drafting import Lookup

if TYPE_CHECKING:
    import torch

MOST_GUESSED = 12
"""Tokens guessed for one row at a time."""
GUESSED_TOGETHER = 32
"""Tokens guessed for all rows together: on a CPU a pass over so many costs little more than over one each."""
_WASTE = 64
"""Columns that may hold nothing for any row before they are closed up."""


@dataclass(slots=True)
class Draft:
    """A guess, not yet checked.

    Attributes:
        token_ids: the guessed tokens, all allowed by the grammar in their place.
        allowed: for the next token and for the one behind each guessed one, a byte for each entry of the
            vocabulary, 0 where the grammar forbids it; None without a grammar. One less where a guess ends
            the answer.
    """

    token_ids: list[int]
    allowed: list[bytes | None]


@dataclass(slots=True)
class Row:
    """One request under way.

    Attributes:
        prompt_ids: the prompt's tokens.
        matcher: llguidance's state of this row's grammar, or None.
        max_new_tokens: budget, the end-of-turn token included.
        lookup: what its next tokens are guessed from.
        end_bias: what is taken off the logits of the tokens that end the list.
        done: takes the finished row; cancelled by a caller who went away.
    """

    prompt_ids: list[int]
    matcher: Any
    max_new_tokens: int
    lookup: Lookup
    end_bias: float = 0.0
    done: Future[Row] = field(default_factory=Future)
    token_ids: list[int] = field(default_factory=list)
    token_logprobs: list[float] = field(default_factory=list)
    finish: Literal["", "stop", "length"] = ""

    def draft(self, count: int, stop_ids: frozenset[int]) -> Draft:
        """Guess at most so many next tokens, as far as the grammar would let them pass."""
        # Guesses beyond the budget would only be thrown away.
        room = min(count, self.max_new_tokens - len(self.token_ids) - 1)
        guessed = self.lookup.guess(room) if room > 0 else ()
        if self.matcher is None:
            end = next((at for at, token in enumerate(guessed) if token in stop_ids), len(guessed))
            return Draft(list(guessed[:end]), [None] * (end + 1))
        allowed: bytes = self.matcher.compute_logit_bias()
        draft = Draft([], [allowed])
        for token in guessed:
            if not allowed[token] or token in stop_ids or not self.matcher.consume_token(token):
                break
            draft.token_ids.append(token)
            if self.matcher.is_stopped():
                break
            allowed = self.matcher.compute_logit_bias()
            draft.allowed.append(allowed)
        if draft.token_ids and not self.matcher.rollback(len(draft.token_ids)):
            raise RuntimeError("the grammar could not be taken back")
        return draft

    def accept(self, token: int, logprob: float, stop_ids: frozenset[int]) -> None:
        """Append the chosen token and notice the end of the answer."""
        if token in stop_ids:
            self.finish = "stop"
            return
        self.token_ids.append(token)
        self.lookup.extend([token])
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
        ending: ids of the tokens that end its list, on which a row's bias lies.
    """

    def __init__(self, model: Any, stop_ids: frozenset[int], ending: torch.Tensor | None = None) -> None:
        self._model, self._stop_ids, self._ending = model, stop_ids, ending
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
        logits_BNV = self._forward(ids_BT, mask_BT, (mask_BT.cumsum(1) - 1).clamp(min=0), cache, 1)
        for row, logits_NV in zip(rows, logits_BNV, strict=True):
            self._accept(row, row.draft(0, self._stop_ids), logits_NV)
        self._join(rows, cache, mask_BT)
        self.leave()

    def step(self) -> None:
        """One more token for every row, and as many more as were guessed rightly."""
        import torch

        assert self._mask_BT is not None
        count = min(MOST_GUESSED, GUESSED_TOGETHER // len(self.rows))
        drafts = [row.draft(count, self._stop_ids) for row in self.rows]
        width = 1 + max(len(draft.token_ids) for draft in drafts)
        new_BN = torch.zeros((len(drafts), width), dtype=torch.long)
        mask_BN = torch.zeros_like(new_BN)
        for index, (row, draft) in enumerate(zip(self.rows, drafts, strict=True)):
            tokens = [row.token_ids[-1], *draft.token_ids]
            new_BN[index, : len(tokens)] = torch.tensor(tokens)
            mask_BN[index, : len(tokens)] = 1
        new_BN, mask_BN = new_BN.to(self._model.device), mask_BN.to(self._model.device)
        positions_BN = self._mask_BT.sum(1, keepdim=True) + torch.arange(width, device=new_BN.device)
        self._mask_BT = torch.cat([self._mask_BT, mask_BN], dim=1)
        logits_BNV = self._forward(new_BN, self._mask_BT, positions_BN, self._cache, width)
        kept = [
            self._accept(row, draft, logits_NV)
            for row, draft, logits_NV in zip(self.rows, drafts, logits_BNV, strict=True)
        ]
        self._forget(width, kept)
        self.leave()

    def _accept(self, row: Row, draft: Draft, logits_NV: torch.Tensor) -> int:
        """Append to a row the likeliest token, and the next one as long as its guess was the likeliest.

        Returns:
            How many of the new positions belong to the answer.
        """
        import torch

        known = len(draft.allowed)
        logits_NV = logits_NV[:known]
        for logits_V, allowed in zip(logits_NV, draft.allowed, strict=True):
            if allowed is not None:
                allowed_V = torch.frombuffer(bytearray(allowed), dtype=torch.uint8)
                logits_V.masked_fill_(allowed_V.to(logits_V.device) == 0, float("-inf"))
        best_N = self._biased(logits_NV, row.end_bias).argmax(dim=1)
        logprobs_N = logits_NV.gather(1, best_N[:, None])[:, 0] - logits_NV.logsumexp(dim=1)
        guesses = [*draft.token_ids, None]
        for place, (token, logprob) in enumerate(zip(best_N.tolist(), logprobs_N.tolist(), strict=True)):
            row.accept(token, logprob, self._stop_ids)
            if row.finish or token != guesses[place]:
                return place + 1
        return known

    def _biased(self, logits_NV: torch.Tensor, end_bias: float) -> torch.Tensor:
        if not end_bias or self._ending is None:
            return logits_NV
        # A copy: log-probabilities are those without the bias.
        biased_NV = logits_NV.clone()
        biased_NV[:, self._ending] -= end_bias
        return biased_NV

    def _forget(self, width: int, kept: list[int]) -> None:
        """Take back the newest columns but for each row's first `kept` ones, and close up what lies idle."""
        assert self._mask_BT is not None
        before = self._mask_BT.shape[1] - width
        for index, count in enumerate(kept):
            self._mask_BT[index, before + count :] = 0
        total, longest = before + max(kept), int(self._mask_BT.sum(1).max())
        if total - longest > _WASTE:
            # Stable: a row's tokens stay in order; the columns without one go to the left.
            order_BT = self._mask_BT.argsort(dim=1, stable=True)
            columns_BT = order_BT[:, self._mask_BT.shape[1] - longest :]
            self._mask_BT = self._mask_BT.gather(1, columns_BT)
            for layer in self._cache.layers:
                where = columns_BT[:, None, :, None].expand(-1, layer.keys.shape[1], -1, layer.keys.shape[3])
                layer.keys, layer.values = layer.keys.gather(2, where), layer.values.gather(2, where)
        elif total < self._mask_BT.shape[1]:
            self._mask_BT = self._mask_BT[:, :total]
            for layer in self._cache.layers:
                layer.keys, layer.values = layer.keys[:, :, :total], layer.values[:, :, :total]

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
            # The longest row may have gone: drop the columns that hold nothing for all who stay.
            used = self._mask_BT.any(dim=0).nonzero()[:, 0]
            self._mask_BT = self._mask_BT[:, used]
            for layer in self._cache.layers:
                layer.keys = layer.keys[staying][:, :, used]
                layer.values = layer.values[staying][:, :, used]
            self.rows = [self.rows[i] for i in staying]
        else:
            self.rows, self._cache, self._mask_BT = [], None, None
        for row in leaving:
            if row.finish and row.done.set_running_or_notify_cancel():
                row.done.set_result(row)

    def _forward(
        self,
        ids_BN: torch.Tensor,
        mask_BT: torch.Tensor,
        positions_BN: torch.Tensor,
        cache: Any,
        num_logits: int,
    ) -> torch.Tensor:
        """Logits of the last columns, float32."""
        logits: torch.Tensor = self._model(
            input_ids=ids_BN,
            attention_mask=mask_BT,
            position_ids=positions_BN,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=num_logits,
        ).logits
        return logits.float()

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
