"""Quotas add up, follow the shares, and leave nothing on the table; the order is even everywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.mixing import allot, interleave, tempered

NAMES = "abcd"
shares = st.dictionaries(st.sampled_from(NAMES), st.floats(0.05, 1), min_size=1)
capacities = st.dictionaries(st.sampled_from(NAMES), st.none() | st.integers(0, 200))


@given(shares, capacities, st.integers(0, 500))
def test_quotas_fill_the_total_or_empty_every_source(wanted, capacity, total):
    quotas = allot(wanted, capacity, total)
    limits = [capacity.get(name) for name in wanted]
    most = total if None in limits else min(total, sum(limit for limit in limits if limit is not None))
    assert sum(quotas.values()) == most
    for name, quota in quotas.items():
        assert quota >= 0
        assert capacity.get(name) is None or quota <= capacity[name]


def test_the_default_mix_and_what_an_absent_source_leaves():
    assert allot({"msra": 0.3, "ai4privacy": 0.3, "synthetic": 0.4}, {}, 1000) == {
        "msra": 300,
        "ai4privacy": 300,
        "synthetic": 400,
    }
    assert allot({"msra": 0.3, "synthetic": 0.4}, {"msra": 9}, 700) == {"msra": 9, "synthetic": 691}


def test_temperature_evens_out_and_share_zero_stays_out():
    assert tempered({"a": 0.9, "b": 0.1, "c": 0}, 1) == pytest.approx({"a": 0.9, "b": 0.1})
    even = tempered({"a": 0.9, "b": 0.1}, 100)
    assert even["a"] == pytest.approx(0.5, abs=0.02)


def letters(name: str, count: int):
    return iter([f"{name}{i}" for i in range(count)])


@given(shares, st.integers(1, 200))
def test_every_stretch_of_the_order_is_mixed_like_the_whole(wanted, total):
    quotas = allot(wanted, {}, total)
    order = [name for name, _ in interleave({n: letters(n, 500) for n in quotas}, quotas, wanted)]
    assert {name: order.count(name) for name in quotas} == quotas
    for name, quota in quotas.items():
        for length in range(1, total + 1):
            # Each source keeps within its number of rivals of an even pace.
            assert abs(order[:length].count(name) - quota * length / total) <= len(NAMES)


def test_a_stream_that_ends_early_leaves_its_rest_to_those_that_share():
    streams = {"a": letters("a", 3), "b": letters("b", 99), "chat": letters("c", 99)}
    order = list(interleave(streams, {"a": 10, "b": 10, "chat": 5}, {"a": 0.5, "b": 0.5}))
    taken = {name: sum(n == name for n, _ in order) for name in streams}
    assert taken == {"a": 3, "b": 17, "chat": 5}
    assert [item for name, item in order if name == "a"] == ["a0", "a1", "a2"]


def test_a_source_that_is_done_takes_over_from_one_that_ends_last():
    # b has filled its quota of 1 when a ends short.
    order = list(
        interleave({"a": letters("a", 5), "b": letters("b", 99)}, {"a": 9, "b": 1}, {"a": 0.9, "b": 0.1})
    )
    assert sum(name == "b" for name, _ in order) == 5
    assert len(order) == 10


def test_streams_that_all_end_early_end_the_mix():
    assert len(list(interleave({"a": letters("a", 2)}, {"a": 10}, {"a": 1}))) == 2
