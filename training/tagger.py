"""``pii tagger [--config FILE] [--set a.b=c] [--export FOLDER]``: make the character tagger from nothing.

Learns tags from an endless stream of generated documents. May be stopped at any time (Ctrl-C, SIGTERM,
``max_minutes``); the same command goes on where it was. The finished tagger lies in ``tagger/`` of the run's
folder; ``--export`` writes what the last checkpoint knows, and trains nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from training.endless_stage import EndlessStage
from training.tagger_recipe import TaggerRecipe

if TYPE_CHECKING:
    from training.tagger_run import TaggerRun


def main(argv: list[str] | None = None) -> int:
    """Run ``pii tagger``; returns 0, also where the run was stopped and can go on, or 2."""
    return STAGE.command(argv, __doc__ or "")


def _begin(recipe: TaggerRecipe, folder: Path) -> TaggerRun:
    from training.tagger_run import TaggerRun

    return TaggerRun(recipe, folder)


def _write(job: TaggerRun, target: Path) -> None:
    from training.tagger_export import write_tagger

    write_tagger(target, job)


STAGE = EndlessStage("tagger", "tagger", TaggerRecipe, _begin, _write)
"""Its folder in the cache is ``tagger``; the finished tagger is ``tagger/`` in there."""


if __name__ == "__main__":
    sys.exit(main())
