"""One pass of a detector over the documents of an evaluation, timed, with its progress on stderr."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from evaluation import predictions
from evaluation.gold import GoldDocument
from evaluation.memory import PeakMemory
from evaluation.predictions import Detector, Kept, Prediction
from evaluation.recipe import EvalConfig
from evaluation.report import Split

Opener = Callable[[], Detector]
"""Starts the detector; called only where predictions have to be made."""


PART = 16
"""About how many documents of each split are asked for before the clock is looked at."""


def rounds(splits: Sequence[Split], seed: int) -> Iterator[list[tuple[str, list[GoldDocument]]]]:
    """The sampled documents in rounds, each with a part of every split, in an order drawn by the seed.

    Wherever the asking ends, what was asked is an even sample of every split.
    """
    num_rounds = max((math.ceil(len(split.sampled) / PART) for split in splits), default=0)
    shuffled = {}
    for split in splits:
        shuffled[split.name] = list(split.sampled)
        random.Random(seed).shuffle(shuffled[split.name])
    for turn in range(num_rounds):
        yield [(name, documents[turn::num_rounds]) for name, documents in shuffled.items()]


def ask(opener: Opener, splits: Sequence[Split], config: EvalConfig) -> Kept:
    """Open the detector, ask it about every sampled document, close it.

    Returns:
        The predictions, and the facts of the pass: engine, the types that each system knows, date (UTC),
        seconds, documents, characters and tokens a second, and whether the recipe's time budget ended it.
        Starting the engine is timed apart.
    """
    systems = predictions.systems_of(config.extractor)
    memory = PeakMemory()
    began = time.monotonic()
    detector = opener()
    loaded = time.monotonic()
    made: list[Prediction] = []
    num_chars, stopped = 0, False
    try:
        total = sum(len(split.sampled) for split in splits)
        with tqdm(total=total, unit="doc", desc="evaluating", mininterval=1.0) as bar:
            for parts in rounds(splits, config.seed):
                if made and config.max_minutes and time.monotonic() - loaded > 60 * config.max_minutes:
                    stopped = True
                    break
                for name, documents in parts:
                    for prediction in predictions.predict(detector, name, documents, systems):
                        made.append(prediction)
                        bar.update()
                    num_chars += sum(len(entry.document.text) for entry in documents)
        seconds = max(time.monotonic() - loaded, 1e-9)
        peak_memory_mb = memory.read_mb()
    finally:
        detector.close()
    num_tokens = sum(answer.num_tokens for prediction in made for answer in prediction.answers)
    facts: dict[str, Any] = {
        "engine": detector.engine,
        "types": {name: list(detector.types_of(name)) for name in systems},
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "stopped_early": stopped,
        "load_seconds": round(loaded - began, 2),
        "seconds": round(seconds, 4),
        "documents_per_second": round(len(made) / seconds, 2),
        "characters_per_second": round(num_chars / seconds, 1),
        "tokens_per_second": round(num_tokens / seconds, 1),
        "peak_memory_mb": peak_memory_mb,
    }
    return Kept(tuple(made), facts)
