"""``pii data inspect``: labelled documents as a person reads them, with their spans marked.

Three outputs of one cut of the text: colours for a terminal, HTML for a browser, Markdown for the data card.
"""

from __future__ import annotations

import argparse
import html
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from configs import command
from configs.atomic import writing
from data_pipeline.shards import read_rows
from pii.errors import DataError
from pii.spans import Document

Mark = Callable[[str, str], str]
"""A piece of text and its type (empty: no entity) to markup."""

_STYLE = (
    "body{font:15px/1.7 system-ui;max-width:60em;margin:2em auto}pre{white-space:pre-wrap;font:inherit}"
    "mark{background:#ffe9a8;border-radius:3px;padding:0 2px}sub{color:#884;font-size:10px;margin-left:2px}"
)


def pieces(document: Document) -> Iterator[tuple[str, str]]:
    """The text cut at the ends of its spans: each piece with its type, empty outside the spans."""
    position = 0
    for span in document.spans:
        if position < span.start:
            yield document.text[position : span.start], ""
        yield span.value(document.text), span.type
        position = span.end
    if position < len(document.text):
        yield document.text[position:], ""


def marked(document: Document, mark: Mark) -> str:
    """The whole text through a way of marking."""
    return "".join(mark(text, kind) for text, kind in pieces(document))


def for_terminal(text: str, kind: str) -> str:
    """Inverse video and the type behind it, as ANSI escapes; control characters of the text made visible."""
    shown = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
    return f"\x1b[7m{shown}\x1b[0m\x1b[2m[{kind}]\x1b[0m" if kind else shown


def for_html(text: str, kind: str) -> str:
    """``<mark>`` with the type as a subscript."""
    shown = html.escape(text)
    return f"<mark>{shown}<sub>{kind}</sub></mark>" if kind else shown


def page(documents: Iterable[Document], title: str) -> str:
    """A page of HTML that needs nothing beside itself."""
    blocks = "\n".join(
        f"<h4>{html.escape(_heading(document))}</h4>\n<pre>{marked(document, for_html)}</pre>"
        for document in documents
    )
    name = html.escape(title)
    head = f"<!doctype html><meta charset=utf-8><title>{name}</title><style>{_STYLE}</style>"
    return f"{head}<h2>{name}</h2>\n{blocks}\n"


def _heading(document: Document) -> str:
    asked = "default types" if document.types is None else ", ".join(document.types)
    return f"{document.id} · {document.language} · {asked}"


def labelled_rows(path: Path) -> Iterator[Document]:
    """The documents of a file of a split; rows of general chat have no labels and are passed over.

    Raises DataError with file and line at the first row that is neither.
    """
    for place, row in read_rows(path):
        try:
            if "text" in row or "messages" not in row:
                yield Document.from_row(row)
        except (TypeError, AttributeError, DataError) as error:
            reason = error if isinstance(error, DataError) else "not a JSON object"
            raise DataError(f"{place}: {reason}") from None


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="pii data inspect", description=__doc__)
    parser.add_argument("file", type=Path, help="a file of a split, such as data/mini/train.jsonl")
    parser.add_argument("-n", "--count", type=int, default=20, help="how many documents (default: 20)")
    parser.add_argument("--type", help="only documents with an entity of this type")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page instead of printing")
    arguments = parser.parse_args(argv)

    def body() -> int:
        documents = (
            document
            for document in labelled_rows(arguments.file)
            if arguments.type is None or any(span.type == arguments.type for span in document.spans)
        )
        chosen = itertools.islice(documents, arguments.count)
        if arguments.html is not None:
            with writing(arguments.html) as file:
                file.write(page(chosen, arguments.file.name))
            return 0
        for document in chosen:
            sys.stdout.write(f"\x1b[1m{_heading(document)}\x1b[0m\n{marked(document, for_terminal)}\n\n")
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
