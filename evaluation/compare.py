"""Are two runs different, or is it the luck of the sample?

Both runs were measured on the same documents, so the documents are compared pair by pair: a paired bootstrap
gives the interval of the difference, approximate randomisation the chance that two equal detectors differ
that much. Source: Yeh, More accurate tests for the statistical significance of result differences, COLING
2000 (https://aclanthology.org/C00-2137/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import StageError
from evaluation import gold, markdown, matching, predictions
from evaluation.gold import GoldDocument
from evaluation.intervals import BLOCK_CELLS, resampled_sums
from evaluation.measure import read_report
from evaluation.metrics import Case, Tally, tabulate
from evaluation.peers.asking import FOLDER as PEERS
from pii.spans import Span
from pii.taxonomy import shipped

NUM_RESAMPLES = 2000
"""Resamples of the bootstrap, and shuffles of the randomisation."""

Counts = NDArray[np.float32]
"""(documents, 3): correct, gold, predicted of one run, by strict match."""


Said = dict[int, dict[str, tuple[Span, ...]]]
"""Row of the gold set → system → its spans."""


def runs(
    folder_a: Path, folder_b: Path, *, seed: int = 0, systems: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Compare two evaluations, split by split and system by system.

    Args:
        folder_a: of one evaluation.
        folder_b: of another one, or the same again to compare two of its systems.
        seed: draws the resamples.
        systems: one of A's systems and one of B's, peers among them; None: each with its namesake.

    Raises StageError: one is not finished, they were not measured on the same documents, those are gone, or a
    system is not there.
    """
    reports = [read_report(folder) for folder in (folder_a, folder_b)]
    kept = [_said(folder, made) for folder, made in zip((folder_a, folder_b), reports, strict=True)]
    names = [name for name in reports[0]["splits"] if name in reports[1]["splits"]]
    if not names:
        raise StageError(f"{folder_a} and {folder_b} have no split in common")
    compared: dict[str, Any] = {"a": str(folder_a), "b": str(folder_b), "splits": {}}
    for name in names:
        said = [one.get(name, {}) for one in kept]
        documents = _same_documents(name, [made["splits"][name] for made in reports], said)
        compared["splits"][name] = _split(documents, said, seed, systems)
    return compared


def _said(folder: Path, made: Mapping[str, Any]) -> dict[str, Said]:
    """What every system of an evaluation said, by split; peers included."""
    found: dict[str, Said] = {}
    parts = [folder, *(folder / PEERS / name for name in made.get("peers", ()))]
    for part in parts:
        kept = predictions.load(part)
        if kept is None:
            raise StageError(f"{part}: no predictions that can be read; run `pii eval` again")
        for prediction in kept.predictions:
            found.setdefault(prediction.split, {}).setdefault(prediction.row, {}).update(prediction.spans)
    return found


def _same_documents(
    name: str, splits: Sequence[Mapping[str, Any]], said: Sequence[Said]
) -> list[GoldDocument]:
    """The gold documents of a split that both runs measured; raises StageError where they differ."""
    if splits[0]["sha256"] != splits[1]["sha256"] or splits[0]["card"] != splits[1]["card"]:
        raise StageError(f"{name}: the two runs were measured on different data")
    if said[0].keys() != said[1].keys():
        raise StageError(
            f"{name}: the two runs were measured on different samples; use the same seed and limit"
        )
    file = Path(splits[0]["file"])
    if not file.exists() or gold.content_hash(file) != splits[0]["sha256"]:
        raise StageError(f"{file}: is gone or has changed since the runs were measured")
    read = gold.read(file, shipped(), splits[0]["card"])
    return [entry for entry in read.documents if entry.row in said[0]]


def _split(
    documents: Sequence[GoldDocument], said: Sequence[Said], seed: int, systems: tuple[str, str] | None
) -> dict[str, Any]:
    known = [next(iter(part.values())) for part in said]
    if systems is None:
        pairs = {name: (name, name) for name in known[0] if name in known[1]}
    else:
        pairs = {f"{systems[0]}, then {systems[1]}": systems}
        for system, there in zip(systems, known, strict=True):
            if system not in there:
                raise StageError(f"no system {system}; there are {', '.join(there)}")
    return {shown: _system(documents, said, pair, seed) for shown, pair in pairs.items()}


