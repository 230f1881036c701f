"""``pii sweep --config configs/mini/sweep.yaml``: many runs of ``pii train`` with changed fields, compared.

Each trial is a real run in a process and a folder of its own. A sweep that was cut off goes on: finished
trials are not repeated, and the one that was under way goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from configs.atomic import writing
from configs.command import config_of, parser, run
from configs.errors import ConfigError, StageError
from configs.reader import StrictConfig, load
from configs.stage import Stage, file_hash
from training.recipe import TrainRecipe
from training.sft import begin
from training.sweep_page import draw, table

logger = logging.getLogger(__name__)

Value = int | float | str | bool | None | tuple[int | float | str, ...]
Values = Mapping[str, Any]
"""Values of fields by their dotted names."""


class Range(StrictConfig):
    """A field whose value is drawn between two bounds, both included."""

    low: int | float
    """Smallest value; both bounds whole numbers: only whole numbers are drawn."""
    high: int | float
    """Largest value."""
    log: bool = False
    """Whether each order of magnitude is as likely as the next; right for learning rates."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("low has to be smaller than high, and above 0 with log")
        return self


class SweepRecipe(StrictConfig):
    """``sweep.yaml``."""

    train: Path
    """The recipe of ``pii train`` that every trial changes."""
    output: Path
    """The folder of the sweep: ``trial-000/`` and so on, ``trials.jsonl``, ``sweep.md``, ``sweep.svg``."""
    space: dict[str, tuple[Value, ...] | Range] = Field(min_length=1)
    """Field of the recipe, by dotted name → the values to try, or the range to draw from."""
    set: dict[str, Value] = Field(default_factory=dict)
    """Fields that every trial changes in the same way, by dotted name."""
    search: Literal["grid", "tpe"] = "grid"
    """``grid``: every combination of listed values; ``tpe``: Optuna draws each trial where the earlier ones
    promise most (Bergstra et al. 2011; needs the package ``optuna``)."""
    trials: int | None = Field(default=None, gt=0)
    """Most trials; null: all of a grid. ``tpe`` needs it."""
    metric: Literal["f1", "loss"] = "f1"
    """What is compared, on the validation sample: entity F1 (`watch.f1_examples`) or the answers' loss."""
    seed: int = Field(default=0, ge=0)
    """Of the draws; that of the runs is a field like any other."""

    @model_validator(mode="after")
    def _search_fits(self) -> Self:
        if self.search == "tpe" and self.trials is None:
            raise ValueError("search tpe: set trials")
        if self.search == "grid" and any(isinstance(values, Range) for values in self.space.values()):
            raise ValueError("search grid: list the values of every field; a range is for tpe")
        if both := self.space.keys() & self.set.keys():
            raise ValueError(f"in space and in set: {', '.join(sorted(both))}")
        return self


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial and what it came to.

    Attributes:
        number: from 0.
        values: the fields of the space.
        f1: strict entity F1 on the validation sample; None where it was not measured.
        loss: loss of the answers on the validation sample; None where the run failed.
        minutes: of training.
        problem: why there is no result; empty where there is one.
    """

    number: int
    values: Values
    f1: float | None = None
    loss: float | None = None
    minutes: float | None = None
    problem: str = ""


def main(argv: list[str] | None = None) -> int:
    """Run ``pii sweep``; returns 0, 1 where no trial came to a result, 2 where something has to be mended."""
    arguments = parser("pii sweep", __doc__ or "", "mini/sweep.yaml").parse_args(argv)

    def body() -> int:
        recipe = config_of(arguments, SweepRecipe)
        trials = sweep(recipe)
        sys.stdout.write(table(trials, recipe.metric))
        return 0 if any(not trial.problem for trial in trials) else 1

    return run(body)


def sweep(recipe: SweepRecipe) -> list[Trial]:
    """Run the trials that are not finished yet, and write table, plot and manifest.

    Raises UserError: the recipe, the data or the base of a trial cannot be used; nothing was run then.
    """
    stage = Stage("sweep", recipe.output, recipe, {"train": file_hash(recipe.train)})
    _check(recipe)
    stage.begin()
    trials: list[Trial] = []
    search = _grid(recipe) if recipe.search == "grid" else _tpe(recipe)
    for number, (values, tell) in enumerate(search):
        trial = _trial(recipe, number, values)
        tell(trial)
        trials.append(trial)
        _write(recipe, trials)
    return _finish(stage, recipe, trials)


def _check(recipe: SweepRecipe) -> None:
    """Read the recipe of each trial of a grid, or of the corners of a range, before anything is run."""
    ends = {
        name: (values.low, values.high) if isinstance(values, Range) else values
        for name, values in recipe.space.items()
    }
    for values in product(*ends.values()):
        made = _train_recipe(recipe, 0, dict(zip(ends, values, strict=True)))
        if recipe.metric == "f1" and not made.watch.f1_examples:
            raise ConfigError("metric f1: set watch.f1_examples in the recipe of training")


def _grid(recipe: SweepRecipe) -> Iterator[tuple[Values, Callable[[Trial], None]]]:
    lists = (values for values in recipe.space.values() if not isinstance(values, Range))
    combinations = list(product(*lists))[: recipe.trials]
    for values in combinations:
        yield dict(zip(recipe.space, values, strict=True)), lambda _: None


def _tpe(recipe: SweepRecipe) -> Iterator[tuple[Values, Callable[[Trial], None]]]:
    """Trials as Optuna draws them. With the same seed and results it draws the same: so a sweep goes on."""
    try:
        import optuna
    except ModuleNotFoundError:
        raise ConfigError("search tpe needs the package optuna; install it, or use search: grid") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction: Literal["maximize", "minimize"] = "maximize" if recipe.metric == "f1" else "minimize"
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=recipe.seed))
    assert recipe.trials is not None
    for _ in range(recipe.trials):
        asked = study.ask()
        values = {name: _draw(asked, name, choice) for name, choice in recipe.space.items()}

        def tell(trial: Trial, asked: Any = asked) -> None:
            result = getattr(trial, recipe.metric)
            failed = optuna.trial.TrialState.FAIL if result is None else None
            study.tell(asked, result, state=failed)

        yield values, tell


def _draw(asked: Any, name: str, choice: Sequence[Value] | Range) -> Any:
    if not isinstance(choice, Range):
        # Optuna wants plain values; a list is chosen by its place.
        return choice[asked.suggest_categorical(name, list(range(len(choice))))]
    whole = isinstance(choice.low, int) and isinstance(choice.high, int)
    suggest = asked.suggest_int if whole else asked.suggest_float
    return suggest(name, choice.low, choice.high, log=choice.log)


def _assignments(recipe: SweepRecipe, number: int, values: Values) -> list[str]:
    changed = {**recipe.set, **values, "output": str(_folder(recipe, number))}
    return [f"{name}={json.dumps(value)}" for name, value in changed.items()]


def _folder(recipe: SweepRecipe, number: int) -> Path:
    return recipe.output / f"trial-{number:03d}"


def _train_recipe(recipe: SweepRecipe, number: int, values: Values) -> TrainRecipe:
    return load(recipe.train, TrainRecipe, _assignments(recipe, number, values))


def _trial(recipe: SweepRecipe, number: int, values: Values) -> Trial:
    """One trial: run it, unless its folder holds it finished, and read what it came to."""
    folder = _folder(recipe, number)
    _, _, stage = begin(_train_recipe(recipe, number, values))
    shown = ", ".join(f"{name} {value}" for name, value in values.items())
    if stage.is_current():
        logger.info("trial %d is finished: %s", number, shown)
        return _result(folder, number, values)
    logger.info("trial %d: %s", number, shown)
    command = [sys.executable, "-m", "pii", "train", "--config", str(recipe.train)]
    command += [part for text in _assignments(recipe, number, values) for part in ("--set", text)]
    # A process of its own: what one run leaves behind in memory, or dies of, does not touch the next.
    log = folder.with_suffix(".log")
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(command, stderr=file, stdout=file, check=False).returncode
    if code == 130:
        raise KeyboardInterrupt
    if code:
        logger.warning("trial %d failed with exit code %d; see %s", number, code, log)
        return Trial(number, values, problem=f"exit code {code}, see {log.name}")
    return _result(folder, number, values)


def _result(folder: Path, number: int, values: Values) -> Trial:
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    # The last measurement is that of the model that was kept.
    measured = [entry for entry in map(json.loads, lines) if "eval_loss" in entry][-1]
    facts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["training"]
    return Trial(number, values, measured.get("eval_f1"), measured["eval_loss"], facts["minutes"])


def _write(recipe: SweepRecipe, trials: Sequence[Trial]) -> None:
    """Bring the files up to date: who watches a long sweep sees them after every trial."""
    with writing(recipe.output / "trials.jsonl") as file:
        file.writelines(json.dumps(asdict(trial), ensure_ascii=False) + "\n" for trial in trials)
    with writing(recipe.output / "sweep.md") as file:
        file.write(table(trials, recipe.metric))
    with writing(recipe.output / "sweep.svg") as file:
        file.write(draw(trials, recipe.metric))


def _finish(stage: Stage, recipe: SweepRecipe, trials: list[Trial]) -> list[Trial]:
    if not trials:
        raise StageError(f"{recipe.output}: a sweep without trials; name values in space")
    failed = sum(bool(trial.problem) for trial in trials)
    stage.finish(["trials.jsonl", "sweep.md", "sweep.svg"], {"trials": len(trials), "failed": failed})
    return trials


if __name__ == "__main__":
    sys.exit(main())
