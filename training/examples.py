"""From the rows of a data folder to token ids with labels."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from configs.errors import StageError
from configs.stage import file_hash, read_manifest
from data_pipeline.shards import read_split, split_files
from pii.codec import Message, Tokenizer, encode
from pii.errors import DataError
from pii.spans import Document, Span
from pii.taxonomy import shipped
from training.recipe import LossWeights
from training.roles import token_weights

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation")
"""What training reads of a data folder."""
NOT_TRAINED = -100
"""The label of a token that has no loss, as PyTorch's cross entropy has it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rendered example as the data folder holds it; `spans` is None for general chat."""

    id: str
    source: str
    messages: tuple[Message, ...] = field(repr=False)
    types: tuple[str, ...] | None
    spans: tuple[Span, ...] | None = field(repr=False)

    @property
    def text(self) -> str:
        """What the user says: for a labelled row, the text in which its spans lie."""
        return next(message["content"] for message in self.messages if message["role"] == "user")


class Example(TypedDict):
    """One example for the trainer. ``labels`` are `NOT_TRAINED` outside the assistant's turns.

    ``weights``, where there are any, are those of the tokens in the loss (`training.roles`).
    A pair (`training.pairs`) has a wrong answer to the same prompt beside the right one.
    """

    id: str
    source: str
    input_ids: list[int]
    labels: list[int]
    weights: NotRequired[list[float]]
    wrong_ids: NotRequired[list[int]]
    wrong_labels: NotRequired[list[int]]


def num_tokens(example: Example) -> int:
    """Tokens that an example takes in a batch: those of its row, or of a pair's two, of one width."""
    size = len(example["input_ids"])
    return 2 * max(size, len(example["wrong_ids"])) if "wrong_ids" in example else size


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An example that is longer than the context."""

    id: str
    source: str
    num_tokens: int


class DataFolder:
    """A finished data folder.

    Raises StageError: the folder is missing or cut off, or lacks what training needs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = read_manifest(folder)
        for split in SPLITS:
            if not split_files(folder, split):
                raise StageError(f"{folder / split}.jsonl: missing, and no shards; run `pii data` again")

    @property
    def identity(self) -> str:
        """What the data stage calls this very data set."""
        return str(self.manifest.get("identity", ""))

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Content hash of each file that training reads."""
        files = (path for split in SPLITS for path in split_files(self.folder, split))
        return {path.name: file_hash(path) for path in files}

    def setting(self, name: str, default: Any = None) -> Any:
        """One field of the data stage's recipe. Raises StageError where it is missing without a default."""
        value = self.manifest.get("config", {}).get(name, default)
        if value is None:
            raise StageError(f"{self.folder}: its manifest says no {name}; run `pii data` again")
        return value

    @property
    def sources(self) -> dict[str, Any]:
        """What the manifest says of each source and chat: licence, state, counts."""
        chats = {f"chat.{name}": facts for name, facts in self.manifest.get("chat", {}).items()}
        return {**self.manifest.get("sources", {}), **chats}

    def rows(self, split: str) -> list[Row]:
        """The rows of a split. Raises DataError with file and line at an unreadable one, or if empty."""
        rows = list(self.stream(split))
        if not rows:
            raise DataError(
                f"{self.folder}: no examples in {split}; look at refused.jsonl and the counts beside it"
            )
        return rows

    def stream(self, split: str) -> Iterator[Row]:
        """The rows of a split one by one, from JSON lines, Parquet or shards of either."""
        for place, values in read_split(self.folder, split):
            try:
                yield _row(values)
            except (ValueError, KeyError, TypeError, AttributeError):
                # The parser's own message may quote the line.
                raise DataError(f"{place}: not a rendered example; run `pii data` again") from None


def _row(values: dict[str, Any]) -> Row:
    messages = tuple(Message(role=str(m["role"]), content=str(m["content"])) for m in values["messages"])
    if not any(message["role"] == "assistant" for message in messages):
        raise ValueError
    name, source = str(values["id"]), str(values["source"])
    if "text" not in values:
        return Row(name, source, messages, None, None)
    document = Document.from_row(values)
    return Row(name, source, messages, document.types or shipped().default_types, document.spans)


def entity_types(rows: Sequence[Row]) -> tuple[str, ...]:
    """The types that were labelled in any row, in taxonomy order."""
    labelled = {name for row in rows for name in row.types or ()}
    known = [entity_type.name for entity_type in shipped()]
    return (*(name for name in known if name in labelled), *sorted(labelled.difference(known)))


class RememberingTokenizer:
    """Calls the tokenizer once for each of the few control texts that stand in every example."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, Any] = {}

    def __call__(self, text: str, *, add_special_tokens: bool, split_special_tokens: bool) -> Any:
        """As the tokenizer does."""

        def call() -> Any:
            return self._tokenizer(
                text, add_special_tokens=add_special_tokens, split_special_tokens=split_special_tokens
            )

        if split_special_tokens:  # content, not control
            return call()
        if text not in self._known:
            self._known[text] = call()
        return self._known[text]


def encode_rows(
    rows: Sequence[Row], tokenizer: Tokenizer, context_tokens: int, weights: LossWeights | None = None
) -> tuple[list[Example], list[LeftOut]]:
    """Tokenise rows; those longer than the context are left out whole and named, never cut.

    With `weights` the tokens are weighed by their role, and the weights scaled so that the mean trained
    token counts 1: the size of the loss, and with it the rate that suits, stays what it is without them.
    """
    remembering = RememberingTokenizer(tokenizer)
    examples: list[Example] = []
    left_out: list[LeftOut] = []
    for row in rows:
        ids, is_answer = encode(remembering, row.messages, answer_next=False)
        if len(ids) > context_tokens:
            left_out.append(LeftOut(row.id, row.source, len(ids)))
            continue
        labels = [token if answer else NOT_TRAINED for token, answer in zip(ids, is_answer, strict=True)]
        example = Example(id=row.id, source=row.source, input_ids=ids, labels=labels)
        if weights is not None:
            example["weights"] = _weights(row, is_answer, tokenizer, weights)
        examples.append(example)
    if left_out:
        logger.warning("%d examples are longer than %d tokens and left out", len(left_out), context_tokens)
    if weights is not None:
        _scale(examples)
    return examples, left_out


def _weights(row: Row, is_answer: Sequence[bool], tokenizer: Tokenizer, weights: LossWeights) -> list[float]:
    """The weight of each token of a row; general chat, which has no roles, counts 1."""
    if row.spans is None:
        return [float(answer) for answer in is_answer]
    # One answer, and behind it the end of its turn.
    given = [*token_weights(row.messages[-1]["content"], tokenizer, weights), weights.structure]
    weighed = iter(given)
    made = [next(weighed) if answer else 0.0 for answer in is_answer]
    assert sum(is_answer) == len(given), "an extraction example has one answer, its last turn"
    return made


def _scale(examples: Sequence[Example]) -> None:
    trained = sum(label != NOT_TRAINED for example in examples for label in example["labels"])
    factor = trained / max(1e-9, sum(sum(example["weights"]) for example in examples))
    for example in examples:
        example["weights"] = [weight * factor for weight in example["weights"]]


def count_by_source(examples: Sequence[Example]) -> dict[str, int]:
    """Number of examples of each source, by name."""
    return dict(sorted(Counter(example["source"] for example in examples).items()))
