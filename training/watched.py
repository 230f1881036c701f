"""What every run of training has, whatever it learns from: schedule, clock, guardian, record, checkpoints."""

# ruff: noqa: TID253 - imported by the trainers alone, which are themselves imported inside functions.

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import OPTIMIZER_NAME
from transformers.trainer_callback import PrinterCallback

from training import checkpoints, device, entity_f1, processes
from training.batches import Collator, EpochLoader, cut
from training.examples import num_tokens
from training.guardian import Guardian
from training.loss import answer_losses
from training.preparation import Job
from training.recipe import BareBase, TrainRecipe
from training.schedule import Clock, rate
from training.tally import Tally, line

logger = logging.getLogger(__name__)


def common_arguments(
    recipe: TrainRecipe, precision: str, max_steps: int, *, from_start: bool
) -> dict[str, Any]:
    """The recipe in the words of transformers' trainer, for the configuration of any of TRL's.

    A run that begins at the start is measured before its first step.
    """
    watch, optimizer = recipe.watch, recipe.optimizer
    return {
        "output_dir": str(recipe.output / "checkpoints"),
        "remove_unused_columns": False,
        "gradient_accumulation_steps": recipe.batch.accumulation,
        "max_steps": max_steps,
        "learning_rate": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
        "adam_beta2": optimizer.beta2,
        "max_grad_norm": optimizer.max_grad_norm,
        "optim": optimizer.name,
        "neftune_noise_alpha": optimizer.neftune_alpha,
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "logging_strategy": "steps",
        "logging_steps": watch.log_every,
        "logging_first_step": True,
        "eval_strategy": "steps",
        "eval_on_start": from_start,
        "eval_steps": watch.validate_every,
        "save_strategy": "steps",
        "save_steps": watch.checkpoint_every,
        "load_best_model_at_end": watch.keep_best is not None,
        "metric_for_best_model": f"eval_{watch.keep_best}" if watch.keep_best else None,
        "greater_is_better": watch.keep_best == "f1" if watch.keep_best else None,
        "report_to": list(watch.report_to),
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
        "ddp_find_unused_parameters": False,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


class WatchedTrainer(Trainer):
    """Stands before one of TRL's trainers among the bases of a class.

    Args:
        job: recipe, model, tokenizer and examples.
        clock: bounds the run in minutes.
        args: the configuration of TRL's trainer.
        train: what that trainer learns from.
        options: whatever else it takes.
    """

    loss_is_steady = True
    """Whether a loss far over the usual one means that something is wrong, and not just a hard example."""
    expects_gradient = True
    """Whether this step has to change something."""

    lr_scheduler: Any
    control: TrainerControl

    def __init__(self, job: Job, clock: Clock, *, args: Any, train: Sequence[Any], **options: Any) -> None:
        self.recipe, self.clock = job.recipe, clock
        self._sources = sorted({example["source"] for example in [*job.train, *job.validation]})
        self._source_ids = {source: index for index, source in enumerate(self._sources)}
        self.guardian = Guardian(job.recipe.guardian, job.recipe.output / "guardian.jsonl", self._go_back)
        # The stages of a curriculum have losses of their own.
        self._judges_loss = self.loss_is_steady and job.recipe.batch.stages == 1
        self._packed = device.packs(job.recipe)
        self._collate = Collator(job.tokenizer.pad_token_id, self._source_ids, packed=self._packed)
        self._rows = job.answered
        self._step_names: list[tuple[str, str]] = []
        self._step_loss: Any = 0.0
        self.strategy = processes.ALONE
        """How the processes share the model, once training has begun."""
        patience = job.recipe.watch.patience
        super().__init__(
            model=job.model,
            args=args,
            train_dataset=Dataset.from_list(list(train)),
            eval_dataset=Dataset.from_list(list(job.validation)),
            processing_class=job.tokenizer,
            callbacks=[
                _EndAtTheBound(clock),
                _SayHow(self),
                *([EarlyStoppingCallback(patience)] if patience else []),
            ],
            **options,
        )
        self.remove_callback(PrinterCallback)
        self._fused = self.args.device.type == "cuda" and job.recipe.optimizer.label_smoothing == 0
        self._tally = Tally(self._sources, self.args.device)

    def _loader(self, examples: Dataset, *, training: bool) -> EpochLoader:
        # Every process measures all of the validation sample, and trains on its own share of the batches.
        share = {"rank": self.args.process_index, "num_processes": self.args.world_size} if training else {}
        lengths = [num_tokens(example) for example in examples]
        return EpochLoader(
            examples,
            batch_sampler=cut(lengths, self.recipe, packed=self._packed, **share),
            collate_fn=self._collate,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The recipe's schedule, which the clock may shorten."""
        if self.lr_scheduler is None:

            def factor(step: int) -> float:
                progress = max(step / num_training_steps, self.clock.progress)
                share = rate(self.recipe.schedule, step, num_training_steps, progress)
                return share * self.guardian.rate_factor

            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
        return self.lr_scheduler

    # --- judgement and measurement ---

    def _clip_grad_norm(self, model: Any) -> Any:
        """Clip, and let the guardian judge the step before the optimizer takes it."""
        norm = super()._clip_grad_norm(model)
        loss = float(self._step_loss)
        if self.accelerator.num_processes > 1:
            loss, seconds = self._mean_of_all(loss, self.clock.seconds)
            self.clock.agree(seconds)
        # Zero, or not a number where the loss is not.
        loss = loss if self._judges_loss else loss * 0.0
        names, self._step_names, self._step_loss = self._step_names, [], 0.0
        # Loss scaling tries rates until a gradient fits into 16 bits, and skips those steps by itself.
        scaled = self.args.fp16 and math.isfinite(loss) and not math.isfinite(float(norm))
        judged = self.expects_gradient and not scaled
        if judged and not self.guardian.judge(self.state.global_step, loss, float(norm), names):
            model.zero_grad(set_to_none=True)
        return norm

    def _go_back(self, most_steps: int) -> int | None:
        """Restore weights and moments of the newest checkpoint of at most so many steps; returns its steps.

        The order of the data and the schedule go on: what was seen since then is passed over. None: there is
        no such checkpoint, and nothing was restored.
        """
        checkpoint = checkpoints.last(Path(self.args.output_dir), most_steps)
        if checkpoint is None:
            return None
        self._load_from_checkpoint(str(checkpoint))
        # As the trainer itself resumes; its method would turn the schedule back too.
        state = torch.load(checkpoint / OPTIMIZER_NAME, map_location="cpu", weights_only=True)
        self.optimizer.load_state_dict(state)
        self.guardian.restore(checkpoints.facts(checkpoint)["guardian"], weights_alone=True)
        return checkpoints.num_steps(checkpoint)

    def _mean_of_all(self, *values: float) -> list[float]:
        """The means over the processes."""
        own = torch.tensor(values, dtype=torch.float64, device=self.args.device)
        mean: list[float] = self.accelerator.reduce(own, "mean").tolist()
        return mean

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Answer loss on the validation sample and entity F1 on a part of it, for all and by source."""
        started, was_training = self.clock.seconds, self.model.training
        self.model.eval()
        # Answers grow token by token, and a measurement is short: not worth compiled code of its own.
        with torch.compiler.set_stance("force_eager"):
            metrics = self._measured(metric_key_prefix)
        # TRL's trainers tell their own numbers by the mode, those of training not here.
        self.log(metrics)
        self.model.train(was_training)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._tally.leave_out(self.clock.seconds - started)
        return metrics

    def _measured(self, prefix: str) -> dict[str, float]:
        tally = Tally(self._sources, self.args.device)
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in self._loader(self.eval_dataset, training=False):
                # Past TRL's trainers too: one of them would have the model answer here.
                inputs = Trainer._prepare_inputs(self, batch)
                source_ids = inputs.pop("source_ids")
                inputs.pop("names")
                losses, trained = answer_losses(self.model, inputs, fused=self._fused)
                tally.add(losses, trained, source_ids)
        metrics = tally.losses(f"{prefix}_loss")
        # Random weights answer nothing, and take their time over it.
        untrained = self.state.global_step == 0 and isinstance(self.recipe.base, BareBase)
        if self._rows and not untrained:
            answered = entity_f1.measure(self.model, self.processing_class, self._rows)
            metrics |= {f"{prefix}_{name}": value for name, value in answered.items()}
        return metrics

    # --- record ---

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """One line of progress, the history and the loggers that the recipe names."""
        if "loss" in logs:
            if self.accelerator.num_processes > 1:
                self._tally.gather(self.accelerator.reduce)
            logs |= {k: v for k, v in self._tally.losses("loss").items() if k != "loss"}
            logs |= self._tally.speed(self.clock.seconds)
            logs |= {f"memory_{k}_gb": v for k, v in device.peak_memory_gb().items()}
            self._tally.reset(self.clock.seconds)
        super().log(logs, start_time)
        if self.is_world_process_zero():
            logger.info("%s", line(logs, self.state, self.clock))

    def _get_output_dir(self, trial: Any) -> str:
        return str(checkpoints.aside(Path(self.args.output_dir)))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # Past TRL's trainers, which would write a model card of their own into the folder.
        Trainer._save_checkpoint(self, model, trial)
        self.accelerator.wait_for_everyone()
        folder, state = Path(self.args.output_dir), self.state
        if self.is_world_process_zero():
            checkpoints.adopt(
                folder,
                state.global_step,
                self.recipe.watch.keep_checkpoints,
                {"seconds": self.clock.seconds, "guardian": self.guardian.state()},
                state.best_global_step,
            )
        if state.best_model_checkpoint:
            state.best_model_checkpoint = str(folder / Path(state.best_model_checkpoint).name)
        self.accelerator.wait_for_everyone()

    def go_on_from(self, checkpoint: Path | None) -> None:
        """Train from a checkpoint, or from the beginning; the clock runs meanwhile."""
        facts = checkpoints.facts(checkpoint) if checkpoint else {}
        if facts:
            self.guardian.restore(facts["guardian"])
        self.clock.start(facts.get("seconds", 0.0))
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


class _SayHow(TrainerCallback):
    """Looks, before the first step, at what is really running."""

    def __init__(self, trainer: WatchedTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Keep the strategy; raises ConfigError where another one was asked for."""
        self._trainer.strategy = processes.check(self._trainer.model_wrapped)
        logger.info("%d processes: %s", self._trainer.accelerator.num_processes, self._trainer.strategy)


class _EndAtTheBound(TrainerCallback):
    """Ends training cleanly when the minutes are used up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Stop after this step when the clock says so."""
        if self._clock.is_over and state.global_step < state.max_steps:
            logger.info("the minutes are used up: training ends at step %d", state.global_step)
            control.should_training_stop = True
        return control
