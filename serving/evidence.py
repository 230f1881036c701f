"""How sure the model was of each entity that it wrote: from log-probabilities of tokens to those of mentions.

    {"entities":[{"type":"PERSON_NAME","value":"张三"},{"type":...
    └── opening ────────┘└── type ────────────┘└value┘└ opening of the next ...

A token belongs to the part in which its first byte stands, so that each is counted once. The value has its
closing quote with it: that is where the model decides that the value ends.
"""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from typing import Any

from pii import codec
from serving.engines.protocol import Generation

LEAST_LOGPROB = -10.0
"""Log-probabilities count down to here: one token that came as a surprise has to stay comparable."""


@dataclass(frozen=True, slots=True)
class TokenEvidence:
    """Natural log-probabilities of the tokens that wrote one mention; all of them 0 or less.

    Attributes:
        opening: sum over what stands before the type's name: the decision that there is a further entity.
        type: sum over the type's name and the fixed text behind it.
        value: sum over the value with its closing quote.
        lowest: the least sure token of the value.
        num_value_tokens: how many tokens the value has.
    """

    opening: float
    type: float
    value: float
    lowest: float
    num_value_tokens: int

    @property
    def total(self) -> float:
        """The log-probability of the whole mention, given what was written before it."""
        return self.opening + self.type + self.value


class TokenLengths:
    """How many bytes of the answer each token stands for, in a byte-level vocabulary such as Qwen2's.

    Args:
        tokenizer: a Hugging Face tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._added = {
            token_id: len(token.content.encode())
            for token_id, token in tokenizer.added_tokens_decoder.items()
        }

    def __call__(self, token_ids: tuple[int, ...]) -> tuple[int, ...]:
        """Bytes of each token. A byte-level token is written with one character for each byte."""
        pieces = self._tokenizer.convert_ids_to_tokens(list(token_ids))
        return tuple(
            self._added.get(token_id, len(piece or ""))
            for token_id, piece in zip(token_ids, pieces, strict=True)
        )


def read(
    generation: Generation, num_bytes: tuple[int, ...], num_mentions: int
) -> tuple[TokenEvidence | None, ...]:
    """Evidence for each mention of an answer; None for all where tokens and text cannot be aligned.

    Args:
        generation: the answer, its tokens and their log-probabilities.
        num_bytes: bytes of each token.
        num_mentions: how many mentions `codec.parse` reads in the answer.
    """
    places = codec.places(generation.text)
    if len(places) != num_mentions or not _fits(generation.text, sum(num_bytes)):
        return (None,) * num_mentions
    # Token i begins at starts[i]; text positions become bytes, in which tokens are counted.
    starts = list(itertools.accumulate(num_bytes, initial=0))[:-1]
    begins = list(itertools.accumulate((len(char.encode()) for char in generation.text), initial=0))
    found: list[TokenEvidence | None] = []
    done = 0
    for place in places:
        cuts = [begins[at] for at in (done, place.type_start, place.value_start, place.value_end + 1)]
        found.append(_evidence(generation.token_logprobs, [bisect.bisect_left(starts, cut) for cut in cuts]))
        done = place.value_end + 1
    return tuple(found)


def _evidence(logprobs: tuple[float, ...], tokens: list[int]) -> TokenEvidence:
    opening, kind, value, end = tokens
    of_value = logprobs[value:end]
    return TokenEvidence(
        opening=sum(logprobs[opening:kind]),
        type=sum(logprobs[kind:value]),
        value=sum(of_value),
        lowest=min(of_value, default=0.0),
        num_value_tokens=len(of_value),
    )


def _fits(text: str, num_bytes: int) -> bool:
    """Whether the tokens' bytes are those of the text, but for a character that the budget cut in two."""
    whole = len(text.encode())
    return whole == num_bytes or 0 < num_bytes - len(text.rstrip("\N{REPLACEMENT CHARACTER}").encode()) < 4
