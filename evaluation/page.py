"""``report.html``: one file that opens anywhere, without a network. Made from ``report.json`` alone.

Everything that is shown goes through Jinja's escaping; nothing comes from another host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data_pipeline import charts
from evaluation import detectors
from evaluation.errors import Example
from evaluation.formats import percent, plain

_TEMPLATE = "report.html.j2"


def confusion_matrix(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows of gold types, columns of predicted types; the last of each stands for no partner.

    Returns:
        ``names`` of rows and columns, ``rows`` of (name, cells), where a cell is (count, share of its row).
    """
    nothing = "(nothing)"
    seen = {entry[side] for entry in entries for side in ("gold", "predicted")} - {None}
    names = [*sorted(seen), nothing]
    counts = {(e["gold"] or nothing, e["predicted"] or nothing): e["count"] for e in entries}
    rows = []
    for gold in names:
        cells = [counts.get((gold, predicted), 0) for predicted in names]
        total = sum(cells) or 1
        rows.append((gold, [(count, round(count / total, 3)) for count in cells]))
    return {"names": names, "rows": rows}


def plots(scores: Mapping[str, Any]) -> list[str]:
    """Precision over recall with the operating points, and the reliability of scores, as SVG."""
    curve = [
        (point["recall"], point["precision"])
        for point in scores.get("curve", ())
        if None not in (point["recall"], point["precision"])
    ]
    named: dict[tuple[float, float], list[str]] = {}
    for name, point in scores["operating_points"].items():
        if None not in (place := (point["recall"]["value"], point["precision"]["value"])):
            named.setdefault(place, []).append(name)
    # Operating points that came out the same share one label.
    points = {", ".join(names): place for place, names in named.items()}
    reliable = [(row["mean_score"], row["share_right"]) for row in scores["calibration"]["reliability"]]
    return [
        charts.square("Thresholds and operating points", "recall", "precision", {"merged": curve}, points),
        charts.square(
            "Reliability of scores",
            "mean score",
            "share right",
            {"candidates": reliable, "ideal": [(0.0, 0.0), (1.0, 1.0)]},
            {},
        ),
    ]


def provenance(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every fact of where the numbers come from: dotted name and value, in the report's order."""
    facts = {
        "made": report["made"],
        "model": report["model"],
        "detectors": report["detectors"],
        **{
            f"splits.{name}": {key: split[key] for key in _OF_A_SPLIT if key in split}
            for name, split in report["splits"].items()
        },
    }
    return list(_flat(facts, ""))


_OF_A_SPLIT = ("file", "sha256", "data_identity", "card", "source", "num_sampled", "num_available", "refused")


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        yield name, ", ".join(map(str, value)) or "none"
    else:
        yield name, "none" if value is None else str(value)


def render(report: Mapping[str, Any], examples: Mapping[str, Sequence[Example]]) -> str:
    """The page.

    Args:
        report: ``report.json``.
        examples: split → documents for the error browser; empty for none.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("evaluation", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"percent": percent, "plain": plain}
    return environment.get_template(_TEMPLATE).render(
        report=report,
        examples=examples,
        confusion_matrix=confusion_matrix,
        detectors=detectors,
        plots=plots,
        provenance=provenance(report),
    )
