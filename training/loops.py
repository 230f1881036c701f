"""The loops that `pii bench train` compares, each in a process of its own: ours, a bare one, TRL's defaults.

python -m training.loops bare recipe.yaml measured.json 20

Before every step, and when it has ended the last, it says `TURN` on standard output and waits for a line on
standard input: whoever starts several of them lets them step one after the other.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from configs.atomic import writing
from configs.command import run
from configs.errors import StageError
from configs.reader import load
from training import device
from training.base import resolve
from training.examples import DataFolder
from training.preparation import Job, prepare
from training.recipe import BareBase, TrainRecipe
from training.silence import keep_quiet

TURN = "turn\n"


@dataclass(slots=True)
class Measured:
    """What one loop did.

    Attributes:
        step_s: seconds of each optimizer step, from the end of the one before or the begin of its turn.
        work_s: the same on a GPU; on a CPU the seconds of processor time, which neighbours do not lengthen.
        tokens: tokens of each step, without padding.
        losses: mean answer loss of each step; empty for TRL's.
        norms: gradient norm of each step before clipping.
        loaded_gb: peak memory of process and GPU before the first step, in 10⁹ bytes.
        peak_gb: the same after the last.
        device: what it ran on, in words.
        examples: training examples, and `mean_tokens` of one.
        parameters: of the model; `trainable` those that are trained.
    """

    step_s: list[float] = field(default_factory=list)
    work_s: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    loaded_gb: dict[str, float] = field(default_factory=dict)
    peak_gb: dict[str, float] = field(default_factory=dict)
    device: str = ""
    mean_tokens: float = 0.0
    parameters: int = 0
    trainable: int = 0
    _began: tuple[float, float] = (0.0, 0.0)

    def begin(self) -> None:
        """The first step begins now."""
        self.loaded_gb = device.peak_memory_gb()
        self._wait()

    def _wait(self) -> None:
        """Until this loop may take its next step."""
        sys.stdout.write(TURN)
        sys.stdout.flush()
        if not sys.stdin.readline():
            raise StageError("nobody is left who tells this loop to step")
        self._began = _now()

    def step(self, tokens: int) -> None:
        """A step has just ended."""
        now = _now()
        self.step_s.append(now[0] - self._began[0])
        self.work_s.append(now[1] - self._began[1])
        self.tokens.append(tokens)
        self.peak_gb = device.peak_memory_gb()
        self._wait()


def _now() -> tuple[float, float]:
    """Seconds on the clock, and of the work: on a GPU the same."""
    import torch

    if not torch.cuda.is_available():
        return time.perf_counter(), time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter(), time.perf_counter()


def ours(job: Job, steps: int, measured: Measured) -> None:
    """`pii train` as it is: trainer, guardian, tally, log."""
    from training.schedule import Clock
    from training.trainer import AnswerTrainer

    trainer = AnswerTrainer(job, Clock(None), from_start=False)
    judge, add, tokens = trainer.guardian.judge, trainer._tally.add, [0]

    def judging(step: int, loss: float, norm: float, examples: Any) -> bool:
        measured.losses.append(loss)
        measured.norms.append(norm)
        return judge(step, loss, norm, examples)

    def adding(losses: Any, trained: Any, source_ids: Any) -> None:
        tokens[0] += int((source_ids >= 0).sum())
        add(losses, trained, source_ids)

    trainer.guardian.judge = judging  # type: ignore[method-assign]
    trainer._tally.add = adding  # type: ignore[method-assign]
    trainer.add_callback(_timer(measured, tokens))
    trainer.go_on_from(None)


def _timer(measured: Measured, tokens: list[int]) -> Any:
    """A callback of transformers' trainer: a step of `measured` for each of its own.

    Args:
        measured: what it reports to.
        tokens: one number, the tokens since the last step; begun anew with each.
    """
    from transformers import TrainerCallback

    class Timer(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            measured.begin()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            measured.step(tokens[0])
            tokens[0] = 0

    return Timer()


def bare(job: Job, steps: int, measured: Measured) -> None:
    """What there is to do and nothing else: batches, loss, gradient, clipping, step, rate."""
    import torch
    from transformers import Trainer
    from trl import SFTConfig

    from training.batches import Collator, EpochLoader, cut
    from training.loss import answer_losses
    from training.schedule import rate
    from training.watched import common_arguments

    recipe, model = job.recipe, job.model.to(job.where.kind).train()
    packed = device.packs(recipe)
    sources = {source: index for index, source in enumerate(sorted({e["source"] for e in job.train}))}
    batches = cut([len(e["input_ids"]) for e in job.train], recipe, packed=packed)
    loader = EpochLoader(
        list(job.train),
        batch_sampler=batches,
        collate_fn=Collator(job.tokenizer.pad_token_id, sources, packed=packed),
    )
    arguments = SFTConfig(**common_arguments(recipe, job.where.precision, steps, from_start=False))
    kind, options = Trainer.get_optimizer_cls_and_kwargs(arguments)
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    flat = [weight for name, weight in trained if weight.ndim < 2]
    wide = [weight for name, weight in trained if weight.ndim >= 2]
    groups = [
        {"params": wide, "weight_decay": recipe.optimizer.weight_decay},
        {"params": flat, "weight_decay": 0},
    ]
    optimizer = kind(groups, **options)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate(recipe.schedule, step, steps, step / steps)
    )
    if recipe.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    number = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(job.where.precision)
    computing: Callable[[], Any] = (
        (lambda: torch.autocast(job.where.kind, dtype=number)) if number is not None else nullcontext
    )

    def endless() -> Iterator[dict[str, Any]]:
        for epoch in count():
            loader.set_epoch(epoch)
            yield from loader

    stream = endless()
    measured.begin()
    for _ in range(steps):
        parts = [next(stream) for _ in range(recipe.batch.accumulation)]
        answers = sum(int((part["labels"][:, 1:] >= 0).sum()) for part in parts)
        total, tokens = 0.0, 0
        for part in parts:
            tokens += int((part.pop("source_ids") >= 0).sum())
            part.pop("names")
            inputs = {name: value.to(job.where.kind) for name, value in part.items()}
            with computing():
                losses, _ = answer_losses(model, inputs, fused=False)
                loss = losses.sum() / answers
            loss.backward()
            total += float(loss.detach())
        norm = torch.nn.utils.clip_grad_norm_([w for _, w in trained], recipe.optimizer.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        measured.losses.append(total)
        measured.norms.append(float(norm))
        measured.step(tokens)


def plain_trl(job: Job, steps: int, measured: Measured) -> None:
    """What one writes first: TRL's trainer on prompt and completion, and all of its defaults."""
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    kept = {example["id"] for example in job.train}
    rows = [row for row in DataFolder(job.recipe.data).rows("train") if row.id in kept]
    pairs = [{"prompt": list(row.messages[:-1]), "completion": [row.messages[-1]]} for row in rows]
    trainer = SFTTrainer(
        model=job.model,
        args=SFTConfig(
            output_dir=str(job.recipe.output),
            max_steps=steps,
            learning_rate=job.recipe.optimizer.learning_rate,
            bf16=job.where.precision == "bf16",
            use_cpu=job.where.kind == "cpu",
            seed=job.recipe.seed,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(pairs),
        processing_class=job.tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    collate, tokens = trainer.data_collator, [0]

    def counting(examples: Any) -> Any:
        batch = collate(examples)
        tokens[0] += int(batch["attention_mask"].sum())
        return batch

    trainer.data_collator = counting
    trainer.add_callback(_timer(measured, tokens))
    trainer.train()
    measured.losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    measured.norms = [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry]


LOOPS = {"ours": ours, "compiled": ours, "bare": bare, "trl": plain_trl}


def main(argv: list[str] | None = None) -> int:
    """Run one loop and write what was measured."""
    name, recipe_file, output, steps = argv if argv is not None else sys.argv[1:]

    def body() -> int:
        keep_quiet()
        recipe = load(Path(recipe_file), TrainRecipe)
        base = None if isinstance(recipe.base, BareBase) else resolve(recipe.base, recipe.revision)
        job = prepare(recipe, DataFolder(recipe.data), base, device.choose(recipe.precision))
        measured = Measured(device=str(job.where))
        measured.mean_tokens = sum(len(e["input_ids"]) for e in job.train) / len(job.train)
        measured.parameters = job.num_parameters
        measured.trainable = sum(w.numel() for w in job.model.parameters() if w.requires_grad)
        LOOPS[name](job, int(steps), measured)
        with writing(Path(output)) as file:
            json.dump({k: v for k, v in asdict(measured).items() if not k.startswith("_")}, file)
        return 0

    return run(body)


if __name__ == "__main__":
    sys.exit(main())
