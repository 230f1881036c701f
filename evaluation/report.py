"""``report.json``: everything that one evaluation measured, and nothing that it did not.

The schema is described in ``docs/evaluation.md``. Fields may be added; a field that changes its meaning
changes `SCHEMA_VERSION`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from evaluation import claims, crosscheck, operating, provenance, scoring
from evaluation.gold import GoldDocument, GoldSet
from evaluation.metrics import Case
from evaluation.operating import Marked
from evaluation.peers.asking import Found
from evaluation.predictions import Kept, Prediction
from evaluation.recipe import EvalConfig, ThresholdConfig
from pii.taxonomy import Taxonomy

SCHEMA_VERSION = 1
SMALL = 100
"""Fewer documents than this: the report says that its numbers are rough."""


@dataclass(frozen=True, slots=True)
class Split:
    """One set of documents as it was measured: the file, what it holds, and the sample."""

    name: str
    file: Path
    card: str | None
    sha256: str
    gold: GoldSet
    sampled: tuple[GoldDocument, ...]


def build(
    config: EvalConfig,
    taxonomy: Taxonomy,
    splits: Sequence[Split],
    absent: Sequence[str],
    kept: Kept,
    model: Mapping[str, Any] | None,
    peers: Found,
) -> dict[str, Any]:
    """Score every split and put the report together."""
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "made": dict(kept.facts) | provenance.environment(),
        "model": dict(model) if model else None,
        "detectors": config.extractor.detectors,
        "absent_splits": list(absent),
        "peers": {name: dict(theirs.facts) for name, theirs in peers.kept.items()},
        "absent_peers": dict(peers.absent),
        "without_grammar": None,
        "splits": {split.name: _split(config, taxonomy, split, kept, model, peers) for split in splits},
    }
    report["gaps"] = gaps(report)
    report["claims"] = claims.judged((model or {}).get("claims", {}), report)
    report["thresholds"] = [judge(report, threshold) for threshold in config.thresholds]
    report["notes"] = notes(report)
    return report


def _split(
    config: EvalConfig,
    taxonomy: Taxonomy,
    split: Split,
    kept: Kept,
    model: Mapping[str, Any] | None,
    peers: Found,
) -> dict[str, Any]:
    answered = kept.of(split.name)
    systems = {
        system: _system(config, taxonomy, cases_of(split, answered, system), known)
        for system, known in kept.facts["types"].items()
    }
    for name, theirs in peers.kept.items():
        said = theirs.of(split.name)
        systems[name] = _system(config, taxonomy, cases_of(split, said, name), theirs.facts["types"])
        systems[name]["answers"] = answer_facts(list(said.values()))
    documents = [entry.document for entry in split.sampled if entry.row in answered]
    return {
        **provenance.data_facts(split.file, split.sha256),
        "card": split.card,
        "source": split.gold.facts,
        "num_documents": len(documents),
        "num_sampled": len(split.sampled),
        "num_available": len(split.gold.documents),
        "num_refused": len(split.gold.refused),
        "refused": dict(Counter(refusal.reason for refusal in split.gold.refused)),
        "num_spans": sum(len(document.spans) for document in documents),
        "num_chars": sum(len(document.text) for document in documents),
        "answers": answer_facts(list(answered.values())),
        "systems": systems,
        "scores": _scores(config, taxonomy, split, answered, model),
    }


def _scores(
    config: EvalConfig,
    taxonomy: Taxonomy,
    split: Split,
    answered: Mapping[int, Prediction],
    model: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """Calibration and operating points; None where the model has no scores."""
    thresholds = ((model or {}).get("calibration") or {}).get("operating_points")
    if not thresholds or config.extractor.detectors != "merged":
        return None
    documents = [
        Marked(entry.document, said.candidates, said.spans["patterns"], config.extractor.propagate)
        for entry in split.sampled
        if (said := answered.get(entry.row))
    ]
    return operating.measure(
        documents, thresholds, taxonomy, config.num_resamples, config.seed, config.alarm_budgets
    )


def cases_of(split: Split, answered: Mapping[int, Prediction], system: str) -> list[Case]:
    """The documents that were asked for, with what one system said of them, in the split's order."""
    return [
        Case(entry.document, answered[entry.row].spans[system])
        for entry in split.sampled
        if entry.row in answered
    ]


