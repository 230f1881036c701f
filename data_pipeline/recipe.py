"""The schema of ``data.yaml``: what a data set is made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.reader import StrictConfig
from data_pipeline.synthesis_recipe import SynthesisConfig
from pii import codec

Share = Annotated[float, Field(ge=0, le=1)]
LicenceClass = Literal["permissive", "restricted"]


class SourceConfig(StrictConfig):
    """One labelled source. Without path and hub it is absent, and its share goes to the others."""

    card: str
    """What is known of it: a shipped card's name (``msra``, ``openpii``, ...) or the path of a YAML file."""
    share: Share
    """Part of the extraction examples that it gives, before redistribution."""
    path: Path | None = None
    """A file or folder; ``.gz`` is read as it is."""
    hub: str | None = None
    """A data set's id on the Hugging Face hub; needs the library ``datasets`` and a network or its cache."""
    revision: str | None = None
    """The revision on the hub; null: the newest."""
    files: tuple[str, ...] = ("*",)
    """Which files of a folder, such as ``train*``."""
    splits: tuple[str, ...] = ()
    """Which splits of the hub's data set; empty: all."""
    required: bool = False
    """Whether a path that does not exist stops the build; otherwise the source is absent."""
    max_documents: Annotated[int, Field(ge=1)] | None = None
    """Read at most this many documents; null: all."""

    @model_validator(mode="after")
    def _one_place(self) -> SourceConfig:
        if self.path is not None and self.hub is not None:
            raise ValueError("a source has a path or a hub id, not both")
        return self


class SyntheticConfig(StrictConfig):
    """The examples that the product writes itself."""

    share: Share = 0.4
    """Part of the extraction examples, before redistribution."""
    inserted: Share = 0.1
    """Part of the share whose values are put into real sentences of the labelled sources and of the chat,
    in training alone."""
    reworded: Share = 0.0
    """Part of the documents for training in which words between the entities give way to words of the general
    chat (`data_pipeline.rewording`); without chat, none."""
    held_out_families: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Part of the template families that belong to the test split, and as many to validation."""
    synthesis: SynthesisConfig = SynthesisConfig()
    """How values, forms and contexts are drawn."""


class ChatSourceConfig(StrictConfig):
    """One file or folder of general conversations: Alpaca, ShareGPT or messages rows, recognised by row."""

    path: Path
    """A file or folder; paths under ``samples/`` are the conversations that come with the product."""
    language: Literal["zh", "en"]
    """Their language."""
    licence: str
    """Their licence in words."""
    licence_class: LicenceClass
    """As in a source's card."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Its part of the chat rows beside the other chat sources."""
    required: bool = False
    """Whether a path that does not exist stops the build."""


class ChatConfig(StrictConfig):
    """General conversations, so that the model does not forget how to talk: for training, never for test."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Rows of chat for each extraction example, on top of them."""
    held_out: Annotated[int, Field(ge=0)] = 0
    """Conversations kept out of training, in ``validation.jsonl``: what `pii forgetting` measures on."""
    max_chars: Annotated[int, Field(ge=1)] = 1024
    """Longest conversation; longer ones keep the leading turns that fit, or are refused."""
    sources: Mapping[str, ChatSourceConfig] = {}
    """Name → where."""


class DecontaminationConfig(StrictConfig):
    """What keeps the held-out splits out of the training split."""

    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Estimated Jaccard similarity of character 5-grams from which two texts count as the same; 1: exact."""
    permutations: Annotated[int, Field(ge=16, le=256)] = 64
    """Length of a MinHash signature."""
    ngram: Annotated[int, Field(ge=4)] = 13
    """A training text that shares a run of this many words (Chinese: characters) with a held-out text is left
    out."""
    values: bool = True
    """Leave out training texts with a value of a held-out text, for types that point at one person."""


class CurriculumConfig(StrictConfig):
    """What makes an example hard, as relative weights (`data_pipeline.curriculum`)."""

    entities: Annotated[float, Field(ge=0)] = 1.0
    """The number of its entities."""
    length: Annotated[float, Field(ge=0)] = 1.0
    """Its code points."""
    form: Annotated[float, Field(ge=0)] = 1.0
    """The surface form of its values."""

    @model_validator(mode="after")
    def _something(self) -> CurriculumConfig:
        if self.entities + self.length + self.form <= 0:
            raise ValueError("every weight is 0: nothing would make an example hard")
        return self


class OutputConfig(StrictConfig):
    """How the training split is laid out; the others are one file of JSON lines each."""

    format: Literal["jsonl", "parquet"] = "jsonl"
    """JSON lines, or Parquet with the same columns (``meta`` as JSON)."""
    shard_rows: Annotated[int, Field(ge=1)] | None = None
    """Rows of each file (``train-00000.jsonl``, ...); null: one file (``train.jsonl``)."""


class DataConfig(StrictConfig):
    """One data set."""

    folder: Path
    """Where it goes; its last part is the data set's name."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Same recipe, inputs and seed: same bytes."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that prepare examples; 0: one for each core. The bytes do not depend on it."""
    engine: Literal["local", "ray"] = "local"
    """Where they run: on this machine, or on Ray Data (the extra ``distributed``) with as many as the cluster
    has cores. The bytes do not depend on it."""
    examples: Annotated[int, Field(ge=1)]
    """Extraction examples (windows) of the training split."""
    validation: Annotated[int, Field(ge=0)]
    """Documents of the validation split; cut to windows."""
    test: Annotated[int, Field(ge=0)]
    """Documents of the test split; kept whole."""
    foreign: Annotated[int, Field(ge=0)]
    """Documents of the foreign split: template families and carriers that training never sees."""
    answer_style: codec.AnswerStyle = "value"
    """What the model learns to write (`pii.codec.AnswerStyle`); it travels with the model."""
    window_chars: Annotated[int, Field(ge=16)] = 512
    """Most code points of an example; training, evaluation and serving share it."""
    window_margin: Annotated[int, Field(ge=0)] = 64
    """Context on each side of a window's core."""
    subset_share: Share = 0.15
    """Part of the training examples that ask for a random choice of the labelled types."""
    optional_share: Share = 0.5
    """The same, of those synthetic documents in which the optional types are labelled too."""
    licences: tuple[LicenceClass, ...] = ("permissive", "restricted")
    """Which sources may go in; ``[permissive]`` for a data set that is to be shipped."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Exponent 1/T on the shares: above 1 evens them out, below 1 sharpens them."""
    sources: Mapping[str, SourceConfig] = {}
    """Name → labelled source."""
    synthetic: SyntheticConfig = SyntheticConfig()
    """The product's own examples."""
    chat: ChatConfig = ChatConfig()
    """General conversations."""
    decontamination: DecontaminationConfig = DecontaminationConfig()
    """Near-duplicates and leaks between the splits."""
    order: Literal["mixed", "curriculum"] = "mixed"
    """Order of the training split: every stretch mixed like the whole, or from easy to hard."""
    curriculum: CurriculumConfig = CurriculumConfig()
    """What is hard, for the order ``curriculum``."""
    output: OutputConfig = OutputConfig()
    """Layout of the training split."""

    @model_validator(mode="after")
    def _coherent(self) -> DataConfig:
        if 2 * self.window_margin >= self.window_chars:
            raise ValueError("window_margin: expected 2 * window_margin < window_chars")
        if {"synthetic", "inserted"} & set(self.sources):
            raise ValueError("sources: 'synthetic' and 'inserted' are names of the product's own examples")
        if self.synthetic.share + sum(source.share for source in self.sources.values()) <= 0:
            raise ValueError("sources: every share is 0")
        return self
