"""One pass of a detector over the documents of an evaluation, timed, with its progress on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from evaluation import predictions
from evaluation.predictions import Detector, Kept
from evaluation.report import Split
from serving.extractor import Detectors

Opener = Callable[[], Detector]
"""Starts the detector; called only where predictions have to be made."""


def ask(opener: Opener, splits: Sequence[Split], detectors: Detectors) -> Kept:
    """Open the detector, ask it about every sampled document, close it.

    Returns:
        The predictions, and the facts of the pass: engine, the types that each system knows, date (UTC),
        seconds, documents, characters and tokens a second. Starting the engine is timed apart.
    """
    began = time.monotonic()
    detector = opener()
    loaded = time.monotonic()
    made = []
    try:
        total = sum(len(split.sampled) for split in splits)
        with tqdm(total=total, unit="doc", desc="evaluating", mininterval=1.0) as bar:
            for split in splits:
                for prediction in predictions.predict(detector, split.name, split.sampled, detectors):
                    made.append(prediction)
                    bar.update()
        ended = time.monotonic()
    finally:
        detector.close()
    num_chars = sum(len(entry.document.text) for split in splits for entry in split.sampled)
    num_tokens = sum(answer.num_tokens for prediction in made for answer in prediction.answers)
    seconds = max(ended - loaded, 1e-9)
    facts: dict[str, Any] = {
        "engine": detector.engine,
        "types": {name: list(detector.types_of(name)) for name in predictions.systems_of(detectors)},
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_seconds": round(loaded - began, 2),
        "seconds": round(seconds, 4),
        "documents_per_second": round(len(made) / seconds, 2),
        "characters_per_second": round(num_chars / seconds, 1),
        "tokens_per_second": round(num_tokens / seconds, 1),
    }
    return Kept(tuple(made), facts)
