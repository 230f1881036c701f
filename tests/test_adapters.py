"""An adapter is served on its base at run time, and says what the merged model says."""

import json
import shutil
from pathlib import Path

import pytest

from pii.errors import ModelFolderError
from pii.model_folder import base_of, check_base
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from tests.rendered import write_data
from tests.test_sft import train, write_recipe

TEXTS = ["我叫王伟，电话13800138000。", "联系人李娜。 My name is John Smith.", "今天天气很好。"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA run on a trained base: ``adapter/`` and ``model/``."""
    folder = tmp_path_factory.mktemp("adapters")
    data = write_data(folder / "data")
    assert train(write_recipe(folder, data), "length.max_steps=15") == 0
    (folder / "run/model").rename(folder / "base")
    shutil.rmtree(folder / "run")
    recipe = write_recipe(folder, data, base=str(folder / "base"), method="lora", lora={"rank": 4})
    assert train(recipe, "length.max_steps=60") == 0
    return folder / "run"


def answers(model: Path, engine: str) -> list[list[tuple[int, int, str]]]:
    settings = ExtractorConfig(model=model, engine=engine, detectors="model", max_new_tokens=64)
    with Extractor.open(settings) as extractor:
        assert extractor.engine.startswith(engine)
        found = extractor.extract_all(TEXTS)
        return [[(span.start, span.end, span.type) for span in extraction.spans] for extraction in found]


def test_the_adapter_answers_as_the_merged_model_and_not_as_the_base(run):
    adapter = answers(run / "adapter", "transformers")
    assert adapter == answers(run / "model", "transformers")
    assert adapter != answers(run.parent / "base", "transformers")


@pytest.mark.slow
def test_vllm_applies_the_adapter_at_run_time(run):
    pytest.importorskip("vllm")
    assert answers(run / "adapter", "vllm") == answers(run / "model", "transformers")


def test_a_base_with_other_weights_is_refused(run, tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    shutil.copytree(run.parent / "base", base)
    shutil.copytree(run / "adapter", adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(base)}))
    check_base(adapter)
    shutil.copy(run / "model/model.safetensors", base / "model.safetensors")
    with pytest.raises(ModelFolderError, match="holds other weights now"):
        Extractor.open(ExtractorConfig(model=adapter, engine="transformers"))
    shutil.rmtree(base)
    with pytest.raises(ModelFolderError, match="`pii merge` makes a folder without one"):
        check_base(adapter)
    assert base_of(run / "model") is None
