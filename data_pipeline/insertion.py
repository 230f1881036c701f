"""Clauses with values, put into real sentences of labelled sources and chats.

The sentence's own labels are kept. What the result may count as labelled is argued, not assumed: a type that
the source did not label may be added only where the sentence cannot hold an unlabelled one, which is so for
the closed types (numbers, addresses of the net) in a sentence without any digit or Latin letter.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import replace
from random import Random

from data_pipeline.ambiguity import is_ambiguous
from data_pipeline.grammar import Template, expand, slots_of
from data_pipeline.phrasebook import Phrasebook
from data_pipeline.scene import Piece, Scene, assemble
from data_pipeline.surface import BARE, apply_form, suitable, types_in_form
from data_pipeline.values import providers
from data_pipeline.values.chance import Weighted, pick
from pii.spans import Document, Span
from pii.taxonomy import shipped

CLOSED_TYPES = frozenset(
    {
        "PHONE_NUMBER",
        "EMAIL_ADDRESS",
        "NATIONAL_ID_NUMBER",
        "PASSPORT_NUMBER",
        "BANK_CARD_NUMBER",
        "BANK_ACCOUNT_NUMBER",
        "WECHAT_ID",
        "QQ_NUMBER",
        "IP_ADDRESS",
        "VEHICLE_PLATE_NUMBER",
        "MEMBER_ID",
        "CREDENTIAL",
        "DEVICE_ID",
        "DRIVER_LICENSE_NUMBER",
        "MEDICAL_RECORD_NUMBER",
        "PAYMENT_ACCOUNT",
        "SOCIAL_INSURANCE_NUMBER",
        "TAX_ID_NUMBER",
        "VEHICLE_ID_NUMBER",
    }
)
"""Types whose values always hold an ASCII digit or Latin letter in their usual spelling."""

# Digits of any script and width and the numerals that could spell a number.
_COULD_HOLD_A_NUMBER = re.compile(r"[\dA-Za-zＡ-Ｚａ-ｚ〇零一二三四五六七八九]{3,}|[\dA-Za-zＡ-Ｚａ-ｚ]|@")
_SENTENCE_END = re.compile(r"(?<=[。！？!?\n])|(?<=[.!?]\s)")
_ATTEMPTS = 6


def insert_clause(
    sentence: Document, rng: Random, book: Phrasebook, forms: Mapping[str, float], *, reserved: bool
) -> Document:
    """The sentence with a clause in it; the sentence itself where no clause fits.

    Args:
        sentence: a document in Chinese or English with the labels of its source.
        rng: the only source of chance.
        book: holds the clauses, under the phrases ``after_person`` and ``between``.
        forms: shares of the surface forms of the inserted values.
        reserved: draw values that no real person can hold.
    """
    if sentence.language not in ("zh", "en") or not sentence.text:
        return sentence
    labelled = set(shipped().resolve(sentence.types)) if sentence.types != () else set()
    allowed = labelled | (set() if _COULD_HOLD_A_NUMBER.search(sentence.text) else CLOSED_TYPES)
    if not allowed:
        # Nothing is known of it, and a number of nobody would tell nothing.
        return sentence
    for _ in range(_ATTEMPTS):
        place, clauses = _place(sentence, rng)
        fitting = [c for c in book.clauses[sentence.language][clauses] if _types_of(c) <= allowed]
        if not fitting:
            continue
        scene = Scene(rng, sentence.language, sentence.language, book, reserved)
        pieces = scene.fill(expand(pick(rng, fitting), {}, rng))
        form = Weighted(suitable(pieces, forms)).draw(rng)
        written = apply_form(pieces, form, rng) if form != BARE else pieces
        made = _joined(sentence, place, written)
        if not is_ambiguous(made.text, made.spans):
            spelled = types_in_form(pieces, written, form)
            meta = {**sentence.meta, "carrier": "insertion", "form": form, "form_types": spelled}
            return replace(made, types=_types_after(sentence, pieces, allowed), meta=meta)
    return sentence


@functools.cache
def _types_of(clause: Template) -> frozenset[str]:
    return frozenset(p.type for slot in slots_of(clause) for p in providers(slot.name) if p.type)


def _types_after(sentence: Document, pieces: list[Piece], absent: set[str]) -> tuple[str, ...] | None:
    """What the result counts as labelled; `absent`: types of which the sentence holds none unlabelled."""
    if sentence.types is None:
        return None
    added = {piece.type for piece in pieces if piece.type}
    return shipped().resolve({*sentence.types, *added} or absent)


def _place(sentence: Document, rng: Random) -> tuple[int, str]:
    """Where a clause may stand, outside of every span, and of which list it has to be."""
    people = [s.end for s in sentence.spans if s.type == "PERSON_NAME"]
    if people and rng.random() < 0.5:
        return pick(rng, people), "after_person"
    ends = [0, *(m.start() for m in _SENTENCE_END.finditer(sentence.text))]
    free = [e for e in ends if not any(s.start < e < s.end for s in sentence.spans)]
    return pick(rng, free), "between"


def _joined(sentence: Document, place: int, pieces: list[Piece]) -> Document:
    """Put the pieces at the place and move the spans behind it."""
    text, spans, _ = assemble(pieces)
    before = [s for s in sentence.spans if s.end <= place]
    inside = [Span(s.start + place, s.end + place, s.type) for s in spans]
    after = [
        replace(s, start=s.start + len(text), end=s.end + len(text))
        for s in sentence.spans
        if s.start >= place
    ]
    whole = sentence.text[:place] + text + sentence.text[place:]
    return replace(sentence, text=whole, spans=(*before, *inside, *after))
