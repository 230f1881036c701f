"""What stands in a chat in the place of values: ``[PERSON_NAME_1]``, the same for the same person throughout.

Square brackets, because neither JSON nor HTML escapes them on the way through a model and back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from pii.recurrence import LONGEST, worth_seeking
from pii.redaction import disjoint
from pii.redaction.identity import identity
from pii.spans import Span
from serving.lists import DeniedWord, Lists


class Placeholders:
    """The placeholders of one chat.

    Args:
        found: text → what detectors marked in it, overlaps allowed.

    A value that was found once is hidden wherever it stands in any of the texts.
    """

    def __init__(self, found: Mapping[str, Iterable[Span]]) -> None:
        self._written = "\n".join(found).upper()
        self._numbers: dict[str, int] = {}
        self._names: dict[tuple[str, str], str] = {}
        self.values: dict[str, str] = {}
        """Placeholder → the value as it was first written."""
        marked = {text: disjoint(spans) for text, spans in found.items()}
        again = _sought(marked)
        self._texts = {
            text: self._hidden(text, disjoint((*spans, *again.denied(text)) if again else spans))
            for text, spans in marked.items()
        }

    def hide(self, text: str) -> str:
        """One of the texts with placeholders for its values."""
        return self._texts[text]

    def restore(self, text: str) -> str:
        """Any text with values for its placeholders. What is no placeholder of this chat stays."""
        return self._restored(text, str)

    def restore_json(self, text: str) -> str:
        """The same for a piece of JSON: values are written as they stand inside its strings."""
        return self._restored(text, lambda value: json.dumps(value, ensure_ascii=False)[1:-1])

    def may_begin(self, tail: str) -> bool:
        """Whether a placeholder can begin with this piece and go on."""
        begun = tail.upper()
        return any(len(name) > len(begun) and name.startswith(begun) for name in self.values)

    def _restored(self, text: str, written_as: object) -> str:
        assert callable(written_as)

        def value(match: re.Match[str]) -> str:
            found = self.values.get(match[0].upper())
            return match[0] if found is None else str(written_as(found))

        return _PLACEHOLDER.sub(value, text)

    def _hidden(self, text: str, spans: Iterable[Span]) -> str:
        pieces, copied = [], 0
        for span in spans:
            pieces += [text[copied : span.start], self._name(span, span.value(text))]
            copied = span.end
        return "".join([*pieces, text[copied:]])

    def _name(self, span: Span, value: str) -> str:
        who = span.type, identity(span.type, value)
        if who not in self._names:
            self._names[who] = self._fresh(span.type)
            self.values[self._names[who]] = value
        return self._names[who]

    def _fresh(self, type: str) -> str:
        """The next placeholder of a type that nobody wrote in the chat."""
        while True:
            self._numbers[type] = self._numbers.get(type, 0) + 1
            name = f"[{type}_{self._numbers[type]}]"
            if name not in self._written:
                return name


_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_]*_[0-9]+\]", re.IGNORECASE | re.ASCII)


def _sought(marked: Mapping[str, Iterable[Span]]) -> Lists | None:
    """The values that were found, to be looked for in all texts; None where there are none."""
    values: dict[str, str] = {}
    for text, spans in marked.items():
        for span in spans:
            value = span.value(text)
            if worth_seeking(value) and len(value) <= LONGEST:
                values.setdefault(value, span.type)
    words = [DeniedWord(word=value, type=type) for value, type in values.items()]
    return Lists(deny=words) if words else None
