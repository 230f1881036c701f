"""Packed batches: every example once, under the bounds, and none sees another."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.rendered import write_data
from tests.test_sft import history, train, write_recipe
from training.bare import SMALLEST, make_config
from training.batches import LENGTH_STEP, NO_SOURCE, Collator, TokenBatches, padded
from training.examples import NOT_TRAINED, Example
from training.loss import answer_losses

lengths = st.lists(st.integers(1, 50), min_size=1, max_size=60)


@given(lengths, st.integers(0, 3), st.integers(1, 8))
def test_each_example_is_dealt_once_and_the_bounds_hold(sizes, epoch, most):
    batches = TokenBatches(sizes, max_tokens=100, max_examples=most, seed=3, packed=True)
    batches.set_epoch(epoch)
    drawn = list(batches)
    assert sorted(index for batch in drawn for index in batch) == list(range(len(sizes)))
    assert len(drawn) == len(batches)
    for batch in drawn:
        assert len(batch) <= most
        assert padded(sum(sizes[i] for i in batch)) <= 100


def test_batches_of_many_lengths_are_nearly_full():
    sizes = [20 + index * 7919 % 480 for index in range(2000)]
    batches = TokenBatches(sizes, max_tokens=4096, max_examples=1000, seed=0, packed=True)
    assert len(batches) <= 1.1 * sum(sizes) / 4096
    assert batches.padding < 0.005
    means = [sum(sizes[i] for i in batch) / len(batch) for batch in batches]
    assert max(means) < 1.2 * min(means)  # no batch of the short ones, none of the long ones


def example(name: str, tokens: list[int]) -> Example:
    labels = [NOT_TRAINED, *tokens[1:]]
    return {"id": name, "source": "x", "input_ids": tokens, "labels": labels}


def test_the_collator_begins_the_positions_anew_with_each_example():
    batch = Collator(9, {"x": 0}, packed=True)([example("a", [5, 6, 7]), example("b", [8, 4])])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 4] + [9] * 11]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, *range(11)]]
    assert batch["labels"].tolist() == [[NOT_TRAINED, 6, 7, NOT_TRAINED, 4] + [NOT_TRAINED] * 11]
    assert batch["source_ids"].tolist() == [[0] * 5 + [NO_SOURCE] * 11]
    assert batch["input_ids"].shape[1] % LENGTH_STEP == 0
    assert "attention_mask" not in batch


@pytest.fixture(scope="module")
def model():
    from transformers import Qwen2ForCausalLM

    torch.manual_seed(0)
    return Qwen2ForCausalLM(make_config(SMALLEST, vocab_size=50, context_tokens=64)).eval()


def losses(model, examples, *, packed: bool) -> list[torch.Tensor]:
    """The losses of each example's tokens."""
    batch = Collator(0, {"x": 0}, packed=packed)(examples)
    inputs = {name: value for name, value in batch.items() if name not in ("names", "source_ids")}
    with torch.no_grad():
        found, _ = answer_losses(model, inputs, fused=False)
    return list(found.split([len(one["labels"]) - 1 for one in examples]))


FIRST, OTHER = example("a", [1, 7, 3, 9, 2, 11, 30]), example("a", [1, 8, 40, 22, 5, 17, 6])
SECOND = example("b", [1, 5, 12, 33, 4])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_two_packed_examples_do_not_see_each_other(model, attention):
    model.set_attn_implementation(attention)
    packed = losses(model, [FIRST, SECOND], packed=True)
    torch.testing.assert_close(losses(model, [OTHER, SECOND], packed=True)[1], packed[1])
    torch.testing.assert_close(losses(model, [SECOND, FIRST], packed=True)[1], packed[0])
    alone = losses(model, [FIRST, SECOND], packed=False)
    for ours, theirs in zip(packed, alone, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_without_positions_they_would_see_each_other(model):
    """That the test above can fail: one sequence of both has other losses."""
    model.set_attn_implementation("sdpa")
    joined = example("c", FIRST["input_ids"] + SECOND["input_ids"])
    both = losses(model, [joined], packed=False)[0]
    assert not torch.allclose(both[-4:], losses(model, [FIRST, SECOND], packed=True)[1], atol=1e-3)


def test_a_packed_run_learns_what_a_padded_one_learns_with_less_padding(tmp_path):
    said = {}
    for layout in ("padded", "packed"):
        folder = tmp_path / layout
        folder.mkdir()
        recipe = write_recipe(folder, write_data(folder / "data"), batch={"tokens": 512, "layout": layout})
        assert train(recipe, "length.max_steps=20") == 0
        said[layout] = [entry for entry in history(folder / "run") if "loss" in entry or "eval_loss" in entry]
    first, last = (
        [entry["eval_loss"] for entry in said[n] if "eval_loss" in entry] for n in ("padded", "packed")
    )
    assert last[0] == pytest.approx(first[0], abs=1e-5)  # before the first step: the same weights
    assert last[-1] < last[0] / 2
    pads = [sum(e["padding"] for e in said[n] if "padding" in e) for n in ("padded", "packed")]
    assert pads[1] < pads[0]


def test_virtual_tokens_and_an_order_by_length_are_refused(tmp_path, capsys):
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"), base="x", method="p_tuning")
    assert train(recipe, "batch.layout=packed") == 2
    assert "stand before a row; set padded" in capsys.readouterr().err
    assert train(recipe, "method=full", "batch.layout=packed", "batch.short_first=0.5") == 2
    assert "a packed batch has examples of all lengths" in capsys.readouterr().err
