"""The stages of a variant of a study: which commands with which recipes and folders, and running them."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.atomic import writing
from configs.errors import ConfigError, StageError
from configs.reader import RECIPES, override, read_yaml
from configs.stage import MANIFEST
from evaluation.study_recipe import Command, StageOfStudy, StudyConfig

logger = logging.getLogger(__name__)

_FOLDER_FIELD: Mapping[Command, str] = {"data": "folder"}
"""The field that names a recipe's own folder, where it is not ``output``."""
_RESULTS: Mapping[Command, str] = {
    "data": MANIFEST,
    "train": MANIFEST,
    "forgetting": "printed.json",
    "eval": "report.json",
    "eval robustness": "robustness.json",
    "eval speed": "speed.json",
}
"""What a command leaves for the columns; of one that reads no recipe it is what it prints."""


@dataclass(frozen=True, slots=True)
class Run:
    """One stage of one variant, ready to be run.

    Attributes:
        stage: its name in the study.
        command: words behind ``pii``.
        arguments: words behind these.
        values: its recipe; None: it reads none.
        folder: where it writes; the same for variants that do not differ so far.
    """

    stage: str
    command: Command
    arguments: tuple[str, ...]
    values: Mapping[str, Any] | None
    folder: Path

    @property
    def result(self) -> Path:
        """The report that the columns read."""
        return self.folder / _RESULTS[self.command]

    @property
    def is_done(self) -> bool:
        """Whether it was finished before."""
        return (self.result if self.values is None else self.folder / MANIFEST).is_file()

    def again(self, number: int) -> Run:
        """The same in round `number`, counted from 0, with a folder of its own."""
        if not number:
            return self
        folder = self.folder.with_name(f"{self.folder.name}-round-{number + 1}")
        values = self.values and {
            name: str(folder) if value == str(self.folder) else value for name, value in self.values.items()
        }
        return replace(self, values=values, folder=folder)


def plan(config: StudyConfig, changes: Mapping[str, Any]) -> list[Run]:
    """The stages of one variant. Raises ConfigError: a recipe cannot be read or a field not be set."""
    runs: list[Run] = []
    moved: dict[str, str] = {}
    for name, stage in config.stages.items():
        mine = {field.partition(".")[2]: v for field, v in changes.items() if field.split(".")[0] == name}
        own, before, values = "", "", dict[str, Any]()
        if stage.recipe is not None:
            own = _FOLDER_FIELD.get(stage.command, "output")
            before, values = _own_values(stage, own, mine, moved)
        arguments = tuple(_moved(list(stage.arguments), moved))
        key = json.dumps([stage.command, stage.arguments, values, sorted(moved.items())], sort_keys=True)
        folder = config.output / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        recipe = {own: str(folder), **values} if own else None
        runs.append(Run(name, stage.command, arguments, recipe, folder))
        if before:
            moved[before] = str(folder)
    return runs


def _own_values(
    stage: StageOfStudy, own: str, changes: Mapping[str, Any], moved: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """The folder that a stage's recipe names, and the rest of the recipe for this variant."""
    assert stage.recipe is not None
    path = _recipe(stage.recipe)
    read = read_yaml(path)
    if not isinstance(read, Mapping) or own not in read:
        raise ConfigError(f"{path}: no recipe of pii {stage.command}: it names no {own}")
    assignments = [f"{field}={json.dumps(value)}" for field, value in {**stage.set, **changes}.items()]
    values: dict[str, Any] = _moved(override(read, assignments), moved)
    values.pop(own)
    return str(read[own]), values


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
    words = [sys.executable, "-m", "pii", *run.command.split(), *run.arguments]
    if run.values is not None:
        recipe = run.folder.with_suffix(".yaml")
        with writing(recipe) as file:
            # JSON is YAML, and leaves no doubt about what is a string.
            json.dump(run.values, file, ensure_ascii=False, indent=2)
        words += ["--config", str(recipe)]
    # The command line of `pii eval speed` and `robustness` puts its folder beside the recipe's output.
    if run.command in ("eval speed", "eval robustness"):
        words += ["-o", str(run.folder)]
    log = run.folder.with_suffix(".log")
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        out = subprocess.PIPE if run.values is None else file
        ended = subprocess.run(words, stdout=out, stderr=file, text=True, check=False)
    if run.values is None and ended.returncode == 0:
        with writing(run.result) as file:
            file.write(ended.stdout)
    # 1 is an evaluation whose thresholds do not hold: a result.
    if ended.returncode not in (0, 1) or not run.is_done:
        raise StageError(f"the stage {run.stage} failed with exit code {ended.returncode}; see {log}")
    logger.info("%s: %.0f s", run.folder.name, time.monotonic() - began)
