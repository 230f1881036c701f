"""`pii eval robustness`: what is left of the numbers when the same documents are written otherwise.

    pii eval robustness --config configs/mini/eval.yaml --documents 60
    pii eval robustness --only zero_width fake_turn --set extractor.detectors=patterns

Takes an even sample of the recipe's first split (or of ``--split``), writes each document anew in every way
of the suites (`evaluation.perturbations`, `evaluation.hostile`), asks the same detector and scores it alike.
Each perturbation is compared with the clean answers *on the documents that it changes*, pair by pair.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from configs import command
from configs.atomic import writing
from configs.errors import ConfigError
from configs.stage import Stage
from evaluation import compare, measure, predictions, provenance, robustness_page, scoring
from evaluation.asking import Opener
from evaluation.gold import GoldDocument
from evaluation.hostile import injecting, material
from evaluation.intervals import Ratio, estimates
from evaluation.metrics import Case
from evaluation.perturbations import JOINT, SUITE, Perturbation, groups, join, perturb
from evaluation.predictions import Detector
from evaluation.recipe import EvalConfig
from pii.spans import Document, Span
from pii.taxonomy import shipped

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
REPORT, PAGE, PLOT = "robustness.json", "robustness.md", "robustness.svg"
DOCUMENTS = 60
"""Documents that are taken where the command line does not say."""

System = str
Answers = list[Mapping[System, tuple[Span, ...]]]
"""For each document what every system found."""


def suite() -> dict[str, Perturbation]:
    """Every perturbation and every injection by name, in the order of the report."""
    attacks = {
        name: Perturbation("injection", injection.what, injecting(injection))
        for name, injection in material().injections.items()
    }
    return {**SUITE, **attacks}


@dataclass(frozen=True, slots=True)
class Probe:
    """A document in another writing, and the places of the clean documents that it was made from."""

    document: Document
    origins: tuple[int, ...]


def probes(documents: Sequence[Document], name: str, row: Perturbation, seed: int) -> list[Probe]:
    """The documents that a perturbation changes, changed."""
    if row.write is None:
        together = [group for group in groups(documents) if len(group) > 1]
        return [Probe(join([documents[i] for i in group]), group) for group in together]
    written = (perturb(document, row.write, f"{seed}:{name}") for document in documents)
    return [
        Probe(document, (index,))
        for index, document in enumerate(written)
        if document.text != documents[index].text
    ]


def clean_case(documents: Sequence[Document], answers: Answers, system: System, probe: Probe) -> Case:
    """The clean answers about a probe's documents; where it joins several, as if given about their joint."""
    gold: list[Span] = []
    said: list[Span] = []
    shift = 0
    for index in probe.origins:
        gold += [_shifted(span, shift) for span in documents[index].spans]
        said += [_shifted(span, shift) for span in answers[index][system]]
        shift += len(documents[index].text) + len(JOINT)
    text = JOINT.join(documents[index].text for index in probe.origins)
    return Case(replace(probe.document, text=text, spans=tuple(gold)), tuple(said))


def _shifted(span: Span, by: int) -> Span:
    return replace(span, start=span.start + by, end=span.end + by)


def answers_of(detector: Detector, documents: Sequence[Document], config: EvalConfig) -> Answers:
    """What every system finds in the documents, in their order."""
    rows = [GoldDocument(index, document) for index, document in enumerate(documents)]
    systems = predictions.systems_of(config.extractor)
    found = {p.row: p.spans for p in predictions.predict(detector, "", rows, systems)}
    return [found[index] for index in range(len(documents))]


def _headline(cases: Sequence[Case], config: EvalConfig) -> dict[str, Any]:
    """Of all that is measured the part that a robustness table shows."""
    scored = scoring.score(cases, shipped(), num_resamples=config.num_resamples, seed=config.seed)
    leakage = scored.get("leakage", {}).get("all", {})
    return {
        **{rate: scored["strict"][rate] for rate in ("precision", "recall", "f1")},
        "leaked_characters": leakage.get("characters"),
        "leaked_documents": leakage.get("documents"),
        "alarms_per_1000_characters": scored["false_alarms"]["per_1000_characters"],
    }


def _emptied(clean: Sequence[Case], probed: Sequence[Case], config: EvalConfig) -> dict[str, Any]:
    """Of the documents in which something was rightly found, the share in which nothing is any more."""
    before, after = compare.counts(clean)[:, 0], compare.counts(probed)[:, 0]
    ratio = Ratio(((before > 0) & (after == 0)).astype(np.float32), (before > 0).astype(np.float32))
    return estimates([ratio], config.num_resamples, config.seed)[0].as_json()


