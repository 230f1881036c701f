"""Entity F1 in the loop: the model answers validation examples, and code places and compares the spans.

Prompt, reading and grounding are those that serve (`pii.codec`, `pii.grounding`). The answers are written
freely, without the grammar: what the grammar adds is measured by `pii eval`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pii.codec import parse
from pii.grounding import ground
from pii.spans import Span
from training.answering import answers
from training.examples import Row


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
    for row, (answer,) in zip(labelled, answers(model, tokenizer, labelled), strict=True):
        read = parse(answer.text)
        num_valid += read.valid_schema
        found = set(ground(row.text, read.mentions).spans)
        _count(counts, row.source, set(row.spans or ()), found)
    scores = {name: _f1(counter) for name, counter in sorted(counts.items())}
    return {"f1": scores.pop("f1", 0.0), **scores, "valid_json": num_valid / max(1, len(labelled))}


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
