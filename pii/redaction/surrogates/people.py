"""Names of people: of the same script and length, and of the same sex where the name says it."""

from __future__ import annotations

from pii.patterns.names import surname_length
from pii.redaction.identity import name_words, without_title
from pii.redaction.occurrence import Scope
from pii.redaction.surrogates.draw import Draw
from pii.redaction.surrogates.original import Original, draw_of
from pii.redaction.surrogates.pools import pools
from pii.redaction.writing import restyled

_FAMILIAR = "小老阿大"
"""Stands before a family name and stays (小张)."""

_PARTICLES = frozenset(["al", "bin", "da", "de", "del", "den", "der", "di", "la", "le", "van", "von"])
"""Small words of names; they stay."""


def name(original: Original) -> str | None:
    """The name with other words or characters; titles, separators and case stay. None without a word."""
    if not original.who.split():
        return None
    before, bare, behind = without_title(original.value)
    made = _latin(original, bare) if original.who.isascii() else _other(original, bare)
    return before + made + behind


# --- Chinese and other scripts ---------------------------------------------------------------------


def _other(original: Original, bare: str) -> str:
    who = original.who
    if not all("\u3400" <= char <= "\u9fff" for char in who):
        return "".join(original.draw.alike(char) if char.isalnum() else char for char in bare)
    family = who[1:] if len(who) == 2 and who[0] in _FAMILIAR else who
    holder = _holder(family, original.scope) if len(family) <= 2 else None
    if holder is not None:
        made = _chinese(holder, draw_of(original.scope, "PERSON_NAME", holder))[: len(family)]
    else:
        made = _chinese(family, original.draw)
    return _poured(bare, who.removesuffix(family) + made)


def _holder(family: str, scope: Scope) -> str | None:
    """The one person of the document whose family name this is, where it is a family name alone."""
    if surname_length(family) != len(family):
        return None
    people = scope.originals.get("PERSON_NAME", ())
    holders = [
        n
        for n in people
        if n.startswith(family) and surname_length(n) == len(family) < len(n) <= len(family) + 2
    ]
    return holders[0] if len(holders) == 1 else None


def _chinese(who: str, draw: Draw) -> str:
    """A name of as many characters: family name of as many, given name of the rest."""
    family = surname_length(who)
    if len(who) - family > 2 or not family:
        if len(who) > 3:
            return "".join(draw.pick(pools().foreign_zh) for _ in who)
        family = 1
    head = draw.pick(pools().compound_zh if family == 2 else pools().surnames_zh)
    given = pools().given_zh.like(_sex_zh(who[family:]))
    return head + "".join(draw.pick(given) for _ in who[family:])


def _sex_zh(given: str) -> str:
    known = pools().given_zh
    male = any(char in known.male for char in given)
    female = any(char in known.female for char in given)
    return "" if male == female else "male" if male else "female"


def _poured(value: str, new: str) -> str:
    """The new characters in the places of the letters of the value."""
    fresh = iter(new)
    return "".join(next(fresh, "") if char.isalnum() else char for char in value)


# --- Latin letters ---------------------------------------------------------------------------------


def _latin(original: Original, bare: str) -> str:
    who = original.who.split()
    whole = _whole_name(who, original.scope)
    if whole is not None:
        drawn = _words(whole, draw_of(original.scope, "PERSON_NAME", " ".join(whole)))
        new = _matched(who, whole, drawn)
    else:
        new = _words(who, original.draw)
    fresh = dict(zip(who, new, strict=True))
    made, position = "", 0
    for word in name_words(bare):
        start = bare.find(word, position)
        if start < 0:
            # Width or invisible characters inside the word: rather plain than half replaced.
            return " ".join(new).title()
        made += bare[position:start] + _cased(word, fresh.get(word.casefold(), new[-1]))
        position = start + len(word)
    return made + bare[position:]


def _cased(old: str, new: str) -> str:
    if len(new) == 1 or (old.isupper() and len(old) > 1):
        return restyled(old[0], new) if len(new) == 1 else new.upper()
    return new.lower() if old.islower() else new.capitalize()


def _whole_name(who: list[str], scope: Scope) -> list[str] | None:
    """The one full name of the document that these words are a part of (Smith, J. Smith → John Smith)."""
    wholes = []
    for person in scope.originals.get("PERSON_NAME", ()):
        words = person.split()
        if len(words) > 1 and words != who and min(map(len, words)) > 1 and _matched(who, words, words):
            wholes.append(words)
    return wholes[0] if len(wholes) == 1 else None


def _matched(part: list[str], whole: list[str], new: list[str]) -> list[str]:
    """For each word of the part, that of `new` in the place where it stands in the whole; empty: no part."""
    found: list[str] = []
    at = 0
    for word in part:
        places = [
            i for i in range(at, len(whole)) if whole[i] == word or (len(word) == 1 and whole[i][0] == word)
        ]
        if not places:
            return []
        found.append(new[places[0]][: 1 if len(word) == 1 else None])
        at = places[0] + 1
    return found


def _words(who: list[str], draw: Draw) -> list[str]:
    """Given names and a family name; a word alone is what the table of given names says it is."""
    sex = next(
        (s for s in ("male", "female", "either") if who[0].capitalize() in pools().given_en.like(s)), ""
    )
    new = []
    for place, word in enumerate(who):
        if word in _PARTICLES:
            new.append(word)
        elif len(word) == 1:
            new.append(draw.pick("ABCDEFGHJKLMNPRSTW"))
        elif place == len(who) - 1 and not (len(who) == 1 and sex):
            new.append(draw.pick(pools().surnames_en))
        else:
            new.append(draw.pick(pools().given_en.like(sex)))
    return new
