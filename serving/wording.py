"""What can be seen of a span by its characters alone, whoever marked it: does it read like a value?"""

from __future__ import annotations

import re
from dataclasses import replace

from pii.common_words import is_common
from pii.identifiers.contact import is_hotline
from pii.patterns import announced
from pii.patterns.labels import NOT_PERSONAL
from pii.patterns.names import HAN, is_family_and_given, not_names
from pii.spans import Span

_MARKS = re.compile(r"[<>{}\"|\t\n，。；：！？]")
"""Marks that part values from each other; hardly any value holds one."""

_CAPITALISED = r"(?:[A-Z\u00c0-\u00de][\w'’.-]*)"
_NAME_FORMS = (
    ("han_joined", re.compile(rf"{HAN}+(?:[·•・]{HAN}+)+")),
    ("han_other", re.compile(rf"{HAN}+")),
    ("latin_several", re.compile(rf"{_CAPITALISED}(?:[ ,]+(?:{_CAPITALISED}|van|von|de|der|la|bin|al))+")),
    ("latin_one", re.compile(_CAPITALISED)),
    ("latin_small", re.compile(r"[a-z\u00df-\u024f'’-]+(?: [a-z\u00df-\u024f'’.-]+)+")),
)


def wording(text: str, span: Span) -> dict[str, float]:
    """Named facts about the characters of a span, as features: 1 where they hold.

    Args:
        text: the text.
        span: where it stands, and as what.
    """
    value = span.value(text)
    facts = {
        "cuts_word": _cuts_word(text, span.start) or _cuts_word(text, span.end),
        "ends_in_mark": not (value[0].isalnum() and value[-1].isalnum()),
        "holds_mark": _MARKS.search(value) is not None,
    }
    if span.type == "PERSON_NAME":
        facts[f"name_form_{_name_form(value)}"] = True
        if known := _common(value):
            facts[known] = True
    return {name: 1.0 for name, holds in facts.items() if holds}


def is_nobodys(text: str, span: Span) -> bool:
    """Whether what a learned detector marked is nobody's for sure.

    A public service number, the name of a tag of markup, or what its label calls the number of an order and
    the like.
    """
    is_service = span.type == "PHONE_NUMBER" and is_hotline(span.value(text))
    if is_service and not (_cuts_word(text, span.start) or _cuts_word(text, span.end)):
        return True
    if text[max(0, span.start - len(_ENCODING)) : span.start] == _ENCODING:
        return True
    # `<nick> hello` is a chat, and its nick somebody's.
    begin = span.start - (text[max(0, span.start - 1) : span.start] == "/")
    tag = _TAG.match(text, begin) if text[max(0, begin - 1) : begin] == "<" else None
    if tag is not None and span.end <= tag.end() and ("</" in text or "/>" in text):
        return True
    is_number = span.type not in _IN_WORDS and any(map(str.isdigit, span.value(text)))
    return is_number and announced(text, span.start) == (NOT_PERSONAL,)


_IN_WORDS = frozenset({"PERSON_NAME", "ADDRESS", "DATE_TIME", "QQ_NUMBER"})
"""Types of which such a label says nothing: names after the word *order*, the numbers of groups (QQ群)."""


_ENCODING = 'encoding="'
_TAG = re.compile(r"/?[A-Za-z_][\w.:-]*(?:\s+[\w.:-]+=|\s*/?>)")
"""A tag behind its ``<``, up to the value of its first attribute."""


def trimmed(text: str, span: Span) -> Span:
    """The span without what its type cannot hold: a tag of markup, or Chinese behind a code or number."""
    value = span.value(text)
    at = value.find("</")
    if at < 1 and span.type in _PLAIN_TYPES and (run := _BEFORE_CHINESE.match(value)):
        at = run.end()
    return replace(span, end=span.start + at) if at > 0 else span


_PLAIN_TYPES = frozenset(
    {"CREDENTIAL", "BANK_CARD_NUMBER", "BANK_ACCOUNT_NUMBER", "PHONE_NUMBER", "NATIONAL_ID_NUMBER"}
)
_BEFORE_CHINESE = re.compile(rf"[!-~]{{3,}}(?={HAN}+$)")


def _cuts_word(text: str, at: int) -> bool:
    """Whether a cut here divides a word or number of ASCII, or a Chinese word that looks like a name."""
    around = text[at - 1 : at + 1] if 0 < at < len(text) else ""
    return around in not_names() or (bool(around) and all(c.isascii() and c.isalnum() for c in around))


def _common(value: str) -> str | None:
    """Which words of a Latin name are everyday ones: its only one, all, the first, the last."""
    words = [is_common(word) for word in _LATIN_WORD.findall(value)]
    if len(words) <= 1:
        return "common_word" if any(words) else None
    if all(words):
        return "common_words"
    return "common_first_word" if words[0] else "common_last_word" if words[-1] else None


_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")


def _name_form(value: str) -> str:
    """How a name is written: a Chinese family name and one or two characters, one Latin word, ..."""
    if is_family_and_given(value):
        return "han_family"
    return next((name for name, form in _NAME_FORMS if form.fullmatch(value)), "other")
