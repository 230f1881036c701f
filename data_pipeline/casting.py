"""Named people in the parts that real sentences give to pronouns: "他昨天没来" becomes "李晓燕昨天没来".

A chat says "he", "you" or "the customer" where a ticket or a note would name somebody. The words around are
those of people, not of the generator, and the grammar is right, since a name may stand wherever a third
person's pronoun does. A counterpart of the entity replacement of Raiman and Miller 2017
(https://aclanthology.org/D17-1111/), which puts other names in the places of names.

The text is to hold no person of its own, or the model would learn to pass over people. That is argued, not
assumed: a run of sentences with a digit, or with a capital inside an English sentence, is not taken; and only
conversations are taken of which it is known who is named in them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import replace
from random import Random

from data_pipeline.ambiguity import is_ambiguous
from data_pipeline.grammar import expand
from data_pipeline.phrasebook import Phrasebook
from data_pipeline.scene import Piece, Scene, assemble
from data_pipeline.surface import BARE, apply_form, suitable, types_in_form
from data_pipeline.values.chance import Weighted, pick
from pii.patterns import find
from pii.spans import Document

PEOPLE_KNOWN = "people_known"
"""Key of a document's ``meta``: somebody has read who is named in it."""

_SENTENCE = re.compile(r"[^。！？!?.\n]+[。！？!?.\n]*")
_MOST_CHARS = {"zh": 160, "en": 400}
_FEWEST_CHARS = 8
_ATTEMPTS = 4

# Who is named in the conversations that come with the project and is not known by other signs: the finds of a
# detector in them were read.
_NAMED = {
    "zh": (
        "亚瑟|史密斯|约翰|马克(?!笔|杯|思)|李娜|李华|李红|刘慈欣|马化腾|刘翔|梅兰芳|宋庆龄|刘老根|华盛顿"
        "|周杰伦|孙中山|孙悟空|李彦宏|王思聪|杰克|汤姆|爱丽丝|艾米|夏娃|洛克|玛丽|小艾|小杰|阿勇|阿田|贝多芬|爱因斯坦|莎士比亚|约瑟"
    ),
    "en": "John|Ethan|Palacio|Rowling|Lewis",
}
# What may hold a value of another type, or somebody who has a name already.
_TAKEN = {
    "zh": re.compile(
        r"[0-9A-Za-z０-９@《》“”\"·|/\\\[\]]|[〇零一二三四五六七八九]{3}|某|小[明红刚李王张]|" + _NAMED["zh"]
    ),
    "en": re.compile(
        r"[0-9@|/\\<>{}\"]|(?<=[a-z,;:'] )(?!I\b)[A-Z]|(?:^|[.!?]\s+)[A-Z][a-z]+ [A-Z]|\b(?:Mr|Ms|Mrs|Dr|"
        + _NAMED["en"]
        + r")\b"
    ),
}
_RELATIVES_EN = (
    "friend|boss|manager|teacher|doctor|mother|father|brother|sister|neighbou?r|colleague|son|daughter"
)
_ROLES_EN = "man|woman|boy|girl|customer|user|student|teacher|doctor|patient|author|speaker|manager|employee"
# What a person's name may take the place of.
_PARTS = {
    "zh": re.compile(
        r"""(?<![其吉排利])他(?![们人乡日国方]) | 她(?!们) | (?<!迷)[你您](?![们好自])
        | (?<![自忘大])我(?![们国方校市省军党院司自])
        | (?:[这那一][位个]|一名)(?:客户|顾客|用户|病人|学生|老师|医生|朋友|女孩|男孩|老人|作家|员工)
        | (?:我的?)?(?:朋友|同事|同学|经理|老板|邻居|[妈爸]{2}|[哥姐弟妹]{2}|儿子|女儿)(?![们圈的会])""",
        re.VERBOSE,
    ),
    "en": re.compile(
        rf"""\b(?:[Hh]e|[Ss]he)\b(?!') | \bhim\b | \b[Hh]is\b(?=\ [a-z]{{3,}}) | \b[Hh]er\b
        | \bI\b(?=\ (?:will|would|can|could|should|must|might|had|went|did|[a-z]{{3,}}ed)\b)
        | (?<=\bto\ |\bor\ )you\b(?=[.,!?]) | (?<=\bfor\ )you\b(?=[.,!?\ ])
        | (?<=\bwith\ |\bhelp\ |\btell\ |\bgive\ )you\b
        | \b(?:[Mm]y|[Oo]ur)\ (?:{_RELATIVES_EN})\b(?!')
        | \b(?:[Tt]he|[Aa])\ (?:{_ROLES_EN})\b(?!')""",
        re.VERBOSE,
    ),
}
_POSSESSIVE = re.compile(r"(?:his|her)", re.IGNORECASE)
_NO_NOUNS = "and|or|but|to|that|in|on|for|with|as|at|by|when|if|from|about|of|so|because|a|an|the|is|was"
_NOUN_FOLLOWS = re.compile(rf" (?!(?:{_NO_NOUNS})\b)[a-z]{{3,}}")

