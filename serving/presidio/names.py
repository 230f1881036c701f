"""Presidio's names for our entity types, and ours for Presidio's."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from configs.reader import read_yaml
from pii.spans import Span


@dataclass(frozen=True)
class Names:
    """The two ways of naming.

    Attributes:
        types: our type → Presidio's name.
        subtypes: our type → our subtype → Presidio's name.
    """

    types: dict[str, str]
    subtypes: dict[str, dict[str, str]]

    def of(self, span: Span) -> str:
        """What Presidio calls a span."""
        own = self.subtypes.get(span.type, {}).get(span.subtype or "")
        return own or self.types.get(span.type, span.type)

    def all_of(self, types: Iterable[str]) -> list[str]:
        """Every name that spans of these types can have, in the order of the types."""
        names: dict[str, None] = {}
        for type in types:
            names[self.types.get(type, type)] = None
            names.update(dict.fromkeys(self.subtypes.get(type, {}).values()))
        return list(names)

    def ours(self, names: Iterable[str], known: Iterable[str]) -> list[str]:
        """Those of the known types whose spans can have one of these names."""
        wanted = set(names)
        return [type for type in known if wanted.intersection(self.all_of([type]))]


@functools.cache
def names() -> Names:
    """The table of the product."""
    table = read_yaml(Path(__file__).with_name("names.yaml"))
    return Names(table["types"], table["subtypes"])
