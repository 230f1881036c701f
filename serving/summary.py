"""What a batch job did: counts and rates, as JSON for programs and as one HTML page with plots for people."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.atomic import writing
from configs.errors import ConfigError
from data_pipeline.charts import bars
from serving.progress import entities

ENDINGS = (".json", ".html")
_HEADS = {"operator:": "operators", "source:": "sources", "bad: ": "bad_rows_by_reason"}

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font-family:system-ui;max-width:60em;margin:2em auto}} td{{padding:.1em 1em .1em 0}}
td+td{{text-align:right}} svg{{display:block;margin:1.5em 0}}</style></head>
<body><h1>{title}</h1>
<table>{rows}</table>
{plots}
</body></html>
"""


def check_name(path: Path) -> None:
    """Raises ConfigError where the ending says neither JSON nor HTML."""
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--summary: {path}: expected a name that ends in .json or .html")


def summarise(
    name: str, counts: Mapping[str, int], num_bytes: int, seconds: float, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The summary of a job.

    Args:
        name: of the command.
        counts: over the whole job, earlier runs included.
        num_bytes: that this run read.
        seconds: that this run took.
        facts: what else there is to say: inputs, who did the work.
    """
    done: dict[str, Any] = {
        "job": name,
        "rows": counts.get("rows", 0),
        "bad_rows": counts.get("bad_rows", 0),
        "blank_lines": counts.get("blank_lines", 0),
        "truncated_parts": counts.get("truncated_parts", 0),
        "escalated": counts.get("escalated", 0),
        "entities": entities(counts),
    }
    for head, member in _HEADS.items():
        done[member] = {
            key.removeprefix(head): count
            for key, count in sorted(counts.items())
            if key.startswith(head) and count
        }
    return {
        **done,
        "bytes": num_bytes,
        "seconds": round(seconds, 3),
        "bytes_per_s": round(num_bytes / max(seconds, 1e-6)),
        **facts,
    }


def as_page(summary: Mapping[str, Any]) -> str:
    """The summary as a page that opens anywhere, without a network."""
    plain = {key: value for key, value in summary.items() if not isinstance(value, Mapping)}
    rows = "".join(
        f"<tr><td>{html.escape(key.replace('_', ' '))}</td><td>{html.escape(_shown(value))}</td></tr>"
        for key, value in plain.items()
    )
    plots = "".join(
        bars(key.replace("_", " ").capitalize(), value)
        for key, value in summary.items()
        if isinstance(value, Mapping) and value
    )
    return _PAGE.format(title=html.escape(f"pii {summary['job']}"), rows=rows, plots=plots)


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def write(path: Path, summary: Mapping[str, Any]) -> None:
    """Write a summary in the form that the name's ending says."""
    with writing(path) as file:
        if path.suffix.lower() == ".html":
            file.write(as_page(summary))
        else:
            json.dump(summary, file, ensure_ascii=False, indent=2)
            file.write("\n")
