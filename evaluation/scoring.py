"""One system on one set of documents: every number of its part of the report, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import matching, slices
from evaluation.intervals import Column, Ratio, estimates
from evaluation.metrics import Case, Tables, Tally, macro_f1, tabulate, types_seen
from pii.taxonomy import EntityType, Taxonomy

Rows = NDArray[np.bool_]


class _Sheet:
    """A nested report whose rates are filled in together, so that one resampling serves them all."""

    def __init__(self) -> None:
        self.filled: dict[str, Any] = {}
        self._places: list[tuple[dict[str, Any], str]] = []
        self._ratios: list[Ratio] = []

    def at(self, *path: str) -> dict[str, Any]:
        """The part of the report at a path, made where it is not there."""
        part = self.filled
        for name in path:
            part = part.setdefault(name, {})
        return part

    def rate(self, part: dict[str, Any], name: str, ratio: Ratio) -> None:
        """Reserve a place, in the order of reading, for a rate and its interval."""
        part[name] = None
        self._places.append((part, name))
        self._ratios.append(ratio)

    def close(self, num_resamples: int, seed: int) -> dict[str, Any]:
        """Fill every reserved place."""
        for (part, name), estimate in zip(
            self._places, estimates(self._ratios, num_resamples, seed), strict=True
        ):
            part[name] = estimate.as_json()
        return self.filled


def modes(iou_thresholds: Sequence[float]) -> list[matching.Mode]:
    """The ways to judge a pair, in the order of the report."""
    fixed = [matching.STRICT, matching.EXACT, matching.PARTIAL, matching.TYPE]
    return fixed + [matching.iou_mode(threshold) for threshold in iou_thresholds]


def score(
    cases: Sequence[Case],
    taxonomy: Taxonomy,
    *,
    known: Collection[str] | None = None,
    iou_thresholds: Sequence[float] = (0.5,),
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """All metrics of one system; see ``docs/evaluation.md`` for each in one sentence and one example.

    Args:
        cases: the documents, with what the system said of them.
        taxonomy: the known types.
        known: the types that the system can say; None: all.
        iou_thresholds: see `modes`.
        num_resamples: behind every interval.
        seed: draws them.
    """
    tables = tabulate(cases, taxonomy, modes(iou_thresholds))
    everything = np.ones(len(cases), dtype=np.bool_)
    sheet = _Sheet()
    _add_modes(sheet, tables, everything)
    _add_known(sheet, tables, everything, known)
    _add_leakage(sheet, tables, taxonomy)
    _add_false_alarms(sheet, tables)
    _add_types(sheet, tables, everything)
    _add_slices(sheet, tables, cases)
    report = sheet.close(num_resamples, seed)
    report["errors"] = dict(sorted(tables.errors.items()))
    report["confusion"] = [
        {"gold": gold or None, "predicted": predicted or None, "count": count}
        for (gold, predicted), count in sorted(tables.confusion.items())
    ]
    report["num_out_of_scope"] = tables.num_out_of_scope
    return report


def _tallies(tables: Tables) -> dict[str, Tally]:
    """Name in the report → what is counted there."""
    return {**tables.spans, "characters": tables.characters, "tokens": tables.tokens}


def _add_modes(sheet: _Sheet, tables: Tables, everything: Rows) -> None:
    for name, tally in _tallies(tables).items():
        part = sheet.at(name)
        for rate, ratio in tally.rates(everything).items():
            sheet.rate(part, rate, ratio)
        if name in tables.verdicts:
            part["counts"] = {verdict: tables.verdicts[name][verdict] for verdict in matching.VERDICTS}
        if tally.gold.shape[1] > 1:
            macro = macro_f1(tally, everything)
            part["macro_f1"] = None if macro is None else round(macro, 4)


def _add_known(sheet: _Sheet, tables: Tables, everything: Rows, known: Collection[str] | None) -> None:
    """Strict rates over the types that the system can say: how good it is at what it is for."""
    columns = [column for column, name in enumerate(tables.types) if known is None or name in known]
    part = sheet.at("known_types")
    for rate, ratio in tables.spans["strict"].rates(everything, columns).items():
        sheet.rate(part, rate, ratio)


def _columns(taxonomy: Taxonomy, wanted: Callable[[EntityType], bool]) -> list[int]:
    return [index for index, entity_type in enumerate(taxonomy) if wanted(entity_type)]


def _per_document(cells: NDArray[np.int32], columns: list[int] | None = None) -> Column:
    chosen = cells if columns is None else cells[:, columns]
    summed: Column = chosen.sum(axis=1).astype(np.float32)
    return summed


def _add_leakage(sheet: _Sheet, tables: Tables, taxonomy: Taxonomy) -> None:
    """Gold that survives redaction: of all types, by tier, and of the types that the law calls sensitive."""
    groups = {"all": _columns(taxonomy, lambda _: True)}
    for tier in ("direct", "quasi", "none"):
        groups[f"tier_{tier}"] = _columns(taxonomy, lambda t, tier=tier: t.tier == tier)  # type: ignore[misc]
    groups["sensitive"] = _columns(taxonomy, lambda t: bool(t.sensitive))
    values, characters = tables.spans["strict"].gold, tables.characters.gold
    for name, columns in groups.items():
        num_values = _per_document(values, columns)
        if not num_values.any():
            continue
        part = sheet.at("leakage", name)
        touched, whole = (_per_document(c, columns) for c in (tables.touched_values, tables.whole_values))
        leaked = _per_document(tables.leaked_characters, columns)
        holding = (num_values > 0).astype(np.float32)
        part["num_values"] = int(num_values.sum())
        sheet.rate(part, "characters", Ratio(leaked, _per_document(characters, columns)))
        sheet.rate(part, "values_touched", Ratio(touched, num_values))
        sheet.rate(part, "values_whole", Ratio(whole, num_values))
        sheet.rate(part, "documents", Ratio((touched > 0).astype(np.float32), holding))
        sheet.rate(part, "documents_whole", Ratio((whole > 0).astype(np.float32), holding))


def _add_false_alarms(sheet: _Sheet, tables: Tables) -> None:
    alarms = _per_document(tables.false_alarms)
    free = (_per_document(tables.spans["strict"].gold) == 0).astype(np.float32)
    part = sheet.at("false_alarms")
    part["num_alarms"] = int(alarms.sum())
    part["num_free_documents"] = int(free.sum())
    sheet.rate(part, "per_1000_characters", Ratio(1000 * alarms, tables.num_chars, is_share=False))
    sheet.rate(part, "per_free_document", Ratio(alarms * free, free, is_share=False))
    sheet.rate(part, "free_documents_with_alarm", Ratio((alarms > 0) * free, free))


def _add_types(sheet: _Sheet, tables: Tables, everything: Rows) -> None:
    strict = tables.spans["strict"]
    for column, name in types_seen(tables):
        part = sheet.at("by_type", name)
        part |= {
            "num_gold": int(strict.gold[:, column].sum()),
            "num_predicted": int(strict.predicted[:, column].sum()),
            "num_correct": int(strict.correct[:, column].sum()) // 2,
            "num_false_alarms": int(tables.false_alarms[:, column].sum()),
        }
        for rate, ratio in strict.rates(everything, [column]).items():
            sheet.rate(part, rate, ratio)
        leaked = Ratio(
            _per_document(tables.leaked_characters, [column]),
            _per_document(tables.characters.gold, [column]),
        )
        sheet.rate(part, "leaked_characters", leaked)


def _groups(cases: Sequence[Case]) -> Iterator[tuple[str, str, Rows]]:
    """Each slice as a choice of documents; a dimension where all are in one group says nothing."""
    members: dict[tuple[str, str], list[int]] = {}
    for index, case in enumerate(cases):
        for place in slices.of(case.document):
            members.setdefault(place, []).append(index)
    for (dimension, group), indices in sorted(members.items()):
        if len(indices) < len(cases):
            rows = np.zeros(len(cases), dtype=np.bool_)
            rows[indices] = True
            yield dimension, group, rows


def _add_slices(sheet: _Sheet, tables: Tables, cases: Sequence[Case]) -> None:
    strict = tables.spans["strict"]
    leaked, gold = _per_document(tables.leaked_characters), _per_document(tables.characters.gold)
    alarms = _per_document(tables.false_alarms)
    for dimension, group, rows in _groups(cases):
        part = sheet.at("slices", dimension, group)
        part["num_documents"] = int(rows.sum())
        part["num_gold"] = int(strict.gold[rows].sum())
        for rate, ratio in strict.rates(rows).items():
            sheet.rate(part, rate, ratio)
        sheet.rate(part, "leaked_characters", Ratio(leaked * rows, gold * rows))
        per_1000 = Ratio(1000 * alarms * rows, tables.num_chars * rows, is_share=False)
        sheet.rate(part, "alarms_per_1000_characters", per_1000)
