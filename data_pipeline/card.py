"""The data card: ``README.md`` of a data set, written from the facts of its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.atomic import writing
from data_pipeline.recipe import DataConfig


def write_card(config: DataConfig, facts: Mapping[str, Any]) -> None:
    """Write ``README.md`` into the data set's folder."""
    with writing(config.folder / "README.md") as file:
        file.write(render_card(config, facts))


def render_card(config: DataConfig, facts: Mapping[str, Any]) -> str:
    """The card as Markdown: what is in the set, where from, under which licence, and what was left out."""
    parts = [
        f"# Data set `{config.folder.name}`\n",
        "Chinese and English texts with labelled personal information, rendered as conversations. "
        f"Seed {config.seed}; windows of {config.window_chars} code points with a margin of "
        f"{config.window_margin}.\n",
        "## Splits\n",
        _table(["split", "rows", "entities"], _split_rows(facts["splits"])),
        "## Sources\n",
        _table(
            ["source", "state", "share asked", "share given", "documents", "licence"],
            _source_rows(config, facts),
        ),
        "## Refused\n",
        _table(["source", "reason", "count"], _refused_rows(facts["refused"])),
    ]
    for split, counts in facts["splits"].items():
        for kind in ("language", "type", "asks", "entities", "form", "carrier", "domain", "chars"):
            if counts.get(kind):
                parts += [f"## {split}: {kind}\n", _table([kind, "count"], list(counts[kind].items()))]
    return "\n".join(parts)


def _table(head: list[str], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows] if rows else [["none"]]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines) + "\n"


def _split_rows(splits: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [(name, counts["rows"], sum(counts.get("type", {}).values())) for name, counts in splits.items()]


def _source_rows(config: DataConfig, facts: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    given = facts["shares"]
    rows: list[tuple[Any, ...]] = [
        (name, s["state"], s["share"], f"{given.get(name, 0):.2f}", s.get("documents", 0), s["licence"])
        for name, s in facts["sources"].items()
    ]
    rows.append(
        (
            "synthetic",
            "used",
            config.synthetic.share,
            f"{given.get('synthetic', 0):.2f}",
            "",
            "the project's own",
        )
    )
    rows += [
        (f"chat.{name}", s["state"], "on top", "", s.get("conversations", 0), s["licence"])
        for name, s in facts["chat"].items()
    ]
    return rows


def _refused_rows(refused: Mapping[str, Mapping[str, int]]) -> list[tuple[Any, ...]]:
    return [
        (source, reason, count) for source, reasons in refused.items() for reason, count in reasons.items()
    ]
