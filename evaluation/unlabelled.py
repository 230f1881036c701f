"""`pii eval unlabelled FILE`: what independent detectors agree on, where nobody has labelled anything.

    pii eval unlabelled notes.jsonl --config configs/mini/eval-peers.yaml -o runs/notes

Model and patterns count as two detectors, each peer of the recipe as one more. Writes ``agreement.json`` and
``agreement.md`` (who agrees with whom, and what that says of recall and precision: `evaluation.agreement`),
and ``review.jsonl``: the places to look at first, without text unless it is asked for.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.atomic import writing
from configs.errors import StageError
from configs.stage import Stage
from evaluation import agreement, markdown, measure, predictions, provenance
from evaluation.agreement import Group, Mention
from evaluation.asking import Opener
from evaluation.gold import GoldDocument
from evaluation.peers import asking as asking_peers
from evaluation.predictions import FILE, META
from evaluation.recipe import EvalConfig
from pii.taxonomy import shipped

logger = logging.getLogger(__name__)

REPORT, PAGE, REVIEW = "agreement.json", "agreement.md", "review.jsonl"
SPLIT = "unlabelled"
CONTEXT = 30
"""Characters around a place that a review list shows where text is asked for."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A document, and what each detector marked in it."""

    entry: GoldDocument
    mentions: tuple[Mention, ...]


def run(config: EvalConfig, opener: Opener, *, with_text: bool) -> dict[str, Any]:
    """Ask every detector about the recipe's one split; returns ``agreement.json``.

    Args:
        config: a recipe whose only split is the file.
        opener: starts the product's detector.
        with_text: whether the review list shows values and what stands around them.

    Raises StageError: the file cannot be read, or fewer than two detectors are there.
    """
    taxonomy = shipped()
    folder = config.extractor.model if config.extractor.detectors != "patterns" else None
    splits, _ = measure.read_splits(config, taxonomy)
    inputs = measure.made_from(config, splits, provenance.model_facts(folder) if folder else None)
    stage = Stage("unlabelled", config.output, config, inputs | {"text": str(with_text)})
    stage.begin()
    key = predictions.key(inputs)
    kept = measure.predicted(config, splits, key, opener)
    asked = measure.asked_of(splits, kept)
    peers = asking_peers.ask(config.peers, asked, config.output, measure.data_key(inputs))
    # The merged result is made of the others, and agrees with them for that reason alone; the tagger has
    # learned from the same documents as the model, and errs where it does.
    said = {name: kept for name in kept.facts["types"] if name not in ("merged", "tagger")}
    known = {name: kept.facts["types"][name] for name in said}
    said |= dict(peers.kept)
    known |= {name: theirs.facts["types"] for name, theirs in peers.kept.items()}
    if len(said) < 2:
        absent = "".join(f"; {name}: {why}" for name, why in peers.absent.items())
        raise StageError(f"agreement needs two detectors: a model beside the patterns, or peers{absent}")
    wanted = set(taxonomy.default_types)
    known = {name: [kind for kind in types if kind in wanted] for name, types in known.items()}
    looked = _look(asked, {name: part.of(SPLIT) for name, part in said.items()}, known)
    made, alone = agreement.groups([one.mentions for one in looked], known)
    report = _report(config, looked, known, made, alone, peers.absent)
    _write(config.output, report, list(review(looked, made, with_text=with_text)))
    stage.finish([REPORT, PAGE, REVIEW, FILE, META], {"num_documents": len(looked)})
    return report


def _look(
    asked: asking_peers.Asked, said: Mapping[str, Mapping[int, Any]], known: Mapping[str, Sequence[str]]
) -> list[Looked]:
    looked = []
    for _, entry in asked:
        found = {
            name: [s for s in rows[entry.row].spans[name] if s.type in known[name]]
            for name, rows in said.items()
        }
        looked.append(Looked(entry, tuple(agreement.mentions(found))))
    return looked


def _report(
    config: EvalConfig,
    looked: Sequence[Looked],
    known: Mapping[str, Sequence[str]],
    made: Sequence[Group],
    alone: Mapping[str, int],
    absent: Mapping[str, str],
) -> dict[str, Any]:
    mentions = [mention for one in looked for mention in one.mentions]
    return {
        "schema_version": 1,
        "num_documents": len(looked),
        "num_chars": sum(len(one.entry.document.text) for one in looked),
        "num_mentions": len(mentions),
        "known_types": {name: list(types) for name, types in known.items()},
        "absent_peers": dict(absent),
        "pairs": [_pair(a, b, known, mentions) for a, b in itertools.combinations(known, 2)],
        "estimate": agreement.summary(made, config.num_resamples, config.seed),
        "types_of_one_detector": dict(alone),
    }


