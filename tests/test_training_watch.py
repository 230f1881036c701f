"""What is watched on the way: entity F1, the best checkpoint, a poisoned batch, the picture, the plan."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from transformers import AutoModelForCausalLM

from pii.spans import Span
from tests.rendered import write_data
from tests.test_sft import history, train, write_recipe
from training import entity_f1
from training.curves import draw
from training.examples import Row
from training.tokenizer import train as train_tokenizer


def labelled(name: str, text: str, answer: str, *spans: Span) -> Row:
    messages = [("system", "s"), ("user", text), ("assistant", answer)]
    turns = tuple({"role": role, "content": content} for role, content in messages)
    return Row(name, "msra", turns, ("PERSON_NAME",), spans)


class Parrot:
    """Writes prepared answers, whatever it is asked."""

    training, device = True, torch.device("cpu")

    def __init__(self, tokenizer, answers):
        ids = [tokenizer(answer + "<|im_end|>")["input_ids"] for answer in answers]
        longest = max(map(len, ids))
        self._written = torch.tensor([one + [tokenizer.pad_token_id] * (longest - len(one)) for one in ids])

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode

    def generate(self, input_ids, **_):
        return torch.cat([input_ids, self._written], dim=1)


def test_f1_counts_spans_that_code_has_placed():
    tokenizer = train_tokenizer(["张三李四王五"], vocab_size=300, context_tokens=64)
    right = '{"entities":[{"type":"PERSON_NAME","value":"张三"}]}'
    wrong = '{"entities":[{"type":"PERSON_NAME","value":"王五"}]}'
    rows = [
        labelled("a", "我叫张三", right, Span(2, 4, "PERSON_NAME")),
        labelled("b", "我叫李四", right, Span(2, 4, "PERSON_NAME")),
        labelled("c", "没有", right),
    ]
    model = Parrot(tokenizer, [right, wrong, "no json"])
    found = entity_f1.measure(model, tokenizer, rows)
    # One right, two gold; 王五 stands nowhere and is no span: 2 * 1 / (2 + 1).
    assert found["f1"] == found["f1_msra"] == found["f1_type_PERSON_NAME"] == pytest.approx(2 / 3)
    assert found["valid_json"] == pytest.approx(2 / 3)
    assert model.training


def test_f1_and_its_parts_are_in_the_record(tmp_path):
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"))
    assert train(recipe, "length.max_steps=2", "watch.f1_examples=6") == 0
    measured = next(entry for entry in history(tmp_path / "run") if "eval_f1" in entry)
    assert measured["step"] == 2  # random weights are not asked
    assert 0 <= measured["eval_f1"] <= 1
    assert any(name.startswith("eval_f1_type_") for name in measured)


def test_the_best_model_is_kept_and_a_run_that_gets_worse_is_ended(tmp_path):
    watch = {"log_every": 1, "validate_every": 2, "checkpoint_every": 2, "keep_best": "loss", "patience": 2}
    # A rate that ruins the model after some good steps, and nobody who minds.
    recipe = write_recipe(
        tmp_path,
        write_data(tmp_path / "data"),
        watch=watch,
        optimizer={"learning_rate": 0.3},
        schedule={"warmup": 0.9},
        guardian={"policy": "warn"},
    )
    assert train(recipe) == 0
    facts = json.loads((tmp_path / "run/manifest.json").read_text())["training"]
    measured = [entry["eval_loss"] for entry in history(tmp_path / "run") if "eval_loss" in entry]
    assert facts["steps"] < 40
    assert facts["answer_loss_after"] == min(measured)
    kept = AutoModelForCausalLM.from_pretrained(tmp_path / "run/model").state_dict()
    assert not any(path.name == ".half" and list(path.iterdir()) for path in (tmp_path / "run").rglob("*"))
    best = 2 * min(range(1, len(measured)), key=lambda i: measured[i])
    checkpoint = AutoModelForCausalLM.from_pretrained(tmp_path / f"run/checkpoints/checkpoint-{best}")
    assert all(torch.equal(kept[name], value) for name, value in checkpoint.state_dict().items())


@pytest.fixture
def poisoned(monkeypatch):
    """The 15th batch of a run has a loss that is not a number."""
    from training import trainer

    losses, calls = trainer.answer_losses, []

    def poisoned(model, inputs, **options):
        found, rows = losses(model, inputs, **options)
        if model.training:
            calls.append(1)
            if len(calls) == 15:
                found = found * math.nan
        return found, rows

    monkeypatch.setattr(trainer, "answer_losses", poisoned)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def test_a_poisoned_batch_is_left_out_by_name_and_the_weights_stay_good(tmp_path, poisoned):
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"), guardian={"policy": "skip"})
    assert train(recipe, "length.max_steps=20") == 0
    case = json.loads((tmp_path / "run/guardian.jsonl").read_text())
    assert (case["step"], case["problem"]) == (14, "not_a_number")
    assert case["examples"]
    assert all(torch.isfinite(value).all() for value in weights_of(tmp_path / "run/model").values())
    rates = {entry["step"]: entry["learning_rate"] for entry in history(tmp_path / "run") if "loss" in entry}
    assert rates[17] < 0.6 * rates[14]
    assert json.loads((tmp_path / "run/manifest.json").read_text())["training"]["recoveries"] == 1


def test_recover_goes_back_to_the_last_good_checkpoint(tmp_path, poisoned):
    """A run that ends with the poisoned step ends with the weights of the checkpoint, and not of step 14."""
    watch = {"log_every": 1, "validate_every": 50, "checkpoint_every": 7, "keep_checkpoints": 9}
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"), watch=watch)
    assert train(recipe, "length.max_steps=15") == 0
    case = json.loads((tmp_path / "run/guardian.jsonl").read_text())
    # The checkpoint of step 14 holds the very weights that gave the bad step.
    assert (case["step"], case["back_to"], case["rate_factor"]) == (14, 7, 0.5)
    ours, good, later = (
        weights_of(tmp_path / "run" / name)
        for name in ("model", "checkpoints/checkpoint-7", "checkpoints/checkpoint-14")
    )
    assert all(torch.equal(ours[name], value) for name, value in good.items())
    assert not all(torch.equal(ours[name], value) for name, value in later.items())
    facts = json.loads((tmp_path / "run/manifest.json").read_text())["training"]
    assert (facts["recoveries"], facts["steps"]) == (1, 15)
    assert all(math.isfinite(entry["loss"]) for entry in history(tmp_path / "run") if "loss" in entry)


def test_the_picture_is_svg_with_a_line_for_each_series():
    record = [
        {"step": 1, "loss": 2.0, "loss_msra": 2.0},
        {"step": 2, "eval_loss": 1.5, "eval_loss_<x>": 1.6, "eval_f1": 0.2, "eval_f1_type_URL": 0.1},
        {"step": 3, "loss": 1.0},
    ]
    root = ElementTree.fromstring(draw(record))
    words = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"training", "validation", "validation <x>", "F1"} <= words
    assert not any("URL" in (word or "") for word in words)
    assert ElementTree.fromstring(draw([])) is not None


QWEN2_1_5B = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}
"""The sizes of https://huggingface.co/Qwen/Qwen2-1.5B/blob/main/config.json."""


