"""Guessing the next tokens: from the last place where the latest ones stood."""

from hypothesis import given
from hypothesis import strategies as st

from serving.engines.drafting import LONGEST_MATCH, Lookup

TOKENS = st.lists(st.integers(0, 3), max_size=30)


def guessed_by_search(tokens: list[int], count: int) -> list[int]:
    """The same by looking everywhere."""
    for size in range(min(LONGEST_MATCH, len(tokens)), 0, -1):
        for end in range(len(tokens) - 1, size - 1, -1):
            if tokens[end - size : end] == tokens[len(tokens) - size :]:
                return tokens[end : end + count]
    return []


@given(TOKENS, TOKENS, st.integers(0, 8))
def test_a_guess_is_what_followed_the_longest_run_the_last_time(
    known: list[int], written: list[int], count: int
) -> None:
    lookup = Lookup(known)
    for token in written:
        lookup.extend([token])
    assert list(lookup.guess(count)) == guessed_by_search(known + written, count)


def test_nothing_is_guessed_behind_a_token_that_never_stood_before() -> None:
    assert list(Lookup([1, 2, 3, 4]).guess(5)) == []


def test_what_is_known_to_all_comes_after_what_stands_in_the_prompt() -> None:
    shape = Lookup([7, 1, 2, 3, 9, 8])
    assert list(Lookup([5, 1], shape).guess(2)) == [2, 3]
    assert list(Lookup([1, 6, 5, 1], shape).guess(2)) == [6, 5]
    # A longer run in the shape is worth more than a shorter one in the prompt.
    assert list(Lookup([1, 6, 7, 1], shape).guess(2)) == [2, 3]
    assert list(Lookup([4], shape).guess(2)) == []
