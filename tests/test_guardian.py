"""The guardian: sees each kind of trouble, names the examples, keeps the weights good."""

import json
import math

import pytest

from configs.errors import StageError
from training.guardian import Guardian
from training.recipe import GuardianRecipe

NAMES = [("row-1", "msra"), ("row-2", "synthetic")]


def guardian(tmp_path, policy="recover", **changes) -> Guardian:
    made = Guardian(GuardianRecipe.model_validate({"policy": policy} | changes), tmp_path / "guardian.jsonl")
    for step in range(12):
        assert made.judge(step, 1.0 - step / 100, 2.0, NAMES)
    return made


def cases(tmp_path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "guardian.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("loss", "norm", "problem"),
    [
        (math.nan, 2.0, "not_a_number"),
        (1.0, math.inf, "not_a_number"),
        (1.0, 41.0, "gradient_explosion"),
        (3.2, 2.0, "loss_spike"),
    ],
)
def test_trouble_is_named_with_its_examples_and_left_out(tmp_path, loss, norm, problem):
    made = guardian(tmp_path)
    assert not made.judge(12, loss, norm, NAMES)
    (case,) = cases(tmp_path)
    assert (case["step"], case["problem"]) == (12, problem)
    assert case["examples"] == [{"id": "row-1", "source": "msra"}, {"id": "row-2", "source": "synthetic"}]
    assert made.rate_factor == 0.5
    assert made.judge(13, 1.0, 2.0, NAMES)


def test_what_is_usual_is_no_trouble(tmp_path):
    made = guardian(tmp_path)
    assert made.judge(12, 2.5, 38.0, NAMES)
    assert not (tmp_path / "guardian.jsonl").exists()


def test_warn_goes_on_and_stop_stops(tmp_path, caplog):
    assert guardian(tmp_path, "warn").judge(12, math.nan, 1.0, NAMES)
    assert "not_a_number in 2 examples of msra, synthetic" in caplog.text
    with pytest.raises(StageError, match=r"lower optimizer\.learning_rate"):
        guardian(tmp_path, "stop").judge(12, math.nan, 1.0, NAMES)


def test_recoveries_are_bounded(tmp_path):
    made = guardian(tmp_path, most_recoveries=2)
    assert [made.judge(step, math.nan, 1.0, NAMES) for step in (12, 13)] == [False, False]
    with pytest.raises(StageError):
        made.judge(14, math.nan, 1.0, NAMES)


def test_a_run_that_trains_nothing_is_ended(tmp_path):
    made = Guardian(GuardianRecipe(), tmp_path / "guardian.jsonl")
    assert all(made.judge(step, 1.0, 0.0, NAMES) for step in range(9))
    with pytest.raises(StageError, match="nothing is being trained"):
        made.judge(9, 1.0, 0.0, NAMES)
    assert cases(tmp_path)[0]["step"] == 9
