"""Several processes: what runs is what was asked for, and it learns what one process learns."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from configs.errors import ConfigError
from tests.rendered import write_data
from tests.test_sft import history, train, write_recipe
from training import processes
from training.recipe import TrainRecipe

ROOT = Path(__file__).parents[1]
LAUNCHERS = ROOT / "configs/accelerate"

needs_deepspeed = pytest.mark.skipif(
    find_spec("deepspeed") is None, reason="the extra deepspeed is not installed"
)

CHANGES = {
    "guardian": {"policy": "stop"},
    # Minutes that never end the run, but decide on its rate: the processes' clocks differ.
    "length": {"max_steps": 4, "epochs": 50.0, "max_minutes": 1e6},
    "watch": {"log_every": 1, "validate_every": 2, "checkpoint_every": 2, "f1_examples": 2},
    "optimizer": {"learning_rate": 0.003, "max_grad_norm": 0.5},
}


@pytest.fixture(scope="module", autouse=True)
def compiled_apart(tmp_path_factory) -> Iterator[None]:
    """DeepSpeed compiles a helper: here, and not where a build that was killed may have left its lock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path_factory.mktemp("extensions")))
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        yield


def launch(yaml_name: str, recipe: Path, num_processes: int = 2) -> subprocess.CompletedProcess[str]:
    """The documented command, on the CPU."""
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(LAUNCHERS / yaml_name), "--num_processes", str(num_processes)),
        *("--main_process_port", "0", "-m", "pii", "train", "--config", str(recipe)),
    ]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    }
    return subprocess.run(
        command, cwd=recipe.parent, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def recipe_in(folder: Path, data: Path, **changes) -> Path:
    folder.mkdir()
    return write_recipe(folder, data, **{**CHANGES, **changes})


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """One process that takes two batches a step, as two processes do together."""
    folder = tmp_path_factory.mktemp("alone")
    data = write_data(folder / "data", num_rows=200)
    assert train(recipe_in(folder / "one", data, batch={"tokens": 512, "accumulation": 2})) == 0
    return folder


def measured(run: Path) -> list[float]:
    return [
        e[name] for e in history(run) for name in ("loss", "eval_loss", "grad_norm", "loss_msra") if name in e
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("yaml_name", "strategy"),
    [
        ("ddp.yaml", "ddp"),
        pytest.param("zero1.yaml", "zero-1", marks=needs_deepspeed),
        pytest.param("zero2.yaml", "zero-2", marks=needs_deepspeed),
        pytest.param("zero3.yaml", "zero-3", marks=needs_deepspeed),
    ],
)
def test_two_processes_learn_what_one_learns(alone, tmp_path, yaml_name, strategy):
    recipe = recipe_in(tmp_path / "two", alone / "data")
    done = launch(yaml_name, recipe)
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads((tmp_path / "two/run/manifest.json").read_text())["training"]
    assert (facts["processes"], facts["strategy"]) == (2, strategy)
    assert measured(tmp_path / "two/run") == pytest.approx(measured(alone / "one/run"), rel=2e-3)
    ours, theirs = (load_file(f / "run/model/model.safetensors") for f in (tmp_path / "two", alone / "one"))
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)
    sizes = {
        json.loads((f / "run/model/manifest.json").read_text())["num_parameters"]
        for f in (tmp_path / "two", alone / "one")
    }
    assert len(sizes) == 1


@pytest.mark.slow
def test_fsdp_that_does_not_run_is_said_and_nothing_is_trained(alone, tmp_path):
    """accelerate would train with DDP on a CPU and not say so."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = launch("fsdp2.yaml", recipe_in(tmp_path / "two", alone / "data"))
    assert done.returncode != 0
    assert "error: the launcher was asked for fsdp2, and ddp is running (FSDP needs GPUs" in done.stderr
    assert not (tmp_path / "two/run/model").exists()


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_fsdp2_learns_what_one_process_learns(alone, tmp_path):
    recipe = recipe_in(tmp_path / "two", alone / "data")
    done = launch("fsdp2.yaml", recipe)
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads((tmp_path / "two/run/manifest.json").read_text())["training"]
    assert facts["strategy"] == "fsdp2"
    assert measured(tmp_path / "two/run") == pytest.approx(measured(alone / "one/run"), rel=1e-2)


def as_launched(monkeypatch, **variables: str) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", **variables}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, "ddp"),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "1"}, "zero-1"),
        (
            {
                "ACCELERATE_USE_DEEPSPEED": "true",
                "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
                "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "cpu",
            },
            "zero-3 with offload",
        ),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, "fsdp2"),
    ],
)
def test_what_the_launcher_was_asked_for_is_compared_with_what_runs(monkeypatch, variables, wanted):
    as_launched(monkeypatch, **variables)
    assert processes.asked() == wanted
    with pytest.raises(ConfigError, match=f"asked for {wanted}, and one process is running"):
        processes.check(torch.nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("variables", "changes", "message"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, {"guardian": {"policy": "recover"}}, "set warn or stop"),
        ({"ACCELERATE_USE_FSDP": "true"}, {"method": "pissa"}, "use lora, or DDP"),
    ],
)
def test_what_cannot_be_trained_by_several_is_said_first(monkeypatch, variables, changes, message):
    as_launched(monkeypatch, **variables)
    monkeypatch.setattr(processes, "find_spec", lambda name: True)
    recipe = TrainRecipe.model_validate({"data": Path("d"), "output": Path("o"), "base": "b/c", **changes})
    with pytest.raises(ConfigError, match=message):
        processes.join(recipe)


def test_a_missing_deepspeed_is_named(monkeypatch):
    as_launched(monkeypatch, ACCELERATE_USE_DEEPSPEED="true")
    monkeypatch.setattr(processes, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'pii-extraction\[deepspeed\]'"):
        processes.join(TrainRecipe.model_validate({"data": Path("d"), "output": Path("o"), "base": "b/c"}))


@pytest.mark.parametrize("path", sorted(LAUNCHERS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_launcher_yaml_is_read_by_accelerate_and_says_how_to_start_it(path):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.mixed_precision == "no"
    assert config.num_processes == 2
    text = path.read_text(encoding="utf-8")
    assert f"accelerate launch --config_file configs/accelerate/{path.name}" in text
    values = yaml.safe_load(text)
    if "zero" in path.stem:
        assert str(values["deepspeed_config"]["zero_stage"]) in path.stem
        assert ("offload" in path.stem) == (values["deepspeed_config"]["offload_optimizer_device"] == "cpu")
