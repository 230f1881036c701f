"""Keys and values of the rows under way, and the attention of a pass that reads all rows in one line.

    line    │ row 0: 1 + 3 guesses │ row 1: 1 │ row 2, new: its prompt + 5 guesses │

Rows differ in how many tokens they have to read, so a pass lays them end to end: what works on tokens one by
one (projections, norms, feed-forward layers) computes no padding. Attention alone looks at rows: each has a
slot, in which column t holds its token t. A guess that was wrong needs no mending; the next tokens are
written over it, and nobody looks further than his own position.

Tensors are named by shape: S tokens of the line, B rows of a group, N most tokens of a row of it, T columns,
H heads, D entries of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring rows whose attention is computed together.

    Attributes:
        first: slot of the first row.
        last: slot behind the last row.
        places_BN: places in the line; a row with fewer tokens repeats its last one.
        mask_B1NT: 0 where a token may look, minus infinity behind its own position.
    """

    first: int
    last: int
    places_BN: torch.Tensor
    mask_B1NT: torch.Tensor


class Line:
    """What one pass reads.

    Args:
        slots: where keys and values go.
        chunks: for each slot from the first on, the position of its first new token and the new tokens.
        num_old: how many of the rows come first that have few tokens to read; the others are new.
        device: of the model.
        dtype: of the model.
    """

    def __init__(
        self,
        slots: Slots,
        chunks: Sequence[tuple[int, Sequence[int]]],
        num_old: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        import torch

        self.slots = slots
        slots.reserve(len(chunks), max(start + len(tokens) for start, tokens in chunks))
        table = [
            (token, slot, start + at)
            for slot, (start, tokens) in enumerate(chunks)
            for at, token in enumerate(tokens)
        ]
        length = len(table)
        # The last token over again writes what it has written already.
        table += [table[-1]] * (-length % _LINE)
        columns = torch.tensor(table, device=device)
        self.tokens_S, self.slots_S, self.columns_S = columns.unbind(1)
        ends = [0]
        for _, tokens in chunks:
            ends.append(ends[-1] + len(tokens))
        self.ends = ends[1:]
        """Behind each row's last place in the line."""
        self._groups: list[Group] = []
        picked: list[int] = []
        for first, last in ((0, num_old), (num_old, len(chunks))):
            if first < last:
                base = sum(group.places_BN.numel() for group in self._groups)
                self._groups.append(self._group(chunks, ends, first, last, dtype))
                width = self._groups[-1].places_BN.shape[1]
                for row, (_, tokens) in enumerate(chunks[first:last]):
                    picked += range(base + row * width, base + row * width + len(tokens))
        picked += [picked[-1]] * (len(table) - length)
        self._picked_S = torch.tensor(picked, device=device)

    def _group(
        self,
        chunks: Sequence[tuple[int, Sequence[int]]],
        ends: Sequence[int],
        first: int,
        last: int,
        dtype: torch.dtype,
    ) -> Group:
        import torch

        width = max(len(tokens) for _, tokens in chunks[first:last])
        num_columns = max(start + len(tokens) for start, tokens in chunks[first:last])
        device = self.columns_S.device
        begins_B = torch.tensor(ends[first:last], device=device)
        lasts_B = torch.tensor(ends[first + 1 : last + 1], device=device) - 1
        places_BN = torch.minimum(begins_B[:, None] + torch.arange(width, device=device), lasts_B[:, None])
        ahead_BNT = torch.arange(num_columns, device=device) > self.columns_S[places_BN][:, :, None]
        mask_BNT = torch.zeros(ahead_BNT.shape, dtype=dtype, device=device)
        return Group(first, last, places_BN, mask_BNT.masked_fill_(ahead_BNT, float("-inf"))[:, None])

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

        mixed = []
        for group in self._groups:
            seen = (slice(group.first, group.last), slice(group.mask_B1NT.shape[-1]))
            mixed_BHND = scaled_dot_product_attention(
                query_SHD[group.places_BN].transpose(1, 2),
                keys_BTHD[seen].transpose(1, 2),
                values_BTHD[seen].transpose(1, 2),
                attn_mask=group.mask_B1NT,
                scale=scaling,
                enable_gqa=query_SHD.shape[1] != keys_BTHD.shape[2],
            )
            mixed.append(mixed_BHND.transpose(1, 2).flatten(0, 1))
        return torch.cat(mixed)[self._picked_S]
