"""Intervals cover the truth as often as they claim, and are the same for the same seed."""

import numpy as np
import pytest

from evaluation.intervals import Ratio, draws, estimates, resampled_sums


def ratio(numerator, denominator):
    return Ratio(np.asarray(numerator, dtype=np.float32), np.asarray(denominator, dtype=np.float32))


def test_a_rate_without_a_denominator_is_not_defined():
    (estimate,) = estimates([ratio([0, 0], [0, 0])], 100, 0)
    assert (estimate.value, estimate.low, estimate.high) == (None, None, None)


def test_no_documents_and_no_resamples():
    assert estimates([ratio([], [])], 100, 0)[0].value is None
    (estimate,) = estimates([ratio([1, 0], [1, 1])], 0, 0)
    assert (estimate.value, estimate.low) == (0.5, None)


def test_each_resample_draws_as_many_documents_as_there_are():
    assert (draws(50, 20, seed=3).sum(axis=1) == 50).all()


def test_blocks_change_no_sum(monkeypatch):
    from evaluation import intervals

    columns = np.random.default_rng(0).integers(1, 9, (40, 3)).astype(np.float32)
    monkeypatch.setattr(intervals, "BLOCK_CELLS", 40 * 7)
    assert resampled_sums(columns, 30, 5).shape == (30, 3)
    rates = [ratio(columns[:, 0], columns[:, 1]) for _ in range(9)]
    assert len({(e.low, e.high) for e in estimates(rates, 30, 5)}) == 1


def test_same_seed_same_interval():
    rate = ratio(np.arange(30) % 2, np.ones(30))
    assert estimates([rate], 200, 7) == estimates([rate], 200, 7)
    assert estimates([rate], 200, 7) != estimates([rate], 200, 8)


def test_the_interval_of_a_share_is_that_of_the_textbook():
    # 1,000 documents, half of them right: the standard error is sqrt(.25 / 1000) = 0.0158.
    (estimate,) = estimates([ratio(np.arange(1000) % 2, np.ones(1000))], 2000, 0)
    assert estimate.low == pytest.approx(0.5 - 1.96 * 0.0158, abs=0.003)
    assert estimate.high == pytest.approx(0.5 + 1.96 * 0.0158, abs=0.003)


def test_where_all_documents_agree_the_interval_is_still_honest():
    # Sixteen of sixteen: Clopper and Pearson's lower bound is 0.025 ** (1 / 16) = 79.4 %.
    (perfect, never) = estimates([ratio(np.ones(16), np.ones(16)), ratio(np.zeros(16), np.ones(16))], 100, 0)
    assert (perfect.low, perfect.high) == (pytest.approx(0.794, abs=0.001), 1)
    assert (never.low, never.high) == (0, pytest.approx(0.206, abs=0.001))


def test_too_few_documents_give_no_interval():
    denominator = np.r_[np.ones(9), np.zeros(50)]
    (few,) = estimates([ratio(np.arange(59) % 2 * denominator, denominator)], 200, 0)
    assert few.value is not None
    assert few.low is None


def test_a_rate_that_is_no_share_has_no_bound_at_one():
    alarms = Ratio(np.zeros(20, dtype=np.float32), np.full(20, 100, dtype=np.float32), is_share=False)
    (estimate,) = estimates([alarms], 100, 0)
    assert (estimate.value, estimate.high) == (0, None)


def test_intervals_cover_the_truth_as_often_as_they_say():
    generator, covered = np.random.default_rng(1), 0
    for trial in range(200):
        right = generator.random(80) < 0.7
        (estimate,) = estimates([ratio(right, np.ones(80))], 200, trial)
        covered += estimate.low <= 0.7 <= estimate.high
    assert 0.88 <= covered / 200 <= 0.99
