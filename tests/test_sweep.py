"""`pii sweep`: real runs side by side, that go on where they were cut off, and a table and a plot of them."""

import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.rendered import write_data
from tests.test_sft import write_recipe
from training import sweep
from training.sweep import Trial
from training.sweep_page import draw, ranked, table

WATCHED = {"log_every": 5, "validate_every": 5, "checkpoint_every": 5, "f1_examples": 4}
GRID: dict[str, Any] = {
    "space": {"optimizer.learning_rate": [0.001, 0.01], "seed": [0, 1]},
    "set": {"length.max_steps": 5},
}


def write_sweep(folder: Path, **changes: Any) -> Path:
    recipe = write_recipe(folder, write_data(folder / "data"), watch=WATCHED)
    values = {"train": str(recipe), "output": str(folder / "sweep"), **GRID, **changes}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return folder / "sweep.yaml"


class FakeRuns:
    """Stands for the processes: each writes a result that depends on its rate alone, or fails."""

    def __init__(self, fail_at: int = -1, stop_at: int = -1) -> None:
        self.commands: list[list[str]] = []
        self.fail_at, self.stop_at = fail_at, stop_at

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        number = len(self.commands)
        self.commands.append(command)
        if number == self.stop_at:
            raise KeyboardInterrupt
        if number == self.fail_at:
            return subprocess.CompletedProcess(command, 2)
        said = dict(text.split("=", 1) for text in command[command.index("--config") + 2 :] if "=" in text)
        folder, rate = Path(json.loads(said["output"])), json.loads(said["optimizer.learning_rate"])
        folder.mkdir(parents=True)
        entry = {"step": 5, "eval_loss": 1 / rate, "eval_f1": 1 - abs(rate - 0.004)}
        (folder / "history.jsonl").write_text(json.dumps(entry) + "\n")
        (folder / "manifest.json").write_text(json.dumps({"training": {"minutes": 0.1}}))
        return subprocess.CompletedProcess(command, 0)


def run(recipe: Path, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """A sweep of fake runs; a trial counts as finished where its folder has a manifest."""
    monkeypatch.setattr(sweep.subprocess, "run", runs)
    monkeypatch.setattr(
        "configs.stage.Stage.is_current", lambda self: (self.folder / "manifest.json").is_file()
    )
    return sweep.sweep(sweep.load(recipe, sweep.SweepRecipe))


def test_a_grid_tries_every_combination_once_with_what_all_have_in_common(tmp_path, monkeypatch):
    runs = FakeRuns()
    trials = run(write_sweep(tmp_path), runs, monkeypatch)
    assert [tuple(trial.values.values()) for trial in trials] == [
        (0.001, 0),
        (0.001, 1),
        (0.01, 0),
        (0.01, 1),
    ]
    assert all("length.max_steps=5" in command for command in runs.commands)
    assert len({text for command in runs.commands for text in command if text.startswith("output=")}) == 4


def test_a_sweep_that_was_cut_off_repeats_no_finished_trial(tmp_path, monkeypatch):
    recipe, cut = write_sweep(tmp_path), FakeRuns(stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, cut, monkeypatch)
    assert not (tmp_path / "sweep/manifest.json").exists()
    assert len((tmp_path / "sweep/trials.jsonl").read_text().splitlines()) == 2  # what was done can be read
    rest = FakeRuns()
    assert len(run(recipe, rest, monkeypatch)) == 4
    assert len(rest.commands) == 2


def test_a_trial_that_fails_is_named_and_the_others_go_on(tmp_path, monkeypatch):
    trials = run(write_sweep(tmp_path), FakeRuns(fail_at=1), monkeypatch)
    assert [bool(trial.problem) for trial in trials] == [False, True, False, False]
    page = (tmp_path / "sweep/sweep.md").read_text()
    assert "exit code 2, see trial-001.log" in page.splitlines()[-1]
    assert json.loads((tmp_path / "sweep/manifest.json").read_text())["failed"] == 1


def test_optuna_draws_within_the_range_and_the_same_again_after_a_cut(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    space = {"optimizer.learning_rate": {"low": 0.0005, "high": 0.05, "log": True}, "seed": [3, 4]}
    recipe = write_sweep(tmp_path, space=space, search="tpe", trials=12)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, FakeRuns(stop_at=7), monkeypatch)
    before = (tmp_path / "sweep/trials.jsonl").read_text().splitlines()
    rest = FakeRuns()
    trials = run(recipe, rest, monkeypatch)
    assert (tmp_path / "sweep/trials.jsonl").read_text().splitlines()[:7] == before
    assert len(rest.commands) == 5
    rates = [trial.values["optimizer.learning_rate"] for trial in trials]
    assert all(0.0005 <= rate <= 0.05 for rate in rates)
    assert len(set(rates)) == 12
    assert {trial.values["seed"] for trial in trials} <= {3, 4}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"optimizer.rate": [1]}}, "optimizer.rate: unknown key"),
        (
            {"space": {"optimizer.learning_rate": [0.1, -1.0]}},
            "learning_rate: input should be greater than 0",
        ),
        ({"space": {"seed": {"low": 1, "high": 5}}}, "a range is for tpe"),
        ({"space": {"seed": {"low": 5, "high": 1}}, "search": "tpe", "trials": 1}, "smaller than high"),
        ({"search": "tpe"}, "set trials"),
        ({"set": {"seed": 1}}, "in space and in set: seed"),
        ({"set": {"watch.f1_examples": 0}}, "set watch.f1_examples"),
        ({"space": {}}, "space"),
    ],
)
def test_a_mistake_in_the_recipe_is_found_before_anything_runs(
    tmp_path, capsys, monkeypatch, changes, message
):
    runs = FakeRuns()
    monkeypatch.setattr(sweep.subprocess, "run", runs)
    assert sweep.main(["--config", str(write_sweep(tmp_path, **changes))]) == 2
    assert message in capsys.readouterr().err
    assert not runs.commands


