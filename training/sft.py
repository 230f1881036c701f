"""``pii train --config configs/mini/train.yaml``: fine-tune, merge and write the model folder.

Reads ``data/<name>/``, writes ``runs/<name>/``. A run that was cut off goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from configs.atomic import writing, writing_folder
from configs.command import config_of, parser, run
from configs.errors import ConfigError
from configs.stage import Stage, read_manifest, versions
from pii import codec
from pii.model_folder import ModelManifest
from training import checkpoints, device, objectives, processes
from training.base import Base, resolve
from training.curves import draw
from training.examples import DataFolder, LeftOut, count_by_source, num_tokens
from training.failures import mendable
from training.folder import write_model_folder
from training.merge import merged_model, stored_dtype, write_record
from training.methods import count_parameters, keep_initial, save_adapter
from training.preparation import Job, prepare
from training.recipe import LOW_RANK, MERGEABLE, VIRTUAL_TOKENS, BareBase, TrainRecipe
from training.schedule import Clock
from training.silence import keep_quiet

logger = logging.getLogger(__name__)

INITIAL = "initial"
"""Beside the checkpoints: a PiSSA adapter before training."""


def main(argv: list[str] | None = None) -> int:
    """Run ``pii train``; returns 0, or 2 where something has to be mended."""
    commands = parser("pii train", __doc__ or "", "mini/train.yaml")
    commands.add_argument(
        "--explain", action="store_true", help="say what would be trained, in how many steps, and end"
    )
    arguments = commands.parse_args(argv)

    def body() -> int:
        recipe = config_of(arguments, TrainRecipe)
        keep_quiet()
        if arguments.explain:
            from training.plan import explain

            sys.stdout.write(explain(recipe))
            return 0
        train(recipe)
        return 0

    return run(body)


def train(recipe: TrainRecipe) -> dict[str, Any]:
    """Train by a recipe and return the manifest of the run; a finished run is not repeated.

    Raises UserError: data, base or output folder cannot be used.
    """
    _check_loggers(recipe)
    processes.join(recipe)
    data, base, stage = begin(recipe)
    if processes.on_main(stage.is_current):
        logger.info("%s: nothing to do, the run is finished", recipe.output)
        return read_manifest(recipe.output)
    processes.on_main(stage.begin)
    where = device.choose(recipe.precision)
    logger.info("computing on %s", where)

    with mendable(recipe):
        job = prepare(recipe, data, base, where)
        planned = _planned(job)
        folder = recipe.output / "checkpoints"
        facts = _fit(job, processes.on_main(partial(checkpoints.prepare, folder, stage.identity)))
        if not processes.is_main():
            return {}
        facts["plan"] = planned(facts)
        _write_left_out(recipe.output / "left_out.jsonl", job.left_out)
        _write_model(job, base, _manifest(job, data, base, facts))
    return stage.finish(
        _files(recipe.output, ("model", "adapter", "left_out.jsonl", "history.jsonl", "curves.svg")),
        {"training": facts},
    )


def begin(recipe: TrainRecipe) -> tuple[DataFolder, Base | None, Stage]:
    """What a run reads, and its stage, which knows whether it is finished; nothing is written yet.

    Raises UserError: data or base cannot be used.
    """
    data = DataFolder(recipe.data)
    base = None
    if isinstance(recipe.base, str):
        base = processes.on_main(partial(resolve, recipe.base, recipe.revision))
    inputs = processes.on_main(partial(_inputs, recipe, data, base))
    return data, base, Stage("train", recipe.output, recipe, inputs)


def _check_loggers(recipe: TrainRecipe) -> None:
    """Raises ConfigError where a logger of the recipe is not installed: at once, not after hours."""
    for name in recipe.watch.report_to:
        if find_spec(name) is None:
            raise ConfigError(
                f"watch.report_to: {name} is not installed: pip install {name}, or leave it out"
            )


def _planned(job: Job) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What `--explain` would say of the run; called with the measured facts, it puts the two side by side."""
    from training.plan import beside, plan

    made = plan(job.recipe, job.model, [num_tokens(example) for example in job.train], job.where)
    logger.info(
        "planned: %d steps, about %.1f GB, about %.0f minutes", made.steps, made.memory_gb, made.minutes
    )
    return partial(beside, made)


def _inputs(recipe: TrainRecipe, data: DataFolder, base: Base | None) -> dict[str, str]:
    """Name and hash of what is read."""
    inputs = {"data": data.identity, **data.hashes, "base": base.fingerprint() if base else ""}
    return inputs | objectives.inputs(recipe)


