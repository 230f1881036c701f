"""Every method on the one code path: it trains what it says, learns, and comes back from its folder."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.rendered import write_data
from tests.test_sft import history, train, write_recipe
from training import merge
from training.device import can_compile
from training.recipe import LOW_RANK, MERGEABLE, VIRTUAL_TOKENS

# Lora itself is in test_merge. The two quick ones are those that differ most from it.
QUICK = ("qlora", "adapter")
SLOW = tuple(name for name in (*LOW_RANK, *VIRTUAL_TOKENS, "ia3") if name not in QUICK)
METHODS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
RATES = {"ia3": 0.05, "adapter": 0.01} | dict.fromkeys(LOW_RANK, 0.003) | dict.fromkeys(VIRTUAL_TOKENS, 0.05)
RATES["prompt_tuning"] = 1.0


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and a ``base`` that was trained a little."""
    folder = tmp_path_factory.mktemp("methods")
    assert train(write_recipe(folder, write_data(folder / "data")), "length.max_steps=20") == 0
    (folder / "run/model").rename(folder / "base")
    shutil.rmtree(folder / "run")
    return folder


@pytest.fixture(scope="module", params=METHODS)
def run(request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one method, with the recipe beside it."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = write_recipe(
        folder,
        base / "data",
        base=str(base / "base"),
        method=request.param,
        lora={"rank": 4, "dropout": 0.0},
        virtual_tokens={"count": 4},
        optimizer={"learning_rate": RATES[request.param]},
    )
    assert train(recipe) == 0
    return folder / "run"


def facts(run: Path) -> dict:
    return json.loads((run / "manifest.json").read_text())


def test_it_learns_with_few_weights(run):
    losses = [entry["eval_loss"] for entry in history(run) if "eval_loss" in entry]
    # Four vectors before a frozen model of this size can do little: after 60 steps no more than after 20.
    least = 0.003 if facts(run)["config"]["method"] == "prompt_tuning" else 0.005
    assert losses[-1] < losses[0] - least, losses
    gradients = [entry["grad_norm"] for entry in history(run) if "grad_norm" in entry]
    assert max(gradients) > 0
    assert 0 < facts(run)["training"]["trainable_parameters"] < 40_000


def test_the_record_tells_its_own_hyperparameters_alone(run):
    method = facts(run)["config"]["method"]
    manifest = json.loads((run / "adapter/manifest.json").read_text())
    sections = {"lora", "virtual_tokens", "adapter"} & set(manifest["hyperparameters"])
    wanted = "adapter" if method == "adapter" else "virtual_tokens" if method in VIRTUAL_TOKENS else "lora"
    assert sections == {wanted}


def test_what_can_be_merged_is_a_plain_model_equal_to_base_and_adapter(run, base, tmp_path, capsys):
    method = facts(run)["config"]["method"]
    arguments = ["--adapter", str(run / "adapter"), "-o", str(tmp_path / "merged")]
    if method not in MERGEABLE:
        assert not (run / "model").exists()
        assert merge.main(arguments) == 2
        assert "cannot be merged" in capsys.readouterr().err
        return
    plain = AutoModelForCausalLM.from_pretrained(run / "model").eval()
    adapted = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base / "base"), str(run / "adapter")
    ).eval()
    ids = torch.arange(3, 40).unsqueeze(0)
    with torch.no_grad():
        difference = plain(input_ids=ids).logits - adapted(input_ids=ids).logits
    assert difference.abs().max() < merge.TOLERANCE
    names = set(AutoModelForCausalLM.from_pretrained(base / "base").state_dict())
    assert set(plain.state_dict()) == names  # no 4-bit layers, no adapters left


def test_a_run_can_begin_from_its_adapter(run, base, tmp_path):
    changes = facts(run)["config"]
    kept = {key: changes[key] for key in ("base", "method", "lora")}
    recipe = write_recipe(tmp_path, base / "data", init_from=str(run / "adapter"), **kept)
    if kept["method"] in VIRTUAL_TOKENS:
        assert train(recipe) == 2
        return
    assert train(recipe, "length.max_steps=1", "optimizer.learning_rate=1e-9") == 0
    before = [entry["eval_loss"] for entry in history(run) if "eval_loss" in entry][-1]
    after = next(entry["eval_loss"] for entry in history(tmp_path / "run") if "eval_loss" in entry)
    # NF4 rounds the base alike both times; PiSSA comes back as a LoRA of the whole base.
    assert after == pytest.approx(before, abs=2e-3)


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="no C++ compiler")
def test_a_compiled_run_learns_the_same_up_to_rounding(base, tmp_path):
    from torch._dynamo.utils import counters

    def learned(name: str, compiled: bool) -> list[float]:
        (tmp_path / name).mkdir()
        watch = {"log_every": 1, "validate_every": 4, "checkpoint_every": 4, "f1_examples": 4}
        rest = {"base": str(base / "base"), "method": "full", "watch": watch}
        recipe = write_recipe(tmp_path / name, base / "data", compiled=compiled, **rest)
        assert train(recipe, "length.max_steps=8", "optimizer.learning_rate=0.003") == 0
        rows = history(tmp_path / name / "run")
        return [
            row[key] for row in rows for key in ("loss", "eval_loss", "eval_f1", "grad_norm") if key in row
        ]

    plain = learned("plain", False)
    torch.compiler.reset()
    counters.clear()
    assert learned("compiled", True) == pytest.approx(plain, rel=0.02, abs=1e-3)
    # Batches of every shape share the code, and measurements between the steps add none.
    assert 1 <= counters["stats"]["unique_graphs"] <= 2


def test_frozen_layers_stay_as_they_are(base, tmp_path):
    recipe = write_recipe(tmp_path, base / "data", base=str(base / "base"), layers_to_freeze=1)
    assert train(recipe, "length.max_steps=3") == 0
    before = load_file(str(base / "base/model.safetensors"))
    after = load_file(str(tmp_path / "run/model/model.safetensors"))
    frozen = {name for name in before if "embed_tokens" in name or ".layers.0." in name}
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not any(torch.equal(before[n], after[n]) for n in before if ".layers.1.mlp" in n)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "lora", "lora": {"targets": ["nothing_proj"]}}, "lora.targets: this model has no such"),
        ({"method": "full", "layers_to_freeze": 3}, "this model has 2 layers"),
        ({"method": "lora", "layers_to_freeze": 1}, "layers_to_freeze is for method full"),
        ({"method": "full", "init_from": "x"}, "method full cannot begin from an adapter"),
        ({"method": "lora", "init_from": "x"}, "x: not an adapter of"),
        ({"method": "prefix_tuning", "gradient_checkpointing": True}, "do not go together"),
        ({"method": "lora", "compiled": True}, "compiled is for method full"),
        ({"method": "full", "compiled": True, "gradient_checkpointing": True}, "compiled does not go with"),
    ],
)
def test_what_does_not_fit_together_is_said(base, tmp_path, capsys, changes, message):
    assert train(write_recipe(tmp_path, base / "data", base=str(base / "base"), **changes)) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
