"""`pii study NAME`: one question, answered by running the real stages once for each variant.

    pii study format
    pii study my-study.yaml --only value grouped

A study is a YAML file (`configs/studies/` holds those that come with the program): stages in their order,
each a command with its recipe; variants, or a grid, which change fields of these recipes; and columns, each a
number of a stage's report. Where a recipe names the folder of an earlier stage's recipe, it gets the folder
which that stage made for this variant. Variants that do not differ up to a stage share its folder, and a
finished stage is not run again, so a study that was cut off goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs import command
from configs.atomic import writing
from configs.errors import ConfigError, StageError
from configs.reader import RECIPES, load, override, read_yaml
from configs.stage import MANIFEST
from data_pipeline import charts
from evaluation import formats, report
from evaluation.study_recipe import Command, StudyConfig

logger = logging.getLogger(__name__)

STUDIES = RECIPES / "studies"
REPORT, PAGE, PLOT = "study.json", "study.md", "study.svg"
SCHEMA_VERSION = 1

_FOLDER_FIELD: Mapping[Command, str] = {"data": "folder"}
"""The field that names a recipe's own folder, where it is not ``output``."""
_RESULTS: Mapping[Command, str] = {
    "data": MANIFEST,
    "train": MANIFEST,
    "eval": "report.json",
    "eval robustness": "robustness.json",
    "eval speed": "speed.json",
}
"""What a command leaves for the columns."""


@dataclass(frozen=True, slots=True)
class Run:
    """One stage of one variant, ready to be run.

    Attributes:
        stage: its name in the study.
        words: behind ``pii``, without the recipe.
        values: its recipe.
        folder: where it writes; the same for variants that do not differ so far.
    """

    stage: str
    words: tuple[str, ...]
    values: Mapping[str, Any]
    folder: Path

    @property
    def is_done(self) -> bool:
        """Whether it was finished before."""
        return (self.folder / MANIFEST).is_file()


def plan(config: StudyConfig, changes: Mapping[str, Any]) -> list[Run]:
    """The stages of one variant. Raises ConfigError: a recipe cannot be read or a field not be set."""
    runs: list[Run] = []
    moved: dict[str, str] = {}
    for name, stage in config.stages.items():
        path = _recipe(stage.recipe)
        values = read_yaml(path)
        own = _FOLDER_FIELD.get(stage.command, "output")
        if not isinstance(values, Mapping) or own not in values:
            raise ConfigError(f"{path}: no recipe of pii {stage.command}: it names no {own}")
        before = str(values[own])
        mine = {field.partition(".")[2]: v for field, v in changes.items() if field.split(".")[0] == name}
        assignments = [f"{field}={json.dumps(value)}" for field, value in {**stage.set, **mine}.items()]
        values = _moved(override(values, assignments), moved)
        values.pop(own)
        key = json.dumps([stage.command, stage.arguments, values, sorted(moved.items())], sort_keys=True)
        folder = config.output / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        runs.append(
            Run(name, (*stage.command.split(), *stage.arguments), {own: str(folder), **values}, folder)
        )
        moved[before] = str(folder)
    return runs


def _recipe(name: str) -> Path:
    path = Path(name)
    return path if path.is_file() else RECIPES / name


def _moved(value: Any, folders: Mapping[str, str]) -> Any:
    """A recipe in which paths into a folder of an earlier stage lead into that of this variant."""
    if isinstance(value, Mapping):
        return {name: _moved(part, folders) for name, part in value.items()}
    if isinstance(value, list):
        return [_moved(part, folders) for part in value]
    if isinstance(value, str):
        for before, after in folders.items():
            if value == before or value.startswith(f"{before}/"):
                return after + value[len(before) :]
    return value


