"""How good are detectors on documents that nobody has labelled? What independent ones agree on tells.

Two detectors are two lists of the same population: the share of the one's finds that the other has found too
is an estimate of the other's recall, and both together tell how many entities there are (capture-recapture:
Lincoln-Petersen; for lists of records Sekar and Deming, JASA 44, 1949,
https://doi.org/10.1080/01621459.1949.10483294). From three detectors on, whatever two of them agree on serves
as the reference for the third, and the number of entities that follows tells which part of a detector's lone
finds is right (in the spirit of Hui and Walter, Biometrics 36, 1980, https://doi.org/10.2307/2530508: error
rates of tests without a gold standard).

Two assumptions, neither of which can be tested without gold: detectors miss independently of each other, and
they seldom raise the same false alarm. Detectors that miss the same hard entities make recall look better
than it is; detectors that share a false alarm make precision look better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.intervals import MIN_DOCUMENTS, resampled_sums
from pii.spans import Span

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mention:
    """Finds of one type that overlap, in one document: one thing that somebody may have meant.

    Attributes:
        span: from the first to the last character that any of them covers.
        found_by: the detectors, sorted.
    """

    span: Span
    found_by: tuple[str, ...]


def mentions(found: Mapping[str, Sequence[Span]]) -> list[Mention]:
    """The mentions of a document: finds of the same type are swept into runs that overlap.

    Args:
        found: detector → its spans.
    """
    marked = sorted((s.type, s.start, s.end, name) for name, spans in found.items() for s in spans)
    runs: list[tuple[str, int, int, set[str]]] = []
    for kind, start, end, name in marked:
        if runs and runs[-1][0] == kind and start < runs[-1][2]:
            _, first, last, names = runs[-1]
            runs[-1] = (kind, first, max(last, end), names | {name})
        else:
            runs.append((kind, start, end, {name}))
    return [Mention(Span(a, b, kind), tuple(sorted(names))) for kind, a, b, names in runs]


@dataclass(frozen=True, slots=True)
class Group:
    """The types that the same detectors know, and what these found.

    Attributes:
        detectors: at least two.
        types: the types.
        found: for each document and each set of detectors (a bit for each, so 2**k columns), how many
            mentions exactly that set found; column 0 is empty.
    """

    detectors: tuple[str, ...]
    types: tuple[str, ...]
    found: NDArray[np.float32]


def groups(
    documents: Sequence[Sequence[Mention]], known: Mapping[str, Sequence[str]]
) -> tuple[list[Group], dict[str, int]]:
    """Mentions by who can know their type; the types that only one detector knows come second, with counts.

    Args:
        documents: the mentions of each document.
        known: detector → the types that it can say.
    """
    knowing: dict[str, tuple[str, ...]] = {}
    for kind in sorted({kind for types in known.values() for kind in types}):
        knowing[kind] = tuple(sorted(name for name, types in known.items() if kind in types))
    made = []
    for detectors in sorted({names for names in knowing.values() if len(names) > 1}):
        types = tuple(kind for kind, names in knowing.items() if names == detectors)
        found = np.zeros((len(documents), 2 ** len(detectors)), dtype=np.float32)
        for row, listed in enumerate(documents):
            for mention in listed:
                if mention.span.type in types:
                    found[row, sum(1 << detectors.index(name) for name in mention.found_by)] += 1
        made.append(Group(detectors, types, found))
    alone: dict[str, int] = {}
    for mention in (mention for listed in documents for mention in listed):
        if len(knowing.get(mention.span.type, ())) == 1:
            alone[mention.span.type] = alone.get(mention.span.type, 0) + 1
    return made, alone


@dataclass(frozen=True, slots=True)
class Estimate:
    """What agreement says of the detectors of a group; arrays of (resamples, detectors) or (resamples,).

    Attributes:
        recall: share of the entities that each finds.
        right: how many of each one's finds are right; as many as there are where only two detectors look,
            for then nothing tells their lone finds apart.
        finds: how many each found.
        agreed: how many of these another one found too.
        entities: how many entities there are; nan where nothing was agreed on.
        missed: how many of them nobody found.
    """

    recall: Numbers
    right: Numbers
    finds: Numbers
    agreed: Numbers
    entities: Numbers
    missed: Numbers


def estimate(sums: Numbers, num_detectors: int) -> Estimate:
    """Solve the equations of the module for rows of counts.

    Args:
        sums: (resamples, 2**k): how many mentions each set of detectors found.
        num_detectors: k, at least two.
    """
    sets = np.arange(2**num_detectors)
    size = np.array([int(s).bit_count() for s in sets])
    least = 1 if num_detectors == 2 else 2
    columns = range(num_detectors)
    having = [((sets >> i) & 1).astype(bool) for i in columns]
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.stack(
            [
                sums[:, having[i] & (size - 1 >= least)].sum(axis=1)
                / sums[:, size - having[i] >= least].sum(axis=1)
                for i in columns
            ],
            axis=1,
        )
        miss = 1 - recall
        nobody = miss.prod(axis=1)
        one = sum(recall[:, i] * np.delete(miss, i, axis=1).prod(axis=1) for i in columns)
        entities = sums[:, size >= 2].sum(axis=1) / (1 - nobody - one)
    finds = np.stack([sums[:, having[i]].sum(axis=1) for i in columns], axis=1)
    agreed = np.stack([sums[:, having[i] & (size >= 2)].sum(axis=1) for i in columns], axis=1)
    entities = np.where(np.isfinite(entities), entities, np.nan)
    right = np.minimum(np.maximum(recall * entities[:, None], agreed), finds)
    return Estimate(recall, right, finds, agreed, entities, entities * nobody)


def summary(made: Sequence[Group], num_resamples: int, seed: int) -> dict[str, Any]:
    """Every detector over all groups it is in, with 95 % bootstrap intervals over documents.

    Returns:
        ``entities`` and ``missed_by_all``: how many there are, and how many of them nobody found;
        ``detectors``: name → ``finds``, ``agreed`` (share of its finds that another one has too: a lower
        bound of precision as long as false alarms do not coincide), ``recall``, and ``precision`` (null where
        no type has three detectors); ``types_left_out``: those of groups in which nothing was agreed on.
    """
    usable, left_out = [], []
    for group in made:
        point = estimate(group.found.sum(axis=0, dtype=np.float64)[None], len(group.detectors))
        if np.isnan(point.entities[0]):
            left_out += list(group.types)
        else:
            resampled = resampled_sums(group.found, num_resamples, seed) if num_resamples else None
            usable.append((group, point, resampled))
    names = sorted({name for group, _, _ in usable for name in group.detectors})
    enough = bool(made) and len(made[0].found) >= MIN_DOCUMENTS
    totals = [(group, point) for group, point, _ in usable]
    spread = [
        (group, estimate(sums, len(group.detectors)))
        for group, _, sums in usable
        if sums is not None and enough
    ]
    return {
        "entities": _interval(_entities(totals), _entities(spread)),
        "missed_by_all": _interval(_missed(totals), _missed(spread)),
        "detectors": {name: _detector(name, totals, spread) for name in names},
        "types_left_out": left_out,
    }


_Estimated = Sequence[tuple[Group, Estimate]]


def _entities(estimated: _Estimated) -> Numbers | None:
    return np.sum([e.entities for _, e in estimated], axis=0) if estimated else None


def _missed(estimated: _Estimated) -> Numbers | None:
    return np.sum([e.missed for _, e in estimated], axis=0) if estimated else None


def _detector(name: str, totals: _Estimated, spread: _Estimated) -> dict[str, Any]:
    finds = sum(e.finds[0, g.detectors.index(name)] for g, e in totals if name in g.detectors)
    return {
        "finds": int(finds),
        "agreed": _interval(*(_share(name, part, "agreed", 2) for part in (totals, spread))),
        "recall": _interval(*(_recall(name, part) for part in (totals, spread))),
        "precision": _interval(*(_share(name, part, "right", 3) for part in (totals, spread))),
    }


def _share(name: str, estimated: _Estimated, field: str, least: int) -> Numbers | None:
    """Share of a detector's finds that are ``agreed`` or ``right``, over groups of at least so many."""
    above: list[Numbers] = []
    below: list[Numbers] = []
    for group, part in estimated:
        if name in group.detectors and len(group.detectors) >= least:
            index = group.detectors.index(name)
            above.append(getattr(part, field)[:, index])
            below.append(part.finds[:, index])
    return _ratio(above, below)