TRIALS = [
    Trial(0, {"lr": 1e-4, "kind": "a|<b>"}, f1=0.5, loss=1.0, minutes=1.0),
    Trial(1, {"lr": 1e-2, "kind": "c"}, f1=0.9, loss=2.0, minutes=1.0),
    Trial(2, {"lr": 1e-3, "kind": "c"}, problem="exit code 1"),
]


def test_the_best_trial_stands_first_by_either_metric():
    assert [trial.number for trial in ranked(TRIALS, "f1")] == [1, 0, 2]
    assert [trial.number for trial in ranked(TRIALS, "loss")] == [0, 1, 2]
    assert [line.split(" | ")[0] for line in table(TRIALS, "f1").splitlines()[2:]] == [
        "| 001",
        "| 000",
        "| 002",
    ]


def test_the_plot_is_xml_with_a_point_for_each_trial_and_field():
    drawn = draw(TRIALS, "f1")
    root = ElementTree.fromstring(drawn)
    points = root.findall(".//{http://www.w3.org/2000/svg}circle")
    assert sum(point.get("fill") == "#4a78b5" for point in points) == 4
    assert sum(point.get("fill") == "#c0504d" for point in points) == 2
    assert ElementTree.fromstring(draw([], "f1")) is not None


@pytest.mark.slow
def test_real_runs_are_compared_by_the_f1_that_they_reached(tmp_path, capsys):
    recipe = write_sweep(tmp_path, space={"optimizer.learning_rate": [0.005, 1e-6]}, metric="loss")
    assert sweep.main(["--config", str(recipe), "--set=set={length.max_steps: 15}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| 000 | 0.005 |")  # the run that learned, before the one that did not
    assert lines[3].startswith("| 001 |")
    measured = [json.loads(line) for line in (tmp_path / "sweep/trials.jsonl").read_text().splitlines()]
    assert all(0 <= trial["f1"] <= 1 for trial in measured)
    assert measured[0]["loss"] < measured[1]["loss"]
    assert (tmp_path / "sweep/trial-000/model/manifest.json").is_file()
    before = (tmp_path / "sweep/trial-000/manifest.json").read_bytes()
    assert sweep.main(["--config", str(recipe), "--set=set={length.max_steps: 15}"]) == 0
    assert (tmp_path / "sweep/trial-000/manifest.json").read_bytes() == before
