"""Names as slots: the full name, the surname before a title, the given name, the nickname.

What belongs to the name and what is a title outside of it: docs/annotation_guide.md, PERSON_NAME.
"""

from __future__ import annotations

from data_pipeline.values.chance import pick
from data_pipeline.values.reference import words
from data_pipeline.values.registry import Draw, provides

TYPE = "PERSON_NAME"


@provides("name", "full_name", TYPE)
def full_name(draw: Draw) -> str:
    """The whole name."""
    return draw.person.name


@provides("surname", "surname", TYPE)
def surname(draw: Draw) -> str:
    """The part that stands beside a title (the title itself is template text)."""
    return draw.person.family or draw.person.name


@provides("given", "given_name", TYPE)
def given_name(draw: Draw) -> str:
    """What friends call the person; never one character alone, which is nobody's form of address."""
    person = draw.person
    if len(person.given) > 1 or person.naming == "western":
        return person.given
    return person.name


@provides("nick", "nickname", TYPE)
def nickname(draw: Draw) -> str:
    """小王, 老李, 阿强: the prefix is part of the name. English texts: the given name."""
    person, rng = draw.person, draw.rng
    if person.naming not in ("han", "taiwan") or draw.language == "en":
        return given_name(draw)
    if rng.random() < 0.15:
        return person.given[-1] * 2
    prefix = pick(rng, words("names", "inside_zh"))
    return prefix + (person.given[-1] if prefix == "阿" else person.family)


@provides("title", "title", None)
def title(draw: Draw) -> str:
    """A title that stands beside a surname and is not part of it."""
    return pick(draw.rng, words("names", f"title_{draw.language}"))
