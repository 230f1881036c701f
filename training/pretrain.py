"""``pii base [--config FILE] [--set a.b=c] [--export FOLDER]``: make the embedded base model from nothing.

Learns copying, then extraction from an endless stream of generated documents, then the mix of fine-tuning.
May be stopped at any time (Ctrl-C, SIGTERM, ``max_minutes``); the same command goes on where it was. The
finished model lies in ``model/`` of the run's folder; ``--export`` writes what the last checkpoint knows, and
trains nothing.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.atomic import writing, writing_folder
from configs.command import config_of, parser, run
from configs.errors import StageError
from configs.reader import dump
from configs.stage import Stage, versions
from data_pipeline.inputs import chat_state
from data_pipeline.parallel import Workers
from pii import codec
from pii.model_folder import ModelManifest
from pii.taxonomy import shipped
from training import device
from training.endless import Stream, initialise, licence_clean, make_pool, open_stream
from training.pretrain_recipe import BaseRecipe, BatchSizes
from training.progress import Progress, batches
from training.silence import keep_quiet

if TYPE_CHECKING:
    from training.learner import Learner
    from training.probes import Probes

logger = logging.getLogger(__name__)

STATE, HISTORY, TOKENIZER, MODEL = "state.pt", "history.jsonl", "tokenizer", "model"
"""What lies in the folder of a run."""


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
    if recipe.folder is not None:
        return recipe.folder
    cache = os.environ.get("PII_CACHE")
    return (Path(cache) if cache else Path.home() / ".cache/pii-extraction") / "base"


def pretrain(recipe: BaseRecipe) -> bool:
    """Begin a run or go on with it; whether it is finished.

    Raises StageError: another process trains in the folder, or its checkpoint is of another model.
    """
    folder = folder_of(recipe)
    stage = Stage("base", folder, recipe, {"data": _data_identity(recipe)})
    if stage.is_current():
        logger.info("%s: nothing to do, the run is finished", folder)
        return True
    stage.begin()
    learner, tokenizer, progress = _open(recipe, folder)
    stream = open_stream(recipe, folder / TOKENIZER)
    from training.probes import Probes

    probes = Probes(stream, tokenizer, recipe.probe)
    with _stop_signals() as stopped:
        _learn(recipe, learner, progress, probes, stopped)
    if progress.tokens < recipe.tokens:
        logger.info("stopped at %s; the same command goes on from here", progress.describe(recipe))
        return False
    _write_model(recipe, learner, tokenizer, progress, folder / MODEL)
    outputs = [f"{MODEL}/{path.name}" for path in (folder / MODEL).iterdir()]
    stage.finish([*outputs, HISTORY], {"training": progress.facts()})
    return True


def export(recipe: BaseRecipe, target: Path) -> None:
    """Write a model folder from the last checkpoint; a run that is under way is not disturbed.

    Raises StageError: there is no checkpoint.
    """
    folder = folder_of(recipe)
    if not (folder / STATE).is_file():
        raise StageError(f"{folder}: no checkpoint; run `pii base` first")
    learner, tokenizer, progress = _open(recipe, folder)
    _write_model(recipe, learner, tokenizer, progress, target)


def sizes_of(recipe: BaseRecipe, where: device.Device) -> BatchSizes:
    """The batch sizes that suit the device."""
    return recipe.batch if where.kind == "cpu" else recipe.accelerator_batch


# --- begin or go on -----------------------------------------------------------------------------------


def _open(recipe: BaseRecipe, folder: Path) -> tuple[Learner, Any, Progress]:
    """The model with its optimizers, its tokenizer and how far it is."""
    import torch

    from training.bare import make_model
    from training.induction import install
    from training.learner import Learner
    from training.tokenizer import load

    torch.set_num_threads(recipe.threads)
    where = device.choose(recipe.precision)
    if not (folder / TOKENIZER).is_dir():
        _make_tokenizer(recipe, folder / TOKENIZER)
    tokenizer = load(folder / TOKENIZER)
    model = make_model(recipe.architecture, tokenizer, context_tokens=recipe.context_tokens, seed=recipe.seed)
    if recipe.induction:
        install(model, seed=recipe.seed)
    learner = Learner(model, recipe.rates, where)
    progress = Progress(device=str(where), num_threads=recipe.threads if where.kind == "cpu" else 0)
    if (folder / STATE).is_file():
        state = torch.load(folder / STATE, map_location=where.kind, weights_only=True)
        if state["model_config"] != _shape(model):
            raise StageError(f"{folder}: holds the checkpoint of another architecture; name another folder")
        learner.restore(state["learner"])
        progress.restore(state["progress"])
        logger.info("going on from %s", progress.describe(recipe))
    logger.info("%s parameters on %s", f"{model.num_parameters():,}", where)
    return learner, tokenizer, progress


def _make_tokenizer(recipe: BaseRecipe, target: Path) -> None:
    """Copy the tokenizer that the recipe names, or train one."""
    from training.tokenizer import load, train

    if recipe.tokenizer is not None:
        tokenizer = load(recipe.tokenizer)
    else:
        texts = Stream(recipe, recipe.data_config(), _no_tokenizer).vocabulary_texts(
            recipe.tokenizer_documents
        )
        size = recipe.architecture.vocab_size
        tokenizer = train(texts, vocab_size=size, context_tokens=recipe.context_tokens)
        logger.info("trained a tokenizer of %d tokens on %d texts", len(tokenizer), len(texts))
    with writing_folder(target) as half:
        tokenizer.save_pretrained(half)


def _no_tokenizer(text: str, *, add_special_tokens: bool, split_special_tokens: bool) -> Any:
    raise AssertionError("there is no tokenizer yet")


def _shape(model: Any) -> dict[str, list[int]]:
    return {name: list(values.shape) for name, values in model.state_dict().items()}


# --- learn --------------------------------------------------------------------------------------------


def _learn(
    recipe: BaseRecipe, learner: Learner, progress: Progress, probes: Probes, stopped: list[int]
) -> None:
    """Take steps until the tokens or the minutes are used up, or somebody stops it; save at the end."""
    from training.schedule import rate

    folder = folder_of(recipe)
    limit = recipe.max_minutes * 60 if recipe.max_minutes is not None else float("inf")
    begun = saved = time.monotonic()
    where = device.choose(recipe.precision)
    learner.model.train()
    with Workers(recipe.workers, initialise, recipe, folder / TOKENIZER) as workers:
        feed = batches(recipe, progress, sizes_of(recipe, where), lambda tasks: workers.map(make_pool, tasks))
        progress.start_clock()
        for batch in feed:
            share = progress.tokens / recipe.tokens
            learner.step(batch, rate(recipe.schedule, progress.tokens, recipe.tokens, share))
            progress.took(batch)
            if progress.steps % recipe.probe.every_steps == 0:
                _record(folder / HISTORY, recipe, learner, progress, probes)
            now = time.monotonic()
            if stopped or now - begun > limit:
                break
            if now - saved > recipe.save_minutes * 60:
                _save(folder / STATE, learner, progress)
                saved = time.monotonic()
        if progress.steps % recipe.probe.every_steps and progress.tokens >= recipe.tokens:
            _record(folder / HISTORY, recipe, learner, progress, probes)
        _save(folder / STATE, learner, progress)


def _record(path: Path, recipe: BaseRecipe, learner: Learner, progress: Progress, probes: Probes) -> None:
    """One line of the history and of the log."""
    speed = progress.take_speed()
    measured = {**learner.take_tally(), **probes.measure(learner)}
    phase = recipe.phase_at(progress.tokens).name
    row = {
        "step": progress.steps,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds),
        "phase": phase,
        "tokens_per_s": round(speed),
        **{name: round(value, 4) for name, value in measured.items()},
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    shown = ", ".join(f"{name} {value:.3f}" for name, value in measured.items())
    logger.info("%s, %s, %.0f tokens/s: %s", progress.describe(recipe), phase, speed, shown)


def _save(path: Path, learner: Learner, progress: Progress) -> None:
    import torch

    state = {
        "learner": learner.state(),
        "progress": progress.state(),
        "model_config": _shape(learner.model),
    }
    with writing(path, "wb") as file:
        torch.save(state, file)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Signals that arrived; after the first, a second one does what it always does."""
    arrived: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: object) -> None:
        arrived.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- write --------------------------------------------------------------------------------------------


