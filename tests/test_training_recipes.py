"""Every training recipe that ships is loaded and dry-run on a small base of the same architecture."""

from pathlib import Path

import pytest
import yaml

from configs.reader import load
from pii.model_folder import read_manifest
from tests.rendered import write_data
from training import sft
from training.bare import SMALLEST, write_untrained
from training.recipe import BareBase, TrainRecipe

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "configs").glob("*/train*.yaml"))


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def test_there_are_recipes():
    assert {"mini/train", "qwen2-1.5b/train"} <= set(map(name, RECIPES))


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
        write_untrained(tmp_path / "base", vocab_texts=["我叫张三，电话138。"] * 3)
        values["base"] = str(tmp_path / "base")
    values |= {"data": str(write_data(tmp_path / "data")), "output": str(tmp_path / "run")}
    values["length"] = {"max_steps": 2}
    small = tmp_path / "train.yaml"
    small.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert sft.main(["--config", str(small)]) == 0
    manifest = read_manifest(tmp_path / "run/model")
    assert manifest.method == recipe.method
    assert manifest.training["steps"] == 2