def _pair(a: str, b: str, known: Mapping[str, Sequence[str]], mentions: Sequence[Mention]) -> dict[str, Any]:
    """How often two detectors mark the same thing, of the types that both know."""
    common = set(known[a]) & set(known[b])
    counts = {"both": 0, "only_a": 0, "only_b": 0}
    for mention in mentions:
        if mention.span.type in common:
            has_a, has_b = a in mention.found_by, b in mention.found_by
            if has_a or has_b:
                counts["both" if has_a and has_b else "only_a" if has_a else "only_b"] += 1
    return {"a": a, "b": b, "num_common_types": len(common), **counts}


def review(looked: Sequence[Looked], made: Sequence[Group], *, with_text: bool) -> Iterator[dict[str, Any]]:
    """The places on which the detectors that know their type disagree, the most doubtful first.

    Doubt is how near the chance of being right is to a half. Where it cannot be told (two detectors), the
    order is that of the file.
    """
    by_type = {kind: (group.detectors, agreement.chances(group)) for group in made for kind in group.types}
    doubtful = []
    for one in looked:
        for mention in one.mentions:
            knowing, chances = by_type.get(mention.span.type, ((), {}))
            not_by = sorted(set(knowing) - set(mention.found_by))
            if not not_by:
                continue
            chance = chances.get(mention.found_by) if len(knowing) > 2 else None
            doubt = abs(0.5 - chance) if chance is not None else 0.5
            doubtful.append((doubt, _place(one.entry, mention, not_by, chance, with_text)))
    doubtful.sort(key=lambda pair: pair[0])
    yield from (place for _, place in doubtful)


def _place(
    entry: GoldDocument, mention: Mention, not_by: Sequence[str], chance: float | None, with_text: bool
) -> dict[str, Any]:
    span, text = mention.span, entry.document.text
    place: dict[str, Any] = {
        "row": entry.row,
        "id": entry.document.id,
        "start": span.start,
        "end": span.end,
        "type": span.type,
        "found_by": list(mention.found_by),
        "not_by": list(not_by),
        "chance": None if chance is None else round(chance, 3),
    }
    if with_text:
        place["before"] = text[max(0, span.start - CONTEXT) : span.start]
        place["value"] = span.value(text)
        place["after"] = text[span.end : span.end + CONTEXT]
    return place


def table(report: Mapping[str, Any]) -> list[str]:
    """The estimates for people: one line a detector."""
    rows = [
        [
            name,
            len(report["known_types"][name]),
            part["finds"],
            *(markdown.percent(part[rate]) for rate in ("agreed", "recall", "precision")),
        ]
        for name, part in report["estimate"]["detectors"].items()
    ]
    head = [
        "detector",
        "types",
        "finds",
        "also found by another",
        "recall, estimated",
        "precision, estimated",
    ]
    return markdown.table(head, rows)


def page(report: Mapping[str, Any]) -> str:
    """``agreement.md``."""
    estimate = report["estimate"]
    lines = [
        "# Agreement of detectors",
        "",
        f"{report['num_documents']:,} documents, {report['num_chars']:,} characters, without gold.",
        "",
        *table(report),
        "",
        f"Entities that there are, estimated: {markdown.plain(estimate['entities'])}; "
        f"found by nobody: {markdown.plain(estimate['missed_by_all'])}.",
        "",
        "These are estimates, not measurements. They hold as far as the detectors miss independently of each "
        "other and do not raise the same false alarms. What all of them find hard makes recall look better "
        "than it is. Precision is told only for types that three detectors know.",
        "",
    ]
    for name, why in report["absent_peers"].items():
        lines.append(f"- {name} is left out: {why}.")
    if estimate["types_left_out"]:
        lines.append(f"- Nothing was agreed on, so not estimated: {', '.join(estimate['types_left_out'])}.")
    if report["types_of_one_detector"]:
        listed = ", ".join(f"{kind} ({n})" for kind, n in report["types_of_one_detector"].items())
        lines.append(f"- Known to one detector alone, so not estimated: {listed}.")
    rows = [
        [f"{p['a']}, {p['b']}", p["num_common_types"], p["both"], p["only_a"], p["only_b"]]
        for p in report["pairs"]
    ]
    head = ["pair", "common types", "both", "only the first", "only the second"]
    return "\n".join([*lines, "", "## Pairs", "", *markdown.table(head, rows), ""])


def _write(folder: Path, report: Mapping[str, Any], places: Sequence[Mapping[str, Any]]) -> None:
    with writing(folder / REPORT) as file:
        json.dump(report, file, ensure_ascii=False, indent=2)
        file.write("\n")
    with writing(folder / PAGE) as file:
        file.write(page(report))
    with writing(folder / REVIEW) as file:
        for place in places:
            file.write(json.dumps(place, ensure_ascii=False) + "\n")
