"""A study for people: its table in Markdown and its plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_pipeline import charts
from evaluation import formats
from evaluation.study_recipe import StudyConfig


def table(config: StudyConfig, made: Mapping[str, Any]) -> list[str]:
    """The study as a Markdown table, a row for each variant."""
    rows = [
        [
            name,
            *(_shown(config.columns[heading].unit, part["numbers"][heading]) for heading in config.columns),
        ]
        for name, part in made["variants"].items()
    ]
    heads = [h + (", %" if column.unit == "percent" else "") for h, column in config.columns.items()]
    return formats.table(["variant", *heads], rows)


def _shown(unit: str, estimate: Mapping[str, Any]) -> str:
    """A number, with its range over the rounds, and as a multiple of the first variant's."""
    told = formats.percent(estimate) if unit == "percent" else _number(estimate["value"])
    if unit == "number" and "rounds" in estimate:
        told += f" [{_number(estimate['low'])}, {_number(estimate['high'])}]"
    ratio = estimate.get("ratio")
    return f"{told}, ×{_number(ratio['value'])}" if ratio and ratio["value"] is not None else told


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def plot(config: StudyConfig, made: Mapping[str, Any]) -> str:
    """The chosen columns of all variants as one SVG."""

    def mark(estimate: Mapping[str, Any]) -> charts.Mark:
        return charts.Mark(*(estimate[name] for name in ("value", "low", "high")))

    rows = {
        name: {heading: mark(part["numbers"][heading]) for heading in config.plot}
        for name, part in made["variants"].items()
    }
    is_share = all(config.columns[heading].unit == "percent" for heading in config.plot)
    return charts.marks(config.question, rows, top=1.0 if is_share else None)
