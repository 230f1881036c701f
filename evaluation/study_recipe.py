"""The schema of a study: stages, variants, columns."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from configs.reader import StrictConfig

Command = Literal["data", "train", "forgetting", "eval", "eval robustness", "eval speed"]


class StageOfStudy(StrictConfig):
    """One command that a study runs for each variant."""

    command: Command
    """Words behind ``pii``."""
    recipe: str | None = None
    """A path, or relative to ``configs/``, such as ``mini/eval.yaml``; null: the command reads none."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Dotted fields that are changed for all variants."""
    arguments: tuple[str, ...] = ()
    """Further words of the command line, such as ``--lengths 300``; folders are led on as in recipes."""

    @model_validator(mode="after")
    def _recipe_where_one_is_read(self) -> Self:
        if (self.recipe is None) != (self.command == "forgetting"):
            raise ValueError(f"pii {self.command} reads {'no' if self.recipe else 'a'} recipe")
        if self.recipe is None and self.set:
            raise ValueError(f"pii {self.command} has no fields to set")
        return self


class Column(StrictConfig):
    """One number of the table."""

    stage: str
    """Name of the stage whose report holds it."""
    metric: str
    """Dotted path in that report; a rate stands for its value and brings its interval."""
    unit: Literal["percent", "number"] = "number"
    """``percent``: shown times 100."""
    ratio: bool = False
    """Also told as a multiple of the first variant's, of the same round."""


class StudyConfig(StrictConfig):
    """A study."""

    question: str
    """One sentence."""
    output: Path
    """Folder of the table, the plot and of a folder for each stage of each variant."""
    stages: dict[str, StageOfStudy] = Field(min_length=1)
    """Name → stage, in the order in which they run."""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name → what it changes: ``stage.dotted.field`` → value."""
    grid: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """``stage.dotted.field`` → values; every combination is a variant besides the named ones."""
    columns: dict[str, Column] = Field(min_length=1)
    """Heading → number."""
    rounds: int = Field(default=1, ge=1)
    """How often the last stage is run for each variant, in turns: for times, so that what else the machine
    does meets all variants alike. Numbers are medians, and their interval the least and the greatest."""
    plot: tuple[str, ...] = Field(min_length=1)
    """Headings of the columns that are drawn; they share one axis."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.all_variants():
            raise ValueError("name variants or a grid")
        for name, changes in self.all_variants().items():
            for field in changes:
                if field.partition(".")[0] not in self.stages or not field.partition(".")[2]:
                    raise ValueError(f"variant {name}: {field} has to be stage.field of one of the stages")
        if unknown := [column.stage for column in self.columns.values() if column.stage not in self.stages]:
            raise ValueError(f"columns: no such stage: {', '.join(unknown)}")
        if unknown := [heading for heading in self.plot if heading not in self.columns]:
            raise ValueError(f"plot: no such column: {', '.join(unknown)}")
        return self

    def all_variants(self) -> dict[str, dict[str, Any]]:
        """The named variants, then those of the grid."""
        return {**self.variants, **combinations(self.grid)}


def combinations(axes: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """Every combination of the axes' values, named after them: ``rank=8 alpha=16``; none without axes."""
    found = {}
    for values in itertools.product(*axes.values()) if axes else ():
        changes = dict(zip(axes, values, strict=True))
        words = (
            f"{field.rpartition('.')[2]}={','.join(map(str, value)) if isinstance(value, list) else value}"
            for field, value in changes.items()
        )
        found[" ".join(words)] = changes
    return found
