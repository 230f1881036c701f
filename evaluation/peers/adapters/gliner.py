"""GLiNER: finds whatever labels it is given, zero-shot. Source: https://github.com/urchade/GLiNER."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class Adapter:
    """A folder of weights; nothing is downloaded.

    GLiNER reads some hundred words and drops the rest: set the recipe's `window_chars`.

    Args:
        model: the folder.
        labels: what it is asked for, in words; those of the label map.
        threshold: least score that counts.
    """

    def __init__(self, model: str, labels: Sequence[str], threshold: float = 0.5) -> None:
        from gliner import GLiNER

        self._model = GLiNER.from_pretrained(model, local_files_only=True)
        self.labels, self._threshold = list(labels), threshold

    def find(self, text: str, language: str) -> Iterator[tuple[int, int, str]]:
        """Every entity over the threshold."""
        for entity in self._model.predict_entities(text, self.labels, threshold=self._threshold):
            yield entity["start"], entity["end"], entity["label"]
