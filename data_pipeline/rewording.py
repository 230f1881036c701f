"""Other words around the entities of a document, so that a model cannot go by the sentences of the generator.

Generated sentences are few and soon known by heart; what stands around a name in the text of others is not
among them. Here some of the words between the entities give way to words of general chat: a name is then to
be told by what it looks like, and an unknown word is not a name. A relative of word dropout (Iyyer et al.
2015, https://aclanthology.org/P15-1162/).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from string import ascii_uppercase

from data_pipeline.values.chance import letters
from data_pipeline.values.reference import words
from pii.spans import Document, Span

SHARE = 0.2
"""Part of the words that gives way."""

CAPITALISED = 0.15
"""Part of the Latin words that come in with a capital though they stand where a small one stood: what is
written large is not yet a name."""

NO_PEOPLE = 0.15
"""Part of the new words that are places, brands, abbreviations and the like, of which chats hold few."""
_ABBREVIATIONS = 0.2
"""Part of these that is made up of capitals."""
_FOREIGN = 0.25
"""Part of these that is Latin in a Chinese sentence."""

_HAN = r"[\u4e00-\u9fff]"
_WORD = re.compile(rf"(?:{_HAN}{{2}}|[A-Za-z]{{2,}}+)(?!.{{0,6}}[0-9])")
"""A word that may give way. What stands before a digit may say that the number is nobody's."""
_HAN_RUN, _LATIN = re.compile(rf"{_HAN}{{3,}}"), re.compile(r"\b[a-z]{2,12}\b")
_LABEL_CHARS = 10
"""Before a number its label stands, which says what it is; only names can do without."""


class Rewording:
    """Replaces words of documents.

    Args:
        texts: what the new words are taken from; holds no entity.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        joined = "\n".join(texts)
        self._han: list[str] = _HAN_RUN.findall(joined)
        self._latin: list[str] = _LATIN.findall(joined)

    def __call__(self, document: Document, rng: Random) -> Document:
        """The document with other words between its entities; what is labelled stays as it is.

        Args:
            document: any.
            rng: draws which words give way to which.
        """
        pieces: list[str] = []
        spans: list[Span] = []
        done = length = 0
        for span in document.spans:
            kept = 0 if span.type == "PERSON_NAME" else _LABEL_CHARS
            between = self._reworded(document.text[done : span.start], kept, rng)
            length += len(between)
            pieces += [between, span.value(document.text)]
            spans.append(replace(span, start=length, end=length + len(span)))
            length += len(span)
            done = span.end
        pieces.append(self._reworded(document.text[done:], 0, rng))
        return replace(document, text="".join(pieces), spans=tuple(spans))

    def _reworded(self, text: str, kept: int, rng: Random) -> str:
        """The text with other words, but for its last `kept` characters."""
        changing = text[: max(0, len(text) - kept)]
        return _WORD.sub(lambda word: self._another(word[0], rng), changing) + text[len(changing) :]

    def _another(self, word: str, rng: Random) -> str:
        if rng.random() >= SHARE or not (self._latin if word.isascii() else self._han):
            return word
        if rng.random() < NO_PEOPLE:
            return self._no_person(word, rng)
        if not word.isascii():
            run = rng.choice(self._han)
            start = rng.randrange(len(run) - 1)
            return run[start : start + rng.choice((1, 2, 2, 2, 3))]
        other = rng.choice(self._latin)
        if word.isupper():
            return other.upper()
        return other.capitalize() if word[0].isupper() or rng.random() < CAPITALISED else other

    def _no_person(self, word: str, rng: Random) -> str:
        """What looks like a name and is nobody's, in the script of the word or of its like."""
        if not word.isascii() and rng.random() >= _FOREIGN:
            return rng.choice(words("no_people", "zh"))
        if rng.random() < _ABBREVIATIONS:
            other = letters(rng, ascii_uppercase, rng.randint(2, 5))
        else:
            other = rng.choice(words("no_people", "en"))
        return other if word.isascii() or rng.random() < 0.5 else f" {other} "
