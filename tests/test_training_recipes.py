"""Every training recipe that ships is loaded and dry-run on a small base of the same architecture."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from configs.reader import load
from pii.errors import ModelFolderError
from pii.model_folder import read_manifest
from tests.rendered import write_data
from training import sft
from training.bare import SMALLEST, write_untrained
from training.base import resolve
from training.recipe import BareBase, TrainRecipe

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "configs").glob("*/train*.yaml"))


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def test_there_are_recipes():
    assert set(map(name, RECIPES)) == {
        "mini/train",
        "qwen2-1.5b/train",
        "qwen2-1.5b/train-qlora-12gb",
        "qwen2-1.5b/train-full-zero3",
        "qwen3-0.6b/train",
    }


def stand_in(path: Path, folder: Path) -> Path:
    """A small model of the architecture that the recipe's base has."""
    write_untrained(folder, vocab_texts=["我叫张三，电话138。"] * 3)
    if path.parent.name.startswith("qwen3"):
        from transformers import Qwen2Config, Qwen3Config, Qwen3ForCausalLM

        sizes = Qwen2Config.from_pretrained(folder)
        kept = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
        config = Qwen3Config(
            **{field: getattr(sizes, field) for field in kept},
            num_key_value_heads=1,
            head_dim=32,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
        )
        Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_a_recipe_names_each_field_once_and_explains_it(path):
    recipe = load(path, TrainRecipe)
    assert recipe.output.parts[0] == "runs"
    undocumented = [
        field
        for model in (
            TrainRecipe,
            *(type(getattr(recipe, f)) for f in ("batch", "optimizer", "watch", "length")),
        )
        for field, info in model.model_fields.items()
        if not info.description
    ]
    assert not undocumented


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_a_recipe_trains_two_steps_on_a_stand_in(path, tmp_path):
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    recipe = load(path, TrainRecipe)
    if isinstance(recipe.base, BareBase):
        values["base"] = {"architecture": SMALLEST.model_dump()}
    else:
        values["base"] = str(stand_in(path, tmp_path / "base"))
    values |= {"data": str(write_data(tmp_path / "data")), "output": str(tmp_path / "run")}
    values["length"] = {"max_steps": 2}
    small = tmp_path / "train.yaml"
    small.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert sft.main(["--config", str(small)]) == 0
    manifest = read_manifest(tmp_path / "run/model")
    assert manifest.method == recipe.method
    assert manifest.training["steps"] == 2
    architecture = json.loads((tmp_path / "run/model/config.json").read_text())["architectures"]
    assert architecture == ["Qwen3ForCausalLM" if "qwen3" in path.parent.name else "Qwen2ForCausalLM"]


# --- where a base comes from ---


@pytest.fixture
def modelscope(monkeypatch, tmp_path):
    """Its client, as far as it is used; returns what it was asked for."""
    asked = []

    def snapshot_download(model_id, **options):
        asked.append((model_id, options))
        if model_id.endswith("absent"):
            raise ValueError("no such model")
        return str(tmp_path)

    monkeypatch.setitem(sys.modules, "modelscope", SimpleNamespace(snapshot_download=snapshot_download))
    return asked


def test_modelscope_is_asked_with_revision_and_offline_mode(modelscope, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    base = resolve("modelscope:Qwen/Qwen2-1.5B", "v1", config_only=True)
    assert (base.folder, base.revision) == (tmp_path, "v1")
    wanted = {"allow_patterns": ["config.json"], "local_files_only": True, "revision": "v1"}
    assert modelscope == [("Qwen/Qwen2-1.5B", wanted)]
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    resolve("modelscope:Qwen/Qwen2-1.5B")
    assert modelscope[1][1]["local_files_only"] is False
    assert "revision" not in modelscope[1][1]


def test_a_hub_that_gives_nothing_is_answered_with_three_ways(modelscope):
    for name in ("modelscope:Qwen/absent", "Qwen/absent"):
        with pytest.raises(ModelFolderError) as caught:
            resolve(name)
        said = str(caught.value)
        assert all(
            way in said for way in ("local model folder", "HF_ENDPOINT", "modelscope:", "HF_HUB_OFFLINE=1")
        )


def test_a_missing_client_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "modelscope", None)
    with pytest.raises(ModelFolderError, match="pip install modelscope"):
        resolve("modelscope:Qwen/Qwen2-1.5B")
