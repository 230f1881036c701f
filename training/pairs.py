"""Pairs of a right and a wrong answer to one prompt: the folder that ``pii data pairs`` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from configs.stage import file_hash, read_manifest
from pii.codec import Message, Tokenizer
from pii.errors import DataError
from training.examples import Example, LeftOut, Row, encode_rows

FILE = "pairs.jsonl"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to the prompt of a training row.

    Attributes:
        id: of the row.
        source: of the row.
        messages: the prompt's turns.
        right: the gold answer.
        wrong: a model's own answer, which ended and is another one.
    """

    id: str
    source: str
    messages: tuple[Message, ...] = field(repr=False)
    right: str = field(repr=False)
    wrong: str = field(repr=False)

    def row(self, answer: str) -> Row:
        """The row of training that has this answer."""
        turn = Message(role="assistant", content=answer)
        return Row(self.id, self.source, (*self.messages, turn), None, None)


def content_hash(folder: Path) -> str:
    """Hash of a finished folder of pairs. Raises StageError: it is missing or was cut off."""
    read_manifest(folder)
    return file_hash(folder / FILE)


def read(folder: Path) -> list[Pair]:
    """The pairs of a finished folder.

    Raises DataError with file and line at one that cannot be read, or where there are none.
    """
    read_manifest(folder)
    pairs = []
    with (folder / FILE).open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                values = json.loads(line)
                messages = tuple(Message(role=m["role"], content=m["content"]) for m in values["messages"])
                pairs.append(Pair(values["id"], values["source"], messages, values["right"], values["wrong"]))
            except (ValueError, KeyError, TypeError):
                raise DataError(f"{folder / FILE}:{number}: not a pair; run `pii data pairs` again") from None
    if not pairs:
        raise DataError(f"{folder / FILE}: no pairs; the model made no mistake that ended, ask it more rows")
    return pairs


def encode(
    pairs: Sequence[Pair], tokenizer: Tokenizer, context_tokens: int
) -> tuple[list[Example], list[LeftOut]]:
    """Tokenise pairs; one of which either answer does not fit into the context is left out whole."""
    right, too_long = encode_rows([pair.row(pair.right) for pair in pairs], tokenizer, context_tokens)
    wrong, too_long_wrong = encode_rows([pair.row(pair.wrong) for pair in pairs], tokenizer, context_tokens)
    wrong_by_id = {example["id"]: example for example in wrong}
    examples: list[Example] = [
        {**example, "wrong_ids": other["input_ids"], "wrong_labels": other["labels"]}
        for example in right
        if (other := wrong_by_id.get(example["id"]))
    ]
    named = {one.id for one in too_long}
    return examples, [*too_long, *(one for one in too_long_wrong if one.id not in named)]
