"""What a model in training answers: prompts as serving writes them, free text, no grammar."""

# ruff: noqa: TID253 - imported by the trainers alone, which are themselves imported inside functions.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from pii.codec import encode
from training.examples import Row

_BATCH = 32
_SPARE_TOKENS = 16
"""How much longer than the gold answer an answer may grow before it is stopped."""


@dataclass(frozen=True, slots=True)
class Written:
    """One answer.

    Attributes:
        text: as it was written, without its end-of-turn token.
        ended: the model ended its turn; False where the budget did.
    """

    text: str = field(repr=False)
    ended: bool


def answers(
    model: Any, tokenizer: Any, rows: Sequence[Row], *, samples: int = 1, temperature: float = 0.0
) -> Iterator[list[Written]]:
    """Answers to the rows' prompts, in their order; the model's mode is left as it was.

    Args:
        model: a causal language model, perhaps with adapters.
        tokenizer: its tokenizer.
        rows: rows whose last message is the gold answer, which bounds the length.
        samples: answers to each prompt.
        temperature: of the sampling; 0 takes the likeliest token every time.
    """
    was_training = model.training
    model.eval()
    try:
        size = max(1, _BATCH // samples)
        for start in range(0, len(rows), size):
            written = _generate(model, tokenizer, rows[start : start + size], samples, temperature)
            for place in range(0, len(written), samples):
                yield written[place : place + samples]
    finally:
        model.train(was_training)


def budget(tokenizer: Any, rows: Sequence[Row]) -> int:
    """Most tokens that an answer to any of the rows may take."""
    golds = (tokenizer(row.messages[-1]["content"], add_special_tokens=False)["input_ids"] for row in rows)
    return max(map(len, golds)) + _SPARE_TOKENS


def prompt_ids(tokenizer: Any, row: Row) -> list[int]:
    """The tokens of a row's prompt, as serving sends them."""
    return encode(tokenizer, row.messages[:-1], answer_next=True)[0]


def _generate(
    model: Any, tokenizer: Any, rows: Sequence[Row], samples: int, temperature: float
) -> list[Written]:
    """Answers of one batch, padded on the left."""
    prompts = [prompt_ids(tokenizer, row) for row in rows]
    longest = max(map(len, prompts))
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for index, prompt in enumerate(prompts):
        ids[index, longest - len(prompt) :] = torch.tensor(prompt)
        mask[index, longest - len(prompt) :] = 1
    how: dict[str, Any] = {"do_sample": False}
    if temperature:
        how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    with torch.no_grad():
        written = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=budget(tokenizer, rows),
            num_return_sequences=samples,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **how,
        )
    return [
        Written(
            tokenizer.decode(answer[longest:], skip_special_tokens=True),
            tokenizer.eos_token_id in answer[longest:],
        )
        for answer in written
    ]
