"""The schema of ``base.yaml``: how the embedded base model is made from nothing.

What every run on the endless stream has (`EndlessRecipe`) is the tagger's too (`training.tagger_recipe`).
"""

from __future__ import annotations

import os
from itertools import accumulate
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from configs.reader import RECIPES, StrictConfig, load
from data_pipeline.recipe import DataConfig
from training.bare import Architecture
from training.recipe import Precision, ScheduleRecipe

Kind = Literal["copy", "extraction", "inserted", "chat"]
"""What an example is: a pure copy task, extraction from a generated document, extraction from a chat's text
with generated values put into it, or general chat."""

KINDS: tuple[Kind, ...] = ("copy", "extraction", "inserted", "chat")


class Phase(StrictConfig):
    """A part of the run with a mix of its own."""

    name: str
    """Names the phase in the record; its examples depend on it."""
    share: float = Field(gt=0)
    """Its part of the run's tokens, as a relative weight."""
    mix: dict[Kind, float]
    """Relative number of examples of each kind."""
    text_weight: float = Field(default=0.0, ge=0, le=1)
    """How much a token counts that is not part of an extraction's or a copy's answer: of the documents, the
    prompts and the chat. 1 is the weight of an answer's token. This is the language modelling."""
    text_share: float = Field(default=1.0, gt=0, le=1)
    """Part of these tokens, drawn for each example, that counts; each of them counts as much more. A token
    that counts costs a row of logits, and most tokens are text."""
    window_chars: int | None = Field(default=None, ge=16)
    """Most code points of a document's window; null: as the data recipe says. Short windows come first."""
    reworded: float = Field(default=0.0, ge=0, le=1)
    """Part of the documents in which words between the entities give way to others, as in
    `data_pipeline.rewording`."""
    batch_factor: int = Field(default=1, ge=1)
    """Batches are this many times larger than `BatchSizes` says; larger ones pay late in a run."""

    @model_validator(mode="after")
    def _mixes_something(self) -> Self:
        if min(self.mix.values(), default=0.0) < 0 or not sum(self.mix.values()) > 0:
            raise ValueError("mix: expected shares of at least 0, and one above it")
        return self

    @model_validator(mode="after")
    def _text_counts_less_than_answers(self) -> Self:
        if self.text_weight > self.text_share:
            raise ValueError("text_share: text_weight / text_share, what a drawn token counts, is at most 1")
        return self


class BatchSizes(StrictConfig):
    """How much is done at a time."""

    tokens: int = Field(gt=0)
    """Most tokens of a batch, padding included; a longer example is a batch of its own."""
    pool: int = Field(gt=0)
    """Examples that are made together, sorted by length and cut into batches."""


