"""TRL's trainer with what this job adds: batches by tokens, loss on the answer, whole checkpoints."""

# ruff: noqa: TID253 - it subclasses the trainer; imported inside functions alone.

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from training import checkpoints, device
from training.batches import Collator, EpochLoader, cut, num_steps
from training.examples import Example
from training.loss import answer_losses
from training.recipe import TrainRecipe
from training.schedule import Clock, rate

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
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_on_start=from_start,
        eval_steps=watch.validate_every,
        save_strategy="steps",
        save_steps=watch.checkpoint_every,
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
        super().__init__(
            model=model,
            args=arguments(recipe, precision, max_steps, from_start=from_start),
            data_collator=Collator(tokenizer.pad_token_id, source_ids),
            train_dataset=Dataset.from_list(list(train)),
            eval_dataset=Dataset.from_list(list(validation)),
            processing_class=tokenizer,
            callbacks=[_EndAtTheBound(clock)],
        )
        self.remove_callback(PrinterCallback)
        # Our loss divides by the answer tokens of the whole step, over all its batches.
        self.model_accepts_loss_kwargs = True
        self._fused = self.args.device.type == "cuda" and recipe.optimizer.label_smoothing == 0
        self._tally = _Tally(self._sources, self.args.device)

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

            def share(step: int) -> float:
                progress = max(step / num_training_steps, self.clock.progress)
                return rate(self.recipe.schedule, step, num_training_steps, progress)

            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, share)
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
        losses, rows = answer_losses(
            model, inputs, fused=self._fused, label_smoothing=self.recipe.optimizer.label_smoothing
        )
        self._tally.add(losses.detach(), source_ids[rows], inputs["attention_mask"])
        count = num_items_in_batch if num_items_in_batch is not None else max(1, losses.numel())
        # The gradients of the processes are averaged, and the count is that of all of them.
        return losses.sum() / count * self.accelerator.num_processes

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Answer loss on the validation sample, for all and by source."""
        tally = _Tally(self._sources, self.args.device)
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in self._loader(self.eval_dataset, training=False):
                inputs = self._prepare_inputs(batch)
                source_ids = inputs.pop("source_ids")
                losses, rows = answer_losses(self.model, inputs, fused=self._fused)
                tally.add(losses, source_ids[rows], inputs["attention_mask"])
        self.model.train(was_training)
        metrics = tally.losses(f"{metric_key_prefix}_loss")
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
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
            logger.info("%s", _line(logs, self.state, self.clock))

    def _get_output_dir(self, trial: Any) -> str:
        return str(checkpoints.aside(Path(self.args.output_dir)))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # Past SFTTrainer, which would write a model card of its own into the folder.
        super(SFTTrainer, self)._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            checkpoints.adopt(
                Path(self.args.output_dir),
                self.state.global_step,
                self.recipe.watch.keep_checkpoints,
                self.clock.seconds,
                self.state.best_global_step,
            )
        self.accelerator.wait_for_everyone()


class _Tally:
    """Sums of losses by source, and of tokens, since the last reset."""

    def __init__(self, sources: Sequence[str], where: torch.device) -> None:
        self._sources = sources
        self._sums = torch.zeros(len(sources), dtype=torch.float64, device=where)
        self._counts = torch.zeros_like(self._sums)
        self._tokens = torch.zeros(2, dtype=torch.float64, device=where)
        self._since_s = 0.0

    def add(self, losses: torch.Tensor, source_ids: torch.Tensor, attention_mask: torch.Tensor) -> None:
        self._sums.index_add_(0, source_ids, losses.double())
        self._counts.index_add_(0, source_ids, torch.ones_like(losses, dtype=torch.float64))
        self._tokens[0] += attention_mask.sum()
        self._tokens[1] += attention_mask.numel()

    def losses(self, name: str) -> dict[str, float]:
        """Mean loss over all tokens, and over those of each source that occurred."""
        means = {name: (self._sums.sum() / self._counts.sum().clamp(min=1)).item()}
        for source, total, count in zip(
            self._sources, self._sums.tolist(), self._counts.tolist(), strict=True
        ):
            if count:
                means[f"{name}_{source}"] = total / count
        return means

    def speed(self, seconds: float) -> dict[str, float]:
        real, padded = self._tokens.tolist()
        elapsed = max(seconds - self._since_s, 1e-9)
        return {"tokens_per_s": real / elapsed, "padding": 1 - real / max(padded, 1)}

    def reset(self, seconds: float) -> None:
        self._since_s = seconds
        for sums in (self._sums, self._counts, self._tokens):
            sums.zero_()


def _line(logs: dict[str, float], state: TrainerState, clock: Clock) -> str:
    step = f"step {state.global_step}/{state.max_steps}"
    if "eval_loss" in logs:
        rest = ", ".join(f"{k.removeprefix('eval_')} {v:.4f}" for k, v in logs.items() if k != "epoch")
        return f"{step}, validation: {rest}"
    if "loss" not in logs:
        return step
    used = max(state.global_step / state.max_steps, clock.progress)
    left = clock.seconds * (1 - used) / used / 60 if used else 0.0
    return (
        f"{step}, loss {logs['loss']:.4f}, rate {logs['learning_rate']:.1e},"
        f" gradient {logs['grad_norm']:.2f}, {logs['tokens_per_s']:,.0f} tokens/s,"
        f" padding {logs['padding']:.1%}, {logs['memory_process_gb']:.1f} GB, about {left:.0f} min left"
    )


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
