"""``robustness.md`` and ``robustness.svg``: pure functions of ``robustness.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data_pipeline import charts
from evaluation import formats


def _rows(report: Mapping[str, Any], system: str) -> Iterator[list[Any]]:
    for name, part in report["perturbations"].items():
        if not part["systems"]:
            yield [name, part["group"], 0, *["–"] * 6]
            continue
        one = part["systems"][system]
        yield [
            name,
            part["group"],
            part["num_documents"],
            formats.percent(one["clean"]["f1"], interval=False),
            formats.percent(one["perturbed"]["f1"], interval=False),
            formats.percent({**one["change"], "value": one["change"]["difference"]}),
            formats.percent(one["clean"]["leaked_characters"], interval=False),
            formats.percent(one["perturbed"]["leaked_characters"], interval=False),
            formats.percent(one["documents_emptied"], interval=False),
        ]


def page(report: Mapping[str, Any]) -> list[str]:
    """The tables of all systems as Markdown, the one that serves first."""
    head = ["perturbation", "group", "docs", "clean F1", "F1", "change [95 %]"]
    head += ["clean leak", "leak", "docs emptied"]
    lines = [
        f"{report['num_documents']} documents of {report['split']} with {report['num_spans']} gold spans. "
        f"Engine: {report['engine']}.",
    ]
    for system in report["clean"]:
        lines += ["", f"## {system}", "", *formats.table(head, _rows(report, system))]
    what = [[name, part["what"]] for name, part in report["perturbations"].items()]
    return [*lines, "", "## What each is", "", *formats.table(["perturbation", "what"], what)]


def plot(report: Mapping[str, Any]) -> str:
    """Strict F1 of the first system, clean and perturbed, and leaked characters, as one SVG."""
    system = next(iter(report["clean"]))

    def mark(estimate: Mapping[str, Any] | None) -> charts.Mark:
        return (
            charts.Mark(estimate["value"], estimate["low"], estimate["high"])
            if estimate
            else charts.Mark(None)
        )

    rows = {
        name: {
            "F1, clean": charts.Mark(one["clean"]["f1"]["value"]),
            "F1": mark(one["perturbed"]["f1"]),
            "leaked characters": mark(one["perturbed"]["leaked_characters"]),
        }
        for name, part in report["perturbations"].items()
        for one in [part["systems"].get(system)]
        if one
    }
    return charts.marks(f"Robustness ({system})", rows, top=1.0)
