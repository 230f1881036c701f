"""A run on the endless stream as a stage and a command, such as ``pii base``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from configs.command import config_of, parser, run
from configs.errors import StageError
from configs.stage import Stage
from training.lessons import data_identity
from training.pretrain_recipe import EndlessRecipe
from training.silence import keep_quiet

if TYPE_CHECKING:
    from training.endless_run import EndlessRun

logger = logging.getLogger(__name__)

_Recipe = TypeVar("_Recipe", bound=EndlessRecipe)


@dataclass(frozen=True, slots=True)
class EndlessStage(Generic[_Recipe]):
    """Begins runs, goes on with them, and writes what they have made.

    Attributes:
        name: of the stage, of its command and recipe, and of its folder in the cache.
        product: the folder of what is made, in the folder of a run.
        schema: of the recipe.
        begin: a run, begun or restored from its folder.
        write: writes what a run knows into a folder.
    """

    name: str
    product: str
    schema: type[_Recipe]
    begin: Callable[[_Recipe, Path], EndlessRun[Any, Any]]
    write: Callable[[Any, Path], None]

    def make(self, recipe: _Recipe) -> bool:
        """Begin a run or go on with it; whether it is finished.

        Raises StageError: another process trains in the folder, or its checkpoint is of something else.
        """
        folder = recipe.folder_or(self.name)
        stage = Stage(self.name, folder, recipe, {"data": data_identity(recipe.data_config())})
        if stage.is_current():
            logger.info("%s: nothing to do, the run is finished", folder)
            return True
        stage.begin()
        from training.endless_run import HISTORY

        job = self.begin(recipe, folder)
        if not job.learn():
            logger.info("stopped at %s; the same command goes on from here", job.progress.describe(recipe))
            return False
        self._written(job, folder / self.product)
        outputs = [f"{self.product}/{path.name}" for path in (folder / self.product).iterdir()]
        stage.finish([*outputs, HISTORY], {"training": job.progress.facts()})
        return True

    def export(self, recipe: _Recipe, target: Path) -> None:
        """Write what the last checkpoint knows; a run that is under way is not disturbed.

        Raises StageError: there is no checkpoint.
        """
        from training.endless_run import STATE

        folder = recipe.folder_or(self.name)
        if not (folder / STATE).is_file():
            raise StageError(f"{folder}: no checkpoint; run `pii {self.name}` first")
        self._written(self.begin(recipe, folder), target)

    def _written(self, job: EndlessRun[Any, Any], target: Path) -> None:
        self.write(job, target)
        logger.info("wrote %s", target)

    def command(self, argv: list[str] | None, description: str) -> int:
        """Run the command; returns 0, also where the run was stopped and can go on, or 2."""
        commands = parser(f"pii {self.name}", description, f"{self.name}.yaml")
        commands.add_argument(
            "--export", type=Path, metavar="FOLDER", help="write what the last checkpoint knows, and end"
        )
        arguments = commands.parse_args(argv)

        def body() -> int:
            recipe = config_of(arguments, self.schema)
            keep_quiet()
            if arguments.export is not None:
                self.export(recipe, arguments.export)
            else:
                self.make(recipe)
            return 0

        return run(body)
