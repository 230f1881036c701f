"""The one reader of the tables in ``data_pipeline/reference/``."""

import functools
from pathlib import Path
from typing import Any

from configs.reader import read_yaml

FOLDER = Path(__file__).parents[1] / "reference"


@functools.cache
def table(name: str) -> Any:
    """The content of ``<name>.yaml``."""
    return read_yaml(FOLDER / f"{name}.yaml")


@functools.cache
def words(name: str, *keys: str) -> tuple[str, ...]:
    """A list of words inside ``<name>.yaml``; of a mapping, its keys."""
    found = table(name)
    for key in keys:
        found = found[key]
    return tuple(str(word) for word in found)


@functools.cache
def rows(name: str) -> tuple[tuple[str, ...], ...]:
    """The tab-separated fields of each line of ``<name>.tsv``; ``#`` begins a comment line."""
    lines = (FOLDER / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return tuple(tuple(line.split("\t")) for line in lines if line and not line.startswith("#"))
