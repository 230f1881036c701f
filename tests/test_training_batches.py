"""Batches: every example once an epoch, bounded, repeatable, shared evenly between processes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.batches import LENGTH_STEP, NO_SOURCE, Collator, TokenBatches, padded
from training.examples import NOT_TRAINED, Example

lengths = st.lists(st.integers(1, 50), min_size=1, max_size=60)


def make(sizes: list[int], **changes: object) -> TokenBatches:
    settings = {"max_tokens": 100, "max_examples": 8, "seed": 3, **changes}
    return TokenBatches(sizes, **settings)


@given(lengths, st.integers(0, 5), st.floats(0, 1), st.integers(1, 70))
def test_each_example_stands_in_exactly_one_batch_under_the_bounds(sizes, epoch, short_first, stages):
    batches = make(sizes, short_first=short_first, stages=stages)
    batches.set_epoch(epoch)
    drawn = list(batches)
    assert sorted(index for batch in drawn for index in batch) == list(range(len(sizes)))
    assert len(drawn) == len(batches)
    for batch in drawn:
        assert len(batch) <= 8
        assert len(batch) == 1 or len(batch) * padded(max(sizes[i] for i in batch)) <= 100


@given(lengths)
def test_the_order_depends_on_seed_and_epoch_alone(sizes):
    first, second = make(sizes), make(sizes)
    for batches in (first, second):
        batches.set_epoch(2)
    assert list(first) == list(second) == list(first)


def test_epochs_differ():
    batches = make(list(range(1, 51)))
    orders = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        orders.append(list(batches))
    assert orders[0] != orders[1]


def test_strictly_short_first_in_the_first_epoch_alone():
    sizes = list(range(50, 0, -1))
    batches = make(sizes, short_first=1.0)
    longest = [max(sizes[i] for i in batch) for batch in batches]
    assert longest == sorted(longest)
    batches.set_epoch(1)
    assert [max(sizes[i] for i in batch) for batch in batches] != longest


@pytest.mark.parametrize("packed", [False, True])
def test_the_first_epoch_takes_the_stages_of_the_file_one_after_the_other(packed):
    sizes = [1 + index * 7 % 40 for index in range(90)]
    batches = make(sizes, stages=3, packed=packed, max_tokens=128)
    assert len(batches) > 6
    stages = [{index // 30 for index in batch} for batch in batches]
    assert all(len(of_batch) == 1 for of_batch in stages)
    assert stages == sorted(stages, key=min)
    batches.set_epoch(1)
    assert [{index // 30 for index in batch} for batch in batches] != stages


@given(lengths, st.integers(2, 4))
def test_processes_share_all_batches_and_get_equally_many(sizes, num_processes):
    shares = [list(make(sizes, rank=rank, num_processes=num_processes)) for rank in range(num_processes)]
    assert len({len(share) for share in shares}) == 1
    drawn = Counter(index for share in shares for batch in share for index in batch)
    assert set(drawn) == set(range(len(sizes)))
    alone = len(make(sizes))
    assert sum(len(share) for share in shares) - alone < num_processes


def test_padding_is_the_share_that_was_padded():
    assert make([16, 16, 16]).padding == 0
    assert make([8, 16]).padding == 0.25
    assert make([10]).padding == 1 - 10 / 16


@given(lengths)
def test_batches_have_few_shapes(sizes):
    """Every shape costs memory on a CPU: lengths are multiples of a step."""
    widths = {padded(max(sizes[i] for i in batch)) for batch in make(sizes)}
    assert all(width % LENGTH_STEP == 0 for width in widths)


def test_the_collator_pads_on_the_right_and_trains_no_padding():
    examples: list[Example] = [
        {"id": "a", "source": "x", "input_ids": [5, 6, 7], "labels": [NOT_TRAINED, 6, 7]},
        {"id": "b", "source": "y", "input_ids": [8], "labels": [8]},
    ]
    batch = Collator(9, {"x": 0, "y": 1})(examples)
    assert batch["input_ids"].tolist() == [[5, 6, 7] + [9] * 13, [8] + [9] * 15]
    assert batch["attention_mask"].tolist() == [[1] * 3 + [0] * 13, [1] + [0] * 15]
    assert batch["labels"].tolist() == [[NOT_TRAINED, 6, 7] + [NOT_TRAINED] * 13, [8] + [NOT_TRAINED] * 15]
    assert batch["source_ids"].tolist() == [[0] * 3 + [NO_SOURCE] * 13, [1] + [NO_SOURCE] * 15]
