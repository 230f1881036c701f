"""`pii train` from a data folder to a model folder: it learns, resumes, says nothing of the texts."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from pii.model_folder import read_manifest
from tests.rendered import SENTINEL, write_data
from training import sft
from training.bare import SMALLEST

TINY: dict[str, Any] = {
    "base": {"architecture": SMALLEST.model_dump()},
    "context_tokens": 256,
    "batch": {"tokens": 512},
    "optimizer": {"learning_rate": 0.01},
    "length": {"max_steps": 40, "epochs": 50.0},
    "watch": {"log_every": 1, "validate_every": 20, "checkpoint_every": 20},
    "precision": "fp32",
}


def write_recipe(folder: Path, data_folder: Path, **changes: Any) -> Path:
    values = {"data": str(data_folder), "output": str(folder / "run"), **TINY, **changes}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def train(recipe: Path, *assignments: str) -> int:
    return sft.main(["--config", str(recipe), *(f"--set={text}" for text in assignments)])


def history(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One finished full run; its folder also holds the data and the recipe."""
    folder = tmp_path_factory.mktemp("full")
    recipe = write_recipe(folder, write_data(folder / "data"))
    assert train(recipe) == 0
    return folder


def test_a_full_run_writes_a_model_folder_that_loads_and_tells_how_it_was_made(trained):
    model = AutoModelForCausalLM.from_pretrained(trained / "run/model")
    tokenizer = AutoTokenizer.from_pretrained(trained / "run/model")
    manifest = read_manifest(trained / "run/model")
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id[0] == tokenizer.eos_token_id
    assert not model.generation_config.do_sample
    assert (manifest.method, manifest.base_model) == ("full", "config")
    assert (manifest.window_chars, manifest.window_margin, manifest.answer_style) == (200, 40, "value")
    assert manifest.num_parameters == model.num_parameters()
    assert manifest.data_identity == "rendered-60-0"
    assert manifest.data_sources["msra"] == {"licence": "research"}
    assert "PERSON_NAME" in manifest.entity_types
    assert manifest.training["steps"] == 40
    card = (trained / "run/model/README.md").read_text(encoding="utf-8")
    assert "| msra.licence | research |" in card
    assert SENTINEL not in card


def test_the_answer_loss_falls_and_is_reported_as_measured(trained):
    facts = json.loads((trained / "run/manifest.json").read_text())["training"]
    measured = [entry["eval_loss"] for entry in history(trained / "run") if "eval_loss" in entry]
    assert facts["answer_loss_before"] == measured[0]
    assert facts["answer_loss_after"] == measured[-1] < measured[0] / 2


def test_the_record_tells_losses_by_source_speed_and_padding(trained):
    first = history(trained / "run")[1]
    assert {"loss_synthetic", "loss_msra", "grad_norm", "learning_rate", "tokens_per_s"} <= set(first)
    assert 0 <= first["padding"] < 0.2
    assert list((trained / "run/tensorboard").iterdir())


def test_a_finished_run_is_not_repeated(trained):
    before = (trained / "run/manifest.json").read_bytes()
    assert train(trained / "run.yaml") == 0
    assert (trained / "run/manifest.json").read_bytes() == before


def test_nothing_that_is_said_holds_a_text(tmp_path, caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        assert train(write_recipe(tmp_path, write_data(tmp_path / "data")), "length.max_steps=2") == 0
    captured = capfd.readouterr()
    assert SENTINEL not in caplog.text + captured.out + captured.err
    quoted = json.dumps(SENTINEL)[1:-1]
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert SENTINEL.encode() not in content, path
            assert quoted.encode() not in content, path


def test_minutes_end_a_run_cleanly_and_say_so(tmp_path, caplog):
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"))
    with caplog.at_level(logging.INFO):
        assert train(recipe, "length.max_minutes=0.0001") == 0
    facts = json.loads((tmp_path / "run/manifest.json").read_text())["training"]
    assert (facts["steps"], facts["planned_steps"]) == (1, 40)
    assert "the minutes are used up" in caplog.text
    assert (tmp_path / "run/model/manifest.json").is_file()


def test_an_example_that_does_not_fit_is_left_out_by_name(tmp_path):
    chat = {"id": "long-1", "source": "chat", "messages": [{"role": "assistant", "content": "好" * 300}]}
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data", extra=(chat,)))
    assert train(recipe, "length.max_steps=1") == 0
    left_out = json.loads((tmp_path / "run/left_out.jsonl").read_text())
    assert (left_out["id"], left_out["reason"]) == ("long-1", "longer than the context")
    assert json.loads((tmp_path / "run/manifest.json").read_text())["training"]["left_out"] == 1


class Killed(BaseException):
    """Ends a run as a signal would: nothing of ours catches it."""


def test_a_killed_run_goes_on_with_the_very_losses_of_an_uninterrupted_one(trained, tmp_path, monkeypatch):
    from training.trainer import AnswerTrainer

    recipe = write_recipe(tmp_path, trained / "data")
    log = AnswerTrainer.log

    def killed_between(self, logs, start_time=None):
        log(self, logs, start_time)
        if self.state.global_step == 27:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(AnswerTrainer, "log", killed_between)
        with pytest.raises(Killed):
            train(recipe)
    assert [path.name for path in (tmp_path / "run/checkpoints").glob("checkpoint-*")] == ["checkpoint-20"]
    assert not (tmp_path / "run/model").exists()
    assert not (tmp_path / "run/manifest.json").exists()
    assert train(recipe) == 0

    def losses(run: Path) -> list[tuple[float, float]]:
        return [(e["step"], e["loss"]) for e in history(run) if "loss" in e]

    assert losses(tmp_path / "run") == losses(trained / "run")
    ours, theirs = (
        AutoModelForCausalLM.from_pretrained(folder / "run/model").state_dict()
        for folder in (tmp_path, trained)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_checkpoints_of_another_recipe_are_not_gone_on_from(trained, tmp_path):
    recipe = write_recipe(tmp_path, trained / "data")
    assert train(recipe, "length.max_steps=20") == 0
    assert train(recipe, "length.max_steps=21", "seed=1") == 0
    assert history(tmp_path / "run")[0]["step"] == 0


def test_a_full_disk_is_one_line_and_leaves_no_half_model(trained, tmp_path, monkeypatch, capsys):
    from transformers import Qwen2ForCausalLM

    save = Qwen2ForCausalLM.save_pretrained

    def full_disk(self, folder, **options):
        if "checkpoints" in str(folder):
            return save(self, folder, **options)
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Qwen2ForCausalLM, "save_pretrained", full_disk)
    assert train(write_recipe(tmp_path, trained / "data"), "length.max_steps=1") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "disk is full" in error
    assert not [path for path in (tmp_path / "run").iterdir() if "model" in path.name]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bse": "x"}, "bse: unknown key"),
        ({"batch": {"tokens": 0}}, "batch.tokens: input should be greater than 0"),
        ({"method": "lora"}, "method lora adapts trained weights"),
        ({"data": "nowhere"}, "nowhere: no such folder"),
        ({"base": "./nowhere"}, "no such folder, and not the form of a hub id"),
        ({"base": "owner/model"}, "Three ways"),
        ({"context_tokens": 64, "length": {"max_steps": 1}, "data": "long"}, "raise context_tokens"),
        ({"precision": "fp16"}, "fp16 needs a GPU"),
    ],
)
def test_what_can_be_mended_is_one_line_and_code_two(tmp_path, capsys, changes, message):
    if changes.get("data") == "long":
        folder = write_data(tmp_path / "data", num_rows=1)
        row = {"id": "a", "source": "s", "messages": [{"role": "assistant", "content": "好" * 99}]}
        (folder / "train.jsonl").write_text(json.dumps(row) + "\n")
        changes = {**changes, "data": str(folder)}
    data = write_data(tmp_path / "d")
    if message.endswith("a GPU") and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert train(write_recipe(tmp_path, data, **changes)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "run/model").exists()


