"""Learning rates: warm-up, floor, decay by whichever of steps and minutes is nearer its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.recipe import ScheduleRecipe
from training.schedule import Clock, rate

SHAPES = ["cosine", "linear", "constant", "wsd"]


def recipe(shape: str, **changes: float) -> ScheduleRecipe:
    return ScheduleRecipe.model_validate(
        {"shape": shape, "warmup": 0.1, "floor": 0.2, "decay": 0.25} | changes
    )


@given(st.sampled_from(SHAPES), st.integers(0, 100), st.floats(0, 1))
def test_a_rate_is_a_share_of_the_highest(shape, step, progress):
    assert 0 < rate(recipe(shape), step, 100, max(progress, step / 100)) <= 1


@pytest.mark.parametrize("shape", SHAPES)
def test_the_warm_up_rises_and_ends_at_the_highest_rate(shape):
    rising = [rate(recipe(shape), step, 100, step / 100) for step in range(11)]
    assert rising == sorted(rising)
    assert rising[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shape", "last"), [("cosine", 0.2), ("linear", 0.2), ("wsd", 0.2), ("constant", 1.0)]
)
def test_the_last_rate_is_the_floor(shape, last):
    assert rate(recipe(shape), 100, 100, 1.0) == pytest.approx(last)


def test_wsd_stays_and_then_decays():
    rates = [rate(recipe("wsd"), step, 100, step / 100) for step in (20, 74, 80, 90)]
    assert rates[:2] == [1.0, 1.0]
    assert 1.0 > rates[2] > rates[3] > 0.2


def test_warm_up_counts_steps_from_one_on():
    assert rate(recipe("linear", warmup=4), 0, 100, 0.0) == pytest.approx(0.2)


def test_minutes_that_run_out_lower_the_rate_before_the_steps_do():
    by_steps = rate(recipe("linear"), 30, 100, 0.3)
    by_minutes = rate(recipe("linear"), 30, 100, 0.9)
    assert by_minutes < by_steps


def test_a_clock_counts_what_an_interrupted_run_had_used():
    clock = Clock(max_minutes=1.0)
    assert clock.progress == 0
    clock.start(before_s=30.0)
    assert 0.5 <= clock.progress < 0.6
    assert not clock.is_over
    clock.start(before_s=60.0)
    assert clock.is_over
    assert clock.progress == 1.0


def test_a_clock_without_a_bound_changes_nothing():
    clock = Clock(None)
    clock.start(before_s=1e9)
    assert clock.progress == 0
    assert not clock.is_over


def test_processes_that_agree_on_a_time_end_together():
    own = Clock(max_minutes=1.0)
    own.start(10.0)
    own.agree(59.0)
    assert own.progress == 59.0 / 60
    assert not own.is_over
    own.agree(60.0)
    assert own.is_over
    assert own.seconds < 20  # what it reports stays its own
