"""The data card: ``README.md`` of a data set and its charts, written from the facts of its manifest."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from configs.atomic import writing
from configs.stage import file_hash
from data_pipeline.charts import bars
from data_pipeline.highlight import for_html, marked
from data_pipeline.ledger import CELLS, SPLITS
from data_pipeline.recipe import DataConfig
from data_pipeline.shards import split_files
from data_pipeline.synthesis import form_choices
from pii.spans import Document

CHARTS = ("source", "language", "type", "form", "carrier", "domain", "chars", "entities")
"""What is counted of a split; each gets a chart of the training split."""

CARD_FILES = ("README.md", *(f"charts/{kind}.svg" for kind in CHARTS))


def write_card(config: DataConfig, facts: Mapping[str, Any], shown: Sequence[str]) -> None:
    """Write ``README.md`` and ``charts/`` into the data set's folder, beside its finished splits.

    Args:
        config: the recipe.
        facts: those of the manifest.
        shown: lines of examples for a reader.
    """
    for kind in CHARTS:
        with writing(config.folder / "charts" / f"{kind}.svg") as file:
            file.write(bars(f"train: {kind}", facts["splits"]["train"].get(kind, {})))
    with writing(config.folder / "README.md") as file:
        file.write(
            "\n".join(
                [
                    *_facts(config, facts),
                    *_charts(),
                    *_cells(config, facts["splits"]["train"]["cells"]),
                    *_counts(facts["splits"]),
                    *_files(config),
                    *_examples(shown),
                ]
            )
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
        "and foreign hold whole documents, train and validation windows; chat is in neither of the former.\n",
        *(
            f"**{name}: {counts['given']} of the {counts['asked']} asked for**; there is no more.\n"
            for name, counts in facts["short"].items()
        ),
        "## Sources\n",
        _table(
            ("source", "state", "share asked", "share given", "rows read", "licence"),
            _source_rows(config, facts),
        ),
        *itertools.chain.from_iterable(
            _source(name, source) for name, source in facts["sources"].items() if "label_map" in source
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


def _source(name: str, facts: Mapping[str, Any]) -> list[str]:
    """The card of one labelled source: what it is and how it was read."""
    counting = ", ".join(f"{way} in {count} rows" for way, count in facts["offsets"].items())
    about = f"{facts['title']}, {facts['origin']}. Licence: {facts['licence']} ({facts['licence_class']})."
    return [
        f"### {name}\n",
        f"{about} Offsets: {counting or 'none'}. {facts['notes']}\n",
        _table(
            ("label", "met", "becomes"),
            [(label, count, facts["label_map"][label]) for label, count in facts["labels"].items()],
        ),
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


def _cells(config: DataConfig, given: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The form matrix: of the training examples with values in a carrier, how many have each form."""
    choices = form_choices(config.synthetic.synthesis)
    forms = list(dict.fromkeys(form for choice in choices.values() for form in choice.shares()))
    rows = []
    for carrier, counts in given.items():
        asked = choices[carrier].shares() if carrier in choices else {}
        total = sum(counts.values())
        cells = (_cell(counts.get(form, 0) / total, asked.get(form)) for form in forms)
        rows.append((carrier, total, *cells))
    return [
        "## Forms by carrier\n",
        "Percent of a carrier's synthetic training examples with values, and in brackets what the recipe "
        f"asks for. By entity type: `{CELLS}`.\n",
        _table(("carrier", "examples", *forms), rows),
    ]


def _cell(given: float, asked: float | None) -> str:
    return f"{100 * given:.1f}" + ("" if asked is None else f" ({100 * asked:.1f})")


def _files(config: DataConfig) -> list[str]:
    """Hashes of the splits, so that a copy can be told from another."""
    files = [path for split in SPLITS for path in split_files(config.folder, split)]
    return [
        "## Files\n",
        _table(("file", "SHA-256"), [(path.name, f"`{file_hash(path)}`") for path in files]),
    ]


def _examples(shown: Sequence[str]) -> list[str]:
    documents = (Document.from_row(json.loads(line)) for line in shown)
    return [
        "## Examples\n",
        f"{len(shown)} of the training examples, drawn at random.\n",
        *(f"<pre>{marked(document, for_html)}</pre>\n" for document in documents),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines) + "\n"
