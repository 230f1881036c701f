"""The entity types: data from ``entity_types.yaml``, with names in both languages, tier and law."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from configs.errors import ConfigError
from configs.reader import StrictConfig, parse, read_yaml
from pii.errors import RequestError


class EntityType(StrictConfig):
    """One entity type. `tier` says how directly it points at a person."""

    name: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$")
    """UPPER_SNAKE: it stands in prompts, answers, grammars, URLs and column names."""
    zh: str
    """Chinese name, for tags and pages."""
    en: str
    """English name."""
    tier: Literal["direct", "quasi", "none"]
    default: bool
    """Whether a request that names no types asks for it."""
    sensitive: str = ""
    """The law that counts it as sensitive personal information; empty: none does."""


@dataclass(frozen=True)
class Taxonomy:
    """The known types, in their stable order."""

    types: Mapping[str, EntityType]

    def __iter__(self) -> Iterator[EntityType]:
        return iter(self.types.values())

    def __contains__(self, name: object) -> bool:
        return name in self.types

    def __getitem__(self, name: str) -> EntityType:
        return self.types[name]

    @functools.cached_property
    def default_types(self) -> tuple[str, ...]:
        """Names of the types that a request without types asks for, in taxonomy order."""
        return tuple(t.name for t in self if t.default)

    def resolve(self, names: Iterable[str] | None) -> tuple[str, ...]:
        """The requested types in taxonomy order, each once; None means the default types.

        Raises RequestError (``unknown_type``, ``no_types``) with the place.
        """
        if names is None:
            return self.default_types
        wanted = set()
        for index, name in enumerate(names):
            if not isinstance(name, str) or name not in self.types:
                # The name itself comes from the caller and may be anything: it is not repeated.
                raise RequestError("unknown_type", f"types[{index}]", "not a type of the taxonomy")
            wanted.add(name)
        if not wanted:
            raise RequestError("no_types", "types", "an empty list of types asks for nothing")
        return tuple(name for name in self.types if name in wanted)


def load(*extensions: Path) -> Taxonomy:
    """Read the shipped types and then the user's own files, which may add types or change them.

    Raises ConfigError: a file is not a mapping of names to fields, or a type breaks `EntityType`.
    """
    merged: dict[str, dict[str, Any]] = {}
    types: dict[str, EntityType] = {}
    for path in (Path(__file__).with_name("entity_types.yaml"), *extensions):
        names = read_yaml(path)
        if not isinstance(names, dict):
            raise ConfigError(f"{path}: expected a mapping of type names to their fields")
        for name, fields in names.items():
            if not isinstance(fields, dict) or "name" in fields:
                raise ConfigError(f"{path}: {name}: expected the fields of a type, without its name")
            merged[name] = {**merged.get(name, {}), **fields}
            types[name] = parse({"name": name, **merged[name]}, EntityType, f"{path}: {name}")
    return Taxonomy(types)


@functools.cache
def shipped() -> Taxonomy:
    """The taxonomy as it comes with the product."""
    return load()
