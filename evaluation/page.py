"""``report.html``: one file that opens anywhere, without a network. Made from ``report.json`` alone.

Everything that is shown goes through Jinja's escaping; nothing comes from another host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
        report=report, examples=examples, confusion_matrix=confusion_matrix, detectors=detectors
    )
