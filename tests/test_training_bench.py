"""`pii bench train`: it compares only what was trained and was the same, and its figures are right."""

import copy
import json

import pytest

from configs.errors import StageError
from tests.rendered import write_data
from tests.test_sft import write_recipe
from training import bench
from training.recipe import TrainRecipe


def run(
    step_s: float, losses: tuple[float, ...] = (4.0, 3.0, 2.5, 2.0, 1.5, 1.2, 1.1, 1.0), **changes
) -> dict:
    steps = len(losses)
    return {
        "step_s": [9.0, 9.0, 9.0] + [step_s] * (steps - 3),  # the first ones are not counted
        "work_s": [9.0, 9.0, 9.0] + [step_s / 2] * (steps - 3),
        "tokens": [100] * steps,
        "losses": list(losses),
        "norms": [1.0] * steps,
        "loaded_gb": {"process": 0.5},
        "peak_gb": {"process": 1.0},
        "device": "cpu",
        "mean_tokens": 10.0,
        "parameters": 1000,
        "trainable": 1000,
        **changes,
    }


RECIPE = TrainRecipe.model_validate(
    {"data": ".", "output": "o", "base": "a/b", "precision": "fp32"}, strict=False
)


def test_ratios_are_those_of_paired_steps_and_of_tokens_a_second():
    runs = {
        "ours": [run(0.50), run(0.52)],
        "bare": [run(0.50), run(0.52)],
        "trl": [run(1.02, peak_gb={"process": 2.0})],
    }
    # One disturbed step of ours changes no median.
    runs["ours"][0]["work_s"][5] = 7.0
    found = bench.figures(RECIPE, runs)
    assert found["throughput_beside_bare"] == 1.0
    assert found["memory_beside_bare"] == 1.0
    ours, trl = found["loops"]["ours"], found["loops"]["trl"]
    assert trl["tokens_per_s"] == pytest.approx(100 / 1.02)
    speeds = [500 / (4 * 0.25 + 7.0), 500 / (5 * 0.26)]
    assert found["throughput_beside_trl"] == pytest.approx(sum(speeds) / 2 / (100 / 0.51))
    assert trl["hours_for_full_run"] == pytest.approx(150_000 * 10 / (100 / 1.02) / 3600)
    assert (ours["peak_gb"], trl["peak_gb"]) == (1.0, 2.0)
    assert "throughput beside TRL's defaults" in bench.table(found)


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"throughput_beside_bare": 0.94}, ["throughput beside the bare loop"]),
        ({"memory_beside_bare": 1.11}, ["peak memory beside the bare loop"]),
        ({"throughput_beside_trl": 1.49}, ["tokens a second beside TRL's defaults"]),
    ],
)
def test_a_bound_that_is_missed_is_named(change, missed):
    good = {"throughput_beside_bare": 0.96, "memory_beside_bare": 1.05, "throughput_beside_trl": 2.0}
    lines = bench.bounds_missed({**good, **change})
    assert len(lines) == len(missed)
    assert all(line.startswith(start) for line, start in zip(lines, missed, strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norms": [1.0] * 7 + [0.0]}, "no gradient"),
        ({"norms": []}, "no gradient"),
        ({"losses": [1.0] * 8}, "did not fall"),
        ({"losses": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]}, "did not fall"),
    ],
)
def test_a_loop_that_did_not_train_is_no_measurement(changes, message):
    bench.check_trained("ours", [run(0.5)])
    with pytest.raises(StageError, match=message):
        bench.check_trained("ours", [run(0.5, **changes)])


def test_loops_that_did_different_work_are_not_compared():
    runs = {"ours": [run(0.5)], "bare": [run(0.5)], "compiled": [run(0.3)]}
    bench.check_same_steps(runs)
    for loop in ("ours", "compiled"):
        for field, message in (("tokens", "different batches"), ("losses", "different losses")):
            other = copy.deepcopy(runs)
            other[loop][0][field][1] *= 2
            with pytest.raises(StageError, match=message):
                bench.check_same_steps(other)


def test_the_compiled_loop_is_a_figure_of_its_own():
    peak = {"process": 1.5}
    found = bench.figures(
        RECIPE, {"ours": [run(0.5)], "bare": [run(0.5)], "compiled": [run(0.25, peak_gb=peak)]}
    )
    assert found["throughput_beside_bare"] == 1.0
    assert (found["compiled_beside_bare"], found["compiled_memory_beside_bare"]) == (2.0, 1.5)
    assert "compiled, beside the bare loop   2.000" in bench.table(found)


@pytest.mark.slow
def test_the_three_loops_train_and_ours_takes_the_steps_of_the_bare_one(tmp_path, capsys):
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data", num_rows=100))
    found = tmp_path / "found.json"
    code = bench.main(["--config", str(recipe), "--steps", "12", "--rounds", "1", "--json", str(found)])
    said = capsys.readouterr().out
    # With so small a model the trainer's own work per step is a large part: the ratio is not the claim here.
    assert code == (1 if "missed: " in said else 0)
    measured = json.loads(found.read_text())
    runs = measured["runs"]
    assert runs["ours"][0]["tokens"] == runs["bare"][0]["tokens"]
    assert runs["ours"][0]["losses"] == pytest.approx(runs["bare"][0]["losses"], rel=1e-3)
    assert runs["ours"][0]["norms"] == pytest.approx(runs["bare"][0]["norms"], rel=1e-2)
    assert all(len(one["step_s"]) == 12 and min(one["step_s"]) > 0 for loop in runs.values() for one in loop)
    assert measured["figures"]["throughput_beside_bare"] > 0
