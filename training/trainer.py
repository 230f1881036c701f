"""TRL's trainer with what this job adds: batches by tokens, loss on the answer, whole checkpoints."""

# ruff: noqa: TID253 - it subclasses the trainer; imported inside functions alone.

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
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from training import checkpoints, device, entity_f1
from training.batches import Collator, EpochLoader, cut, num_steps
from training.examples import Example, Row
from training.guardian import Guardian
from training.loss import answer_losses
from training.recipe import BareBase, TrainRecipe
from training.schedule import Clock, rate
from training.tally import Tally, line

logger = logging.getLogger(__name__)


def arguments(recipe: TrainRecipe, precision: str, max_steps: int, *, from_start: bool) -> SFTConfig:
    """The recipe in the trainer's words; a run that begins at the start is measured before its first step."""
    watch, optimizer = recipe.watch, recipe.optimizer
    return SFTConfig(
        output_dir=str(recipe.output / "checkpoints"),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        # The loader's own batches count; this number only keeps the trainer's estimates apart from nonsense.
        per_device_train_batch_size=1,
        gradient_accumulation_steps=recipe.batch.accumulation,
        max_steps=max_steps,
        learning_rate=optimizer.learning_rate,
        weight_decay=optimizer.weight_decay,
        adam_beta2=optimizer.beta2,
        max_grad_norm=optimizer.max_grad_norm,
        optim=optimizer.name,
        neftune_noise_alpha=optimizer.neftune_alpha,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        gradient_checkpointing=recipe.gradient_checkpointing,
        logging_strategy="steps",
        logging_steps=watch.log_every,
        logging_first_step=True,
        eval_strategy="steps",
        eval_on_start=from_start,
        eval_steps=watch.validate_every,
        save_strategy="steps",
        save_steps=watch.checkpoint_every,
        load_best_model_at_end=watch.keep_best is not None,
        metric_for_best_model=f"eval_{watch.keep_best}" if watch.keep_best else None,
        greater_is_better=watch.keep_best == "f1" if watch.keep_best else None,
        report_to=list(watch.report_to),
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        seed=recipe.seed,
        data_seed=recipe.seed,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


class AnswerTrainer(SFTTrainer):
    """Supervised fine-tuning on tokenised examples, with the loss on the assistant's turns.

    Args:
        model: the model, with its adapters if it has any.
        recipe: the training recipe.
        tokenizer: gives the padding token.
        train: training examples.
        validation: the fixed sample that is measured on the way.
        rows: the validation rows that are answered for entity F1; may be empty.
        precision: ``bf16``, ``fp16`` or ``fp32``.
        clock: bounds the run in minutes.
        from_start: False where the run goes on from a checkpoint.
    """

    lr_scheduler: Any
    control: TrainerControl

    def __init__(
        self,
        model: Any,
        recipe: TrainRecipe,
        tokenizer: Any,
        train: Sequence[Example],
        validation: Sequence[Example],
        rows: Sequence[Row],
        *,
        precision: str,
        clock: Clock,
        from_start: bool,
    ) -> None:
        self.recipe, self.clock = recipe, clock
        lengths = [len(example["input_ids"]) for example in train]
        per_epoch = len(cut(lengths, recipe, num_processes=device.num_processes()))
        max_steps = num_steps(recipe.length, per_epoch, recipe.batch.accumulation)
        self._sources = sorted({example["source"] for example in [*train, *validation]})
        source_ids = {source: index for index, source in enumerate(self._sources)}
        self.guardian = Guardian(recipe.guardian, recipe.output / "guardian.jsonl")
        self._rows = rows
        self._step_names: list[tuple[str, str]] = []
        self._step_loss: Any = 0.0
        patience = recipe.watch.patience
        super().__init__(
            model=model,
            args=arguments(recipe, precision, max_steps, from_start=from_start),
            data_collator=Collator(tokenizer.pad_token_id, source_ids),
            train_dataset=Dataset.from_list(list(train)),
            eval_dataset=Dataset.from_list(list(validation)),
            processing_class=tokenizer,
            callbacks=[_EndAtTheBound(clock), *([EarlyStoppingCallback(patience)] if patience else [])],
        )
        self.remove_callback(PrinterCallback)
        # Our loss divides by the answer tokens of the whole step, over all its batches.
        self.model_accepts_loss_kwargs = True
        self._fused = self.args.device.type == "cuda" and recipe.optimizer.label_smoothing == 0
        self._tally = Tally(self._sources, self.args.device)

    # --- order ---

    def _loader(self, examples: Dataset, *, training: bool) -> EpochLoader:
        # Every process measures all of the validation sample, and trains on its own share of the batches.
        share = {"rank": self.args.process_index, "num_processes": self.args.world_size} if training else {}
        return EpochLoader(
            examples,
            batch_sampler=cut([len(ids) for ids in examples["input_ids"]], self.recipe, **share),
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def get_train_dataloader(self) -> EpochLoader:
        """Batches by tokens, each process its own share."""
        return self._loader(self.train_dataset, training=True)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The recipe's schedule, which the clock may shorten."""
        if self.lr_scheduler is None:

            def factor(step: int) -> float:
                progress = max(step / num_training_steps, self.clock.progress)
                share = rate(self.recipe.schedule, step, num_training_steps, progress)
                return share * self.guardian.rate_factor

            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
        return self.lr_scheduler

    # --- loss ---

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Mean loss of the answer tokens of the step; logits are never returned."""
        assert not return_outputs
        source_ids = inputs.pop("source_ids")
        self._step_names += inputs.pop("names")
        losses, rows = answer_losses(
            model, inputs, fused=self._fused, label_smoothing=self.recipe.optimizer.label_smoothing
        )
        self._tally.add(losses.detach(), source_ids[rows], inputs["attention_mask"])
        count = num_items_in_batch if num_items_in_batch is not None else max(1, losses.numel())
        # The gradients of the processes are averaged, and the count is that of all of them.
        loss = losses.sum() / count * self.accelerator.num_processes
        self._step_loss = self._step_loss + loss.detach()
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        """Clip, and let the guardian judge the step before the optimizer takes it."""
        norm = super()._clip_grad_norm(model)
        loss = float(self.accelerator.reduce(self._step_loss, "mean"))
        names, self._step_names, self._step_loss = self._step_names, [], 0.0
        # Loss scaling tries rates until a gradient fits into 16 bits, and skips those steps by itself.
        scaled = self.args.fp16 and math.isfinite(loss) and not math.isfinite(float(norm))
        if not scaled and not self.guardian.judge(self.state.global_step, loss, float(norm), names):
            model.zero_grad(set_to_none=True)
        return norm

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Answer loss on the validation sample and entity F1 on a part of it, for all and by source."""
        tally, started = Tally(self._sources, self.args.device), self.clock.seconds
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in self._loader(self.eval_dataset, training=False):
                inputs = self._prepare_inputs(batch)
                source_ids = inputs.pop("source_ids")
                inputs.pop("names")
                losses, rows = answer_losses(self.model, inputs, fused=self._fused)
                tally.add(losses, source_ids[rows], inputs["attention_mask"])
        self.model.train(was_training)
        metrics = tally.losses(f"{metric_key_prefix}_loss")
        # Random weights answer nothing, and take their time over it.
        untrained = self.state.global_step == 0 and isinstance(self.recipe.base, BareBase)
        if self._rows and not untrained:
            answered = entity_f1.measure(self.model, self.processing_class, self._rows)
            metrics |= {f"{metric_key_prefix}_{name}": value for name, value in answered.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._tally.leave_out(self.clock.seconds - started)
        return metrics

    # --- record ---

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """One line of progress, the history and the loggers that the recipe names."""
        if "loss" in logs:
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
        # Past SFTTrainer, which would write a model card of its own into the folder.
        super(SFTTrainer, self)._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        folder, state = Path(self.args.output_dir), self.state
        if self.is_world_process_zero():
            checkpoints.adopt(
                folder,
                state.global_step,
                self.recipe.watch.keep_checkpoints,
                {"seconds": self.clock.seconds, "rate_factor": self.guardian.rate_factor},
                state.best_global_step,
            )
        if state.best_model_checkpoint:
            state.best_model_checkpoint = str(folder / Path(state.best_model_checkpoint).name)
        self.accelerator.wait_for_everyone()

    def go_on_from(self, checkpoint: Path | None) -> None:
        """Train from a checkpoint, or from the beginning; the clock runs meanwhile."""
        facts = checkpoints.facts(checkpoint) if checkpoint else {"seconds": 0.0, "rate_factor": 1.0}
        self.guardian.rate_factor = facts["rate_factor"]
        self.clock.start(facts["seconds"])
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


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
