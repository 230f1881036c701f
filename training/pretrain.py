"""``pii base [--config FILE] [--set a.b=c] [--export FOLDER]``: make the embedded base model from nothing.

Learns copying, then extraction from an endless stream of generated documents, then the mix of fine-tuning.
May be stopped at any time (Ctrl-C, SIGTERM, ``max_minutes``); the same command goes on where it was. The
finished model lies in ``model/`` of the run's folder; ``--export`` writes what the last checkpoint knows, and
trains nothing.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from configs.command import config_of, parser, run
from configs.errors import StageError
from configs.stage import Stage, versions
from pii import codec
from pii.model_folder import ModelManifest
from pii.taxonomy import shipped
from training.lessons import data_identity, sources_of
from training.pretrain_recipe import BaseRecipe
from training.silence import keep_quiet

if TYPE_CHECKING:
    from training.pretrain_run import PretrainRun

logger = logging.getLogger(__name__)

MODEL = "model"
"""The finished model, in the folder of a run."""


def main(argv: list[str] | None = None) -> int:
    """Run ``pii base``; returns 0, also where the run was stopped and can go on, or 2."""
    commands = parser("pii base", __doc__ or "", "base.yaml")
    commands.add_argument(
        "--export", type=Path, metavar="FOLDER", help="write a model folder from the last checkpoint, and end"
    )
    arguments = commands.parse_args(argv)

    def body() -> int:
        recipe = config_of(arguments, BaseRecipe)
        keep_quiet()
        if arguments.export is not None:
            export(recipe, arguments.export)
        else:
            pretrain(recipe)
        return 0

    return run(body)


def folder_of(recipe: BaseRecipe) -> Path:
    """The folder of the run."""
    return recipe.folder_or("base")


def pretrain(recipe: BaseRecipe) -> bool:
    """Begin a run or go on with it; whether it is finished.

    Raises StageError: another process trains in the folder, or its checkpoint is of another model.
    """
    folder = folder_of(recipe)
    stage = Stage("base", folder, recipe, {"data": data_identity(recipe.data_config())})
    if stage.is_current():
        logger.info("%s: nothing to do, the run is finished", folder)
        return True
    stage.begin()
    from training.endless_run import HISTORY
    from training.pretrain_run import PretrainRun

    job = PretrainRun(recipe, folder)
    if not job.learn():
        logger.info("stopped at %s; the same command goes on from here", job.progress.describe(recipe))
        return False
    _write_model(job, folder / MODEL)
    outputs = [f"{MODEL}/{path.name}" for path in (folder / MODEL).iterdir()]
    stage.finish([*outputs, HISTORY], {"training": job.progress.facts()})
    return True


def export(recipe: BaseRecipe, target: Path) -> None:
    """Write a model folder from the last checkpoint; a run that is under way is not disturbed.

    Raises StageError: there is no checkpoint.
    """
    from training.endless_run import STATE
    from training.pretrain_run import PretrainRun

    folder = folder_of(recipe)
    if not (folder / STATE).is_file():
        raise StageError(f"{folder}: no checkpoint; run `pii base` first")
    _write_model(PretrainRun(recipe, folder), target)


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
    logger.info("wrote %s", target)


if __name__ == "__main__":
    sys.exit(main())