def _data_identity(recipe: BaseRecipe) -> str:
    return sha256(dump(licence_clean(recipe.data_config())).encode()).hexdigest()


def _write_model(
    recipe: BaseRecipe, learner: Learner, tokenizer: Any, progress: Progress, target: Path
) -> None:
    import torch

    from training.folder import write_model_folder

    data = licence_clean(recipe.data_config())
    chats = {
        f"chat.{name}": {"licence": source.licence}
        for name, source in data.chat.sources.items()
        if chat_state(name, source, data) == "used"
    }
    manifest = ModelManifest(
        codec_version=codec.VERSION,
        codec_fingerprint=codec.fingerprint(),
        answer_style="value",
        entity_types=tuple(entity_type.name for entity_type in shipped()),
        context_tokens=recipe.context_tokens,
        window_chars=data.window_chars,
        window_margin=data.window_margin,
        base_model="config",
        method="pretrained from nothing",
        hyperparameters=recipe.model_dump(
            mode="json",
            include={"architecture", "induction", "tokens", "phases", "rates", "schedule", "seed"},
        ),
        data_identity=_data_identity(recipe),
        data_sources={"synthetic": {"licence": "the project's own"}, **chats},
        num_parameters=learner.model.num_parameters(),
        training=progress.facts(),
        versions=versions("torch", "transformers", "tokenizers"),
    )
    write_model_folder(target, learner.model.to(torch.bfloat16), tokenizer, manifest)
    logger.info("wrote %s", target)


if __name__ == "__main__":
    sys.exit(main())
