"""What every peer promises to the asking, however it is reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pii.spans import Document, Span
from serving.answer_facts import AnswerFacts

MARGIN = 8
"""Where texts are cut into windows, a window's margin is this part of it."""


class PeerAbsent(Exception):
    """A peer cannot be asked: it is not installed, does not start, or has died. The message says which."""


class PeerFailure(Exception):
    """A peer failed at one text; the message holds the kind of failure, never the text."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a peer said of one document.

    Attributes:
        spans: in our types, in any order; they may overlap.
        failure: the kind of failure that kept it from reading the document; empty: none.
        num_windows: requests for this document.
        num_ungrounded: values that stand nowhere in the text (peers that write values).
        answers: facts of the answers of a model that was asked in words.
    """

    spans: tuple[Span, ...] = ()
    failure: str = ""
    num_windows: int = 1
    num_ungrounded: int = 0
    answers: tuple[AnswerFacts, ...] = ()


class Peer(Protocol):
    """A detector that is not ours. Made ready by its constructor, which raises `PeerAbsent`."""

    @property
    def description(self) -> str:
        """Name and version in one line."""

    @property
    def types(self) -> tuple[str, ...]:
        """The types that it can say, in taxonomy order."""

    def read(self, documents: Sequence[Document]) -> Iterator[Finding]:
        """One finding a document, in order. Raises PeerAbsent: it is gone for good."""

    def close(self) -> Mapping[str, Any]:
        """End it; the facts of its work, such as ``peak_memory_mb``."""
