"""Guessing the next tokens: from where the latest ones stood last, and from a draft of the answer."""

from hypothesis import given
from hypothesis import strategies as st

from serving.engines.drafting import LONGEST_MATCH, MOST_MISSES, Draft, Lookup

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


def passes(draft: Draft, answer: list[int], count: int) -> int:
    """Passes until an answer is written: in each what was guessed rightly, and one token more."""
    written: list[int] = []
    number = 0
    while len(written) < len(answer):
        number += 1
        guessed = list(draft.guess(written[-LONGEST_MATCH:], count))
        right = 0
        while right < len(guessed) and answer[len(written) + right : len(written) + right + 1] == [
            guessed[right]
        ]:
            right += 1
        for token in answer[len(written) : len(written) + right + 1]:
            written.append(token)
            draft.follow(token)
    return number


@given(TOKENS, TOKENS, st.integers(0, 8))
def test_a_draft_changes_no_answer_and_never_makes_it_longer(
    drafted: list[int], answer: list[int], count: int
) -> None:
    assert passes(Draft(drafted), answer, count) <= len(answer)


@given(TOKENS, st.integers(1, 8))
def test_a_true_draft_is_read_off(answer: list[int], count: int) -> None:
    assert passes(Draft(answer), answer, count) == -(-len(answer) // (count + 1))


def test_a_draft_is_taken_up_again_behind_what_it_did_not_know() -> None:
    # 7 8 9 opens an entity, 6 ends one.
    first, second, unknown = [7, 8, 9, 1, 1, 6], [7, 8, 9, 2, 2, 6], [7, 8, 9, 3, 3, 6]
    answer = [*first, *unknown, *second]
    assert passes(Draft([*first, *second]), answer, 8) < passes(Draft(first), answer, 8)


def test_an_entity_that_never_comes_is_given_up() -> None:
    first, wrong, second = [7, 8, 9, 1, 1, 6], [7, 8, 9, 5, 5, 6], [7, 8, 9, 2, 2, 6]
    draft = Draft([*wrong, *second])
    written: list[int] = []
    for _ in range(MOST_MISSES):
        for token in first:
            draft.guess(written[-LONGEST_MATCH:], 4)
            draft.follow(token)
            written.append(token)
    assert list(draft.guess([7, 8, 9], 2)) == [2, 2]
