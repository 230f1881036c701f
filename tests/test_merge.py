"""LoRA on a trained base, and `pii merge`: merged = base + adapter, and only into the right base."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from pii.model_folder import read_manifest
from tests.rendered import write_data
from tests.test_sft import history, train, write_recipe
from training import merge
from training.bare import write_untrained

SAMPLE = ["我叫张三，电话13800138000。", "My name is John Smith."] * 3


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished LoRA run on a base that was trained a little; folders ``base`` and ``run``."""
    folder = tmp_path_factory.mktemp("lora")
    data = write_data(folder / "data")
    assert train(write_recipe(folder, data), "length.max_steps=20") == 0
    (folder / "run/model").rename(folder / "base")
    shutil.rmtree(folder / "run")
    recipe = write_recipe(folder, data, base=str(folder / "base"), method="lora", lora={"rank": 4})
    assert train(recipe) == 0
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def test_the_model_folder_is_the_base_with_the_adapter_in_its_weights(adapted):
    base = AutoModelForCausalLM.from_pretrained(adapted / "base")
    with_adapter = PeftModel.from_pretrained(base, str(adapted / "run/adapter")).eval()
    merged = AutoModelForCausalLM.from_pretrained(adapted / "run/model").eval()
    ids = torch.arange(3, 60).unsqueeze(0)
    with torch.no_grad():
        difference = with_adapter(input_ids=ids).logits - merged(input_ids=ids).logits
        before = with_adapter.disable_adapter()
        with before:
            change = with_adapter(input_ids=ids).logits - merged(input_ids=ids).logits
    assert difference.abs().max() < 1e-4
    assert change.abs().max() > 1e-2  # the adapter does something
    manifest = read_manifest(adapted / "run/model")
    assert (manifest.method, manifest.hyperparameters["lora"]["rank"]) == ("lora", 4)
    assert manifest.training["trainable_parameters"] < manifest.num_parameters / 2


def test_the_adapter_learns(adapted):
    losses = [entry["eval_loss"] for entry in history(adapted / "run") if "eval_loss" in entry]
    assert losses[-1] < 0.9 * losses[0]


def test_merging_later_gives_the_same_weights_and_the_check_holds(adapted, tmp_path, capsys):
    arguments = ["--adapter", str(adapted / "run/adapter"), "-o", str(tmp_path / "merged"), "--check"]
    assert merge.main(arguments) == 0
    assert "50 of 50 answers equal" in capsys.readouterr().out
    ours, theirs = weights(tmp_path / "merged"), weights(adapted / "run/model")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert read_manifest(tmp_path / "merged") == read_manifest(adapted / "run/model")


def test_the_check_sees_a_merge_that_went_wrong(adapted, tmp_path, monkeypatch, capsys):
    right = merge.merged_model

    def spoiled(*arguments):
        model = right(*arguments)
        with torch.no_grad():
            model.model.layers[0].mlp.down_proj.weight.add_(0.05)
        return model

    monkeypatch.setattr(merge, "merged_model", spoiled)
    assert merge.main(["--adapter", str(adapted / "run/adapter"), "-o", str(tmp_path / "m"), "--check"]) == 1


def test_an_adapter_of_another_base_is_refused(adapted, tmp_path, capsys):
    write_untrained(tmp_path / "other", vocab_texts=SAMPLE, seed=1)
    arguments = ["--adapter", str(adapted / "run/adapter"), "--base", str(tmp_path / "other")]
    assert merge.main([*arguments, "-o", str(tmp_path / "merged")]) == 2
    assert "trained on other weights" in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_a_folder_without_an_adapter_is_refused(tmp_path, capsys):
    assert merge.main(["--adapter", str(tmp_path), "-o", str(tmp_path / "merged")]) == 2
    assert "not an adapter of ours" in capsys.readouterr().err


def test_the_record_names_the_base(adapted):
    record = json.loads((adapted / "run/adapter/base.json").read_text())
    assert record["name"] == str(adapted / "base")
    assert len(record["fingerprint"]) == 64


def test_a_large_model_is_written_in_shards_that_load_as_one(adapted, tmp_path, monkeypatch):
    monkeypatch.setattr("training.folder.MAX_SHARD", "200KB")
    assert merge.main(["--adapter", str(adapted / "run/adapter"), "-o", str(tmp_path / "merged")]) == 0
    assert len(list((tmp_path / "merged").glob("model-*-of-*.safetensors"))) > 1
    ours, theirs = weights(tmp_path / "merged"), weights(adapted / "run/model")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
