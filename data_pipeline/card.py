"""The data card: ``README.md`` of a data set and its charts, written from the facts of its manifest."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from configs.atomic import writing
from data_pipeline.charts import bars
from data_pipeline.highlight import for_html, labelled_rows, marked
from data_pipeline.recipe import DataConfig

CHARTS = ("source", "language", "type", "form", "carrier", "domain", "chars", "entities")
"""What is counted of a split; each gets a chart of the training split."""
NUM_EXAMPLES = 50
"""Examples that the card shows; the training split is mixed evenly, so its first ones stand for all."""

CARD_FILES = ("README.md", *(f"charts/{kind}.svg" for kind in CHARTS))


def write_card(config: DataConfig, facts: Mapping[str, Any]) -> None:
    """Write ``README.md`` and ``charts/`` into the data set's folder, beside its finished splits."""
    for kind in CHARTS:
        with writing(config.folder / "charts" / f"{kind}.svg") as file:
            file.write(bars(f"train: {kind}", facts["splits"]["train"].get(kind, {})))
    with writing(config.folder / "README.md") as file:
        file.write(
            "\n".join([*_facts(config, facts), *_charts(), *_counts(facts["splits"]), *_examples(config)])
        )


def _facts(config: DataConfig, facts: Mapping[str, Any]) -> list[str]:
    may_ship = all(
        source.get("licence_class", "permissive") == "permissive"
        for source in [*facts["sources"].values(), *facts["chat"].values()]
        if source["state"] == "used"
    )
    shipping = (
        "Every source in it has a permissive licence."
        if may_ship
        else "**It holds a source whose licence restricts its use: do not ship it.**"
    )
    return [
        f"# Data set `{config.folder.name}`\n",
        "Chinese and English texts with labelled personal information, rendered as conversations. "
        f"Seed {config.seed}; windows of {config.window_chars} code points, margin {config.window_margin}. "
        f"{shipping}\n",
        "## Splits\n",
        _table(("split", "rows", "entities"), _split_rows(facts["splits"])),
        "Every document of `foreign.jsonl` has a template family or a carrier that no other split has. Test "
        "and foreign hold whole documents, train and validation windows; chat is in train alone.\n",
        "## Sources\n",
        _table(
            ("source", "state", "share asked", "share given", "rows read", "licence"),
            _source_rows(config, facts),
        ),
        "## Refused\n",
        "Rows that were not taken, by reason; each one stands in `refused.jsonl` with its file and line.\n",
        _table(
            ("source", "reason", "count"),
            [(source, *item) for source, reasons in facts["refused"].items() for item in reasons.items()],
        ),
    ]


def _split_rows(splits: Mapping[str, Any]) -> list[Sequence[Any]]:
    return [(name, counts["rows"], sum(counts.get("type", {}).values())) for name, counts in splits.items()]


def _source_rows(config: DataConfig, facts: Mapping[str, Any]) -> list[Sequence[Any]]:
    rows: list[Sequence[Any]] = [
        (name, s["state"], s["share"], s["given"], s.get("documents", ""), s["licence"])
        for name, s in facts["sources"].items()
    ]
    chat_rows = facts["splits"]["train"].get("source", {})
    return rows + [
        (
            f"chat.{name}",
            s["state"],
            "on top",
            round(chat_rows.get(f"chat.{name}", 0) / config.examples, 4),
            s.get("conversations", ""),
            s["licence"],
        )
        for name, s in facts["chat"].items()
    ]


def _charts() -> list[str]:
    return ["## The training split\n", *(f"![{kind}](charts/{kind}.svg)\n" for kind in CHARTS)]


def _counts(splits: Mapping[str, Any]) -> list[str]:
    """One table for each thing counted, the splits side by side."""
    parts = ["## Counts\n"]
    for kind in (*CHARTS, "asks"):
        columns = {name: counts.get(kind, {}) for name, counts in splits.items()}
        names = list(dict.fromkeys(itertools.chain.from_iterable(columns.values())))
        rows = [(name, *(column.get(name, 0) for column in columns.values())) for name in names]
        parts += [f"### {kind}\n", _table((kind, *columns), rows)]
    return parts


def _examples(config: DataConfig) -> list[str]:
    documents = itertools.islice(labelled_rows(config.folder / "train.jsonl"), NUM_EXAMPLES)
    return [
        "## Examples\n",
        *(f"<pre>{marked(document, for_html)}</pre>\n" for document in documents),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines) + "\n"