def test_the_measured_numbers_stand_beside_the_planned_ones(trained):
    facts = json.loads((trained / "run/manifest.json").read_text())["training"]
    plan = facts["plan"]
    assert plan["steps"] == {"estimated": 40, "measured": 40}
    assert plan["trainable"]["estimated"] == plan["trainable"]["measured"] == facts["trainable_parameters"]
    assert plan["minutes"]["measured"] == facts["minutes"]
    assert plan["memory_gb"]["measured"] == facts["peak_memory_gb"]["process"]
    assert 0 < plan["memory_gb"]["estimated"] < plan["memory_gb"]["measured"]
    assert "| plan.memory_gb.estimated |" in (trained / "run/model/README.md").read_text()


def test_a_data_set_without_examples_is_said(tmp_path, capsys):
    folder = write_data(tmp_path / "data")
    (folder / "train.jsonl").write_text("")
    assert train(write_recipe(tmp_path, folder)) == 2
    assert "no examples in train; look at refused.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "run/model").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_too_little_memory_is_one_line_with_ways_out(trained, tmp_path, monkeypatch, capsys, error):
    from training.trainer import AnswerTrainer

    def exhausted(self, *args, **options):
        raise error

    monkeypatch.setattr(AnswerTrainer, "compute_loss", exhausted)
    assert train(write_recipe(tmp_path, trained / "data")) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "too little memory for batch.tokens 512: halve it" in said
    assert not (tmp_path / "run/model").exists()
    assert not (tmp_path / "run/manifest.json").exists()


def test_a_logger_that_is_not_installed_is_named_before_anything_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sft, "find_spec", lambda name: None if name == "wandb" else object())
    recipe = write_recipe(tmp_path, tmp_path / "nowhere", watch={"report_to": ["tensorboard", "wandb"]})
    assert train(recipe) == 2
    assert "watch.report_to: wandb is not installed: pip install wandb" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_tokenizer_that_is_too_large_for_the_model_is_said(trained, tmp_path, capsys):
    from tokenizers import AddedToken

    base = tmp_path / "base"
    shutil.copytree(trained / "run/model", base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens([AddedToken(f"<extra-{index}>") for index in range(3)])
    tokenizer.save_pretrained(base)
    assert train(write_recipe(tmp_path, trained / "data", base=str(base))) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"the tokenizer has {len(tokenizer)} tokens, the model {len(tokenizer) - 3}" in said
    assert not (tmp_path / "run/model").exists()


def test_an_adapter_of_other_weights_of_the_same_shape_is_refused(trained, tmp_path, capsys):
    base = tmp_path / "base"
    shutil.copytree(trained / "run/model", base)
    first = write_recipe(
        tmp_path, trained / "data", base=str(base), method="lora", output=str(tmp_path / "one")
    )
    assert train(first, "length.max_steps=1") == 0
    other = AutoModelForCausalLM.from_pretrained(base)
    other.model.norm.weight.data += 1
    other.save_pretrained(base)
    adapter = str(tmp_path / "one/adapter")
    again = write_recipe(tmp_path, trained / "data", base=str(base), method="lora", init_from=adapter)
    assert train(again, "length.max_steps=1") == 2
    assert "trained on other weights than" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run/model").exists()
