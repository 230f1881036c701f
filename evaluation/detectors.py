"""Detectors side by side: what of ``report.json`` a reader compares, as (head, rows) of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.formats import percent, plain

Table = tuple[list[str], list[list[Any]]]

LANGUAGES = ("zh", "en")
"""Languages with a column of their own."""


def compared(report: Mapping[str, Any]) -> Table:
    """Every detector on every split: strict F1 of all, of the types that it knows, and by language; cost."""
    rows = []
    for name, split in report["splits"].items():
        for system, part in split["systems"].items():
            by_language = part.get("slices", {}).get("language", {})
            rows.append(
                [
                    f"{name}, {system}",
                    split["num_documents"],
                    percent(part["strict"]["f1"]),
                    percent(part["known_types"]["f1"], interval=False),
                    *(_rate(by_language, language, "f1") for language in LANGUAGES),
                    percent(part.get("leakage", {}).get("all", {}).get("characters"), interval=False),
                    plain(part["false_alarms"]["per_1000_characters"]).split(" ")[0],
                    *_cost(report, system),
                ]
            )
    head = ["split, detector", "docs", "strict F1", "of its types", *LANGUAGES, "leaked chars"]
    return [*head, "alarms / 1,000 chars", "docs a second", "memory, MiB"], rows


def _rate(groups: Mapping[str, Any], group: str, rate: str) -> str:
    return percent(groups[group][rate], interval=False) if group in groups else "–"


def _cost(report: Mapping[str, Any], system: str) -> list[str]:
    """Documents a second and peak memory; the product's systems come from one pass, told beside the first."""
    facts = report["peers"].get(system)
    if facts is None:
        own = next(iter(next(iter(report["splits"].values()))["systems"]))
        facts = report["made"] if system == own else {}
    return [_known(facts.get("documents_per_second")), _known(facts.get("peak_memory_mb"))]


def _known(number: float | None) -> str:
    return "–" if number is None else f"{number:,.1f}"


def answers_of(split: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Who wrote answers about a split: this product's model, and peers that are asked in words."""
    said = {"model": split["answers"]}
    said |= {name: part["answers"] for name, part in split["systems"].items() if "answers" in part}
    return {name: facts for name, facts in said.items() if facts["num_answers"]}


_FACTS = (
    ("answers", "num_answers"),
    ("answers not used: the budget ended them and the window was split", "num_asked_again"),
    ("valid JSON, %", "valid_json"),
    ("valid schema, %", "valid_schema"),
    ("prompt tokens a request", "prompt_tokens_per_request"),
    ("answer tokens a request", "answer_tokens_per_request"),
    ("values read", "num_values"),
    ("values that stand nowhere in the text", "num_ungrounded"),
    ("values out of order", "num_out_of_order"),
    ("answers that end in a loop", "num_loops"),
    ("values that the answer claims to stand elsewhere", "num_wrong_offsets"),
    ("characters without a complete answer", "num_truncated_chars"),
)


def answers(said: Mapping[str, Mapping[str, Any]]) -> Table:
    """Facts of answers, a column for whoever wrote them."""
    problems = sorted({problem for facts in said.values() for problem in facts["problems"]})
    rows = [[shown, *(_fact(facts, name) for facts in said.values())] for shown, name in _FACTS]
    rows += [
        [f"problem: {problem}", *(facts["problems"].get(problem, 0) for facts in said.values())]
        for problem in problems
    ]
    return ["fact", *said], rows


def _fact(facts: Mapping[str, Any], name: str) -> str:
    value = facts[name]
    return percent(value) if name.startswith("valid_") else "–" if value is None else f"{value:,}"


def grammar(report: Mapping[str, Any]) -> Table:
    """The model with and without its grammar, on the same documents."""
    measured = report["without_grammar"]
    sides = {"with the grammar": measured["grammar"], "without": measured["free"]}
    head, rows = answers(sides)
    strict = ["strict F1, %", *(percent(side["strict_f1"]) for side in sides.values())]
    return head, [["documents", *([measured["num_documents"]] * len(sides))], strict, *rows]


def budgets(scores: Mapping[str, Any]) -> Table:
    """The best recall at each budget of false alarms."""
    rows = [
        [f"{part['budget']:g}", percent(part["recall"]), _threshold(part["threshold"])]
        for part in scores["recall_at_alarms"]
    ]
    return ["false alarms / 1,000 chars, at most", "recall, strict", "threshold"], rows


def _threshold(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def claims(report: Mapping[str, Any]) -> Table:
    """What the model's card claims beside what was measured now."""
    verdict = {True: "yes", False: "NO", None: "other data"}
    rows = [
        [c["metric"], c["claimed"], c["min"], c["max"], c["value"], verdict[c["holds"]]]
        for c in report["claims"]
    ]
    return ["metric", "claimed", "min", "max", "value", "holds"], rows