def judge(
    documents: Sequence[Document], clean: Answers, probed: Sequence[Probe], said: Answers, config: EvalConfig
) -> dict[str, Any]:
    """For each system: clean and perturbed headline, the change of strict F1, and documents emptied."""
    judged = {}
    for system in clean[0]:
        before = [clean_case(documents, clean, system, probe) for probe in probed]
        after = [Case(p.document, answer[system]) for p, answer in zip(probed, said, strict=True)]
        # From clean to perturbed, so that a loss is below zero.
        change = compare.difference(compare.counts(before), compare.counts(after), config.seed)
        judged[system] = {
            "clean": _headline(before, config),
            "perturbed": _headline(after, config),
            "change": {name: change[name] for name in ("difference", "low", "high", "p_value")},
            "documents_emptied": _emptied(before, after, config),
        }
    return judged


def measure_all(
    documents: Sequence[Document], names: Sequence[str], config: EvalConfig, opener: Opener
) -> dict[str, Any]:
    """Ask about the clean documents and about every perturbation of them; the report without its frame."""
    rows = suite()
    wanted = {name: probes(documents, name, rows[name], config.seed) for name in names}
    total = len(documents) + sum(map(len, wanted.values()))
    detector = opener()
    try:
        with tqdm(total=total, unit="doc", desc="perturbing", mininterval=1.0) as bar:
            clean = answers_of(detector, documents, config)
            bar.update(len(documents))
            made = {}
            for name, changed in wanted.items():
                facts = {"group": rows[name].group, "what": rows[name].what, "num_documents": len(changed)}
                said = answers_of(detector, [probe.document for probe in changed], config)
                bar.update(len(changed))
                made[name] = facts | {
                    "systems": judge(documents, clean, changed, said, config) if changed else {}
                }
        engine = detector.engine
    finally:
        detector.close()
    cases = {
        system: [Case(d, a[system]) for d, a in zip(documents, clean, strict=True)] for system in clean[0]
    }
    return {
        "engine": engine,
        "clean": {system: _headline(of, config) for system, of in cases.items()},
        "perturbations": made,
    }


def evaluate(config: EvalConfig, names: Sequence[str], opener: Opener) -> dict[str, Any]:
    """Measure, or read the report of the very same measurement. `config` has one split and its own output."""
    taxonomy = shipped()
    folder = config.extractor.model if config.extractor.detectors != "patterns" else None
    model = provenance.model_facts(folder) if folder else None
    splits, _ = measure.read_splits(config, taxonomy)
    code = {
        "suite": predictions.key({"names": list(names)}),
        "scorer_code": provenance.code_hash("evaluation", "data_pipeline"),
    }
    stage = Stage("robustness", config.output, config, measure.made_from(config, splits, model) | code)
    if stage.is_current():
        logger.info("%s is up to date", config.output / REPORT)
        read: dict[str, Any] = json.loads((config.output / REPORT).read_text(encoding="utf-8"))
        return read
    stage.begin()
    documents = [entry.document for entry in splits[0].sampled]
    report = {
        "schema_version": SCHEMA_VERSION,
        "split": splits[0].name,
        **provenance.data_facts(splits[0].file, splits[0].sha256),
        "num_documents": len(documents),
        "num_spans": sum(len(document.spans) for document in documents),
        "model": model,
        **measure_all(documents, names, config, opener),
        "made": provenance.environment(),
    }
    with writing(config.output / REPORT) as file:
        json.dump(report, file, ensure_ascii=False, indent=2)
        file.write("\n")
    with writing(config.output / PAGE) as file:
        file.write("\n".join(["# Robustness", "", *robustness_page.page(report), ""]))
    with writing(config.output / PLOT) as file:
        file.write(robustness_page.plot(report))
    stage.finish([REPORT, PAGE, PLOT], {"num_documents": len(documents)})
    return report


def config_of(arguments: argparse.Namespace) -> EvalConfig:
    """The recipe with one split, a small sample, and a folder beside its own. Raises ConfigError."""
    config = command.config_of(arguments, EvalConfig)
    name = arguments.split or next(iter(config.splits))
    if name not in config.splits:
        raise ConfigError(f"--split {name}: the recipe has {', '.join(config.splits)}")
    output = arguments.output or config.output.with_name(f"{config.output.name}-robustness")
    split = config.splits[name].model_copy(update={"max_documents": arguments.documents, "required": True})
    return config.model_copy(update={"splits": {name: split}, "output": output, "thresholds": ()})


def parser() -> argparse.ArgumentParser:
    """The command line of `pii eval robustness`."""
    made = command.parser(
        "pii eval robustness", "Measure the same documents written otherwise.", "mini/eval.yaml"
    )
    made.add_argument("--split", metavar="NAME", help="a split of the recipe (default: its first)")
    made.add_argument(
        "--documents", type=int, default=DOCUMENTS, metavar="N", help=f"most documents (default: {DOCUMENTS})"
    )
    made.add_argument(
        "--only", nargs="+", metavar="NAME", choices=list(suite()), help="perturbations (default: all)"
    )
    made.add_argument("-o", "--output", type=Path, metavar="DIR", help="default: beside the recipe's output")
    return made
