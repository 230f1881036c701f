"""Prompts and answers of twenty documents, character by character: what a trained model depends on.

A change here makes every trained model another format's: raise `codec.VERSION`, rewrite the files with
``make golden`` and review the difference.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from configs.reader import read_yaml
from pii import codec
from pii.grounding import ground
from pii.spans import Document, Span
from pii.taxonomy import shipped

FOLDER = Path(__file__).parent / "golden"
RENDERED = FOLDER / "rendered.jsonl"
MARK = re.compile("⟦([A-Z_]+)\\|(.*?)⟧", re.DOTALL)


def unmarked(row: dict[str, Any]) -> Document:
    """A document from a text in which ⟦TYPE|value⟧ stands for a span."""
    text, spans, position = "", [], 0
    for mark in MARK.finditer(row["marked"]):
        text += row["marked"][position : mark.start()]
        spans.append(Span(len(text), len(text) + len(mark[2]), mark[1]))
        text += mark[2]
        position = mark.end()
    text += row["marked"][position:]
    types = tuple(row["types"]) if "types" in row else None
    return Document(text, tuple(spans), id=row["id"], language=row["language"], types=types)


DOCUMENTS = [unmarked(row) for row in read_yaml(FOLDER / "documents.yaml")]


def rendered(document: Document) -> dict[str, Any]:
    system, user = codec.prompt(document.text, document.types)
    return {
        "id": document.id,
        "system": system["content"],
        "user": user["content"],
        "answer": codec.render(document.text, document.spans),
        "answer_with_offsets": codec.render(document.text, document.spans, "with_offsets"),
    }


def visible(line: str) -> str:
    """JSON in which invisible characters and marks of direction are escapes, so that it can be reviewed."""
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def test_prompts_and_answers_are_those_on_file() -> None:
    rows = [{"codec_version": codec.VERSION, "codec_fingerprint": codec.fingerprint()}]
    rows += [rendered(document) for document in DOCUMENTS]
    lines = [visible(json.dumps(row, ensure_ascii=False)) for row in rows]
    if os.environ.get("GOLDEN") == "rewrite":
        RENDERED.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert lines == RENDERED.read_text(encoding="utf-8").split("\n")[:-1]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.id)
def test_each_document_is_representable(document: Document) -> None:
    answer = codec.parse(codec.render(document.text, document.spans))
    assert ground(document.text, answer.mentions).spans == document.spans


def test_the_documents_are_what_they_are_meant_to_be() -> None:
    assert len(DOCUMENTS) == 20
    assert len({document.id for document in DOCUMENTS}) == 20
    for document in DOCUMENTS:
        asked = shipped().resolve(document.types)
        assert all(span.type in asked for span in document.spans)
