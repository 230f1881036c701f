"""``pii tagger [--config FILE] [--set a.b=c] [--export FOLDER]``: make the character tagger from nothing.

Learns tags from an endless stream of generated documents. May be stopped at any time (Ctrl-C, SIGTERM,
``max_minutes``); the same command goes on where it was. The finished tagger lies in ``tagger/`` of the run's
folder; ``--export`` writes what the last checkpoint knows, and trains nothing.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from configs.command import config_of, parser, run
from configs.errors import StageError
from configs.stage import Stage
from training.lessons import data_identity
from training.silence import keep_quiet
from training.tagger_recipe import TaggerRecipe

if TYPE_CHECKING:
    from training.tagger_run import TaggerRun

logger = logging.getLogger(__name__)

TAGGER = "tagger"
"""The finished tagger, in the folder of a run; and the run's own name in the cache."""


def main(argv: list[str] | None = None) -> int:
    """Run ``pii tagger``; returns 0, also where the run was stopped and can go on, or 2."""
    commands = parser("pii tagger", __doc__ or "", "tagger.yaml")
    commands.add_argument(
        "--export", type=Path, metavar="FOLDER", help="write a tagger from the last checkpoint, and end"
    )
    arguments = commands.parse_args(argv)

    def body() -> int:
        recipe = config_of(arguments, TaggerRecipe)
        keep_quiet()
        if arguments.export is not None:
            export(recipe, arguments.export)
        else:
            make(recipe)
        return 0

    return run(body)


def make(recipe: TaggerRecipe) -> bool:
    """Begin a run or go on with it; whether it is finished.

    Raises StageError: another process trains in the folder, or its checkpoint is of another network.
    """
    folder = recipe.folder_or(TAGGER)
    stage = Stage(TAGGER, folder, recipe, {"data": data_identity(recipe.data_config())})
    if stage.is_current():
        logger.info("%s: nothing to do, the run is finished", folder)
        return True
    stage.begin()
    from training.endless_run import HISTORY
    from training.tagger_run import TaggerRun

    job = TaggerRun(recipe, folder)
    if not job.learn():
        logger.info("stopped at %s; the same command goes on from here", job.progress.describe(recipe))
        return False
    _write(job, folder / TAGGER)
    outputs = [f"{TAGGER}/{path.name}" for path in (folder / TAGGER).iterdir()]
    stage.finish([*outputs, HISTORY], {"training": job.progress.facts()})
    return True


def export(recipe: TaggerRecipe, target: Path) -> None:
    """Write a tagger from the last checkpoint; a run that is under way is not disturbed.

    Raises StageError: there is no checkpoint.
    """
    from training.endless_run import STATE
    from training.tagger_run import TaggerRun

    folder = recipe.folder_or(TAGGER)
    if not (folder / STATE).is_file():
        raise StageError(f"{folder}: no checkpoint; run `pii tagger` first")
    _write(TaggerRun(recipe, folder), target)


def _write(job: TaggerRun, target: Path) -> None:
    from training.tagger_export import write_tagger

    write_tagger(target, job)
    logger.info("wrote %s", target)


if __name__ == "__main__":
    sys.exit(main())
