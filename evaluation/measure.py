"""One evaluation from its recipe to its folder: gold, predictions, report."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.atomic import writing
from configs.errors import StageError
from configs.stage import Stage
from data_pipeline.readers.files import Refusal
from evaluation import (
    asking,
    errors,
    gold,
    markdown,
    page,
    predictions,
    provenance,
    report,
    without_grammar,
)
from evaluation.asking import Opener
from evaluation.errors import Example
from evaluation.gold import GoldDocument, GoldSet
from evaluation.peers import asking as asking_peers
from evaluation.predictions import FILE, META, Kept
from evaluation.recipe import EvalConfig, SplitConfig
from evaluation.report import Split
from pii import codec
from pii.taxonomy import Taxonomy, shipped

logger = logging.getLogger(__name__)

REPORT, PAGE, HTML, REFUSED = "report.json", "report.md", "report.html", "refused.jsonl"


def read_splits(config: EvalConfig, taxonomy: Taxonomy) -> tuple[list[Split], list[str]]:
    """Read and sample every split; the names of optional ones whose file is not there come second.

    Raises StageError: a required file is missing, or holds no document that can be scored.
    """
    splits, absent = [], []
    for name, wanted in config.splits.items():
        if wanted.file.exists():
            splits.append(_split(name, wanted, config, taxonomy))
        elif wanted.required:
            raise StageError(f"{wanted.file}: no such file; `make data` writes those of the recipes")
        else:
            absent.append(name)
    return splits, absent


def _split(name: str, wanted: SplitConfig, config: EvalConfig, taxonomy: Taxonomy) -> Split:
    read = gold.read(wanted.file, taxonomy, wanted.card)
    read = _without_long_texts(read, wanted.file, config.extractor.max_text_chars)
    if not read.documents:
        raise StageError(f"{wanted.file}: no document that can be scored ({len(read.refused)} refused)")
    limit = wanted.max_documents or config.max_documents
    return Split(
        name=name,
        file=wanted.file,
        card=wanted.card,
        sha256=gold.content_hash(wanted.file),
        gold=read,
        sampled=tuple(gold.sample(read.documents, limit, config.seed)),
    )


def _without_long_texts(read: GoldSet, file: Path, limit: int) -> GoldSet:
    """Refuse what the extractor would refuse: longer texts than its limit."""
    fitting, refused = [], list(read.refused)
    for entry in read.documents:
        if len(entry.document.text) <= limit:
            fitting.append(entry)
        else:
            reason = f"the text is longer than the extractor's limit of {limit}"
            refused.append(Refusal(file.name, entry.row, reason))
    return GoldSet(tuple(fitting), tuple(refused), read.facts)


def made_from(config: EvalConfig, splits: Sequence[Split], model: Mapping[str, Any] | None) -> dict[str, str]:
    """What predictions depend on: data, sample, model, answer format, the detector's settings and code."""
    sampled = [[split.name, [entry.row for entry in split.sampled]] for split in splits]
    return {
        **{f"data:{split.name}": split.sha256 for split in splits},
        "sample": predictions.key({"rows": sampled, "seed": config.seed, "minutes": config.max_minutes}),
        "model": str(model["hash"]) if model else "none",
        "tagger": config.extractor.tagger_fingerprint,
        "codec": codec.fingerprint(),
        "extractor": predictions.key(config.extractor.model_dump(mode="json")),
        "detector_code": provenance.code_hash("pii", "serving"),
        # Readers decide what the gold of a foreign format is.
        "reader_code": provenance.code_hash("data_pipeline/readers"),
    }


