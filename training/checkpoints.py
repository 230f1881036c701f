"""Checkpoints that are whole or not there, and which of them a run goes on from."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

from configs.atomic import writing

_IDENTITY, _FACTS = "identity.json", "run.json"


def prepare(folder: Path, identity: str) -> Path | None:
    """Make the folder ready for a run; checkpoints of another recipe or other data are removed.

    Returns:
        The last checkpoint of exactly this run, or None to begin at the beginning.
    """
    path = folder / _IDENTITY
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if known != identity:
        shutil.rmtree(folder, ignore_errors=True)
        with writing(path) as file:
            json.dump(identity, file)
    shutil.rmtree(aside(folder), ignore_errors=True)
    return last(folder)


def aside(folder: Path) -> Path:
    """Where a checkpoint is written before it takes its name."""
    return folder / ".half"


def last(folder: Path, most_steps: float = math.inf) -> Path | None:
    """The checkpoint with the most steps, but not more than `most_steps`; or None."""
    found = (path for path in folder.glob("checkpoint-*") if num_steps(path) <= most_steps)
    return max(found, key=num_steps, default=None)


def num_steps(checkpoint: Path) -> int:
    """Optimizer steps that were done when it was written."""
    return int(checkpoint.name.rpartition("-")[2])


def adopt(folder: Path, step: int, keep: int, facts: dict[str, Any], best_step: int | None) -> Path:
    """Give a finished checkpoint its name and remove the oldest ones.

    Args:
        folder: the checkpoints' folder; the new one lies in `aside`.
        step: its optimizer steps.
        keep: how many stay, the newest ones; the best stays in any case.
        facts: what a resumed run has to know besides the trainer's own state.
        best_step: steps of the best checkpoint; None where nobody asks for the best.
    """
    half = aside(folder) / f"checkpoint-{step}"
    final = folder / half.name
    state = half / "trainer_state.json"
    values = json.loads(state.read_text(encoding="utf-8"))
    if values.get("best_model_checkpoint"):
        values["best_model_checkpoint"] = str(folder / Path(values["best_model_checkpoint"]).name)
        state.write_text(json.dumps(values, indent=2), encoding="utf-8")
    (half / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    half.replace(final)
    for old in sorted(folder.glob("checkpoint-*"), key=num_steps)[:-keep]:
        if num_steps(old) != best_step:
            shutil.rmtree(old)
    return final


def facts(checkpoint: Path) -> dict[str, Any]:
    """What was handed to `adopt` with this checkpoint."""
    read: dict[str, Any] = json.loads((checkpoint / _FACTS).read_text(encoding="utf-8"))
    return read