def _fit(job: Job, checkpoint: Path | None) -> dict[str, Any]:
    """Train, and return the measured facts of the run; the job's model is the trained one then."""
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(job.recipe.output / "tensorboard")
    clock = Clock(job.recipe.length.max_minutes)
    trainer = objectives.trainer_of(job, clock, from_start=checkpoint is None)
    counts = count_parameters(job.model)
    trainable, total = (sum(entry[key] for entry in counts.values()) for key in ("trainable", "all"))
    logger.info("%d examples, %d of %d parameters are trained", len(job.train), trainable, total)
    if checkpoint is not None:
        logger.info("going on from step %d", checkpoints.num_steps(checkpoint))
    if job.recipe.method == "pissa" and checkpoint is None and processes.is_main():
        keep_initial(job.model, job.recipe.output / "checkpoints" / INITIAL)
    trainer.go_on_from(checkpoint)
    # The last entry is the summary of the run. With keep_best, the model is not the one measured before it.
    if job.recipe.watch.keep_best or "eval_loss" not in trainer.state.log_history[-2]:
        trainer.evaluate()
    if processes.is_sharded(trainer.strategy):
        job.weights = processes.whole_weights(trainer)
    history = trainer.state.log_history
    if processes.is_main():
        _write_history(job.recipe.output, history)
    losses = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    return {
        "steps": trainer.state.global_step,
        "planned_steps": trainer.state.max_steps,
        "answer_loss_before": losses[0],
        "answer_loss_after": losses[-1],
        "minutes": round(clock.seconds / 60, 2),
        "examples": count_by_source(job.train),
        "left_out": len(job.left_out),
        "recoveries": trainer.guardian.num_recoveries,
        "trainable_parameters": trainable,
        "peak_memory_gb": device.peak_memory_gb(),
        "device": str(job.where),
        "processes": device.num_processes(),
        "strategy": trainer.strategy,
    }


def _write_history(output: Path, history: Sequence[dict[str, float]]) -> None:
    with writing(output / "history.jsonl") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in history)
    with writing(output / "curves.svg") as file:
        file.write(draw(history))


def _manifest(job: Job, data: DataFolder, base: Base | None, facts: dict[str, Any]) -> ModelManifest:
    recipe = job.recipe
    left = recipe.model_dump(mode="json", exclude={"data", "output", "base", "revision", "method", "watch"})
    used = {"adapter": "adapter"} | dict.fromkeys((*LOW_RANK, "ia3"), "lora")
    used |= dict.fromkeys(VIRTUAL_TOKENS, "virtual_tokens")
    unused = {"lora", "virtual_tokens", "adapter"} - {used.get(recipe.method)}
    architecture = recipe.base.model_dump() if isinstance(recipe.base, BareBase) else {}
    return ModelManifest(
        codec_version=codec.VERSION,
        codec_fingerprint=codec.fingerprint(),
        answer_style=data.setting("answer_style", "value"),
        entity_types=job.types,
        context_tokens=recipe.context_tokens,
        window_chars=data.setting("window_chars"),
        window_margin=data.setting("window_margin"),
        base_model=base.name if base else "config",
        base_revision=base.revision if base else "",
        method=recipe.method,
        hyperparameters={**architecture, **{k: v for k, v in left.items() if k not in unused}},
        data_identity=data.identity,
        data_sources=data.sources,
        num_parameters=job.num_parameters,
        training=facts,
        versions=versions("torch", "transformers", "trl", "peft", "accelerate", "tokenizers"),
    )


def _write_model(job: Job, base: Base | None, manifest: ModelManifest) -> None:
    output = job.recipe.output
    model = job.model
    if job.recipe.method != "full":
        assert base is not None
        with writing_folder(output / "adapter") as half:
            save_adapter(model, half, job.recipe, output / "checkpoints" / INITIAL, job.weights)
            job.tokenizer.save_pretrained(half)
            write_record(half, base, manifest)
        if job.recipe.method not in MERGEABLE:
            logger.info("wrote %s; %s cannot be merged", output / "adapter", job.recipe.method)
            return
        # Not the trained copy: its frozen weights may be rounded or quantised.
        model = merged_model(base, output / "adapter")
    elif job.weights is not None:
        model = type(model)(model.config)
        model.load_state_dict(job.weights)
    if base is not None:
        model = model.to(stored_dtype(base))
    write_model_folder(output / "model", model, job.tokenizer, manifest)
    logger.info("wrote %s", output / "model")


def _write_left_out(path: Path, left_out: Sequence[LeftOut]) -> None:
    with writing(path) as file:
        for one in left_out:
            row = {
                "id": one.id,
                "source": one.source,
                "reason": "longer than the context",
                "tokens": one.num_tokens,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _files(folder: Path, names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        path = folder / name
        members = path.rglob("*") if path.is_dir() else [path]
        found += [str(member.relative_to(folder)) for member in members if member.is_file()]
    return found


if __name__ == "__main__":
    sys.exit(main())
