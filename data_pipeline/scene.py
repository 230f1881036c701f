"""A document in the making: its people, the values shown so far, and the pieces of its text.

A piece is a string that is either plain text or one whole value, so offsets fall out of joining the
pieces and nothing is ever searched for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from data_pipeline.grammar import Slot
from data_pipeline.phrasebook import Phrasebook
from data_pipeline.values import Draw, Value, draw_value
from data_pipeline.values.chance import pick
from data_pipeline.values.people import Person, draw_person
from pii.spans import Span

_DRAWS_FOR_FRESH = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of the text.

    Attributes:
        text: what is written; never empty for a value.
        type: entity type, None for plain text and look-alikes.
        kind: shape of the value (`data_pipeline.values`), empty for plain text.
        slot: the word of the template that it fills, empty for plain text.
    """

    text: str
    type: str | None = None
    kind: str = ""
    slot: str = ""

    def __repr__(self) -> str:
        return f"Piece(type={self.type!r}, kind={self.kind!r}, num_chars={len(self.text)})"


def skeleton(pieces: Iterable[Piece]) -> str:
    """Hash of the text with its values replaced by their slots: equal for equal wording."""
    shape = "".join(f"\0{p.slot}\0" if p.kind else p.text for p in pieces)
    return hashlib.blake2b(shape.encode(), digest_size=8).hexdigest()


def assemble(pieces: Sequence[Piece]) -> tuple[str, tuple[Span, ...], tuple[tuple[int, int], ...]]:
    """Join pieces: the text, the spans of all entities, and the offsets of values that are none here."""
    spans: list[Span] = []
    decoys: list[tuple[int, int]] = []
    position = 0
    for piece in pieces:
        end = position + len(piece.text)
        if piece.type:
            spans.append(Span(position, end, piece.type))
        elif piece.kind and end > position:
            decoys.append((position, end))
        position = end
    return "".join(p.text for p in pieces), tuple(spans), tuple(decoys)


@dataclass(slots=True)
class Scene:
    """What the pieces of one document have in common.

    Attributes:
        rng: the document's only source of chance.
        language: ``zh`` or ``en``: of templates and label words.
        people_language: of names and documents; the other one in a mixed text.
        book: templates, phrases and label words.
        reserved: draw values that no real person can hold.
        label_both: label words of the other language now and then (mixed texts).
        anonymous: no carrier may add people of its own: the text is to hold none.
    """

    rng: Random
    language: str
    people_language: str
    book: Phrasebook
    reserved: bool = False
    label_both: bool = False
    anonymous: bool = False
    _people: list[Person] = field(default_factory=list)
    _shown: dict[tuple[str, str, int], Value] = field(default_factory=dict)

    def person(self, who: int) -> Person:
        """The document's n-th person, counted from 0."""
        while len(self._people) <= who:
            self._people.append(draw_person(self.rng, self.people_language))
        return self._people[who]

    def value(self, slot: Slot) -> Piece:
        """The value of a slot: the person's own, the same each time, unless a fresh one is asked for."""
        key = (slot.name, slot.kind, slot.who)
        shown = self._shown.get(key)
        if shown is None or slot.fresh or shown.type is None:
            draw = Draw(self.rng, self.person(slot.who), self.language, self.reserved)
            drawn = draw_value(slot.name, draw, slot.kind)
            for _ in range(_DRAWS_FOR_FRESH):
                if shown is None or drawn.text != shown.text:
                    break
                drawn = draw_value(slot.name, draw, slot.kind)
            shown = drawn
            self._shown[key] = shown
        return Piece(shown.text, shown.type, shown.kind, slot.name)

    def label(self, piece: Piece) -> str:
        """A word that introduces such a value in this language."""
        language = self.language
        if self.label_both and self.rng.random() < 0.4:
            language = "en" if language == "zh" else "zh"
        return pick(self.rng, self.book.labels(language, piece.kind, piece.slot))

    def labelled(self, slot: Slot) -> list[Piece]:
        """Label word, separator, value."""
        piece = self.value(slot)
        separator = pick(self.rng, self.book.separators(self.language))
        label = self.label(piece)
        if separator == "":
            # Without a separator a Latin label would run into the value.
            separator = "" if self.language == "zh" and not label[-1].isascii() else " "
        return [Piece(label + separator), piece]

    def fill(self, expanded: Iterable[str | Slot], shift: int = 0) -> list[Piece]:
        """Pieces of an expanded template; `shift` moves all its slots to later people."""
        pieces: list[Piece] = []
        for part in expanded:
            if isinstance(part, str):
                pieces.append(Piece(part))
            else:
                slot = replace(part, who=part.who + shift) if shift else part
                pieces.extend(self.labelled(slot) if slot.labelled else [self.value(slot)])
        return pieces