def _recall(name: str, estimated: _Estimated) -> Numbers | None:
    """A detector's recall over its groups, each by the number of its entities."""
    above, below = [], []
    for group, part in estimated:
        if name in group.detectors:
            above.append(part.recall[:, group.detectors.index(name)] * part.entities)
            below.append(part.entities)
    return _ratio(above, below)


def _ratio(above: Sequence[Numbers], below: Sequence[Numbers]) -> Numbers | None:
    if not above:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Numbers = np.sum(above, axis=0) / np.sum(below, axis=0)
    return ratio


def _interval(point: Numbers | None, spread: Numbers | None) -> dict[str, float | None]:
    """A number with its interval; resamples in which it is not defined stay out."""
    defined = None if spread is None else spread[np.isfinite(spread)]
    known = point is not None and bool(np.isfinite(point[0]))
    value = round(float(point[0]), 4) if point is not None and known else None
    if value is None or defined is None or not len(defined):
        return {"value": value, "low": None, "high": None}
    low, high = np.percentile(defined, [2.5, 97.5])
    return {"value": value, "low": round(float(low), 4), "high": round(float(high), 4)}


def chances(group: Group) -> dict[tuple[str, ...], float]:
    """How likely a mention is right, by who found it: 1 where two agree, less where one is alone.

    Sets of detectors that found nothing are left out; so is everything where nothing was agreed on.
    """
    sums = group.found.sum(axis=0, dtype=np.float64)
    point = estimate(sums[None], len(group.detectors))
    if np.isnan(point.entities[0]):
        return {}
    found = {}
    for bits in np.flatnonzero(sums):
        names = tuple(name for index, name in enumerate(group.detectors) if (int(bits) >> index) & 1)
        if len(names) > 1:
            found[names] = 1.0
        else:
            index = group.detectors.index(names[0])
            lone = point.finds[0, index] - point.agreed[0, index]
            found[names] = float((point.right[0, index] - point.agreed[0, index]) / lone)
    return found
