"""``report.md``: the report for people. A pure function of ``report.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evaluation import detectors
from evaluation.formats import percent as percent
from evaluation.formats import plain as plain
from evaluation.formats import table as table


def headline(report: Mapping[str, Any]) -> list[str]:
    """Split by split and system by system: strict precision, recall, F1, leakage, false alarms."""
    rows = []
    for name, split in report["splits"].items():
        for system, part in split["systems"].items():
            leak = part.get("leakage", {}).get("all", {})
            rows.append(
                [
                    f"{name}, {system}",
                    split["num_documents"],
                    *(percent(part["strict"][rate]) for rate in ("precision", "recall", "f1")),
                    percent(part["strict"]["macro_f1"]),
                    percent(leak.get("characters")),
                    percent(leak.get("documents")),
                    plain(part["false_alarms"]["per_1000_characters"]),
                ]
            )
    head = ["split, system", "docs", "precision", "recall", "strict F1", "macro F1"]
    return table([*head, "leaked chars", "docs with a leak", "alarms / 1,000 chars"], rows)


def gaps(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """The generalisation gaps, a line each, in points of strict F1."""
    return [
        f"Gap from *{gap['from']}* to *{gap['to']}*, {gap['system']}: "
        f"{percent({**gap, 'value': gap['strict_f1']})} points of strict F1."
        for gap in found
    ]


def render(report: Mapping[str, Any]) -> str:
    """The whole report; numbers are per cent with 95 % intervals unless a heading says otherwise."""
    lines = ["# Evaluation", "", *_model(report), "", *headline(report), ""]
    lines += gaps(report["gaps"])
    lines += ["", *(f"- {note}" for note in report["notes"]), ""]
    if report["peers"]:
        lines += ["## Detectors", "", *table(*detectors.compared(report)), "", *_peers(report), ""]
    if report["without_grammar"]:
        lines += ["## With and without the grammar", "", *table(*detectors.grammar(report)), ""]
    if report["thresholds"]:
        lines += ["## Thresholds", "", *_thresholds(report), ""]
    if report["claims"]:
        lines += ["## What the card claims", "", *table(*detectors.claims(report)), ""]
    for name, split in report["splits"].items():
        lines += _split(name, split)
    return "\n".join([*lines, "## Provenance", "", *_provenance(report), ""])


def _model(report: Mapping[str, Any]) -> list[str]:
    model, made = report["model"], report["made"]
    if model is None:
        return [f"Patterns alone, without a model. Measured {made['at']}."]
    size = f"{model['num_parameters']:,} parameters"
    return [
        f"Model `{model['folder']}`: {model['method']} on {model['base_model']}, {size}. "
        f"Engine: {made['engine']}. Measured {made['at']}."
    ]


def _peers(report: Mapping[str, Any]) -> list[str]:
    """Who the peers are and what they can say."""
    lines = []
    for name, facts in report["peers"].items():
        types = ", ".join(facts["types"]) or "none"
        lines.append(f"- *{name}*: {facts['description']}. Types: {types}. {facts['notes']}".rstrip())
    return lines


def _thresholds(report: Mapping[str, Any]) -> list[str]:
    rows = [
        [t["metric"], t["min"], t["max"], t["value"], "yes" if t["holds"] else "NO"]
        for t in report["thresholds"]
    ]
    return table(["metric", "min", "max", "value", "holds"], rows)


def _split(name: str, split: Mapping[str, Any]) -> list[str]:
    lines = [
        f"## {name}",
        "",
        f"{split['num_documents']:,} documents, {split['num_spans']:,} gold spans, "
        f"{split['num_chars']:,} characters; {split['num_refused']} rows refused.",
        "",
    ]
    if not split["systems"]:
        return lines
    system = next(iter(split["systems"]))
    part = split["systems"][system]
    lines += ["### How a span counts", "", *_modes(split["systems"]), ""]
    lines += [f"### By type ({system})", "", *_types(part), ""]
    lines += [f"### Slices ({system})", "", *_slices(part), ""]
    lines += ["### Leakage", "", *_leakage(split["systems"]), ""]
    lines += ["### False alarms", "", *_alarms(split["systems"]), ""]
    lines += [f"### Errors ({system})", "", *_errors(part), ""]
    if split["scores"]:
        lines += ["### Operating points (merged)", "", *_points(split["scores"]), ""]
        lines += [*table(*detectors.budgets(split["scores"])), ""]
        lines += ["### Reliability of scores", "", *_reliability(split["scores"]["calibration"]), ""]
    if said := detectors.answers_of(split):
        lines += ["### Answers of models", "", *table(*detectors.answers(said)), ""]
    return lines


def _modes(systems: Mapping[str, Any]) -> list[str]:
    rows = []
    for system, part in systems.items():
        for mode in [key for key in part if isinstance(part[key], dict) and "f1" in part[key]]:
            rates = [percent(part[mode][rate]) for rate in ("precision", "recall", "f1")]
            rows.append([f"{system}, {mode}", *rates, percent(part[mode].get("macro_f1"))])
    return table(["system, mode", "precision", "recall", "F1", "macro F1"], rows)


def _types(part: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            name,
            t["num_gold"],
            t["num_predicted"],
            *(percent(t[rate]) for rate in ("precision", "recall", "f1")),
            percent(t["leaked_characters"], interval=False),
        ]
        for name, t in part.get("by_type", {}).items()
    ]
    return table(["type", "gold", "predicted", "precision", "recall", "strict F1", "leaked chars"], rows)


def _slices(part: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            f"{dimension}: {group}",
            s["num_documents"],
            s["num_gold"],
            *(percent(s[rate], interval=rate == "f1") for rate in ("precision", "recall", "f1")),
            percent(s["leaked_characters"], interval=False),
            plain(s["alarms_per_1000_characters"]).split(" ")[0],
        ]
        for dimension, groups in part.get("slices", {}).items()
        for group, s in groups.items()
    ]
    head = ["slice", "docs", "gold", "precision", "recall", "strict F1", "leaked chars"]
    return table([*head, "alarms / 1,000 chars"], rows)


def _leakage(systems: Mapping[str, Any]) -> list[str]:
    shares = ("characters", "values_touched", "values_whole", "documents", "documents_whole")
    rows = [
        [f"{system}, {group}", leak["num_values"], *(percent(leak[share]) for share in shares)]
        for system, part in systems.items()
        for group, leak in part.get("leakage", {}).items()
    ]
    head = ["system, types", "values", "characters", "values touched", "values whole", "documents"]
    return table([*head, "documents, whole value"], rows)


def _alarms(systems: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            system,
            alarms["num_alarms"],
            plain(alarms["per_1000_characters"]),
            alarms["num_free_documents"],
            plain(alarms["per_free_document"]),
            percent(alarms["free_documents_with_alarm"]),
        ]
        for system, part in systems.items()
        for alarms in [part["false_alarms"]]
    ]
    head = ["system", "alarms", "per 1,000 chars", "PII-free docs", "per PII-free doc"]
    return table([*head, "PII-free docs with an alarm"], rows)


def _errors(part: Mapping[str, Any]) -> list[str]:
    kinds = table(["kind", "spans"], part["errors"].items())
    confused = sorted(
        (c for c in part["confusion"] if c["gold"] != c["predicted"]), key=lambda c: -int(c["count"])
    )
    rows = [[c["gold"] or "(nothing)", c["predicted"] or "(nothing)", c["count"]] for c in confused[:20]]
    return [*kinds, "", "The most frequent confusions:", "", *table(["gold", "predicted", "spans"], rows)]


def _points(scores: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            name,
            f"{point['threshold']:.2f}",
            *(percent(point[rate]) for rate in ("precision", "recall", "f1", "leaked_characters")),
            plain(point["alarms_per_1000_characters"]),
            percent(point["free_documents_with_alarm"]),
        ]
        for name, point in scores["operating_points"].items()
    ]
    head = ["operating point", "threshold", "precision", "recall", "strict F1", "leaked chars, redacted"]
    return table([*head, "alarms / 1,000 chars", "PII-free docs with an alarm"], rows)


def _reliability(calibration: Mapping[str, Any]) -> list[str]:
    rows = [
        [f"{row['low']:.1f} to {row['high']:.1f}", row["count"], f"{row['mean_score']:.3f}",
         f"{row['share_right']:.3f}"]
        for row in calibration["reliability"]
    ]  # fmt: skip
    ece = calibration["ece"]
    told = "–" if ece is None else f"{ece:.4f}"
    lines = table(["score", "candidates", "mean score", "share right"], rows)
    return [*lines, "", f"Expected calibration error over {calibration['num_spans']:,} candidates: {told}."]


def _provenance(report: Mapping[str, Any]) -> list[str]:
    made, model = report["made"], report["model"] or {}
    rows = [
        ["engine", made["engine"]],
        ["measured at", made["at"]],
        ["seconds to load, to ask", f"{made['load_seconds']}, {made['seconds']}"],
        ["documents, characters, tokens a second", f"{made['documents_per_second']}, "
         f"{made['characters_per_second']}, {made['tokens_per_second']}"],
        ["machine", " ".join(map(str, made["machine"].values()))],
        ["versions", ", ".join(f"{name} {version}" for name, version in made["versions"].items())],
        ["answer format", f"{made['codec']['version']} ({made['codec']['fingerprint'][:12]})"],
        ["model hash", str(model.get("hash"))[:12]],
        ["model's data", str(model.get("data_identity"))[:12]],
    ]  # fmt: skip
    for name, split in report["splits"].items():
        identity = str(split["data_identity"])[:12]
        rows.append([f"{name}", f"{split['file']}, sha256 {split['sha256'][:12]}, data {identity}"])
    return table(["fact", "value"], rows)
