"""The matcher of answers against llguidance, which reads the same grammar as Lark: one allows what the other
does, at every place of any answer."""

import unicodedata
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from transformers import AutoTokenizer

from pii import codec
from pii.codec import AnswerStyle, Grammar
from pii.spans import Document
from pii.taxonomy import shipped
from serving.engines.answer_matcher import AnswerMatcher, Shapes
from serving.engines.token_table import TokenTable
from tests.strategies import PIECES, TYPES, documents, texts

MODEL = Path("models/mini")
STYLES: tuple[AnswerStyle, ...] = ("value", "with_offsets", "grouped")
styles = st.sampled_from(STYLES)
NAMES = tuple(kind.name for kind in shipped())
selections = st.sampled_from([TYPES, TYPES[:1], shipped().default_types, NAMES])


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(MODEL)


@cache
def guidance() -> LLTokenizer:
    return from_tokenizer(tokenizer(), eos_token=tokenizer().convert_tokens_to_ids(codec.TURN_END))


@cache
def shapes() -> Shapes:
    return Shapes(guidance())


def first_letters(token: int) -> list[int]:
    """The first byte of a token by itself."""
    return guidance().tokenize_bytes(guidance().decode_bytes([token])[:1])


class Both:
    """Our matcher and llguidance's, moved together; whatever is asked of them they have to agree upon."""

    def __init__(self, grammar: Grammar) -> None:
        self.ours = shapes().matcher(grammar)
        self.theirs = LLMatcher(guidance(), grammar.lark())
        assert not self.theirs.is_error()

    def allowed(self) -> list[int]:
        bits = np.frombuffer(self.theirs.compute_bitmask(), np.uint8)
        theirs = np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist()
        ours = self.ours.allowed().tolist()
        assert ours == theirs
        return ours

    def follow(self, token: int) -> bool:
        taken = self.ours.follow(token)
        assert taken == (self.theirs.try_consume_tokens([token]) == 1)
        assert self.ours.is_ended == self.theirs.is_stopped()
        return taken


@settings(max_examples=60, deadline=None)
@given(texts.filter(bool), selections, styles, st.randoms(use_true_random=False))
@example('"],"', TYPES, "grouped", Random(1))
@example(',":0', TYPES, "value", Random(2))
@example('\\\\"\\u0041\n\x00', TYPES, "with_offsets", Random(3))
def test_any_walk_is_allowed_by_both(
    text: str, types: tuple[str, ...], style: AnswerStyle, rng: Random
) -> None:
    both = Both(Grammar(text, types, style))
    for _ in range(40):
        if both.ours.is_ended:
            return
        allowed = both.allowed()
        chosen = rng.choice(allowed)
        # What is refused changes nothing. Where one text alone can follow, other tokens for it are taken.
        stray = rng.choice([rng.randrange(guidance().vocab_size), *first_letters(chosen)])
        if stray in allowed or not both.follow(stray):
            assert both.follow(chosen)


@settings(max_examples=60, deadline=None)
@given(documents(texts.filter(bool)), styles)
def test_every_right_answer_is_followed_by_both(document: Document, style: AnswerStyle) -> None:
    # Tokenizers write some texts otherwise (NFC); a right answer is then not a piece of this one.
    assume(unicodedata.is_normalized("NFC", document.text))
    both = Both(Grammar(document.text, TYPES, style))
    for token in codec.answer_ids(tokenizer(), codec.render(document.text, document.spans, style)):
        assert token in both.allowed()
        assert both.follow(token)
    assert both.ours.is_ended


def test_a_long_hostile_window_is_the_same_too() -> None:
    text = "".join(PIECES) * 12
    both = Both(Grammar(text, TYPES))
    answer = f'{{"entities":[{{"type":"{TYPES[0]}","value":"'
    for token in codec.answer_ids(tokenizer(), answer):
        assert both.follow(token)
    for _ in range(60):
        allowed = both.allowed()
        assert both.follow(allowed[len(allowed) // 2])


def test_where_there_is_nothing_to_copy_no_entity_is_begun() -> None:
    matcher = shapes().matcher(Grammar("", TYPES))
    for token in codec.answer_ids(tokenizer(), '{"entities":['):
        assert matcher.follow(token)
    spelled = {tokenizer().decode([token]) for token in matcher.allowed()}
    assert spelled == {"]}"}


@pytest.mark.parametrize("style", STYLES)
def test_a_value_that_the_text_does_not_hold_is_refused(style: AnswerStyle) -> None:
    def follows(value: str) -> bool:
        matcher: AnswerMatcher = shapes().matcher(Grammar("张三 b", TYPES, style))
        opening = (
            '{"PERSON_NAME":["' if style == "grouped" else '{"entities":[{"type":"PERSON_NAME","value":"'
        )
        ids = codec.answer_ids(tokenizer(), opening) + codec.answer_ids(tokenizer(), value)
        return all(matcher.follow(token) for token in ids)

    assert [follows(value) for value in ("张三", "三 b")] == [True, True]
    assert [follows(value) for value in ("张 三", "李", '"')] == [False, False, False]


@given(st.lists(st.binary(min_size=1, max_size=4), max_size=30), st.binary(max_size=8), st.integers(0, 8))
def test_the_prefixes_of_what_follows_are_all_found(tokens: list[bytes], following: bytes, at: int) -> None:
    table = TokenTable([(spelled, number) for number, spelled in enumerate(tokens)])
    expected = [number for number, spelled in enumerate(tokens) if following[at:].startswith(spelled)]
    assert sorted(table.prefixes(following, at)) == expected
