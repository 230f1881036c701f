"""From a labelled document to examples: which types to ask for, windows, conversation, proof."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pii import codec, windows
from pii.grounding import ground
from pii.spans import Document
from pii.taxonomy import shipped

MAX_DISTRACTORS = 4
"""Most types that a random request names besides those that the text holds."""


def asked_for(document: Document, types: Sequence[str] | None) -> Document:
    """The document as the answer to a request for these types; None stands for the default types.

    The types are expected to be labelled in the document.
    """
    wanted = set(shipped().default_types if types is None else types)
    return replace(
        document,
        spans=tuple(span for span in document.spans if span.type in wanted),
        types=None if types is None else tuple(types),
    )


def full_request(document: Document) -> tuple[str, ...] | None:
    """The widest request that the labels can answer: the default types where all of them were labelled.

    Returns None for the default types, otherwise every labelled type in taxonomy order.
    """
    labelled = labelled_types(document)
    default = shipped().default_types
    return None if set(default) <= set(labelled) else labelled


def labelled_types(document: Document) -> tuple[str, ...]:
    """The types that were looked for in this document, in taxonomy order."""
    return shipped().resolve(document.types)


def random_request(document: Document, rng: random.Random) -> tuple[str, ...]:
    """Some of the labelled types: about half of those that the text holds, and a few that it may lack."""
    labelled = labelled_types(document)
    held = [name for name in labelled if any(span.type == name for span in document.spans)]
    chosen = {name for name in held if rng.random() < 0.5}
    rest = [name for name in labelled if name not in chosen]
    chosen |= set(rng.sample(rest, min(len(rest), rng.randint(0 if chosen else 1, MAX_DISTRACTORS))))
    return tuple(name for name in labelled if name in chosen)


def draw_request(
    document: Document, rng: random.Random, *, subset_share: float, optional_share: float
) -> tuple[str, ...] | None:
    """What a training example asks for: the widest request, or by chance a random one.

    Args:
        document: as labelled.
        rng: the only source of chance.
        subset_share: chance of a random request.
        optional_share: the same, of documents in which optional types are labelled too.
    """
    request = full_request(document)
    optional = request is None and document.types is not None
    if rng.random() < (optional_share if optional else subset_share):
        return random_request(document, rng)
    return request


def cut(document: Document, max_chars: int, margin: int) -> list[Document]:
    """The document's windows as documents of their own; one that fits keeps its id."""
    pieces = windows.cut(document.text, max_chars, margin)
    if len(pieces) == 1:
        return [document]
    return [
        replace(
            document,
            text=document.text[piece.start : piece.end],
            spans=windows.localise(document.spans, piece),
            id=f"{document.id}#{number}",
            # Places in the whole document say nothing about a window.
            meta={key: value for key, value in document.meta.items() if key != "decoys"},
        )
        for number, piece in enumerate(pieces)
    ]


def is_provable(document: Document, style: codec.AnswerStyle = "value") -> bool:
    """Whether the answer format can say what the labels say: render, parse and ground give them back."""
    answer = codec.parse(codec.render(document.text, document.spans, style), style)
    grounding = ground(document.text, answer.mentions)
    return not answer.problem and not grounding.unplaced and grounding.spans == document.spans


def conversation(document: Document, style: codec.AnswerStyle = "value") -> list[codec.Message]:
    """System, user and assistant turn of an example."""
    answer: codec.Message = {
        "role": "assistant",
        "content": codec.render(document.text, document.spans, style),
    }
    return [*codec.prompt(document.text, document.types), answer]


def example_row(document: Document, style: codec.AnswerStyle = "value") -> dict[str, Any]:
    """The JSON object of an example's line in ``train.jsonl`` and ``validation.jsonl``."""
    return {**document.as_row(), "messages": conversation(document, style)}
