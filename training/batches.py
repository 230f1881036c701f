"""Examples to batches, bounded by tokens: similar lengths together, or packed into one row."""

# ruff: noqa: TID253 - imported by the trainer alone, which is itself imported inside functions.

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from training.examples import NOT_TRAINED, Example
from training.recipe import LengthRecipe, TrainRecipe

LENGTH_STEP = 16
"""Batches are padded to a multiple of this. On a CPU every new shape of a product leaves a compiled kernel
behind, with its buffers: with free lengths memory grew by a gigabyte in 100 steps."""


NO_SOURCE = -1
"""Stands for the source where a batch is padded."""


def padded(length: int) -> int:
    """The length that a batch gets whose longest example has this one."""
    return -(-length // LENGTH_STEP) * LENGTH_STEP


class TokenBatches(Sampler[list[int]]):
    """Batches of indices whose size stays under a number of tokens, padding included.

    Examples are sorted by length, equal lengths in random order. Padded batches are cut out of that order,
    so that little is padded; packed ones are dealt from it like cards, so that each gets some of every
    length. Then the batches are put into random order. Their number is the same in every epoch.

    Args:
        lengths: tokens of each example.
        max_tokens: most tokens of a batch, padding included; a longer example is a batch of its own, and
            its length the bound where batches are packed.
        max_examples: most examples of a batch.
        seed: the order of each epoch depends on the seed and the epoch alone.
        packed: whether the examples of a batch stand one behind the other in one row.
        short_first: how much the first epoch goes from short to long (0 not at all, 1 strictly).
        stages: equal parts of the examples that the first epoch takes one after the other, as a data set in
            the order of a curriculum wants it; batches hold examples of one part in every epoch.
        rank: which of the processes this is.
        num_processes: processes that share the batches; each gets as many, the first ones again if need be.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        max_tokens: int,
        max_examples: int,
        seed: int,
        packed: bool = False,
        short_first: float = 0.0,
        stages: int = 1,
        rank: int = 0,
        num_processes: int = 1,
    ) -> None:
        self._lengths = np.asarray(lengths)
        self._seed, self._short_first = seed, short_first
        self._rank, self._num_processes = rank, num_processes
        self._packed = packed
        self._stages = np.arange(len(self._lengths)) * stages // max(1, len(self._lengths))
        self._ordered = self._lengths[np.lexsort((self._lengths, self._stages))]
        self._batches: list[np.ndarray] = []
        for stage in range(stages):
            first, last = np.searchsorted(self._stages, (stage, stage + 1))
            if first < last:
                of_stage = _batches(self._ordered[first:last], max_tokens, max_examples, packed)
                self._batches += [first + places for places in of_stage]
        self._stage_of_batch = np.array([self._stages[batch[0]] for batch in self._batches])
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; called by the trainer before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-len(self._batches) // self._num_processes)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self._seed, self._epoch])
        by_length = np.lexsort((rng.random(len(self._lengths)), self._lengths, self._stages))
        num_batches = len(self._batches)
        strength = self._short_first if self._epoch == 0 else 0.0
        key = strength * np.linspace(0, 1, num_batches) + (1 - strength) * rng.random(num_batches)
        if self._epoch == 0:
            key += 2 * self._stage_of_batch
        order = np.argsort(key, kind="stable")
        order = np.resize(order, len(self) * self._num_processes)
        for batch in order[self._rank :: self._num_processes]:
            yield by_length[self._batches[batch]].tolist()

    @property
    def padding(self) -> float:
        """Share of the tokens that is padding."""
        sizes = (_size(self._ordered[batch], self._packed) for batch in self._batches)
        return 1 - float(self._ordered.sum()) / sum(sizes)


def _size(lengths: np.ndarray, packed: bool) -> int:
    """Tokens of a batch of these lengths, padding included."""
    return padded(int(lengths.sum())) if packed else padded(int(lengths.max())) * len(lengths)


def _batches(
    sorted_lengths: np.ndarray, max_tokens: int, max_examples: int, packed: bool
) -> list[np.ndarray]:
    """Places in the sorted order, batch by batch."""
    if packed:
        return _dealt(sorted_lengths, max_tokens, max_examples)
    cuts = bounds(sorted_lengths.tolist(), max_tokens, max_examples)
    return np.split(np.arange(len(sorted_lengths)), cuts[1:-1])


def _dealt(sorted_lengths: np.ndarray, max_tokens: int, max_examples: int) -> list[np.ndarray]:
    """Places in the sorted order, dealt in turn to as few batches as keep the bounds."""
    num_examples = len(sorted_lengths)
    bound = max(max_tokens // LENGTH_STEP * LENGTH_STEP, int(sorted_lengths.max(initial=0)))
    fewest = max(-(-int(sorted_lengths.sum()) // bound), -(-num_examples // max_examples))
    for count in range(fewest, num_examples):
        hands = np.zeros(-(-num_examples // count) * count, dtype=np.int64)
        hands[:num_examples] = sorted_lengths
        if hands.reshape(-1, count).sum(axis=0).max() <= bound:
            return [np.arange(start, num_examples, count) for start in range(count)]
    return list(np.arange(num_examples)[:, None])


def bounds(sorted_lengths: Sequence[int], max_tokens: int, max_examples: float = math.inf) -> list[int]:
    """Where batches begin and end in examples that are sorted by length, as `TokenBatches` cuts them."""
    places = [0]
    for index, length in enumerate(sorted_lengths):
        size = index - places[-1]
        if size and (size == max_examples or (size + 1) * padded(length) > max_tokens):
            places.append(index)
    return [*places, len(sorted_lengths)] if sorted_lengths else places


def cut(
    lengths: Sequence[int], recipe: TrainRecipe, *, packed: bool, rank: int = 0, num_processes: int = 1
) -> TokenBatches:
    """The batches of a recipe for examples of these lengths in tokens."""
    return TokenBatches(
        lengths,
        max_tokens=recipe.batch.tokens,
        max_examples=recipe.batch.examples,
        seed=recipe.seed,
        packed=packed,
        short_first=recipe.batch.short_first,
        stages=recipe.batch.stages,
        rank=rank,
        num_processes=num_processes,
    )


def num_steps(length: LengthRecipe, batches_per_epoch: int, accumulation: int) -> int:
    """Optimizer steps of a run: the nearer of the bounds in epochs and in steps."""
    steps_per_epoch = -(-batches_per_epoch // accumulation)
    by_epochs = max(1, round(length.epochs * steps_per_epoch))
    return min(by_epochs, length.max_steps or by_epochs)


class EpochLoader(DataLoader):
    """A data loader whose order changes with the epoch; each process has its own share already."""

    def set_epoch(self, epoch: int) -> None:
        """Tell the sampler which epoch comes next."""
        self.batch_sampler.set_epoch(epoch)


class Collator:
    """Makes a batch of examples: each in a row of its own, padded on the right, or all in one row.

    Examples in one row are told apart by ``position_ids``, which begin at 0 with each; there is no
    ``attention_mask`` then, and transformers lets no token see another example
    (https://huggingface.co/blog/packing-with-FA2). A key-value cache would break that: compute without one.

    Args:
        pad_token_id: fills ``input_ids``; labels are filled with `NOT_TRAINED`.
        source_ids: number of each source, so that a loss by source can be told.
        packed: whether all examples stand in one row.
    """

    def __init__(self, pad_token_id: int, source_ids: Mapping[str, int], *, packed: bool = False) -> None:
        self._pad, self._source_ids, self._packed = pad_token_id, source_ids, packed

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Tensors of shape (rows, tokens), and the names.

        ``input_ids``, ``labels``, ``source_ids`` (`NO_SOURCE` where nothing stands), ``attention_mask`` or
        ``position_ids``, and ``weights`` where the examples have them. ``names`` lists id and source of each
        example.
        """
        sizes = [len(example["input_ids"]) for example in examples]
        starts = [0, *accumulate(sizes)][:-1] if self._packed else [0] * len(sizes)
        rows = [0] * len(sizes) if self._packed else list(range(len(sizes)))
        shape = (rows[-1] + 1, padded(max(start + size for start, size in zip(starts, sizes, strict=True))))
        batch: dict[str, Any] = {
            "names": [(example["id"], example["source"]) for example in examples],
            "input_ids": torch.full(shape, self._pad),
            "labels": torch.full(shape, NOT_TRAINED),
            "source_ids": torch.full(shape, NO_SOURCE),
        }
        if "weights" in examples[0]:
            batch["weights"] = torch.zeros(shape)
        where = torch.arange(shape[1])
        positions = where - sum(sizes)  # behind the last example, the padding is one more
        for row, start, size, example in zip(rows, starts, sizes, examples, strict=True):
            here = slice(start, start + size)
            batch["input_ids"][row, here] = torch.tensor(example["input_ids"])
            batch["labels"][row, here] = torch.tensor(example["labels"])
            if "weights" in batch:
                batch["weights"][row, here] = torch.tensor(example["weights"])
            batch["source_ids"][row, here] = self._source_ids[example["source"]]
            positions[here] = where[:size]
        if self._packed:
            return {**batch, "position_ids": positions[None]}
        return {**batch, "attention_mask": (batch["source_ids"] != NO_SOURCE).long()}
