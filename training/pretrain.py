"""``pii base [--config FILE] [--set a.b=c] [--export FOLDER]``: make the embedded base model from nothing.

Learns copying, then extraction from an endless stream of generated documents, then the mix of fine-tuning.
May be stopped at any time (Ctrl-C, SIGTERM, ``max_minutes``); the same command goes on where it was. The
finished model lies in ``model/`` of the run's folder; ``--export`` writes what the last checkpoint knows, and
trains nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from configs.stage import versions
from pii import codec
from pii.model_folder import ModelManifest
from pii.taxonomy import shipped
from training.endless_stage import EndlessStage
from training.lessons import data_identity, sources_of
from training.pretrain_recipe import BaseRecipe

if TYPE_CHECKING:
    from training.pretrain_run import PretrainRun


def main(argv: list[str] | None = None) -> int:
    """Run ``pii base``; returns 0, also where the run was stopped and can go on, or 2."""
    return STAGE.command(argv, __doc__ or "")


def _begin(recipe: BaseRecipe, folder: Path) -> PretrainRun:
    from training.pretrain_run import PretrainRun

    return PretrainRun(recipe, folder)


def _write_model(job: PretrainRun, target: Path) -> None:
    import torch

    from training.folder import write_model_folder

    recipe, model = job.recipe, job.learner.model
    data = recipe.data_config()
    decisive = {"architecture", "induction", "tokens", "phases", "rates", "schedule", "seed"}
    manifest = ModelManifest(
        codec_version=codec.VERSION,
        codec_fingerprint=codec.fingerprint(),
        answer_style="value",
        entity_types=tuple(entity_type.name for entity_type in shipped()),
        context_tokens=recipe.context_tokens,
        window_chars=data.window_chars,
        window_margin=data.window_margin,
        base_model="config",
        method="pretraining",
        hyperparameters=recipe.model_dump(mode="json", include=decisive),
        data_identity=data_identity(recipe.data_config()),
        data_sources=sources_of(data),
        num_parameters=model.num_parameters(),
        training=job.progress.facts(),
        versions=versions("torch", "transformers", "tokenizers"),
    )
    write_model_folder(target, model.to(torch.bfloat16), job.tokenizer, manifest)


STAGE = EndlessStage("base", "model", BaseRecipe, _begin, _write_model)
"""Its folder in the cache is ``base``; the finished model is ``model/`` in there."""


if __name__ == "__main__":
    sys.exit(main())
