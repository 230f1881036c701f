"""Named perturbations: another writing of a document whose gold spans are still right.

A document is cut into pieces, each plain text or one whole gold value (`data_pipeline.scene.Piece`). A
perturbation writes pieces anew; offsets fall out of joining them, so that nothing is searched for and a span
of the result is the perturbed value of the same span of the original, in the same order.

Where synthesis writes the same thing (`data_pipeline.noise`, `data_pipeline.surface`), its code is used here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from data_pipeline import noise, surface
from data_pipeline.highlight import pieces as cut
from data_pipeline.noise import Noise
from data_pipeline.phrasebook import phrasebook
from data_pipeline.scene import Piece, assemble
from data_pipeline.values.chance import pick
from evaluation.hostile import material
from pii.spans import Document

PLAIN_KIND = "value"
"""Kind of a gold value whose kind is not known: no rule for a kind applies to it."""

_KINDS = {
    ("PHONE_NUMBER", 11): "cn_mobile",
    ("NATIONAL_ID_NUMBER", 18): "cn_resident_id",
    ("BANK_CARD_NUMBER", 16): "western_card",
    ("BANK_CARD_NUMBER", 19): "cn_card",
    ("QQ_NUMBER", 9): "qq",
    ("QQ_NUMBER", 10): "qq",
    ("BANK_ACCOUNT_NUMBER", 19): "cn_account",
}
"""(type, number of characters) of a run of digits → the kind whose groups people write it in."""

_LOOK_ALIKE = str.maketrans("aceiopxyABCEHIKMOPTX", "асеіорхуАВСЕНІКМОРТХ")
"""Latin letters → Cyrillic ones of the same looks, after Unicode Technical Standard 39 (confusables)."""

_MANY = 20
"""Entities that a joined document has at least, where enough documents are there."""
_FILLED = 500
"""Characters of filler at each of the places where a long document is filled."""


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One row of the suite.

    Attributes:
        group: ``value``: the values are written otherwise; ``text``: the text around them; ``size``: more of
            both; ``injection``: an attack stands in the text (`evaluation.hostile`).
        what: one sentence for the report.
        write: writes the pieces of one document anew; None for a perturbation of its own kind (`join`).
    """

    group: str
    what: str
    write: Noise | None


def kind_of(entity_type: str, value: str) -> str:
    """The kind of a gold value as far as type and shape tell it, else `PLAIN_KIND`."""
    digits = value.isascii() and value[:-1].isdigit() and (value[-1].isdigit() or value[-1] in "Xx")
    return _KINDS.get((entity_type, len(value)), PLAIN_KIND) if digits else PLAIN_KIND


def pieces(document: Document) -> list[Piece]:
    """The document cut at the ends of its gold spans."""
    return [Piece(text, kind, kind_of(kind, text)) if kind else Piece(text) for text, kind in cut(document)]


def perturb(document: Document, write: Noise, seed: str) -> Document:
    """The document in another writing; id, source, language and labelled types stay."""
    text, spans, _ = assemble(write(pieces(document), Random(f"{seed}:{document.id}:{len(document.text)}")))
    return replace(document, text=text, spans=spans)


def join(documents: Sequence[Document]) -> Document:
    """Documents one below the other as one; they have to share their labelled types."""
    parts = [piece for document in documents for piece in (*pieces(document), Piece(JOINT))][:-1]
    text, spans, _ = assemble(parts)
    return replace(documents[0], text=text, spans=spans)


JOINT = "\n"


def groups(documents: Sequence[Document]) -> list[tuple[int, ...]]:
    """Indices of documents that are joined, in order: of the same labelled types, until there are many spans.

    What is left over at the end, a single document or too few spans, is a group of its own.
    """
    made: list[tuple[int, ...]] = []
    for types in dict.fromkeys(document.types for document in documents):
        group: list[int] = []
        for index, document in enumerate(documents):
            if document.types != types:
                continue
            group.append(index)
            if sum(len(documents[i].spans) for i in group) >= _MANY:
                made.append(tuple(group))
                group = []
        if group:
            made.append(tuple(group))
    return made


# --- ways to write pieces anew ------------------------------------------------------------------------


def _values(write: Callable[[Piece, Random], str]) -> Noise:
    """Every gold value written otherwise; the same value the same way each time."""

    def applied(parts: Sequence[Piece], rng: Random) -> list[Piece]:
        written: dict[str, str] = {}
        out = []
        for piece in parts:
            if piece.type:
                if piece.text not in written:
                    written[piece.text] = write(piece, rng)
                piece = replace(piece, text=written[piece.text])
            out.append(piece)
        return out

    return applied


def _separated(piece: Piece, rng: Random) -> str:
    if piece.kind == PLAIN_KIND:
        return piece.text
    return pick(rng, (surface.dashed, surface.spaced))(piece.text, piece.kind, rng)


def _form(form: surface.Form, fewest: int) -> Callable[[Piece, Random], str]:
    """A surface form of synthesis, for values of at least so many characters."""
    return lambda piece, rng: form(piece.text, piece.kind, rng) if len(piece.text) >= fewest else piece.text


def _spelled(piece: Piece, rng: Random) -> str:
    digits = piece.text.isascii() and piece.text.isdigit() and len(piece.text) >= 4
    return surface.chinese_digits(piece.text, "", rng) if digits else piece.text


def _look_alike(piece: Piece, rng: Random) -> str:
    swapped = [c.translate(_LOOK_ALIKE) if rng.random() < 0.5 else c for c in piece.text]
    changed = "".join(swapped)
    return changed if changed != piece.text else piece.text.translate(_LOOK_ALIKE)


