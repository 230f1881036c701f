"""The named entities of a spaCy pipeline. Source: https://spacy.io/usage/linguistic-features#named-entities."""

from __future__ import annotations

from collections.abc import Iterator


class Adapter:
    """An installed pipeline or the folder of one.

    Args:
        model: its package name or path.
    """

    def __init__(self, model: str) -> None:
        import spacy

        self._pipeline = spacy.load(model)
        self.labels = sorted(label for name in self._pipeline.pipe_labels.values() for label in name)
        if "ner" in self._pipeline.pipe_labels:
            self.labels = sorted(self._pipeline.pipe_labels["ner"])

    def find(self, text: str, language: str) -> Iterator[tuple[int, int, str]]:
        """Every entity; spaCy's never overlap."""
        for entity in self._pipeline(text).ents:
            yield entity.start_char, entity.end_char, entity.label_
