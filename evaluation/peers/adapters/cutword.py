"""cutword: Chinese words and named entities, by an LSTM with a CRF that comes with the package.

Source: https://github.com/liwenju0/cutword
"""

from __future__ import annotations

from collections.abc import Iterator


class Adapter:
    """Its stock model. It takes no options."""

    def __init__(self) -> None:
        import cutword

        if not hasattr(cutword, "NER"):
            # The package swallows the import error of its own model.
            raise ModuleNotFoundError("cutword finds entities with torch", name="torch")
        self._model = cutword.NER()
        self.labels = sorted(set(self._model._label_en2zh) - {"O"})

    def find(self, text: str, language: str) -> Iterator[tuple[int, int, str]]:
        """Every entity that it can place."""
        for item in self._model.predict(text)[0] if text.strip() else ():
            yield item.begin, item.end, item.ner_type_en
