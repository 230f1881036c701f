"""`pii calibrate end-bias`: what looking further than the model does by itself finds, and what it costs.

    pii calibrate end-bias --config configs/mini/eval.yaml --values 0 1 2 4 --documents 100

Reads the recipe's validation documents once for each value of `extractor.end_bias`, and prints for each
operating point strict precision, recall and F1 of what is answered, tokens written for a document and
documents with a truncated part, as JSON. Writes nothing: a value that pays is set in the recipe. Thresholds
are those that the model has; they were learned without the bias.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from tqdm import tqdm

from configs import command
from configs.errors import ConfigError, StageError
from evaluation import gold
from evaluation.recipe import EvalConfig
from pii.spans import Document, Span
from pii.taxonomy import shipped
from serving import merging
from serving.extraction import Extraction
from serving.extractor import Extractor
from serving.extractor_config import EndBias
from serving.scoring import OperatingPoint


def measure(
    extractor: Extractor, documents: Sequence[Document], values: Iterable[float]
) -> list[dict[str, Any]]:
    """A row for each value and operating point, ``unscored`` where there are none: see the module."""
    thresholds: dict[str, float | None] = {"unscored": None}
    if extractor.has_scores():
        thresholds = {point: extractor.plan(threshold=point).threshold for point in get_args(OperatingPoint)}
    rows, configured = [], extractor.config
    try:
        for value in values:
            bias = EndBias(recall=value, balanced=value, precision=value)
            extractor.config = configured.model_copy(update={"end_bias": bias})
            reading = extractor.extract_all(d.text for d in documents)
            found = list(tqdm(reading, total=len(documents), unit="doc", desc=f"end_bias {value:g}"))
            for point, threshold in thresholds.items():
                rows.append({"end_bias": value, "point": point, **_row(documents, found, threshold)})
    finally:
        extractor.config = configured
    return rows


def _row(
    documents: Sequence[Document], found: Sequence[Extraction], threshold: float | None
) -> dict[str, Any]:
    marked = [set(d.spans) for d in documents]
    answered = [_answered(extraction, threshold) for extraction in found]
    num_right = sum(len(gold & spans) for gold, spans in zip(marked, answered, strict=True))
    num_gold, num_answered = sum(map(len, marked)), sum(map(len, answered))
    return {
        "precision": _rate(num_right, num_answered),
        "recall": _rate(num_right, num_gold),
        "f1": _rate(2 * num_right, num_gold + num_answered),
        "answer_tokens": _rate(sum(f.usage.num_answer_tokens for f in found), len(found)),
        "truncated_documents": sum(bool(f.truncated) for f in found),
    }


def _answered(found: Extraction, threshold: float | None) -> set[Span]:
    """What is answered at a threshold; a reading does not depend on it."""
    if threshold is None:
        return set(found.spans)
    return set(merging.by_score((candidate.span for candidate in found.candidates), threshold))


def _rate(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def main(argv: list[str] | None = None) -> int:
    """Measure and print JSON; returns the exit code."""
    parser = command.parser("pii calibrate end-bias", "What looking further finds.", "mini/eval.yaml")
    parser.add_argument("--values", type=float, nargs="+", default=[0.0, 1.0, 2.0, 4.0], help="in nats")
    parser.add_argument("--documents", type=int, default=100, help="validation documents (default: 100)")
    arguments = parser.parse_args(argv)

    def body() -> int:
        config = command.config_of(arguments, EvalConfig)
        if config.calibration is None or config.extractor.detectors == "patterns":
            raise ConfigError("the recipe needs a calibration section, and a model that looks")
        if not config.calibration.file.exists():
            raise StageError(f"{config.calibration.file}: no such file; `make data` writes it")
        if min(arguments.values) < 0 or arguments.documents < 1:
            raise ConfigError("values are 0 or more, and at least one document has to be read")
        read = gold.read(config.calibration.file, shipped(), config.calibration.card).documents
        chosen = [d.document for d in gold.sample(read, arguments.documents, config.seed)]
        with Extractor.open(config.extractor) as extractor:
            rows = measure(extractor, chosen, arguments.values)
            report = {"engine": extractor.engine, "documents": len(chosen), "rows": rows}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
