"""A peer that marks ranges of a text with labels of its own: through its label map into our types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from evaluation.metrics import labelled_types
from evaluation.peers.card import LabelMap, PeerCard
from evaluation.peers.finding import MARGIN, Finding, PeerFailure
from pii import windows
from pii.spans import Document, Span
from pii.taxonomy import shipped


class Source(Protocol):
    """Where the labels come from: a process, a service."""

    @property
    def version(self) -> str:
        """The peer's version; empty where it does not tell."""

    @property
    def labels(self) -> Sequence[str]:
        """What it can say, in its own words."""

    def find(self, text: str, language: str) -> Iterable[tuple[int, int, str]]:
        """(start, end, label) in code points, ends exclusive. Raises PeerFailure, PeerAbsent."""

    def close(self) -> Mapping[str, Any]:
        """End it; facts of its work."""


class LabelledPeer:
    """A source and its label map.

    Args:
        source: where the labels come from.
        card: what they mean.
        window_chars: cut texts into windows of so many code points; None: whole texts.
    """

    def __init__(self, source: Source, card: PeerCard, window_chars: int | None) -> None:
        self._source, self._map, self._window_chars = source, LabelMap(card), window_chars
        self._num_misplaced = 0

    @property
    def description(self) -> str:
        """Title of the card and version of the peer."""
        return f"{self._map.card.title} {self._source.version}".strip()

    @property
    def types(self) -> tuple[str, ...]:
        """What its labels reach."""
        return self._map.card.supported(self._source.labels)

    def read(self, documents: Sequence[Document]) -> Iterator[Finding]:
        """Ask for one document after the other."""
        for document in documents:
            try:
                yield self._finding(document)
            except PeerFailure as error:
                yield Finding(failure=str(error))

    def _finding(self, document: Document) -> Finding:
        text, limit = document.text, self._window_chars
        if limit is None or len(text) <= limit:
            return Finding(tuple(self._spans(text, document)))
        cut = windows.cut(text, limit, limit // MARGIN)
        found = [list(self._spans(text[w.start : w.end], document)) for w in cut]
        return Finding(tuple(windows.gather(cut, found)), num_windows=len(cut))

    def _spans(self, text: str, document: Document) -> Iterator[Span]:
        labelled = labelled_types(document, shipped())
        for start, end, label in self._source.find(text, document.language):
            kind = self._map.type_for(label, labelled)
            if kind is None:
                continue
            if 0 <= start < end <= len(text):
                yield Span(start, end, kind)
            else:
                self._num_misplaced += 1

    def close(self) -> Mapping[str, Any]:
        """End the source; adds the labels without a line in the map and the spans out of their text."""
        return {
            **self._source.close(),
            "unknown_labels": dict(self._map.unknown),
            "num_misplaced": self._num_misplaced,
        }
