r"""The little language of template files, compiled once and expanded for each document.

    {phone}         a value of the slot `phone` of the document's first person
    {2.phone}       of its second person; {phone:cn_mobile} of that kind; {phone+} a further, different one
    {@phone}        a label word that fits the kind, a separator and the value: 手机：138... ({2.@phone} too)
    [a|b|]          one of the alternatives, which may nest and may be empty
    <thanks>        one of the phrases of that name in the language's phrases.yaml
    \{ \[ \< \|     the character itself

Expansion gives literal strings and slots; what fills a slot is decided by `data_pipeline.scene`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from configs.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a value. `who`: 0 for the first person; `fresh`: not the one that was shown before."""

    name: str
    kind: str = ""
    who: int = 0
    labelled: bool = False
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several sequences."""

    options: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A reference to a list of phrases."""

    name: str


Node = str | Slot | Choice | Phrase
Template = tuple[Node, ...]

_TOKEN = re.compile(
    r"\\(?P<plain>.)|\{(?P<slot>[^{}]*)\}|<(?P<phrase>[a-z_]+)>|(?P<mark>[\[\]|])|(?P<text>[^\\{\[\]|<]+|<)",
    re.S,
)
_SLOT = re.compile(r"(?:(?P<who>[1-9])\.)?(?P<at>@)?(?P<name>[a-z]+)(?::(?P<kind>[a-z0-9_]+))?(?P<fresh>\+)?")


def compile_template(source: str, where: str) -> Template:
    """Read one template. Raises ConfigError with `where` for a bracket or a slot that is not well formed."""
    stack: list[list[list[Node]]] = [[[]]]
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise ConfigError(f"{where}: cannot be read at character {position}")
        position = match.end()
        if match["mark"] == "[":
            stack.append([[]])
        elif match["mark"] == "|" and len(stack) > 1:
            stack[-1].append([])
        elif match["mark"] == "]":
            if len(stack) == 1:
                raise ConfigError(f"{where}: a closing bracket without an opening one")
            options = stack.pop()
            stack[-1][-1].append(Choice(tuple(tuple(option) for option in options)))
        else:
            stack[-1][-1].append(_node(match, where))
    if len(stack) > 1:
        raise ConfigError(f"{where}: a bracket is not closed")
    return tuple(stack[0][0])


def _node(match: re.Match[str], where: str) -> Node:
    if match["slot"] is not None:
        found = _SLOT.fullmatch(match["slot"])
        if found is None:
            raise ConfigError(f"{where}: {{{match['slot']}}} is not a slot")
        who = int(found["who"]) - 1 if found["who"] else 0
        return Slot(found["name"], found["kind"] or "", who, bool(found["at"]), bool(found["fresh"]))
    if match["phrase"]:
        return Phrase(match["phrase"])
    return match["plain"] or match["text"] or match["mark"]


def expand(template: Template, phrases: Mapping[str, Sequence[Template]], rng: Random) -> list[str | Slot]:
    """Choose among alternatives and phrases; literal strings and slots remain, in order."""
    out: list[str | Slot] = []
    _expand(template, phrases, rng, out)
    return out


def _expand(
    template: Template, phrases: Mapping[str, Sequence[Template]], rng: Random, out: list[str | Slot]
) -> None:
    for node in template:
        if isinstance(node, str | Slot):
            out.append(node)
        elif isinstance(node, Choice):
            _expand(node.options[int(rng.random() * len(node.options))], phrases, rng, out)
        else:
            options = phrases[node.name]
            _expand(options[int(rng.random() * len(options))], phrases, rng, out)


def slots_of(template: Template) -> set[Slot]:
    """Every slot that the template may show, phrases left out."""
    found: set[Slot] = set()
    for node in template:
        if isinstance(node, Slot):
            found.add(node)
        elif isinstance(node, Choice):
            for option in node.options:
                found |= slots_of(option)
    return found


def phrases_of(template: Template) -> set[str]:
    """Every phrase list that the template refers to."""
    found: set[str] = set()
    for node in template:
        if isinstance(node, Phrase):
            found.add(node.name)
        elif isinstance(node, Choice):
            for option in node.options:
                found |= phrases_of(option)
    return found
