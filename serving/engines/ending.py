"""The tokens that end an answer's list: where a bias makes a model look further, or stop earlier.

A model that was fine-tuned for the format decides for or against a further entity at one token, ``]`` or one
that has it among other signs of the format (``"}]}``). Taking something off its logit there is a dial that
really finds more: a threshold can only choose among what was written.
"""

from __future__ import annotations

from typing import Any

_SIGNS = frozenset('"}]:[{')


def ending_ids(tokenizer: Any) -> tuple[int, ...]:
    """Ids of the tokens that hold ``]`` and nothing but signs of the format.

    A value may hold such signs too: there the bias counts as well, which for values such as ``[1]`` costs
    little.

    Args:
        tokenizer: a Hugging Face tokenizer with a byte-level vocabulary, which writes these signs as
        themselves.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return tuple(sorted(at for token, at in vocabulary.items() if "]" in token and _SIGNS.issuperset(token)))