_KEPT = 0.35
"""Of the pronouns after the first one, those that stay: the model is to pass over them."""


def clear_run(text: Document, rng: Random) -> Document | None:
    """Some sentences of an unlabelled text that hold no value of a default type; None where there are none.

    Args:
        text: a document in Chinese or English in which nothing is labelled.
        rng: the only source of chance.
    """
    runs = _clear_runs(text.text, text.language) if text.language in _PARTS else ()
    return replace(text, text=pick(rng, runs), types=None) if runs else None


def cast_people(
    run: Document, rng: Random, book: Phrasebook, forms: Mapping[str, float], *, reserved: bool
) -> Document:
    """The sentences with people in them; the same sentences where they have no part to give.

    Args:
        run: what `clear_run` gives.
        rng: the only source of chance.
        book: how people are named, under the clauses ``person``.
        forms: shares of the surface forms of the names.
        reserved: draw values that no real person can hold.
    """
    for _ in range(_ATTEMPTS):
        pieces = _cast(run.text, Scene(rng, run.language, run.language, book, reserved))
        form = Weighted(suitable(pieces, forms)).draw(rng)
        written = apply_form(pieces, form, rng) if form != BARE else pieces
        made, spans, _ = assemble(written)
        if not is_ambiguous(made, spans):
            spelled = types_in_form(pieces, written, form)
            meta = {**run.meta, "carrier": "casting", "form": form, "form_types": spelled}
            return replace(run, text=made, spans=spans, meta=meta)
    return run


@functools.lru_cache(maxsize=1 << 13)
def _clear_runs(text: str, language: str) -> tuple[str, ...]:
    """Runs of sentences, as long as may be, in which nothing says that they name somebody or hold a value."""
    runs, run = [], ""
    for match in (*_SENTENCE.finditer(text), None):
        sentence = match[0] if match else ""
        fits = 0 < len(sentence) <= _MOST_CHARS[language] and not _TAKEN[language].search(sentence)
        if fits and len(run) + len(sentence) <= _MOST_CHARS[language]:
            run += sentence
        else:
            runs.append(run.strip())
            run = sentence if fits else ""
    return tuple(run for run in runs if len(run) >= _FEWEST_CHARS and not find(run))


def _cast(text: str, scene: Scene) -> list[Piece]:
    """The pieces of the text, its first part and most of the others given to people."""
    namings = scene.book.clauses[scene.language]["person"]
    pieces: list[Piece] = []
    people: dict[str, int] = {}
    done = 0
    for number, part in enumerate(_PARTS[scene.language].finditer(text)):
        if number and scene.rng.random() < _KEPT:
            continue
        who = people.setdefault(_person_of(part[0]), len(people))
        named = scene.fill(
            expand(pick(scene.rng, namings), scene.book.phrases[scene.language], scene.rng), who
        )
        pieces += [Piece(text[done : part.start()]), *named, *_ending(text, part)]
        done = part.end()
    return [piece for piece in (*pieces, Piece(text[done:])) if piece.text]


def _person_of(part: str) -> str:
    """Pronouns of one person are the same person."""
    return {"him": "he", "his": "he", "her": "she"}.get(part.lower(), part.lower())


def _ending(text: str, part: re.Match[str]) -> list[Piece]:
    """The sign of possession behind a name in the place of `his` and `her`."""
    owns = _POSSESSIVE.fullmatch(part[0]) and _NOUN_FOLLOWS.match(text, part.end())
    return [Piece("'s")] if owns else []
