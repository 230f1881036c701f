"""Keys and values of the rows under way, and the attention of a pass that reads all rows in one line.

    line    │ row 0: 1 + 3 guesses │ row 1: 1 │ row 2, new: its prompt + 5 guesses │

Rows differ in how many tokens they have to read, so a pass lays them end to end: what works on tokens one by
one (projections, norms, feed-forward layers) computes no padding. Attention alone looks at rows, one after
the other, so that it computes none either: rows differ even more in how far they look back, and all of them
padded to the longest took twice the time. Each has a slot, in which column t holds its token t. A guess that
was wrong needs no mending; the next tokens are written over it, and nobody looks further than his own
position.

Tensors are named by shape: S tokens of the line, B slots, N tokens of a row, T columns, H heads, D entries of
a head.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ATTENTION = "pii_slots"
"""Under this name transformers finds `attend`; a model is loaded with it as ``attn_implementation``."""

Head = list[list["torch.Tensor"]]
"""For each layer the keys and values of a row's first tokens."""

_COLUMNS = 128
"""Columns come in steps of so many."""
_LINE = 8
"""A line's length is a multiple of this: on a CPU in bfloat16 each length leaves compiled kernels behind."""


def register() -> None:
    """Make `attend` known to transformers. No mask function goes with it: a line has masks of its own."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attend)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    line: Line,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """What a layer of transformers calls; tensors are 1, H, S, D, and the result is 1, S, H, D."""
    keys_SHD, values_SHD = key[0].transpose(0, 1), value[0].transpose(0, 1)
    keys_BTHD, values_BTHD = line.slots.write(module.layer_idx, line, keys_SHD, values_SHD)
    return line.attend(query[0].transpose(0, 1), keys_BTHD, values_BTHD, scaling)[None], None


class Slots:
    """The cache: for each layer keys and values of all slots. Grows as needed, and never shrinks."""

    def __init__(self) -> None:
        self._layers: dict[int, list[torch.Tensor]] = {}
        self._num_slots = self._num_columns = 0
        self._causal_TT: torch.Tensor | None = None

    def reserve(self, num_slots: int, num_columns: int) -> None:
        """Make room; what is there stays."""
        if num_slots <= self._num_slots and num_columns <= self._num_columns:
            return
        if num_slots > self._num_slots:
            self._num_slots = max(num_slots, 2 * self._num_slots)
        if num_columns > self._num_columns:
            self._num_columns = -(-num_columns // _COLUMNS) * _COLUMNS
        for tensors in self._layers.values():
            for at, old_BTHD in enumerate(tensors):
                tensors[at] = self._empty(old_BTHD)
                tensors[at][: old_BTHD.shape[0], : old_BTHD.shape[1]] = old_BTHD

    def mask(self, start: int, end: int, like: torch.Tensor) -> torch.Tensor | None:
        """For the tokens of these positions: 0 where one may look, minus infinity behind itself. N, T.

        None for a single token: it may look at all before it.
        """
        import torch

        if end - start == 1:
            return None
        causal_TT = self._causal_TT
        if causal_TT is None or causal_TT.shape[0] != self._num_columns or causal_TT.dtype != like.dtype:
            size = (self._num_columns, self._num_columns)
            causal_TT = torch.full(size, float("-inf"), dtype=like.dtype, device=like.device).triu_(1)
            self._causal_TT = causal_TT
        return causal_TT[start:end, :end]

    def _empty(self, like: torch.Tensor) -> torch.Tensor:
        # Zeros, not whatever was in memory: a forbidden column counts nothing, but nothing times NaN is NaN.
        return like.new_zeros((self._num_slots, self._num_columns, *like.shape[-2:]))

    def write(
        self, layer: int, line: Line, keys_SHD: torch.Tensor, values_SHD: torch.Tensor
    ) -> list[torch.Tensor]:
        """Put a line's keys and values into their places; returns keys and values of all slots."""
        if layer not in self._layers:
            self._layers[layer] = [self._empty(keys_SHD), self._empty(values_SHD)]
        cached = self._layers[layer]
        for all_BTHD, new_SHD in zip(cached, (keys_SHD, values_SHD), strict=True):
            all_BTHD[line.slots_S, line.columns_S] = new_SHD
        return cached

    def move(self, source: int, target: int, num_columns: int) -> None:
        """Copy the first columns of one slot to another."""
        for tensors in self._layers.values():
            for all_BTHD in tensors:
                all_BTHD[target, :num_columns] = all_BTHD[source, :num_columns]

    def head(self, slot: int, num_columns: int) -> Head:
        """A copy of the first columns of a slot."""
        return [[t[slot, :num_columns].clone() for t in tensors] for tensors in self._layers.values()]

    def begin(self, slot: int, head: Head, num_columns: int) -> None:
        """Put the first columns of a `head` into a slot."""
        for tensors, kept in zip(self._layers.values(), head, strict=True):
            for all_BTHD, head_THD in zip(tensors, kept, strict=True):
                all_BTHD[slot, :num_columns] = head_THD[:num_columns]


class Line:
    """What one pass reads.

    Args:
        slots: where keys and values go.
        chunks: for each slot from the first on, the position of its first new token and the new tokens.
        device: of the model.
    """

    def __init__(
        self, slots: Slots, chunks: Sequence[tuple[int, Sequence[int]]], device: torch.device
    ) -> None:
        import torch

        self.slots = slots
        self._starts = [start for start, _ in chunks]
        slots.reserve(len(chunks), max(start + len(tokens) for start, tokens in chunks))
        table = [
            (token, slot, start + at)
            for slot, (start, tokens) in enumerate(chunks)
            for at, token in enumerate(tokens)
        ]
        # The last token over again writes what it has written already.
        table += [table[-1]] * (-len(table) % _LINE)
        self.tokens_S, self.slots_S, self.columns_S = torch.tensor(table, device=device).unbind(1)
        self.ends = list(itertools.accumulate(len(tokens) for _, tokens in chunks))
        """Behind each row's last place in the line."""

    def attend(
        self,
        query_SHD: torch.Tensor,
        keys_BTHD: torch.Tensor,
        values_BTHD: torch.Tensor,
        scaling: float | None,
    ) -> torch.Tensor:
        """Attention of the line's tokens over their own rows; S, H, D."""
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        shared = query_SHD.shape[1] != keys_BTHD.shape[2]
        mixed_SHD = torch.empty_like(query_SHD)
        first = 0
        for slot, (start, end) in enumerate(zip(self._starts, self.ends, strict=True)):
            seen = start + end - first
            mixed_HND = scaled_dot_product_attention(
                query_SHD[None, first:end].transpose(1, 2),
                keys_BTHD[slot : slot + 1, :seen].transpose(1, 2),
                values_BTHD[slot : slot + 1, :seen].transpose(1, 2),
                attn_mask=self.slots.mask(start, seen, query_SHD),
                scale=scaling,
                enable_gqa=shared,
            )[0]
            mixed_SHD[first:end] = mixed_HND.transpose(0, 1)
            first = end
        # The last token over again stays what it is.
        mixed_SHD[first:] = mixed_SHD[first - 1]
        return mixed_SHD