def test_the_plan_counts_the_reference_models_parameters_without_its_weights(tmp_path, monkeypatch, capsys):
    from training import sft

    (tmp_path / "base").mkdir()
    (tmp_path / "base/config.json").write_text(json.dumps(QWEN2_1_5B))
    recipe = write_recipe(
        tmp_path,
        write_data(tmp_path / "data"),
        base=str(tmp_path / "base"),
        method="lora",
        lora={"rank": 8, "targets": "attention"},
    )
    assert sft.main(["--config", str(recipe), "--explain"]) == 0
    said = capsys.readouterr().out
    # 28 layers x rank 8 x (q: 1536+1536, k and v: 1536+256 each, o: 1536+1536).
    trained = 28 * 8 * (2 * (1536 + 1536) + 2 * (1536 + 256))
    assert f"{trained:,}" in said
    assert f"{1_543_714_304 + trained:,}" in said
    assert "0.14%" in said
    assert "8.7 MB" in said
    assert not (tmp_path / "run").exists()


def test_the_plan_of_a_bare_model_tells_batch_and_steps(tmp_path, capsys):
    from training import sft

    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"))
    arguments = ["--config", str(recipe), "--explain", "--set=batch.accumulation=3"]
    assert sft.main(arguments) == 0
    said = capsys.readouterr().out
    assert "at most 512 tokens x 3 accumulated x 1 devices" in said
    assert "steps             40;" in said
    assert "about" in next(line for line in said.splitlines() if line.startswith("memory"))


def test_the_planned_steps_are_the_steps(tmp_path):
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"), length={"epochs": 1.0})
    assert train(recipe) == 0
    facts = json.loads((tmp_path / "run/manifest.json").read_text())["training"]
    assert facts["steps"] == facts["planned_steps"] < 40
