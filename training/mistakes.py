"""``pii data pairs --config configs/mini/pairs.yaml``: a model's own mistakes beside the right answers.

The model answers training rows freely, once greedily and then by sampling. Its first wrong answer becomes the
wrong half of a pair for ``objective: {kind: dpo}``. Reads a model folder and ``data/<name>/``, writes
``pairs.jsonl`` and, last, ``manifest.json``.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

from pydantic import Field

from configs.atomic import writing
from configs.command import config_of, parser, run
from configs.reader import StrictConfig
from configs.stage import Stage, read_manifest
from pii.model_folder import Found
from training import device
from training.base import load_model, resolve
from training.examples import DataFolder, Row
from training.pairs import FILE
from training.silence import keep_quiet
from training.tokenizer import load as load_tokenizer

logger = logging.getLogger(__name__)


class PairsRecipe(StrictConfig):
    """``pairs.yaml``."""

    data: Path
    """A finished data folder, whose training rows are asked."""
    model: Found
    """The model folder whose mistakes are wanted: the one that training will begin from."""
    output: Path
    """The folder for ``pairs.jsonl``."""
    rows: int = Field(default=1000, gt=0)
    """Most rows that are asked, drawn at random; general chat is never asked."""
    samples: int = Field(default=4, ge=0)
    """Sampled answers to a row beside the greedy one; 0: none."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the sampling."""
    seed: int = Field(default=0, ge=0)
    """Of the draw and of the sampling."""


def main(argv: list[str] | None = None) -> int:
    """Run ``pii data pairs``; returns 0, or 2 where something has to be mended."""
    arguments = parser("pii data pairs", __doc__ or "", "mini/pairs.yaml").parse_args(argv)

    def body() -> int:
        recipe = config_of(arguments, PairsRecipe)
        keep_quiet()
        manifest = write_pairs(recipe)
        sys.stdout.write(f"{recipe.output / FILE}: {manifest['pairs']} pairs of {manifest['asked']} rows\n")
        return 0

    return run(body)


def write_pairs(recipe: PairsRecipe) -> dict[str, Any]:
    """Ask the model, write the pairs, and return the manifest; a finished folder is not made again.

    Raises UserError: data, model or output folder cannot be used.
    """
    data, base = DataFolder(recipe.data), resolve(str(recipe.model))
    inputs = {"data": data.identity, **data.hashes, "model": base.fingerprint()}
    stage = Stage("pairs", recipe.output, recipe, inputs)
    if stage.is_current():
        logger.info("%s: nothing to do, the pairs are made", recipe.output)
        return read_manifest(recipe.output)
    stage.begin()
    labelled = [row for row in data.rows("train") if row.spans is not None]
    rows = Random(recipe.seed).sample(labelled, min(recipe.rows, len(labelled)))
    outcomes: Counter[str] = Counter()
    with writing(recipe.output / FILE) as file:
        for line in _pairs(recipe, base, rows, outcomes):
            file.write(line)
    facts = {"asked": len(rows), "pairs": outcomes["pair"], "outcomes": dict(sorted(outcomes.items()))}
    return stage.finish([FILE], facts)


def _pairs(recipe: PairsRecipe, base: Any, rows: Sequence[Row], outcomes: Counter[str]) -> Iterator[str]:
    """Lines of the file; `outcomes` counts ``pair``, ``right`` and ``endless`` rows."""
    import torch
    from tqdm import tqdm
    from transformers import set_seed

    from training.answering import answers

    set_seed(recipe.seed)
    where = device.choose("auto")
    tokenizer = load_tokenizer(base.folder)
    dtype = torch.bfloat16 if where.kind == "cuda" else torch.float32
    model = load_model(base, dtype).to(where.kind)
    greedy = answers(model, tokenizer, rows)
    sampled = answers(model, tokenizer, rows, samples=max(1, recipe.samples), temperature=recipe.temperature)
    for row in tqdm(rows, desc="asking", unit="row", disable=None):
        more = next(sampled) if recipe.samples else []
        right = row.messages[-1]["content"]
        wrong = [answer for answer in chain(next(greedy), more) if answer.text != right]
        ended = [answer for answer in wrong if answer.ended]
        outcomes["pair" if ended else "endless" if wrong else "right"] += 1
        if ended:
            pair = {
                "id": row.id,
                "source": row.source,
                "messages": list(row.messages[:-1]),
                "right": right,
                "wrong": ended[0].text,
            }
            yield json.dumps(pair, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
