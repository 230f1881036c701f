"""The words that surrogates are made of: ``pools.yaml``."""

from __future__ import annotations

import functools
from pathlib import Path

from configs.reader import StrictConfig, parse, read_yaml


class _Given(StrictConfig):
    male: tuple[str, ...]
    female: tuple[str, ...]
    either: tuple[str, ...]

    def like(self, sex: str) -> tuple[str, ...]:
        """Those of a sex, ``male`` or ``female``; else those that suit both."""
        return self.male if sex == "male" else self.female if sex == "female" else self.either


class Pools(StrictConfig):
    """The tables of ``pools.yaml``; its comments say what each holds."""

    surnames_zh: tuple[str, ...]
    compound_zh: tuple[str, ...]
    given_zh: _Given
    foreign_zh: tuple[str, ...]
    surnames_en: tuple[str, ...]
    given_en: _Given
    places_zh: tuple[str, ...]
    places_en: tuple[str, ...]
    area_codes_us: tuple[str, ...]
    states_us: tuple[str, ...]
    kinds_zh: tuple[str, ...]
    kinds_en: frozenset[str]
    alternatives: tuple[tuple[str, ...], ...]


@functools.cache
def pools() -> Pools:
    """The shipped words."""
    return parse(read_yaml(Path(__file__).with_name("pools.yaml")), Pools, "pools.yaml")
