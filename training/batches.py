"""Examples to batches: similar lengths together, bounded by tokens, in an order that a seed decides."""

# ruff: noqa: TID253 - imported by the trainer alone, which is itself imported inside functions.

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from training.examples import NOT_TRAINED, Example
from training.recipe import LengthRecipe, TrainRecipe

LENGTH_STEP = 16
"""Batches are padded to a multiple of this. On a CPU every new shape of a product leaves a compiled kernel
behind, with its buffers: with free lengths memory grew by a gigabyte in 100 steps."""


def padded(length: int) -> int:
    """The length that a batch gets whose longest example has this one."""
    return -(-length // LENGTH_STEP) * LENGTH_STEP


class TokenBatches(Sampler[list[int]]):
    """Batches of indices whose padded size stays under a number of tokens.

    Examples are sorted by length, equal lengths in random order, and cut into batches; then the batches
    are put into random order. So little is padded, and the number of batches is the same in every epoch.

    Args:
        lengths: tokens of each example.
        max_tokens: most tokens of a batch, padding included; a longer example is a batch of its own.
        max_examples: most examples of a batch.
        seed: the order of each epoch depends on the seed and the epoch alone.
        short_first: how much the first epoch goes from short to long (0 not at all, 1 strictly).
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
        short_first: float = 0.0,
        rank: int = 0,
        num_processes: int = 1,
    ) -> None:
        self._lengths = np.asarray(lengths)
        self._seed, self._short_first = seed, short_first
        self._rank, self._num_processes = rank, num_processes
        self._bounds = bounds(np.sort(self._lengths).tolist(), max_tokens, max_examples)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; called by the trainer before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-(len(self._bounds) - 1) // self._num_processes)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self._seed, self._epoch])
        by_length = np.lexsort((rng.random(len(self._lengths)), self._lengths))
        num_batches = len(self._bounds) - 1
        strength = self._short_first if self._epoch == 0 else 0.0
        key = strength * np.linspace(0, 1, num_batches) + (1 - strength) * rng.random(num_batches)
        order = np.argsort(key, kind="stable")
        order = np.resize(order, len(self) * self._num_processes)
        for batch in order[self._rank :: self._num_processes]:
            yield by_length[self._bounds[batch] : self._bounds[batch + 1]].tolist()

    @property
    def padding(self) -> float:
        """Share of the tokens that is padding."""
        lengths = np.sort(self._lengths)
        size = sum(
            padded(int(lengths[end - 1])) * (end - start)
            for start, end in zip(self._bounds, self._bounds[1:], strict=False)
        )
        return 1 - float(lengths.sum()) / size


def bounds(sorted_lengths: Sequence[int], max_tokens: int, max_examples: float = math.inf) -> list[int]:
    """Where batches begin and end in examples that are sorted by length, as `TokenBatches` cuts them."""
    places = [0]
    for index, length in enumerate(sorted_lengths):
        size = index - places[-1]
        if size and (size == max_examples or (size + 1) * padded(length) > max_tokens):
            places.append(index)
    return [*places, len(sorted_lengths)] if sorted_lengths else places


def cut(
    lengths: Sequence[int], recipe: TrainRecipe, *, rank: int = 0, num_processes: int = 1
) -> TokenBatches:
    """The batches of a recipe for examples of these lengths in tokens."""
    return TokenBatches(
        lengths,
        max_tokens=recipe.batch.tokens,
        max_examples=recipe.batch.examples,
        seed=recipe.seed,
        short_first=recipe.batch.short_first,
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
    """Pads a batch on the right.

    Args:
        pad_token_id: fills ``input_ids``; labels are filled with `NOT_TRAINED`.
        source_ids: number of each source, so that a loss by source can be told.
    """

    def __init__(self, pad_token_id: int, source_ids: Mapping[str, int]) -> None:
        self._pad, self._source_ids = pad_token_id, source_ids

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Tensors of shape (examples, tokens): ``input_ids``, ``attention_mask``, ``labels``; and the names.

        ``source_ids`` is a tensor (examples,); ``names`` lists id and source of each example.
        """
        longest = max(len(example["input_ids"]) for example in examples)
        shape = (len(examples), padded(longest))
        batch: dict[str, Any] = {
            "names": [(example["id"], example["source"]) for example in examples],
            "input_ids": torch.full(shape, self._pad),
            "attention_mask": torch.zeros(shape, dtype=torch.long),
            "labels": torch.full(shape, NOT_TRAINED),
            "source_ids": torch.tensor([self._source_ids[example["source"]] for example in examples]),
        }
        for row, example in enumerate(examples):
            size = len(example["input_ids"])
            batch["input_ids"][row, :size] = torch.tensor(example["input_ids"])
            batch["attention_mask"][row, :size] = 1
            batch["labels"][row, :size] = torch.tensor(example["labels"])
        return batch
