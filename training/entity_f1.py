"""Entity F1 in the loop: the model answers validation examples, and code places and compares the spans.

Prompt, reading and grounding are those that serve (`pii.codec`, `pii.grounding`). The answers are written
freely, without the grammar: what the grammar adds is measured by `pii eval`.
"""

# ruff: noqa: TID253 - imported by the trainer alone, which is itself imported inside functions.

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from pii.codec import encode, parse
from pii.grounding import ground
from pii.spans import Span
from training.examples import Row

_BATCH = 32
_SPARE_TOKENS = 16
"""How much longer than the gold answer an answer may grow before it is stopped."""


def measure(model: Any, tokenizer: Any, rows: Sequence[Row]) -> dict[str, float]:
    """Strict span F1 of greedy answers: ``f1``, by source ``f1_…``, by type ``f1_type_…``, ``valid_json``.

    A span counts when start, end and type are right. The model's mode is left as it was.

    Args:
        model: a causal language model, perhaps with adapters.
        tokenizer: its tokenizer.
        rows: labelled rows; general chat is passed over.
    """
    labelled = [row for row in rows if row.spans is not None]
    counts: dict[str, Counter[str]] = {}
    num_valid = 0
    for row, answer in zip(labelled, _answers(model, tokenizer, labelled), strict=True):
        read = parse(answer)
        num_valid += read.valid_schema
        found = set(ground(_text(row), read.mentions).spans)
        _count(counts, row.source, set(row.spans or ()), found)
    scores = {name: _f1(counter) for name, counter in sorted(counts.items())}
    return {"f1": scores.pop("f1", 0.0), **scores, "valid_json": num_valid / max(1, len(labelled))}


def _text(row: Row) -> str:
    return next(m["content"] for m in row.messages if m["role"] == "user")


def _count(counts: dict[str, Counter[str]], source: str, gold: set[Span], found: set[Span]) -> None:
    def add(name: str, spans: Iterable[Span], what: str) -> None:
        counts.setdefault(name, Counter())[what] += len(list(spans))

    for what, spans in (("right", gold & found), ("gold", gold), ("found", found)):
        add("f1", spans, what)
        add(f"f1_{source}", spans, what)
        for kind in {span.type for span in spans}:
            add(f"f1_type_{kind}", (span for span in spans if span.type == kind), what)


def _f1(counter: Counter[str]) -> float:
    both = counter["gold"] + counter["found"]
    # Nothing to find and nothing found is a perfect answer.
    return 2 * counter["right"] / both if both else 1.0


def _answers(model: Any, tokenizer: Any, rows: Sequence[Row]) -> Iterator[str]:
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(rows), _BATCH):
            yield from _generate(model, tokenizer, rows[start : start + _BATCH])
    finally:
        model.train(was_training)


def _generate(model: Any, tokenizer: Any, rows: Sequence[Row]) -> list[str]:
    """Greedy answers of one batch, padded on the left."""
    prompts = [encode(tokenizer, row.messages[:-1], answer_next=True)[0] for row in rows]
    golds = [tokenizer(row.messages[-1]["content"], add_special_tokens=False)["input_ids"] for row in rows]
    longest = max(map(len, prompts))
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for index, prompt in enumerate(prompts):
        ids[index, longest - len(prompt) :] = torch.tensor(prompt)
        mask[index, longest - len(prompt) :] = 1
    with torch.no_grad():
        written = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=max(map(len, golds)) + _SPARE_TOKENS,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    return [tokenizer.decode(answer[longest:], skip_special_tokens=True) for answer in written]
