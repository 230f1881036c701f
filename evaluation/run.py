"""`pii eval`: measure what serving really does.

    pii eval --config configs/mini/eval.yaml     measure a model; writes report.json and report.md
    pii eval compare RUN_A RUN_B                 are two runs on the same documents different?

Reads the gold documents, asks the extractor that serves, in one pass for the merged result, the model alone
and the patterns alone, and scores. Exit code 0: done; 1: a threshold does not hold or seqeval disagrees;
2: something to mend.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import command
from configs.atomic import writing
from configs.errors import StageError
from configs.stage import Stage, file_hash
from evaluation import asking, gold, markdown, predictions, provenance, report
from evaluation.asking import Opener
from evaluation.gold import GoldSet, Refusal
from evaluation.predictions import FILE, META, Kept
from evaluation.recipe import EvalConfig
from evaluation.report import Split
from pii import codec
from pii.taxonomy import Taxonomy, shipped

logger = logging.getLogger(__name__)

REPORT, PAGE, REFUSED = "report.json", "report.md", "refused.jsonl"


def read_splits(config: EvalConfig, taxonomy: Taxonomy) -> tuple[list[Split], list[str]]:
    """Read and sample every split; the names of optional ones whose file is not there come second.

    Raises StageError: a required file is missing, or holds no document that can be scored.
    """
    splits, absent = [], []
    for name, wanted in config.splits.items():
        if not wanted.file.is_file():
            if wanted.required:
                raise StageError(f"{wanted.file}: no such file; `make data` writes it")
            absent.append(name)
            continue
        read = _without_long_texts(gold.read(wanted.file, taxonomy), wanted.file, config)
        if not read.documents:
            raise StageError(f"{wanted.file}: no document that can be scored ({len(read.refused)} refused)")
        limit = wanted.max_documents or config.max_documents
        splits.append(Split(name, wanted.file, read, tuple(gold.sample(read.documents, limit, config.seed))))
    return splits, absent


def _without_long_texts(read: GoldSet, file: Path, config: EvalConfig) -> GoldSet:
    """Refuse what the extractor would refuse: longer texts than its limit."""
    limit = config.extractor.max_text_chars
    fitting = tuple(entry for entry in read.documents if len(entry.document.text) <= limit)
    refused = tuple(
        Refusal(str(file), entry.line, f"the text is longer than the extractor's limit of {limit}")
        for entry in read.documents
        if len(entry.document.text) > limit
    )
    return GoldSet(fitting, read.refused + refused)


def made_from(config: EvalConfig, splits: Sequence[Split], model: Mapping[str, Any] | None) -> dict[str, str]:
    """What predictions depend on: data, sample, model, answer format, the detector's settings and code."""
    sampled = [[split.name, [entry.line for entry in split.sampled]] for split in splits]
    return {
        **{f"data:{split.name}": file_hash(split.file) for split in splits},
        "sample": predictions.key({"lines": sampled}),
        "model": str(model["hash"]) if model else "none",
        "codec": codec.fingerprint(),
        "extractor": predictions.key(config.extractor.model_dump(mode="json")),
        "detector_code": provenance.code_hash("pii", "serving"),
    }


def evaluate(config: EvalConfig, opener: Opener) -> dict[str, Any]:
    """Measure, or read the report of the very same measurement; returns ``report.json``.

    Raises StageError, DataError or ModelFolderError: an input is missing or cannot be used.
    """
    taxonomy = shipped()
    extractor = config.extractor
    asks_model = extractor.detectors != "patterns" and extractor.model is not None
    model = provenance.model_facts(extractor.model) if asks_model and extractor.model else None
    splits, absent = read_splits(config, taxonomy)
    inputs = made_from(config, splits, model)
    stage = Stage(
        "eval", config.output, config, {**inputs, "scorer_code": provenance.code_hash("evaluation")}
    )
    if stage.is_current():
        logger.info("%s is up to date", config.output / REPORT)
        read: dict[str, Any] = json.loads((config.output / REPORT).read_text(encoding="utf-8"))
        return read
    stage.begin()
    kept = _predictions(config, splits, predictions.key(inputs), opener)
    made = report.build(config, taxonomy, splits, absent, kept, model)
    _write(config.output, made, splits)
    stage.finish([REPORT, PAGE, REFUSED, FILE, META], {"failures": report.failures(made)})
    return made


def _predictions(config: EvalConfig, splits: Sequence[Split], key: str, opener: Opener) -> Kept:
    kept = predictions.load(config.output, key)
    if kept is not None:
        logger.info("predictions of the same model, data and detector are used again")
        return kept
    kept = asking.ask(opener, splits, config.extractor.detectors)
    predictions.save(config.output, key, kept)
    return kept


def _write(folder: Path, made: Mapping[str, Any], splits: Sequence[Split]) -> None:
    with writing(folder / REPORT) as file:
        json.dump(made, file, ensure_ascii=False, indent=2)
        file.write("\n")
    with writing(folder / PAGE) as file:
        file.write(markdown.render(made))
    with writing(folder / REFUSED) as file:
        for split in splits:
            for refusal in split.gold.refused:
                file.write(json.dumps(refusal.as_json(), ensure_ascii=False) + "\n")


def _measure(arguments: Sequence[str]) -> int:
    from serving.extractor import Extractor

    parser = command.parser("pii eval", (__doc__ or "").splitlines()[0], "mini/eval.yaml")
    config = command.config_of(parser.parse_args(arguments), EvalConfig)
    made = evaluate(config, lambda: Extractor.open(config.extractor))
    lines = [*markdown.headline(made), "", *(f"- {note}" for note in made["notes"])]
    sys.stdout.write("\n".join([*lines, "", f"{config.output / PAGE}", ""]))
    failed = report.failures(made)
    for reason in failed:
        logger.error(reason)
    return 1 if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run one of the evaluation commands."""
    words = sys.argv[1:] if argv is None else argv
    return command.run(lambda: _measure(words))


if __name__ == "__main__":
    sys.exit(main())