class RateRecipe(StrictConfig):
    """The optimizers: Muon for the matrices of the layers, AdamW for embeddings, norms and biases.

    Muon: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; its rate is matched to AdamW's as
    in Liu et al. 2025, https://arxiv.org/abs/2502.16982.
    """

    matrices: float = Field(default=2e-3, gt=0)
    """The highest rate of Muon."""
    others: float = Field(default=1e-3, gt=0)
    """The highest rate of AdamW."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay of the matrices and the embeddings."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""


class TaggingRecipe(StrictConfig):
    """The auxiliary task: each token of a document tells which entity it belongs to (`training.tagging`)."""

    weight: float = Field(default=0.5, gt=0)
    """How much its mean loss counts beside the mean loss of the answers."""
    layer: int = Field(default=3, ge=0)
    """The layer behind which the tags are read; 0: the embeddings. The layers above make use of them."""


class ProbeRecipe(StrictConfig):
    """What is measured on the way, on documents of families that training never sees."""

    every_steps: int = Field(default=1000, gt=0)
    """Optimizer steps between measurements; each is one line of ``history.jsonl`` and of the log."""
    documents: int = Field(default=100, gt=0)
    """Held-out documents of each set that are looked at."""


class AnsweringProbeRecipe(ProbeRecipe):
    """With answers: all are predicted token by token."""

    answered: int = Field(default=20, ge=0)
    """Of the documents, how many the model answers freely, for entity F1; 0: none."""


class EndlessRecipe(StrictConfig):
    """What every run on the endless stream of generated documents has."""

    folder: Path | None = None
    """Checkpoint, history and what is made; null: one in ``$PII_CACHE``, or else in
    ``~/.cache/pii-extraction``."""
    data: Path = Path("mini/data.yaml")
    """The data recipe, relative to the shipped recipes: documents, held-out families, windows and chat."""
    tokens: int = Field(gt=0)
    """Tokens of the whole run, without padding; the schedule follows them."""
    phases: tuple[Phase, ...] = Field(min_length=1)
    """One after the other."""
    batch: BatchSizes = BatchSizes(tokens=1024, pool=256)
    """On a CPU, where many small steps learn more in the same time."""
    accelerator_batch: BatchSizes = BatchSizes(tokens=65_536, pool=4096)
    """On an accelerator."""
    rates: RateRecipe = RateRecipe()
    """The optimizers."""
    schedule: ScheduleRecipe = ScheduleRecipe(shape="wsd", warmup=0.01, floor=0.02, decay=0.2)
    """The rates over the run's tokens; a `warmup` of 1 and more is a number of tokens."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Ends this piece of the run; the next start goes on. null: only the tokens end it."""
    save_minutes: float = Field(default=5.0, gt=0)
    """Minutes between checkpoints."""
    threads: int = Field(default=1, gt=0)
    """Threads of the computation on a CPU: one for each core that is really free."""
    workers: int = Field(default=2, ge=0)
    """Processes that make examples ahead of time; 1: the training process itself; 0: one for each core."""
    compiled: bool | None = None
    """Compile the network: 1.7 times the tokens a second on a CPU, after half a minute. A run that is
    stopped and goes on is then the same up to rounding alone. null: where there is a C++ compiler."""
    precision: Precision = "auto"
    """Number format of the products; auto: bf16 where the device multiplies it fast, else fp32."""
    probe: ProbeRecipe = ProbeRecipe()
    """What is measured on the way."""
    seed: int = Field(default=0, ge=0)
    """Seed of weights and stream."""

    @model_validator(mode="after")
    def _phases_differ(self) -> Self:
        if len({phase.name for phase in self.phases}) < len(self.phases):
            raise ValueError("phases: two have the same name")
        return self

    def phase_at(self, tokens: int) -> Phase:
        """The phase that a run is in after this many tokens."""
        total = sum(phase.share for phase in self.phases)
        ends = accumulate(phase.share / total * self.tokens for phase in self.phases)
        return next((p for p, end in zip(self.phases, ends, strict=True) if tokens < end), self.phases[-1])

    def data_config(self) -> DataConfig:
        """The data recipe that it names. Raises ConfigError where that cannot be read."""
        return load(RECIPES / self.data, DataConfig)

    def folder_or(self, name: str) -> Path:
        """The folder of the run, or the one of this name in the cache."""
        if self.folder is not None:
            return self.folder
        cache = os.environ.get("PII_CACHE")
        return (Path(cache) if cache else Path.home() / ".cache/pii-extraction") / name


class BaseRecipe(EndlessRecipe):
    """``base.yaml``."""

    tokenizer: Path | None = None
    """A tokenizer folder; null: one is trained first and kept in the run's folder."""
    tokenizer_documents: int = Field(default=20_000, gt=0)
    """Generated documents that a new tokenizer is trained on, beside the chat."""
    architecture: Architecture = Architecture()
    """Sizes of the model."""
    induction: bool = True
    """Begin with heads that copy (`training.induction`); false: with random weights alone."""
    context_tokens: int = Field(default=1024, ge=64)
    """Most tokens of an example; longer ones are left out and counted, never cut."""
    tagging: TaggingRecipe | None = None
    """The auxiliary task; null: answers alone."""
    probe: AnsweringProbeRecipe = AnsweringProbeRecipe()
    """What is measured on the way."""

    @model_validator(mode="after")
    def _layer_exists(self) -> Self:
        if self.tagging is not None and self.tagging.layer > self.architecture.num_layers:
            raise ValueError("tagging.layer: the architecture has no such layer")
        return self