def _upper_case(parts: Sequence[Piece], rng: Random) -> list[Piece]:
    return [p if p.type == "CREDENTIAL" else replace(p, text=p.text.upper()) for p in parts]


@functools.cache
def _converter() -> Any:
    from opencc import OpenCC

    return OpenCC("s2t")


def _traditional(parts: Sequence[Piece], rng: Random) -> list[Piece]:
    return [replace(p, text=_converter().convert(p.text) or p.text) for p in parts]


def _line_broken(parts: Sequence[Piece], rng: Random) -> list[Piece]:
    return noise.split_lines(_values(_form(surface.line_broken, 7))(parts, rng), rng)


def _marked_up(parts: Sequence[Piece], rng: Random) -> list[Piece]:
    """Values in bold or as the text of a link, the whole in paragraphs, as HTML or as Markdown."""
    before, after, head, tail, stop = pick(
        rng,
        (
            ("<b>", "</b>", "<p>", "</p>", "</p>\n<p>"),
            ('<span class="v">', "</span>", "<div>", "</div>", "<br/>\n"),
            ("**", "**", "# ", "\n", "\n\n- "),
            ("`", "`", "> ", "", "\n> "),
        ),
    )
    out = [Piece(head)]
    for piece in parts:
        if piece.type:
            out += [Piece(before), piece, Piece(after)]
        else:
            out.append(replace(piece, text=piece.text.replace("\n", stop)))
    return [*out, Piece(tail)]


@functools.cache
def _other_language() -> Mapping[str, str]:
    """Label word of one language → the most usual word of the other for the same kind; long words first."""
    found: dict[str, str] = {}
    for name, words in phrasebook().label_words.items():
        if name in _NO_LABELS:
            continue
        for here, there in (("zh", "en"), ("en", "zh")):
            for word in words.get(here, ()):
                if len(word) > 1 and word.isalpha() and word not in words.get(there, ()):
                    found.setdefault(word, words[there][0])
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


_NO_LABELS = frozenset({"separator", "speaker1", "speaker2", "remark"})
"""Entries among the label words that introduce no value."""


def _switched(parts: Sequence[Piece], rng: Random) -> list[Piece]:
    """Label words around the values in the other language: Phone 138..., my 手机 is ...."""
    return [p if p.type else replace(p, text=_switched_text(p.text)) for p in parts]


def _switched_text(text: str) -> str:
    made, position = "", 0
    while position < len(text):
        word = next((w for w in _other_language() if _is_word_at(text, position, w)), "")
        made += _other_language()[word] if word else text[position]
        position += len(word) or 1
        if word and made[-1].isascii() and position == len(text):
            made += " "  # a Latin word must not run into the value behind it
    return made


def _is_word_at(text: str, position: int, word: str) -> bool:
    """Whether the word stands there; a Latin one has to be whole."""
    if not text.startswith(word, position):
        return False
    around = text[max(0, position - 1) : position], text[position + len(word) : position + len(word) + 1]
    return not word.isascii() or not any(char.isascii() and char.isalnum() for char in around)


def language_of(parts: Sequence[Piece]) -> str:
    """``zh`` where any character is Chinese, else ``en``."""
    return "zh" if any("一" <= char <= "鿿" for piece in parts for char in piece.text) else "en"


def _very_long(parts: Sequence[Piece], rng: Random) -> list[Piece]:
    """Paragraphs without any entity in front, behind, and between the lines."""
    sentences = material().filler[language_of(parts)]

    def paragraph() -> str:
        text = ""
        while len(text) < _FILLED:
            text += pick(rng, sentences)
        return text

    out = [Piece(paragraph() + "\n")]
    for piece in parts:
        if not piece.type and "\n" in piece.text:
            piece = replace(piece, text=piece.text.replace("\n", f"\n{paragraph()}\n", 1))
        out.append(piece)
    return [*out, Piece("\n" + paragraph()), Piece("\n" + paragraph())]


SUITE: Mapping[str, Perturbation] = {
    "full_width": Perturbation("value", "digits and Latin letters full-width", noise.wide_characters),
    "separators": Perturbation("value", "long numbers in groups with blanks or dashes", _values(_separated)),
    "zero_width": Perturbation(
        "value", "invisible characters inside the values", _values(_form(surface.zero_width, 2))
    ),
    "homoglyphs": Perturbation("value", "Latin letters of values as Cyrillic ones", _values(_look_alike)),
    "chinese_digits": Perturbation("value", "numbers spelled out in Chinese digits", _values(_spelled)),
    "ocr": Perturbation("value", "one or two characters of a value misread", _values(_form(surface.ocr, 4))),
    "line_breaks": Perturbation("value", "lines broken inside of values and after stops", _line_broken),
    "traditional": Perturbation("text", "traditional instead of simplified characters", _traditional),
    "lower_case": Perturbation("text", "no capitals", noise.lower_case),
    "upper_case": Perturbation("text", "capitals only", _upper_case),
    "typos": Perturbation("text", "slips of the keyboard around the values", noise.typos),
    "no_punctuation": Perturbation("text", "blanks for stops and commas", noise.no_punctuation),
    "markup": Perturbation("text", "HTML or Markdown around values and lines", _marked_up),
    "code_switching": Perturbation("text", "label words in the other language", _switched),
    "very_long": Perturbation("size", "long paragraphs without entities around the text", _very_long),
    "many_entities": Perturbation("size", f"documents joined until there are {_MANY} entities", None),
}
"""Perturbations by name, in the order of the report."""