def evaluate(config: EvalConfig, opener: Opener, free_opener: Opener | None = None) -> dict[str, Any]:
    """Measure, or read the report of the very same measurement; returns ``report.json``.

    Args:
        config: the recipe.
        opener: starts the detector.
        free_opener: starts the model without its grammar; None: that comparison is left out.

    Raises StageError, DataError or ModelFolderError: an input is missing or cannot be used.
    """
    taxonomy = shipped()
    asks_model = config.extractor.detectors != "patterns"
    folder = config.extractor.model if asks_model else None
    model = provenance.model_facts(folder) if folder else None
    splits, absent = read_splits(config, taxonomy)
    inputs = made_from(config, splits, model)
    others = {f"peer:{name}": version for name, version in asking_peers.versions(config.peers).items()}
    claimed = {"claims": predictions.key((model or {}).get("claims", {}))}
    scorer = {"scorer_code": provenance.code_hash("evaluation")} | claimed
    stage = Stage("eval", config.output, config, inputs | others | scorer)
    if stage.is_current():
        logger.info("%s is up to date", config.output / REPORT)
        return read_report(config.output)
    stage.begin()
    key = predictions.key(inputs)
    kept = predicted(config, splits, key, opener)
    found = asking_peers.ask(config.peers, asked_of(splits, kept), config.output, data_key(inputs))
    made = report.build(config, taxonomy, splits, absent, kept, model, found)
    if free_opener is not None and without_grammar.applies(config):
        made["without_grammar"] = without_grammar.measure(
            config, splits[0], kept, free_opener, config.output, key
        )
    _write(config, made, splits, kept)
    stage.finish([REPORT, PAGE, HTML, REFUSED, FILE, META], {"failures": report.failures(made)})
    return made


def asked_of(splits: Sequence[Split], kept: Kept) -> list[tuple[str, GoldDocument]]:
    """The documents that this product has answered for: peers are asked about these and no others."""
    return [
        (split.name, entry)
        for split in splits
        for answered in [kept.of(split.name)]
        for entry in split.sampled
        if entry.row in answered
    ]


def data_key(inputs: Mapping[str, str]) -> str:
    """Hash of the data alone: another model of ours does not change what a peer says."""
    kinds = ("data:", "reader_code")
    return predictions.key({name: value for name, value in inputs.items() if name.startswith(kinds)})


def read_report(folder: Path) -> dict[str, Any]:
    """Read ``report.json`` of a finished evaluation. Raises StageError: there is none."""
    try:
        read = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise StageError(f"{folder / REPORT}: no report that can be read; run `pii eval` first") from None
    if not isinstance(read, dict) or read.get("schema_version") != report.SCHEMA_VERSION:
        raise StageError(f"{folder / REPORT}: of another schema; run `pii eval` again")
    return read


def predicted(config: EvalConfig, splits: Sequence[Split], key: str, opener: Opener) -> Kept:
    """What the product says of every sampled document: kept from the last time, or asked now."""
    kept = predictions.load(config.output, key)
    if kept is not None:
        logger.info("predictions of the same model, data and detector are used again")
        return kept
    kept = asking.ask(opener, splits, config)
    predictions.save(config.output, key, kept)
    return kept


def _examples(config: EvalConfig, splits: Sequence[Split], kept: Kept) -> dict[str, list[Example]]:
    """Documents with errors of each split's first system, where the recipe asks to show texts."""
    if not config.num_examples:
        return {}
    system = next(iter(kept.facts["types"]))
    return {
        split.name: errors.examples(report.cases_of(split, kept.of(split.name), system), config.num_examples)
        for split in splits
    }


def _write(config: EvalConfig, made: Mapping[str, Any], splits: Sequence[Split], kept: Kept) -> None:
    folder = config.output
    with writing(folder / REPORT) as file:
        json.dump(made, file, ensure_ascii=False, indent=2)
        file.write("\n")
    with writing(folder / PAGE) as file:
        file.write(markdown.render(made))
    with writing(folder / HTML) as file:
        file.write(page.render(made, _examples(config, splits, kept)))
    with writing(folder / REFUSED) as file:
        for split in splits:
            for refusal in split.gold.refused:
                file.write(json.dumps(refusal.as_row(split.name), ensure_ascii=False) + "\n")
