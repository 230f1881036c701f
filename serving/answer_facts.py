"""What an answer of a model was like: facts for reports, never its text."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from pii.codec import Answer

LOOP_REPEATS, LOOP_CHARS = 4, 32
"""An answer loops where its end is one piece of text this often, over this many characters in all: four equal
digits at the end of a number are no loop."""


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """What one answer was like.

    Attributes:
        valid_json: the whole answer is one JSON value.
        valid_schema: it has the format's schema.
        problem: see `codec.Answer.problem`; ``no_room`` where the prompt left no room for an answer.
        num_tokens: tokens written.
        asked_again: the budget ended the answer, so the window was split and this answer not used.
        num_prompt_tokens: tokens of the prompt, text included.
        num_values: values that could be read.
        num_out_of_order: values that would have to move for all to stand in order of appearance.
        is_loop: the budget ended it while it wrote the same piece again and again.
        num_wrong_offsets: placed values that the answer claims to stand elsewhere; 0 where it claims nothing.
    """

    valid_json: bool
    valid_schema: bool
    problem: str
    num_tokens: int
    asked_again: bool = False
    num_prompt_tokens: int = 0
    num_values: int = 0
    num_out_of_order: int = 0
    is_loop: bool = False
    num_wrong_offsets: int = 0


def facts_of(
    answer: Answer,
    written: str,
    order: Sequence[int],
    *,
    num_tokens: int,
    num_prompt_tokens: int,
    is_cut: bool,
    num_wrong_offsets: int = 0,
) -> AnswerFacts:
    """The facts of an answer.

    Args:
        answer: what `codec.parse` read.
        written: the answer itself.
        order: for each placed value, from left to right in the text, its number in the answer
            (`grounding.Grounding.mentions`).
        num_tokens: tokens written.
        num_prompt_tokens: tokens of the prompt.
        is_cut: whether the budget ended it.
        num_wrong_offsets: see `AnswerFacts`.
    """
    return AnswerFacts(
        valid_json=answer.valid_json,
        valid_schema=answer.valid_schema,
        problem=answer.problem,
        num_tokens=num_tokens,
        num_prompt_tokens=num_prompt_tokens,
        num_values=len(answer.mentions),
        num_out_of_order=len(order) - _longest_rise(order),
        is_loop=is_cut and ends_in_a_loop(written),
        num_wrong_offsets=num_wrong_offsets,
    )


def _longest_rise(numbers: Sequence[int]) -> int:
    """Length of the longest rising subsequence (patience sorting)."""
    tails: list[int] = []
    for number in numbers:
        place = bisect.bisect_left(tails, number)
        tails[place : place + 1] = [number]
    return len(tails)


def ends_in_a_loop(written: str) -> bool:
    """Whether the end of a text is one piece, over and over; see `LOOP_REPEATS`."""
    for period in range(1, len(written) // LOOP_REPEATS + 1):
        repeats = max(LOOP_REPEATS, -(-LOOP_CHARS // period))
        if repeats * period > len(written):
            continue
        if written.endswith(written[-period:] * repeats):
            return True
    return False
