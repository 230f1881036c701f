"""The guardian: sees each kind of trouble, names the examples, keeps the weights good, lets clean runs be."""

import json
import math
import random

import pytest

from configs.errors import StageError
from training.guardian import Guardian
from training.recipe import GuardianRecipe

NAMES = [("row-1", "msra"), ("row-2", "synthetic")]


def new(tmp_path, policy="recover", go_back=lambda most_steps: None, **changes) -> Guardian:
    recipe = GuardianRecipe.model_validate({"policy": policy} | changes)
    return Guardian(recipe, tmp_path / "guardian.jsonl", go_back)


def guardian(tmp_path, policy="recover", **changes) -> Guardian:
    made = new(tmp_path, policy, **changes)
    for step in range(12):
        assert made.judge(step, 1.0 - step / 100, 2.0, NAMES)
    return made


def cases(tmp_path) -> list[dict]:
    path = tmp_path / "guardian.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("policy", ["skip", "recover"])
@pytest.mark.parametrize(
    ("loss", "norm", "problem"),
    [
        (math.nan, 2.0, "not_a_number"),
        (1.0, math.inf, "not_a_number"),
        (1.0, 21.0, "gradient_explosion"),
        (3.2, 2.0, "loss_spike"),
    ],
)
def test_trouble_is_named_with_its_examples_and_left_out(tmp_path, policy, loss, norm, problem):
    made = guardian(tmp_path, policy)
    assert not made.judge(12, loss, norm, NAMES)
    (case,) = cases(tmp_path)
    assert (case["step"], case["problem"], case["rate_factor"]) == (12, problem, 0.5)
    assert case["examples"] == [{"id": "row-1", "source": "msra"}, {"id": "row-2", "source": "synthetic"}]
    assert made.rate_factor == 0.5
    assert made.judge(13, 1.0, 2.0, NAMES)


def test_what_lies_under_the_highest_of_the_first_and_last_steps_is_no_trouble(tmp_path):
    made = guardian(tmp_path)
    assert made.judge(12, 2.9, 19.0, NAMES)
    assert not cases(tmp_path)


@pytest.mark.parametrize("seed", range(20))
def test_a_clean_small_run_is_let_be(tmp_path, seed):
    """Batches of one kind each: one in eight is chat, of which nothing is learned, one in eight empty."""
    chance, made = random.Random(seed), new(tmp_path)
    for step in range(400):
        learned = math.exp(-step / 30)
        kind = chance.choice(["chat", "empty", *["task"] * 6])
        loss = {"chat": 2.5, "empty": 0.02 + 2 * learned, "task": 0.05 + learned}[kind] * chance.uniform(
            0.7, 1.3
        )
        assert made.judge(step, loss, 0.1 + loss * chance.lognormvariate(0, 0.4), NAMES)
    assert not cases(tmp_path)


def test_recover_goes_back_to_a_checkpoint_from_before_the_bad_step(tmp_path):
    asked = []
    made = guardian(tmp_path, go_back=lambda most_steps: asked.append(most_steps) or 8)
    assert not made.judge(12, math.nan, 2.0, NAMES)
    assert asked == [11]
    assert cases(tmp_path)[0]["back_to"] == 8
    assert made.num_recoveries == 1


def test_skip_never_goes_back(tmp_path):
    made = guardian(tmp_path, "skip", go_back=lambda most_steps: pytest.fail("it went back"))
    assert not made.judge(12, math.nan, 2.0, NAMES)
    assert "back_to" not in cases(tmp_path)[0]


def test_a_loss_that_stays_over_where_it_began_goes_back_to_before_it_rose(tmp_path):
    asked = []
    made = guardian(tmp_path, go_back=lambda most_steps: asked.append(most_steps) or 0)
    for step in range(12, 60):
        assert made.judge(step, 0.2, 2.0, NAMES)
    taken = [made.judge(step, 0.55 + 0.01 * (step - 60), 2.0, NAMES) for step in range(60, 140)]
    first = taken.index(False) + 60
    assert {case["problem"] for case in cases(tmp_path)} == {"loss_risen"}
    assert taken.count(False) <= 2
    assert 60 + 45 < first < 60 + 65  # the mean of 25 steps is over 1.0, the highest of the first ten
    assert asked[0] == first - 25


def test_a_loss_that_does_not_move_is_said_once_and_goes_on(tmp_path, caplog):
    chance, made = random.Random(0), new(tmp_path)
    assert all(made.judge(step, chance.uniform(0.9, 1.1), 2.0, NAMES) for step in range(500))
    assert [(case["step"], case["problem"]) for case in cases(tmp_path)] == [(200, "loss_unmoved")]
    assert "raise optimizer.learning_rate" in caplog.text
    assert made.rate_factor == 1.0


def test_a_loss_that_moves_slowly_is_seen_to_move(tmp_path):
    chance, made = random.Random(0), new(tmp_path)
    assert all(made.judge(n, chance.uniform(0.9, 1.1) * (1 - n / 1000), 2.0, NAMES) for n in range(300))
    assert not cases(tmp_path)


def test_no_loss_is_judged_where_none_is_told(tmp_path):
    """Objectives whose loss says how hard a batch is hand over 0."""
    made = new(tmp_path)
    assert all(made.judge(step, 0.0, 2.0, NAMES) for step in range(300))
    assert not cases(tmp_path)


def test_warn_goes_on_and_stop_stops(tmp_path, caplog):
    assert guardian(tmp_path, "warn").judge(12, math.nan, 1.0, NAMES)
    assert "not_a_number in 2 examples of msra, synthetic" in caplog.text
    with pytest.raises(StageError, match=r"lower optimizer\.learning_rate"):
        guardian(tmp_path, "stop").judge(12, math.nan, 1.0, NAMES)
    assert [case["policy"] for case in cases(tmp_path)] == ["warn", "stop"]


def test_recoveries_are_bounded(tmp_path):
    made = guardian(tmp_path, most_recoveries=2)
    assert [made.judge(step, math.nan, 1.0, NAMES) for step in (12, 13)] == [False, False]
    with pytest.raises(StageError):
        made.judge(14, math.nan, 1.0, NAMES)


def test_a_run_that_trains_nothing_is_ended(tmp_path):
    made = new(tmp_path)
    assert all(made.judge(step, 1.0, 0.0, NAMES) for step in range(9))
    with pytest.raises(StageError, match="nothing is being trained"):
        made.judge(9, 1.0, 0.0, NAMES)
    assert cases(tmp_path)[0]["step"] == 9


def test_what_is_usual_survives_a_restart_and_the_rate_that_is_left_a_return(tmp_path):
    made = guardian(tmp_path)
    kept = json.loads(json.dumps(made.state()))
    assert not made.judge(12, math.nan, 2.0, NAMES)
    resumed = new(tmp_path)
    resumed.restore(kept)
    assert not resumed.judge(12, 3.2, 2.0, NAMES)
    assert resumed.rate_factor == 0.5
    made.restore(kept, weights_alone=True)
    assert (made.rate_factor, made.num_recoveries) == (0.5, 1)
