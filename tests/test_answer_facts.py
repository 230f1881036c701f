"""What an answer was like: order and loops, told without its text."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii import codec
from pii.grounding import ground
from serving.answer_facts import ends_in_a_loop, facts_of


def facts(text, answer, *, is_cut=False):
    read = codec.parse(answer)
    placed = ground(text, read.mentions)
    return facts_of(read, answer, placed.mentions, num_tokens=5, num_prompt_tokens=9, is_cut=is_cut)


def answer(*values):
    entities = ",".join(f'{{"type":"PERSON_NAME","value":"{value}"}}' for value in values)
    return f'{{"entities":[{entities}]}}'


@pytest.mark.parametrize(
    ("values", "moved"),
    [
        (["Ann", "Bob", "Cid"], 0),
        (["Bob", "Ann", "Cid"], 1),
        (["Cid", "Bob", "Ann"], 2),
        (["Cid", "Ann", "Bob"], 1),
        (["Ann", "Nobody", "Cid"], 0),  # what stands nowhere has no order
        ([], 0),
    ],
)
def test_values_out_of_order(values, moved):
    made = facts("Ann met Bob and Cid.", answer(*values))
    assert made.num_out_of_order == moved
    assert made.num_values == len(values)
    assert (made.num_tokens, made.num_prompt_tokens, made.valid_json, made.is_loop) == (5, 9, True, False)


@given(st.permutations(range(6)))
def test_as_few_as_possible_are_out_of_order(order):
    """Oracle: the longest rising choice among all choices."""
    rising = max(
        len(chosen)
        for size in range(7)
        for chosen in itertools.combinations(order, size)
        if list(chosen) == sorted(chosen)
    )
    read = codec.parse(answer())
    made = facts_of(read, answer(), order, num_tokens=0, num_prompt_tokens=0, is_cut=False)
    assert made.num_out_of_order == 6 - rising


ENTITY = '{"type":"PERSON_NAME","value":"Ann"},'


@pytest.mark.parametrize(
    ("written", "loops"),
    [
        ('{"entities":[' + ENTITY * 4, True),
        ('{"entities":[' + ENTITY * 6 + ENTITY[:9], True),  # cut off within a piece
        ('{"entities":[' + ENTITY * 3, False),
        ("   " * 20, True),
        ("price 1111", False),
        ('{"entities":[{"type":"BANK_CARD_NUMBER","value":"0000 0000 0000 0000', False),
        ("", False),
        ("abcdefghijklmnopqrstuvwxyz" * 2, False),
    ],
)
def test_loops(written, loops):
    assert ends_in_a_loop(written) == loops
    assert facts("Ann", written, is_cut=True).is_loop == loops
    assert not facts("Ann", written, is_cut=False).is_loop  # an answer that ends by itself does not loop
