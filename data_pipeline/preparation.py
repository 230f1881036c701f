"""What runs in the worker processes: documents to finished lines, with everything that decides on them.

A process is set up once with the recipe and with what training must not hold; then every task is a pure
function of its argument.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from data_pipeline import chat, dedup, rendering
from data_pipeline.casting import PEOPLE_KNOWN
from data_pipeline.inputs import is_own, read_conversations
from data_pipeline.recipe import DataConfig
from data_pipeline.rewording import Rewording
from data_pipeline.splits import Split, content_key, synthetic_split
from data_pipeline.synthesis import Synthesiser
from data_pipeline.unlabelled import unlabelled
from pii.errors import DataError
from pii.spans import Document


@dataclass(frozen=True, slots=True)
class Facts:
    """What the data card counts of one example; nothing of its text."""

    language: str
    types: tuple[str, ...]
    num_chars: int
    asks: str
    form: str
    carrier: str
    domain: str
    form_types: tuple[str, ...] = ()
    """Types of the values that are written in the form."""


@dataclass(frozen=True, slots=True)
class Example:
    """One line of a split and what is counted of it."""

    line: str = field(repr=False)
    facts: Facts


@dataclass(frozen=True, slots=True)
class Prepared:
    """One document on its way into training.

    Attributes:
        id: the document's id.
        examples: its windows that can be learned from.
        refused: reason of each window, or of the whole document, that cannot.
        bands: of the whole text, for near-duplicates; none where the document is refused.
    """

    id: str
    examples: tuple[Example, ...]
    refused: tuple[str, ...]
    bands: tuple[int, ...] = field(repr=False, default=())


_MOST_ROWS = 2000
"""Conversations of each source that words are taken from: enough words, and each process reads them."""


class Preparer:
    """The set-up of one process."""

    def __init__(self, config: DataConfig, held_out: dedup.HeldOut) -> None:
        self.config, self._held_out = config, held_out
        self.synthesiser = Synthesiser(config.synthetic.synthesis, config.seed)

    @functools.cached_property
    def _reword(self) -> Rewording:
        """Read at the first document that is reworded: what holds out never does."""
        rows = read_conversations(self.config, _MOST_ROWS)
        return Rewording(m["content"] for row in rows for m in row.messages)

    def split_of(self, document: Document) -> Split:
        """The split of a synthetic document."""
        return synthetic_split(document, self.config.seed, self.config.synthetic.held_out_families)

    def reworded(self, document: Document) -> Document:
        """A synthetic document for training, in some cases with other words between its entities."""
        rng = random.Random(content_key(self.config.seed, f"reworded:{document.id}"))
        return self._reword(document, rng) if rng.random() < self.config.synthetic.reworded else document

    def prepared(self, document: Document) -> Prepared:
        """A document for training: tested for leaks, cut, rendered and proven."""
        config = self.config
        if leak := self._held_out.leak(document):
            return Prepared(document.id, (), (leak,))
        rng = random.Random(content_key(config.seed, f"request:{document.id}"))
        request = rendering.draw_request(
            document, rng, subset_share=config.subset_share, optional_share=config.optional_share
        )
        asked = rendering.asked_for(document, request)
        examples, refused = windows(asked, config)
        rules = config.decontamination
        bands = dedup.bands(document.text, rules.near_duplicate, rules.permutations)
        return Prepared(document.id, tuple(examples), tuple(refused), bands)


def windows(document: Document, config: DataConfig) -> tuple[list[Example], list[str]]:
    """The provable windows of a document as examples, and a reason for every other one."""
    examples, refused = [], []
    for piece in rendering.cut(document, config.window_chars, config.window_margin):
        if rendering.is_provable(piece, config.answer_style):
            line = json.dumps(rendering.example_row(piece, config.answer_style), ensure_ascii=False)
            examples.append(Example(line, facts_of(piece)))
        else:
            refused.append("ambiguous")
    return examples, refused


def facts_of(document: Document) -> Facts:
    """What is counted of a document that is written."""
    meta, types = document.meta, tuple(span.type for span in document.spans)
    return Facts(
        language=document.language,
        types=types,
        num_chars=len(document.text),
        asks="default" if document.types is None else f"{len(document.types)} types",
        form=str(meta.get("form", "")),
        carrier=str(meta.get("carrier", "")),
        domain=str(meta.get("domain", "")),
        form_types=tuple(name for name in meta.get("form_types", ()) if name in types),
    )


_preparer: Preparer


def initialise(config: DataConfig, held_out: dedup.HeldOut) -> None:
    """Set this process up; every function below needs it."""
    global _preparer
    _preparer = Preparer(config, held_out)


def prepare_lines(lines: Sequence[bytes]) -> list[Prepared]:
    """Documents of a pool, for training."""
    return [_preparer.prepared(Document.from_row(json.loads(line))) for line in lines]


def prepare_chat(lines: Sequence[bytes]) -> list[Prepared]:
    """Conversations of a pool, for training; one whose answers hold personal information is refused."""
    return [_prepared_chat(json.loads(line)) for line in lines]


def _prepared_chat(row: dict[str, Any]) -> Prepared:
    if chat.answers_hold_pii(row["messages"]):
        return Prepared(row["id"], (), ("pii_in_answer",))
    num_chars = sum(len(message["content"]) for message in row["messages"])
    facts = Facts(row["language"], (), num_chars, "chat", "", "", "")
    return Prepared(row["id"], (Example(json.dumps(row, ensure_ascii=False), facts),), ())


def prepare_inserted(sentences: Sequence[tuple[int, bytes]]) -> list[Prepared]:
    """Real sentences of pools, each with a number, with synthetic values in them.

    A sentence in which no clause fits gives nothing: it is left where it comes from.
    """
    prepared = []
    for number, line in sentences:
        sentence = _sentence(json.loads(line), number)
        made = _preparer.synthesiser.insert_into(sentence, number)
        if made.text == sentence.text:
            continue
        prepared.append(_checked(replace(made, id=f"inserted/{made.id}", source="inserted")))
    return prepared


def _checked(document: Document) -> Prepared:
    """A document that holds words of others: with a value in them it is refused, not taught in our name."""
    if unlabelled(document):
        return Prepared(document.id, (), ("unlabelled_value",))
    return _preparer.prepared(document)


def _sentence(row: dict[str, Any], number: int) -> Document:
    """A labelled document as it is; of a conversation one of its turns, in which nothing is labelled."""
    if "messages" not in row:
        return Document.from_row(row)
    said = row["messages"][number % len(row["messages"])]["content"]
    known = {PEOPLE_KNOWN: is_own(_preparer.config.chat.sources[row["source"].removeprefix("chat.")])}
    return Document(said, (), row["id"], row["source"], row["language"], types=(), meta=known)


def prepare_synthetic(indices: range) -> list[Prepared]:
    """Synthetic documents of these indices that belong to training."""
    return [
        _checked(_preparer.reworded(_scanned(document)))
        for document in _synthetic(indices)
        if _preparer.split_of(document) == "train"
    ]


def prepare_written(lines: Sequence[bytes]) -> list[Prepared]:
    """Synthetic documents of a pool, for training."""
    return [_checked(_preparer.reworded(Document.from_row(json.loads(line)))) for line in lines]


def synthesise(indices: range) -> list[tuple[Split, Document]]:
    """Synthetic documents of these indices with their splits."""
    return [(_preparer.split_of(document), _scanned(document)) for document in _synthetic(indices)]


def _synthetic(indices: range) -> Iterator[Document]:
    return _preparer.synthesiser.documents(indices.start, len(indices))


def _scanned(document: Document) -> Document:
    """The document itself.

    Raises DataError at a value that no span and no look-alike covers: a mistake in a template or a provider,
    which would teach the model to pass over such values.
    """
    if hits := unlabelled(document):
        where = ", ".join(f"{hit.type} at {hit.start}-{hit.end}" for hit in hits)
        raise DataError(
            f"{document.id} ({document.meta['template']}, {document.meta['carrier']}): holds, without a "
            f"label, what is taken for {where}; mend the template, the provider or the pattern"
        )
    return document