def execute(run: Run) -> None:
    """Run one stage as its own process, as a person would. Raises StageError where it fails.

    A process of its own gives its memory back, and an engine that was started in it ends with it.
    """
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    recipe = run.folder.with_suffix(".yaml")
    with writing(recipe) as file:
        # JSON is YAML, and leaves no doubt about what is a string.
        json.dump(run.values, file, ensure_ascii=False, indent=2)
    log = run.folder.with_suffix(".log")
    words = [sys.executable, "-m", "pii", *run.words, "--config", str(recipe)]
    # The command line of `pii eval speed` and `robustness` puts its folder beside the recipe's output.
    if len(run.words) > 1 and run.words[0] == "eval" and run.words[1] in ("speed", "robustness"):
        words += ["-o", str(run.folder)]
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(words, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    # 1 is an evaluation whose thresholds do not hold: a result.
    if code not in (0, 1) or not run.is_done:
        raise StageError(f"the stage {run.stage} failed with exit code {code}; see {log}")
    logger.info("%s: %.0f s", run.folder.name, time.monotonic() - began)


def numbers(config: StudyConfig, runs: Sequence[Run]) -> dict[str, Any]:
    """The columns of one variant: heading → value with its interval; null where the report has none."""
    folders = {run.stage: run.folder for run in runs}
    found = {}
    for heading, column in config.columns.items():
        file = folders[column.stage] / _RESULTS[config.stages[column.stage].command]
        found[heading] = _estimate(json.loads(file.read_text(encoding="utf-8")), column.metric)
    return found


def _estimate(made: Mapping[str, Any], metric: str) -> dict[str, float | None]:
    value = report.lookup(made, metric)
    low, high = (_bound(made, f"{metric}.{end}") for end in ("low", "high"))
    return {"value": value, "low": low, "high": high}


def _bound(made: Mapping[str, Any], metric: str) -> float | None:
    try:
        return report.lookup(made, metric)
    except ConfigError:
        # A plain number has no interval.
        return None


def study(config: StudyConfig, only: Sequence[str] = ()) -> dict[str, Any]:
    """Run what is not done, and write table and plot after each variant."""
    chosen = {n: c for n, c in config.all_variants().items() if not only or n in only}
    if missing := [name for name in only if name not in chosen]:
        raise ConfigError(f"--only {missing[0]}: the study has {', '.join(config.all_variants())}")
    plans = {name: plan(config, changes) for name, changes in chosen.items()}
    made: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "question": config.question,
        "variants": {},
    }
    for name, runs in plans.items():
        for run in runs:
            if not run.is_done:
                logger.info("%s: %s into %s", name, " ".join(("pii", *run.words)), run.folder)
                execute(run)
        made["variants"][name] = {
            "changes": chosen[name],
            "folders": {run.stage: str(run.folder) for run in runs},
            "numbers": numbers(config, runs),
        }
        _write(config, made)
    return made


def _write(config: StudyConfig, made: Mapping[str, Any]) -> None:
    with writing(config.output / REPORT) as file:
        json.dump(made, file, ensure_ascii=False, indent=2)
        file.write("\n")
    with writing(config.output / PAGE) as file:
        file.write("\n".join([f"# {config.question}", "", *table(config, made), ""]))
    with writing(config.output / PLOT) as file:
        file.write(plot(config, made))


def table(config: StudyConfig, made: Mapping[str, Any]) -> list[str]:
    """The study as a Markdown table, a row for each variant."""

    def shown(heading: str, estimate: Mapping[str, Any]) -> str:
        if config.columns[heading].unit == "percent":
            return formats.percent(estimate)
        value = estimate["value"]
        return "–" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"

    rows = [
        [name, *(shown(heading, part["numbers"][heading]) for heading in config.columns)]
        for name, part in made["variants"].items()
    ]
    heads = [h + (", %" if column.unit == "percent" else "") for h, column in config.columns.items()]
    return formats.table(["variant", *heads], rows)


def plot(config: StudyConfig, made: Mapping[str, Any]) -> str:
    """The chosen columns of all variants as one SVG."""
    rows = {
        name: {heading: charts.Mark(**part["numbers"][heading]) for heading in config.plot}
        for name, part in made["variants"].items()
    }
    is_share = all(config.columns[heading].unit == "percent" for heading in config.plot)
    return charts.marks(config.question, rows, top=1.0 if is_share else None)


def main(argv: list[str] | None = None) -> int:
    """Run a study; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="pii study", description="Answer one question by running the stages once for each variant."
    )
    known = ", ".join(sorted(path.stem for path in STUDIES.glob("*.yaml")))
    parser.add_argument("study", metavar="STUDY", help=f"a YAML file, or one of {known}")
    parser.add_argument("--only", nargs="+", default=[], metavar="VARIANT", help="these variants alone")
    parser.add_argument(
        "--set", action="append", default=[], dest="assignments", metavar="a.b=c", help="change a field"
    )
    arguments = parser.parse_args(argv)

    def body() -> int:
        named = STUDIES / f"{arguments.study}.yaml"
        config = load(named if named.is_file() else Path(arguments.study), StudyConfig, arguments.assignments)
        made = study(config, arguments.only)
        sys.stdout.write(
            "\n".join([config.question, "", *table(config, made), "", f"{config.output / PAGE}", ""])
        )
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