def _system(
    config: EvalConfig, taxonomy: Taxonomy, cases: Sequence[Case], known: Sequence[str]
) -> dict[str, Any]:
    scored = scoring.score(
        cases,
        taxonomy,
        known=known,
        iou_thresholds=config.iou_thresholds,
        num_resamples=config.num_resamples,
        seed=config.seed,
    )
    scored["crosscheck"] = crosscheck.check(cases, taxonomy, config.crosscheck_documents)
    scored["unsupported"] = _unsupported(cases, known)
    return scored


def _unsupported(cases: Sequence[Case], known: Sequence[str]) -> dict[str, int]:
    """Gold spans of types that a system does not know at all: they count as missed, and are named."""
    counts = Counter(span.type for case in cases for span in case.document.spans)
    return {name: count for name, count in sorted(counts.items()) if name not in known}


def answer_facts(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """How the model's answers came out: shares of the answers that were used, counts of values and places."""
    every = [answer for prediction in predictions for answer in prediction.answers]
    used = [answer for answer in every if not answer.asked_again]

    def share(count: int) -> float | None:
        return round(count / len(used), 4) if used else None

    def mean(count: int) -> float | None:
        return round(count / len(every), 1) if every else None

    return {
        "num_answers": len(used),
        "num_asked_again": len(every) - len(used),
        "valid_json": share(sum(a.valid_json for a in used)),
        "valid_schema": share(sum(a.valid_schema for a in used)),
        "problems": dict(sorted(Counter(a.problem for a in used if a.problem).items())),
        "num_tokens": sum(a.num_tokens for a in every),
        "prompt_tokens_per_request": mean(sum(a.num_prompt_tokens for a in every)),
        "answer_tokens_per_request": mean(sum(a.num_tokens for a in every)),
        "num_values": sum(a.num_values for a in used),
        "num_ungrounded": sum(p.num_ungrounded for p in predictions),
        "num_out_of_order": sum(a.num_out_of_order for a in used),
        "num_loops": sum(a.is_loop for a in every),
        "num_wrong_offsets": sum(a.num_wrong_offsets for a in used),
        "num_truncated_places": sum(len(p.truncated) for p in predictions),
        "num_truncated_chars": sum(end - start for p in predictions for start, end in p.truncated),
    }


def gaps(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Strict F1 of the first split minus that of every other one, per system: the generalisation gap."""
    first, *others = report["splits"]
    found = []
    for other in others:
        for system, own in report["splits"][first]["systems"].items():
            foreign = report["splits"][other]["systems"].get(system)
            if foreign is not None and None not in (
                own["strict"]["f1"]["value"],
                foreign["strict"]["f1"]["value"],
            ):
                gap = _difference(own["strict"]["f1"], foreign["strict"]["f1"])
                found.append({"from": first, "to": other, "system": system, **gap})
    return found


def _difference(own: Mapping[str, Any], foreign: Mapping[str, Any]) -> dict[str, float | None]:
    """The gap between two rates of different documents, with its 95 % interval from theirs.

    Source: Zou and Donner 2008 (https://doi.org/10.1002/sim.3095), equation 2: the limits of a difference
    recovered from the limits of its terms. None where one of them has no interval.
    """
    gap = own["value"] - foreign["value"]
    low = high = None
    if None not in (own["low"], foreign["low"]):
        low = round(gap - math.hypot(own["value"] - own["low"], foreign["high"] - foreign["value"]), 4)
        high = round(gap + math.hypot(own["high"] - own["value"], foreign["value"] - foreign["low"]), 4)
    return {"strict_f1": round(gap, 4), "low": low, "high": high}


def lookup(report: Mapping[str, Any], metric: str) -> float | None:
    """The number at a dotted path; a rate stands for its value.

    Raises ConfigError: there is no number at the path.
    """
    part: Any = report
    remaining = metric
    while remaining:
        if not isinstance(part, Mapping):
            raise ConfigError(f"thresholds: {metric}: no such number in the report")
        # Names such as iou_0.50 hold a dot themselves: the longest name that fits is taken.
        fitting = [key for key in part if remaining == key or remaining.startswith(f"{key}.")]
        if not fitting:
            raise ConfigError(f"thresholds: {metric}: no such number in the report")
        name = max(fitting, key=len)
        part, remaining = part[name], remaining[len(name) + 1 :]
    if isinstance(part, Mapping) and "value" in part:
        part = part["value"]
    if part is not None and (isinstance(part, bool) or not isinstance(part, int | float)):
        raise ConfigError(f"thresholds: {metric}: not a number")
    return part


def judge(report: Mapping[str, Any], threshold: ThresholdConfig) -> dict[str, Any]:
    """Whether one threshold holds; a number that is not defined holds none."""
    value = lookup(report, threshold.metric)
    holds = (
        value is not None
        and (threshold.min is None or value >= threshold.min)
        and (threshold.max is None or value <= threshold.max)
    )
    return threshold.model_dump() | {"value": value, "holds": holds}


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader has to know before believing the numbers."""
    written = []
    for name, split in report["splits"].items():
        if split["num_documents"] < split["num_sampled"]:
            written.append(
                f"{name}: the recipe's time budget ended the run after {split['num_documents']} of the "
                f"{split['num_sampled']} documents that it was to measure."
            )
        if split["num_documents"] < split["num_available"]:
            written.append(
                f"{name}: a sample of {split['num_documents']} of {split['num_available']} documents, "
                "taken evenly over sources and languages."
            )
        if split["num_documents"] < SMALL:
            written.append(f"{name}: only {split['num_documents']} documents; the numbers are rough.")
        if split["num_refused"]:
            written.append(f"{name}: {split['num_refused']} rows of gold were refused; see refused.jsonl.")
        answers = split["answers"]
        if answers["num_truncated_places"]:
            written.append(
                f"{name}: {answers['num_truncated_chars']} characters had no complete answer of the model."
            )
        for system, part in split["systems"].items():
            if part["unsupported"]:
                listed = ", ".join(f"{kind} ({count})" for kind, count in part["unsupported"].items())
                written.append(f"{name}, {system}: does not know {listed}; these count as missed.")
            if not part["crosscheck"]["agrees"]:
                written.append(f"{name}, {system}: seqeval does NOT confirm the strict numbers.")
        model = report["model"]
        if model and report["detectors"] == "merged" and split["scores"] is None:
            written.append(
                f"{name}: the model is not calibrated; the merged result is what the patterns found and what "
                "the model adds beside it."
            )
        if model and split["data_identity"] and model["data_identity"] != split["data_identity"]:
            written.append(
                f"{name}: the model was trained on another build of the data; "
                "that its training kept these documents out is not known."
            )
    written += [f"{name}: no such file; this split is not measured." for name in report["absent_splits"]]
    if unjudged := [claim["metric"] for claim in report["claims"] if claim["holds"] is None]:
        written.append(f"{len(unjudged)} claims of the card rest on other documents and are not judged.")
    written += [f"{name} is left out: {why}." for name, why in report["absent_peers"].items()]
    for name, facts in report["peers"].items():
        written += _peer_notes(name, facts)
    return written


def _peer_notes(name: str, facts: Mapping[str, Any]) -> list[str]:
    """What did not go as it should while a peer was asked."""
    written = []
    for what, counts in (
        ("failed at documents", "failures"),
        ("has labels without a type", "unknown_labels"),
    ):
        if facts.get(counts):
            listed = ", ".join(f"{kind} ({count})" for kind, count in facts[counts].items())
            written.append(f"{name} {what}: {listed}.")
    if facts.get("num_misplaced"):
        written.append(f"{name} marked {facts['num_misplaced']} places outside of their text.")
    return written


def failures(report: Mapping[str, Any]) -> list[str]:
    """Why a report does not pass: thresholds that do not hold, numbers that seqeval does not confirm."""
    failed = [f"threshold {t['metric']} = {t['value']}" for t in report["thresholds"] if not t["holds"]]
    failed += [
        f"the card claims {c['metric']} = {c['claimed']}; it is {c['value']}"
        for c in report["claims"]
        if c["holds"] is False
    ]
    for name, split in report["splits"].items():
        for system, part in split["systems"].items():
            if not part["crosscheck"]["agrees"]:
                failed.append(f"{name}, {system}: seqeval does not confirm the strict numbers")
    return failed
