"""The schema of ``train.yaml``: everything that decides a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from configs.reader import StrictConfig
from training.bare import Architecture
from training.objective_recipe import Answers, Objective

Method = Literal[
    "full",
    "lora",
    "qlora",
    "dora",
    "rslora",
    "pissa",
    "prompt_tuning",
    "prefix_tuning",
    "p_tuning",
    "ia3",
    "adapter",
]
"""Which weights are trained: all; low-rank ones beside the linear layers, in five forms; virtual tokens in
three; scales (``ia3``); or bottlenecks behind the feed-forward layers (``adapter``)."""

LOW_RANK = ("lora", "qlora", "dora", "rslora", "pissa")
VIRTUAL_TOKENS = ("prompt_tuning", "prefix_tuning", "p_tuning")
MERGEABLE = ("full", *LOW_RANK, "ia3")
"""Methods whose result is a plain model again; the others need their adapter wherever they run."""

Precision = Literal["auto", "bf16", "fp16", "fp32"]


class BareBase(StrictConfig):
    """A base made from nothing: random weights and a tokenizer trained on the training texts."""

    architecture: Architecture = Architecture()
    """The sizes."""
    induction: bool = False
    """Begin with heads that copy (`training.induction`), found by random weights after millions of tokens."""


class LoraRecipe(StrictConfig):
    """Low-rank adapters (Hu et al. 2021, https://arxiv.org/abs/2106.09685) and their kin.

    ``qlora``: the base in 4-bit NF4 with double quantisation (https://arxiv.org/abs/2305.14314);
    ``dora``: direction and magnitude apart (https://arxiv.org/abs/2402.09353); ``rslora``: scaled by
    alpha / sqrt(rank) (https://arxiv.org/abs/2312.03732); ``pissa``: begun from the largest singular
    vectors (https://arxiv.org/abs/2404.02948).
    """

    rank: int = Field(default=16, gt=0)
    """Width of the adapters."""
    alpha: int = Field(default=32, gt=0)
    """Scale: the adapter counts alpha / rank."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout before the adapter."""
    targets: Literal["all-linear", "attention", "qv"] | tuple[str, ...] = "all-linear"
    """Which linear layers get one: all but the head, attention's four, queries and values, or names."""


class VirtualTokensRecipe(StrictConfig):
    """Virtual tokens, the only weights that are trained.

    Prompt tuning (https://arxiv.org/abs/2104.08691), prefix tuning (https://arxiv.org/abs/2101.00190) and
    p-tuning (https://arxiv.org/abs/2103.10385).
    """

    count: int = Field(default=20, gt=0)
    """Number of virtual tokens; they take room of the context."""
    projection: bool = False
    """``prefix_tuning`` alone: learn the prefix through a small network."""
    encoder_size: int = Field(default=128, gt=0)
    """``p_tuning`` and a projection: width of the network behind the virtual tokens."""


class AdapterRecipe(StrictConfig):
    """Bottleneck adapters, one behind each feed-forward layer.

    Pfeiffer et al. 2021 (https://arxiv.org/abs/2005.00247) after Houlsby et al. 2019
    (https://arxiv.org/abs/1902.00751).
    """

    size: int = Field(default=32, gt=0)
    """Width of the bottleneck."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout inside the bottleneck."""


class BatchRecipe(StrictConfig):
    """How examples become batches: of similar length, bounded by tokens."""

    tokens: int = Field(default=4096, gt=0)
    """Most tokens of one batch on one device, padding included."""
    examples: int = Field(default=64, gt=0)
    """Most examples of one batch on one device."""
    accumulation: int = Field(default=1, gt=0)
    """Batches whose gradients are summed before a step."""
    short_first: float = Field(default=0.0, ge=0, le=1)
    """Order of the first epoch: 0 random, 1 strictly from the shortest to the longest examples."""
    stages: int = Field(default=1, ge=1)
    """Equal parts of the training split that the first epoch takes one after the other: for a data set
    that was built with ``order: curriculum``. 1: the order of the file does not count."""
    layout: Literal["auto", "padded", "packed"] = "auto"
    """``padded``: an example a row, similar lengths together; ``packed``: all in one row, none sees another,
    nothing is padded; ``auto``: packed where an attention kernel for it is installed."""

    @model_validator(mode="after")
    def _packed_has_no_lengths(self) -> Self:
        if self.layout == "packed" and self.short_first:
            raise ValueError("short_first: a packed batch has examples of all lengths; set it to 0")
        return self


class LossWeights(StrictConfig):
    """What a token of an answer counts in the loss, by its role; their mean over the data is made 1."""

    type: float = Field(default=1.0, ge=0)
    """Tokens of the types' names."""
    value: float = Field(default=1.0, gt=0)
    """Tokens of the values; 2 to 4 lets errors in values count for more than those in braces."""
    structure: float = Field(default=1.0, gt=0)
    """All else: braces, keys, quotes, the end of the turn. 0 would leave the end unlearned."""

    @property
    def differ(self) -> bool:
        """Whether some tokens count more than others."""
        return not self.type == self.value == self.structure


class OptimizerRecipe(StrictConfig):
    """The optimizer."""

    name: Literal[
        "adamw_torch",
        "adamw_torch_fused",
        "adamw_8bit",
        "paged_adamw_8bit",
        "paged_adamw_32bit",
        "adafactor",
        "lion_8bit",
        "lion_32bit",
    ] = "adamw_torch"
    """As transformers names it; the 8-bit, 32-bit-paged and Lion ones are bitsandbytes'."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """The highest rate."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay; biases and norms are exempt."""
    beta2: float = Field(default=0.999, gt=0, lt=1)
    """Decay of the second moment; 0.95 suits short runs."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target's probability that is spread over the vocabulary."""
    neftune_alpha: float | None = Field(default=None, gt=0)
    """Noise on the embeddings (Jain et al. 2023, https://arxiv.org/abs/2310.05914); null: none."""


class ScheduleRecipe(StrictConfig):
    """The learning rate over the run. Progress is the larger share of steps and of minutes used up."""

    shape: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    """``wsd``: warm up, stay, decay in the last part."""
    warmup: float = Field(default=0.03, ge=0)
    """Below 1: a share of the run; else a number of steps."""
    floor: float = Field(default=0.1, ge=0, le=1)
    """The last rate as a share of the highest."""
    decay: float = Field(default=0.2, gt=0, le=1)
    """``wsd`` alone: the share of the run that decays."""


class LengthRecipe(StrictConfig):
    """When training ends: at the first of the bounds."""

    epochs: float = Field(default=3.0, gt=0)
    """Passes over the training examples."""
    max_steps: int | None = Field(default=None, gt=0)
    """Most optimizer steps; null: no bound."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Most minutes of training, those before an interruption included; null: no bound."""


class WatchRecipe(StrictConfig):
    """What is looked at and kept on the way. All in optimizer steps."""

    log_every: int = Field(default=10, gt=0)
    """Steps between lines of progress."""
    validate_every: int = Field(default=200, gt=0)
    """Steps between measurements on the validation examples."""
    validation_examples: int = Field(default=500, gt=0)
    """Most validation examples; a fixed sample."""
    f1_examples: int = Field(default=0, ge=0)
    """Of the validation sample, how many are answered to measure entity F1; 0: none."""
    keep_best: Literal["loss", "f1"] | None = None
    """Whether the model with the best validation loss or F1 is kept, not the last; null: the last."""
    patience: int | None = Field(default=None, gt=0)
    """With `keep_best`: measurements without a better one after which training ends; null: never."""
    checkpoint_every: int = Field(default=200, gt=0)
    """Steps between checkpoints; with `keep_best` a multiple of `validate_every`."""
    keep_checkpoints: int = Field(default=2, gt=0)
    """Number of checkpoints that are kept."""
    report_to: tuple[Literal["tensorboard", "trackio", "wandb", "mlflow"], ...] = ("tensorboard",)
    """Where else the history goes; the last three need their own packages."""

    @model_validator(mode="after")
    def _best_can_be_kept(self) -> Self:
        if self.keep_best and self.checkpoint_every % self.validate_every:
            raise ValueError("keep_best: checkpoint_every has to be a multiple of validate_every")
        if self.keep_best == "f1" and not self.f1_examples:
            raise ValueError("keep_best f1: set f1_examples")
        if self.patience is not None and self.keep_best is None:
            raise ValueError("patience: set keep_best")
        return self


class GuardianRecipe(StrictConfig):
    """What happens when training goes wrong."""

    policy: Literal["warn", "skip", "recover", "stop"] = "recover"
    """``warn``: say so and go on; ``skip``: leave the batch out and halve the rate; ``recover``: the same,
    and go back to the weights of the last checkpoint that was good; ``stop``: end with an error. Each case
    is written into ``guardian.jsonl``."""
    gradient_factor: float = Field(default=10.0, gt=1)
    """A gradient this many times the highest of the first 10 and the last 50 steps is an explosion."""
    loss_factor: float = Field(default=3.0, gt=1)
    """A loss this many times the highest of the first 10 and the last 50 steps is a spike."""
    most_recoveries: int = Field(default=10, ge=0)
    """After so many recoveries the run ends with an error."""


class TrainRecipe(StrictConfig):
    """``train.yaml``."""

    data: Path
    """A finished data folder."""
    output: Path
    """The run folder: ``checkpoints/``, ``adapter/``, ``model/``, ``manifest.json``."""
    base: str | BareBase
    """A model folder, a hub id, ``modelscope:`` and an id; or ``architecture`` to begin from nothing."""
    revision: str | None = None
    """Commit, tag or branch of a hub id; null: its main branch, whose commit is recorded."""
    method: Method = "full"
    """Which weights are trained."""
    objective: Objective = Answers()
    """What they learn from."""
    lora: LoraRecipe = LoraRecipe()
    """Used by ``lora``, ``qlora``, ``dora``, ``rslora``, ``pissa``; `targets` by ``ia3`` too."""
    virtual_tokens: VirtualTokensRecipe = VirtualTokensRecipe()
    """Used by ``prompt_tuning``, ``prefix_tuning``, ``p_tuning``."""
    adapter: AdapterRecipe = AdapterRecipe()
    """Used by ``adapter``."""
    init_from: Path | None = None
    """The folder of an adapter of the same method and base to begin from; null: begin anew."""
    layers_to_freeze: int = Field(default=0, ge=0)
    """``full`` alone: the embeddings and this many of the lowest layers stay as they are; 0: none of it."""
    context_tokens: int = Field(default=1024, ge=64)
    """Most tokens of an example; a longer one is counted out by name, never cut."""
    batch: BatchRecipe = BatchRecipe()
    """How examples become batches."""
    loss_weights: LossWeights = LossWeights()
    """What a token of an answer counts by its role."""
    optimizer: OptimizerRecipe = OptimizerRecipe()
    """The optimizer."""
    schedule: ScheduleRecipe = ScheduleRecipe()
    """The learning rate over the run."""
    length: LengthRecipe = LengthRecipe()
    """When training ends."""
    precision: Precision = "auto"
    """Number format of the computation; auto: what the device computes fast."""
    gradient_checkpointing: bool = False
    """Compute activations twice to hold fewer of them."""
    compiled: bool = False
    """Compile the layers with torch at the first step: more tokens a second on a CPU, after the time that
    compiling takes. For method ``full`` on gold answers with padded batches; needs a C++ compiler. A run that
    is stopped and goes on is then the same up to rounding alone."""
    watch: WatchRecipe = WatchRecipe()
    """What is looked at and kept on the way."""
    guardian: GuardianRecipe = GuardianRecipe()
    """What happens when training goes wrong."""
    seed: int = Field(default=0, ge=0)
    """Seed of weights, order and dropout."""

    @model_validator(mode="after")
    def _method_has_a_base(self) -> Self:
        if self.method != "full" and isinstance(self.base, BareBase):
            raise ValueError(f"method {self.method} adapts trained weights: set base to a folder or a hub id")
        if isinstance(self.base, BareBase) and self.objective.kind in ("dpo", "grpo"):
            raise ValueError(f"objective {self.objective.kind} mends a model that answers: set base to one")
        if self.batch.layout == "packed" and self.objective.kind == "dpo":
            raise ValueError("objective dpo compares whole rows: batch.layout cannot be packed")
        if self.init_from is not None and self.method not in (*LOW_RANK, "ia3", "adapter"):
            raise ValueError(f"init_from: method {self.method} cannot begin from an adapter")
        if self.method != "full" and self.layers_to_freeze:
            raise ValueError("layers_to_freeze is for method full: an adapter freezes the base anyway")
        if self.method in VIRTUAL_TOKENS and self.batch.layout == "packed":
            raise ValueError(f"batch.layout: virtual tokens of {self.method} stand before a row; set padded")
        if self.method == "prefix_tuning" and self.gradient_checkpointing:
            raise ValueError("prefix_tuning and gradient_checkpointing do not go together: set it to false")
        return self

    @model_validator(mode="after")
    def _can_be_compiled(self) -> Self:
        if not self.compiled:
            return self
        if self.method != "full":
            raise ValueError("compiled is for method full: set it to false")
        if self.objective.kind != "answers":
            raise ValueError(f"compiled: objective {self.objective.kind} runs uncompiled; set it to false")
        if self.gradient_checkpointing or self.batch.layout == "packed":
            raise ValueError("compiled does not go with gradient_checkpointing or packed batches: set false")
        return self
