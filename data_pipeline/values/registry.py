"""Which provider draws which slot of a template, for people of which region.

A *slot* is the word in a template (``phone``), a *kind* one shape of value that may fill it
(``cn_mobile``); a kind belongs to one entity type, or to none where the value is a look-alike or harmless.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from data_pipeline.values.chance import Weighted
from data_pipeline.values.people import Person


@dataclass(slots=True)
class Draw:
    """What a provider may use: the generator, the person, the language of the text, the option.

    Attributes:
        rng: the document's generator; the only source of chance.
        person: whose value it is.
        language: ``zh`` or ``en``: the language of the sentence around.
        reserved: draw from ranges that no real person can hold, where such a range exists.
    """

    rng: Random
    person: Person
    language: str
    reserved: bool


@dataclass(frozen=True, slots=True)
class Value:
    """A drawn value in its usual spelling; `type` is None for what is no entity."""

    text: str
    type: str | None
    kind: str

    def __repr__(self) -> str:
        return f"Value(type={self.type!r}, kind={self.kind!r}, num_chars={len(self.text)})"


@dataclass(frozen=True, slots=True)
class Provider:
    """A registered function: `weights` by region, ``*`` for all others."""

    slot: str
    kind: str
    type: str | None
    weights: dict[str, float]
    draw: Callable[[Draw], str]

    def weight(self, region: str, language: str) -> float:
        """How often people of the region in a text of the language show this kind; 0: never."""
        for key in (region, language, "*"):
            if key in self.weights:
                return self.weights[key]
        return 0.0


_PROVIDERS: dict[str, list[Provider]] = {}
_BY_KIND: dict[str, Provider] = {}


def provides(
    slot: str, kind: str, type: str | None, **weights: float
) -> Callable[[Callable[[Draw], str]], Callable[[Draw], str]]:
    """Register a function as provider of a slot.

    Args:
        slot: the word that templates use.
        kind: unique name of the shape.
        type: entity type, None for what is no entity.
        **weights: by region (``cn``, ``hk``, ``tw``, ``us``, ``uk``, ``in``, ``eu``) or language (``zh``,
            ``en``); ``any`` for every other. None given: 1 everywhere.
    """
    shown = {("*" if key == "any" else key): weight for key, weight in weights.items()} or {"*": 1.0}

    def register(function: Callable[[Draw], str]) -> Callable[[Draw], str]:
        assert kind not in _BY_KIND, kind
        provider = Provider(slot, kind, type, shown, function)
        _PROVIDERS.setdefault(slot, []).append(provider)
        _BY_KIND[kind] = provider
        return function

    return register


def slots() -> tuple[str, ...]:
    """All words that a template may use."""
    return tuple(_PROVIDERS)


def kinds() -> tuple[str, ...]:
    """All shapes of values."""
    return tuple(_BY_KIND)


def providers(slot: str) -> tuple[Provider, ...]:
    """The providers of a slot. Raises KeyError for an unknown slot."""
    return tuple(_PROVIDERS[slot])


@functools.cache
def _kinds_for(slot: str, region: str, language: str) -> Weighted[str]:
    """The kinds of a slot that fit; all of them, equally, where none does (a Dutch plate number)."""
    weights = {p.kind: p.weight(region, language) for p in _PROVIDERS[slot]}
    return Weighted(weights if any(weights.values()) else dict.fromkeys(weights, 1.0))


def draw_value(slot: str, draw: Draw, kind: str = "") -> Value:
    """Draw a value for a slot, of the kind where one is named, else of one that fits the person."""
    provider = _BY_KIND[kind or _kinds_for(slot, draw.person.region, draw.language).draw(draw.rng)]
    return Value(provider.draw(draw), provider.type, provider.kind)
