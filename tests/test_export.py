"""Smaller weights: nearly the same answers, a fraction of the bytes, and F1 side by side in the card."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from pii.model_folder import read_manifest
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from tests.rendered import write_data
from tests.test_sft import train, write_recipe
from training import export

TEXTS = ["我叫王伟，电话13800138000。", "联系人李娜。 My name is John Smith.", "今天天气很好。"] * 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    recipe = write_recipe(folder, write_data(folder / "data"))
    assert train(recipe, "length.max_steps=80", "optimizer.learning_rate=0.005") == 0
    return folder


def exported(trained: Path, to: str, *more: str) -> Path:
    output = trained / to
    assert export.main(["--model", str(trained / "run/model"), "--to", to, "-o", str(output), *more]) == 0
    return output


@pytest.mark.parametrize(("to", "bits", "far"), [("int8", 8, 0.02), ("int4", 4, 0.15)])
def test_the_weights_shrink_and_the_logits_stay_near(trained, capsys, to, bits, far):
    output = exported(trained, to)
    layer = "model.layers.0.mlp.down_proj.weight"
    whole, small = (AutoModelForCausalLM.from_pretrained(f).eval() for f in (trained / "run/model", output))
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        before, after = whole(input_ids=ids).logits, small(input_ids=ids).logits
    assert 0 < (before - after).norm() / before.norm() < far
    # Loaded, the layer holds no more different numbers in a channel or group than the bits allow.
    rows = small.state_dict()[layer].unflatten(1, (-1, 32 if bits == 4 else 128))
    assert max(len(group.unique()) for group in rows.flatten(0, 1)) <= 2**bits
    facts = json.loads(capsys.readouterr().out)
    assert facts["weights_mb"] < facts["weights_mb_before"]


def test_f1_of_both_stands_in_the_card_and_scores_are_measured_anew(trained, capsys):
    output = exported(trained, "int8", "--data", str(trained / "data"), "--rows", "12")
    facts = json.loads(capsys.readouterr().out)
    assert facts["rows"] == 12
    assert abs(facts["f1"] - facts["f1_before"]) < 0.3
    manifest = read_manifest(output)
    assert manifest.training["export"] == facts
    assert manifest.training["steps"] == 80
    assert (manifest.calibration, manifest.evaluation) == ({}, {})
    assert "| export.f1_before |" in (output / "README.md").read_text(encoding="utf-8")


def test_what_is_quantised_is_not_quantised_again(trained, tmp_path, capsys):
    small = exported(trained, "int8")
    assert export.main(["--model", str(small), "--to", "int4", "-o", str(tmp_path / "no")]) == 2
    assert "quantised already" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_vllm_serves_the_smaller_folder_and_finds_nearly_the_same(trained):
    pytest.importorskip("vllm")
    small = exported(trained, "int8")

    def found(model: Path) -> list[set[tuple[int, int, str]]]:
        settings: dict[str, Any] = {"engine": "vllm", "detectors": "model", "max_new_tokens": 96}
        # The int8 kernel for processors with AMX takes activations in bfloat16 alone.
        with Extractor.open(ExtractorConfig(model=model, dtype="bfloat16", **settings)) as extractor:
            assert extractor.engine.startswith("vllm")
            return [
                {(span.start, span.end, span.type) for span in extraction.spans}
                for extraction in extractor.extract_all(TEXTS[:3])
            ]

    whole, quantised = found(trained / "run/model"), found(small)
    assert any(whole)
    agreed = sum(len(a & b) for a, b in zip(whole, quantised, strict=True))
    assert agreed >= 0.5 * sum(map(len, whole))
