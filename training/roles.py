"""Which part each token of an answer plays, and how much its loss counts.

``{"entities":[{"type":"PERSON_NAME","value":"张三"}]}`` is mostly structure, which a model writes without a
fault after a few steps. An error in a value is what a user sees; weights let its tokens count for more.
"""

from __future__ import annotations

from typing import Any

from pii import codec
from training.recipe import LossWeights


def token_weights(answer: str, tokenizer: Any, weights: LossWeights) -> list[float]:
    """The weight of each token of an answer; a token that touches a value or a type is weighed as such.

    Args:
        answer: an answer in the format of `pii.codec`.
        tokenizer: a fast tokenizer, which knows the characters of its tokens.
        weights: what the roles count.
    """
    chars = [weights.structure] * len(answer)
    for place in codec.places(answer):
        chars[place.type_start : place.type_end] = [weights.type] * (place.type_end - place.type_start)
        chars[place.value_start : place.value_end] = [weights.value] * (place.value_end - place.value_start)
    read = tokenizer(answer, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    inside = (chars[start:end] for start, end in read["offset_mapping"])
    return [
        next((weight for weight in held if weight != weights.structure), weights.structure) for held in inside
    ]