def _system(
    documents: Sequence[GoldDocument], said: Sequence[Said], systems: tuple[str, str], seed: int
) -> dict[str, Any]:
    found = [
        [part[entry.row][system] for entry in documents] for part, system in zip(said, systems, strict=True)
    ]
    a, b = (
        counts([Case(entry.document, spans) for entry, spans in zip(documents, one, strict=True)])
        for one in found
    )
    changed = [
        {"row": entry.row, "id": entry.document.id, "a": _as_json(a[index]), "b": _as_json(b[index])}
        for index, entry in enumerate(documents)
        if found[0][index] != found[1][index]
    ]
    return {"num_documents": len(documents), **difference(a, b, seed), "changed": changed}


def counts(cases: Sequence[Case]) -> Counts:
    """Strict counts of one run, document by document."""
    tally: Tally = tabulate(cases, shipped(), [matching.STRICT]).spans[matching.STRICT.name]
    columns = [tally.correct.sum(axis=1) / 2, tally.gold.sum(axis=1), tally.predicted.sum(axis=1)]
    return np.stack(columns, axis=1).astype(np.float32)


def _as_json(counts: Counts) -> dict[str, int]:
    return dict(zip(("correct", "gold", "predicted"), map(int, counts), strict=True))


def _f1(sums: NDArray[Any]) -> NDArray[np.float64]:
    """F1 of rows of (correct, gold, predicted) sums; 0 where there is nothing at all."""
    below = sums[..., 1] + sums[..., 2]
    rates: NDArray[np.float64] = 2 * sums[..., 0] / np.maximum(below, 1)
    return rates


def difference(a: Counts, b: Counts, seed: int = 0) -> dict[str, float]:
    """Strict F1 of both, b minus a with its 95 % interval, and the two-sided p-value."""
    observed = float(_f1(b.sum(axis=0)) - _f1(a.sum(axis=0)))
    sums = resampled_sums(np.concatenate([a, b], axis=1), NUM_RESAMPLES, seed)
    low, high = np.percentile(_f1(sums[:, 3:]) - _f1(sums[:, :3]), [2.5, 97.5])
    return {
        "f1_a": round(float(_f1(a.sum(axis=0))), 4),
        "f1_b": round(float(_f1(b.sum(axis=0))), 4),
        "difference": round(observed, 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "p_value": round(_randomised(a, b, abs(observed), seed), 4),
    }


def _randomised(a: Counts, b: Counts, observed: float, seed: int) -> float:
    """How often swapping the runs document by document makes a difference at least as large."""
    generator = np.random.default_rng(seed)
    step = max(1, min(NUM_RESAMPLES, BLOCK_CELLS // len(a)))
    larger = 0
    for first in range(0, NUM_RESAMPLES, step):
        swapped = generator.random((min(step, NUM_RESAMPLES - first), len(a)), dtype=np.float32) < 0.5
        moved = swapped.astype(np.float32) @ (b - a)
        differences = _f1(b.sum(axis=0) - moved) - _f1(a.sum(axis=0) + moved)
        # What is equal up to rounding counts as reached.
        larger += int(np.count_nonzero(np.abs(differences) >= observed - 1e-6))
    return (larger + 1) / (NUM_RESAMPLES + 1)


def table(compared: Mapping[str, Any]) -> list[str]:
    """The comparison as a Markdown table, with the rows of the documents that changed."""
    rows, notes = [], []
    for name, systems in compared["splits"].items():
        for system, part in systems.items():
            interval = {"value": part["difference"], "low": part["low"], "high": part["high"]}
            f1s = [markdown.percent(part["f1_a"]), markdown.percent(part["f1_b"])]
            rows.append(
                [
                    f"{name}, {system}",
                    part["num_documents"],
                    *f1s,
                    markdown.percent(interval),
                    part["p_value"],
                ]
            )
            listed = ", ".join(str(entry["row"]) for entry in part["changed"][:20]) or "none"
            more = ", ..." if len(part["changed"]) > 20 else ""
            notes.append(f"{name}, {system}: {len(part['changed'])} documents changed: {listed}{more}")
    head = ["split, system", "docs", "strict F1 of A", "strict F1 of B", "B - A", "p"]
    return [f"A: {compared['a']}", f"B: {compared['b']}", "", *markdown.table(head, rows), "", *notes]
