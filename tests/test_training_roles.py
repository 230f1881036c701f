"""Weights of the loss by role: the right tokens, and no other scale than without them."""

import pytest

from pii.codec import render
from pii.spans import Span
from tests.rendered import chat, write_data
from tests.test_sft import history, train, write_recipe
from training.examples import NOT_TRAINED, DataFolder, encode_rows
from training.recipe import LossWeights
from training.roles import token_weights
from training.tokenizer import train as train_tokenizer

WEIGHTS = LossWeights(type=2.0, value=3.0, structure=1.0)


@pytest.fixture(scope="module")
def tokenizer():
    texts = ["我叫王伟，电话138。", '{"entities":[{"type":"PERSON_NAME","value":"', '"}]}'] * 3
    return train_tokenizer(texts, vocab_size=400, context_tokens=512)


@pytest.mark.parametrize("value", ["王伟", 'a "quoted" name', "x\\y", '","value":"', "}]}", "é👩‍👩‍👧"])
def test_tokens_are_weighed_by_the_part_that_they_write(tokenizer, value):
    text = f"我叫{value}。"
    answer = render(text, [Span(2, 2 + len(value), "PERSON_NAME")])
    weights = token_weights(answer, tokenizer, WEIGHTS)
    ids = tokenizer(answer, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    written = {
        weight: tokenizer.decode([i for i, w in zip(ids, weights, strict=True) if w == weight])
        for weight in set(weights)
    }
    assert written[2.0] == "PERSON_NAME"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    assert escaped in written[3.0]
    # A token may hold a neighbouring quote too, and no more.
    assert written[3.0].strip('":,{}') in (escaped, escaped.strip('":,{}'))
    assert written[1.0].startswith('{"entities":[{"type":')


def test_an_empty_answer_is_all_structure(tokenizer):
    assert set(token_weights(render("x", ()), tokenizer, WEIGHTS)) == {1.0}


def test_weights_stand_where_labels_do_and_their_mean_is_one(tmp_path, tokenizer):
    rows = DataFolder(write_data(tmp_path / "d", extra=(chat(7),))).rows("train")
    examples, _ = encode_rows(rows, tokenizer, 512, WEIGHTS)
    trained = []
    for example in examples:
        for label, weight in zip(example["labels"], example["weights"], strict=True):
            assert (weight > 0) == (label != NOT_TRAINED)
            trained += [weight] if weight else []
    assert sum(trained) / len(trained) == pytest.approx(1)
    chats = {w for e in examples if e["source"] == "chat" for w in e["weights"] if w}
    found = sorted({w for e in examples for w in e["weights"] if w})
    # Chat counts as structure does here; types twice, values three times that.
    assert found == pytest.approx([found[0] * factor for factor in (1, 2, 3)])
    assert chats == {found[0]}
    assert all("weights" not in example for example in encode_rows(rows, tokenizer, 512)[0])


def test_what_weighs_nothing_is_not_learned(tmp_path):
    """The same steps: with the weight on the values alone, the loss of all tokens falls less."""
    last = {}
    for name, weights in (("even", {}), ("values", {"value": 1.0, "type": 0.0, "structure": 0.001})):
        folder = tmp_path / name
        folder.mkdir()
        recipe = write_recipe(folder, write_data(folder / "data"), loss_weights=weights)
        assert train(recipe, "length.max_steps=20") == 0
        measured = [entry for entry in history(folder / "run") if "eval_loss" in entry]
        last[name] = measured[-1]
    assert last["values"]["eval_loss"] > last["even"]["eval_loss"]
