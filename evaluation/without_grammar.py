"""The model once more, without the grammar: what the grammar is worth, measured and not believed.

A part of the first split's documents is asked again with free decoding; both passes are then compared on
exactly these documents: form of the answers, values that stand nowhere, order, loops, strict F1.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluation import gold, predictions
from evaluation.gold import GoldDocument
from evaluation.matching import STRICT
from evaluation.metrics import Case, tabulate
from evaluation.predictions import Detector, Kept, Prediction
from evaluation.recipe import EvalConfig, FreeConfig
from evaluation.report import Split, answer_facts
from pii.taxonomy import shipped

logger = logging.getLogger(__name__)

FOLDER = "without_grammar"
PART = 8
"""Documents that are asked for before the clock is looked at: a loop costs the whole budget of an answer."""


def applies(config: EvalConfig) -> bool:
    """Whether there is something to compare: a model that is asked with the grammar."""
    extractor = config.extractor
    return config.without_grammar is not None and extractor.detectors != "patterns" and extractor.grounded


def measure(
    config: EvalConfig, split: Split, kept: Kept, opener: Callable[[], Detector], output: Path, key: str
) -> dict[str, Any]:
    """Both passes side by side.

    Args:
        config: the recipe.
        split: the headline's documents.
        kept: what the model said with the grammar.
        opener: starts the detector without it.
        output: folder of the evaluation, where the second pass is kept.
        key: hash of what `kept` was made from.

    Returns:
        ``num_documents``; ``grammar`` and ``free``, each the facts of the answers (`report.answer_facts`) and
        the model's ``strict_f1``.
    """
    wanted = config.without_grammar
    assert wanted is not None
    bound = kept.of(split.name)
    documents = [entry for entry in split.sampled if entry.row in bound]
    documents = gold.sample(documents, wanted.max_documents, config.seed)
    free = _free(wanted, documents, split.name, opener, output / FOLDER, key)
    asked = [entry for entry in documents if entry.row in free]
    return {
        "num_documents": len(asked),
        "grammar": _side(asked, bound),
        "free": _side(asked, free),
    }


def _side(documents: Sequence[GoldDocument], said: Mapping[int, Prediction]) -> dict[str, Any]:
    cases = [Case(entry.document, said[entry.row].spans["model"]) for entry in documents]
    tally = tabulate(cases, shipped(), [STRICT]).spans[STRICT.name]
    below = int(tally.gold.sum() + tally.predicted.sum())
    # Credits are stored doubled, as F1's numerator wants them.
    f1 = round(int(tally.correct.sum()) / below, 4) if below else None
    return {**answer_facts([said[entry.row] for entry in documents]), "strict_f1": f1}


def _free(
    wanted: FreeConfig,
    documents: Sequence[GoldDocument],
    split: str,
    opener: Callable[[], Detector],
    folder: Path,
    key: str,
) -> dict[int, Prediction]:
    made_from = predictions.key({"with": key, "recipe": wanted.model_dump(mode="json")})
    kept = predictions.load(folder, made_from)
    if kept is None:
        kept = _ask(wanted, documents, split, opener)
        folder.mkdir(parents=True, exist_ok=True)
        predictions.save(folder, made_from, kept)
    return kept.of(split)


def _ask(
    wanted: FreeConfig, documents: Sequence[GoldDocument], split: str, opener: Callable[[], Detector]
) -> Kept:
    made: list[Prediction] = []
    detector = opener()
    began = time.monotonic()
    num_parts = -(-len(documents) // PART)
    try:
        with tqdm(total=len(documents), unit="doc", desc="without the grammar", mininterval=1.0) as bar:
            for part in range(num_parts):
                if made and wanted.max_minutes and time.monotonic() - began > 60 * wanted.max_minutes:
                    logger.info("the time is up after %d of %d documents", len(made), len(documents))
                    break
                for prediction in predictions.predict(detector, split, documents[part::num_parts], ["model"]):
                    made.append(prediction)
                    bar.update()
    finally:
        detector.close()
    return Kept(tuple(made), {})
