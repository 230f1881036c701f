"""The recipe of `pii eval`: what is measured, on which documents, and what it has to reach."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from configs.reader import StrictConfig
from evaluation.peers.recipe import PeerConfig
from serving.extractor_config import ExtractorConfig


class SplitConfig(StrictConfig):
    """One set of gold documents."""

    file: Path
    """JSONL of documents, as `pii data` writes ``test.jsonl``; with a `card` any labelled file or folder."""
    card: str | None = None
    """Source card with format and label map: a shipped name such as ``msra``, or the path of a YAML file."""
    required: bool = True
    """False: where the file is not there, the report names it as absent and goes on."""
    max_documents: int | None = Field(default=None, ge=1)
    """Most documents that are measured, in place of the recipe's own `max_documents`."""


class ThresholdConfig(StrictConfig):
    """A number of the report that has to be reached, or `pii eval` ends with exit code 1."""

    metric: str
    """Dotted path in ``report.json``, such as ``splits.test.systems.merged.strict.f1``."""
    min: float | None = None
    """Least value; null: no lower bound."""
    max: float | None = None
    """Greatest value; null: no upper bound."""


class CalibrationConfig(StrictConfig):
    """The documents that scores and operating points are learned from; never those that are measured."""

    file: Path
    """JSONL of documents, as `pii data` writes ``validation.jsonl``; with a `card` any labelled file."""
    card: str | None = None
    """See `SplitConfig.card`."""
    max_documents: int | None = Field(default=400, ge=1)
    """Most documents, taken evenly over sources and languages; null: all."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Time after which no further document is asked for, in minutes; null: no limit."""


class FreeConfig(StrictConfig):
    """How much of the headline's documents the model is asked for again, without the grammar."""

    max_documents: int = Field(default=40, ge=1)
    """Most documents, taken evenly over sources and languages."""
    max_minutes: float | None = Field(default=1.0, gt=0)
    """Time after which no further document is asked for, in minutes; null: no limit."""


class EvalConfig(StrictConfig):
    """Everything that `pii eval` needs to know."""

    output: Path
    """Folder of the report; made where it is not there."""
    splits: dict[str, SplitConfig] = Field(min_length=1)
    """Name → set of documents; the first is the headline, the others stand beside it."""
    max_documents: int | None = Field(default=None, ge=1)
    """Most documents per split, taken evenly over sources and languages by `seed`; null: all."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Time after which no further document is asked for, in minutes, the start of the engine not counted; the
    report then rests on those asked so far, an even sample of every split. null: no limit."""
    seed: int = Field(default=0, ge=0)
    """Draws the sample and the resamples of the intervals."""
    extractor: ExtractorConfig
    """The very extractor that serves: model, engine, detectors."""
    peers: Mapping[str, PeerConfig] = {}
    """Name in the report → another detector that is asked about the same documents; one that is not
    installed is named and left out."""
    calibration: CalibrationConfig | None = None
    """Where scores are learned from before the model is measured, if its folder has none from here; null: the
    folder is measured as it is."""
    without_grammar: FreeConfig | None = FreeConfig()
    """The second pass that shows what the grammar is worth; null: none."""
    iou_thresholds: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.5, 0.75)
    """Overlaps, as intersection over union, from which a span of the right type counts as found."""
    alarm_budgets: tuple[Annotated[float, Field(ge=0)], ...] = (0.1, 0.5, 1.0)
    """False alarms per 1,000 characters at which the best recall is told, where the model has scores."""
    num_resamples: int = Field(default=1000, ge=0)
    """Resamples of the bootstrap behind every interval; 0: no intervals."""
    crosscheck_documents: int = Field(default=2000, ge=1)
    """Most documents per system that seqeval scores again; it is slow on long sets."""
    num_examples: int = Field(default=0, ge=0)
    """Documents with errors, per split, that ``report.html`` shows in their text. 0: none, for texts are
    private; set it only for data that may be shown."""
    thresholds: tuple[ThresholdConfig, ...] = ()
    """What the report has to reach; empty: nothing."""

    @field_validator("peers")
    @classmethod
    def _names_of_their_own(cls, peers: Mapping[str, PeerConfig]) -> Mapping[str, PeerConfig]:
        for name in peers:
            if name in ("merged", "model", "patterns") or not re.fullmatch(r"[\w-]+", name):
                raise ValueError("a peer's name is a word of letters, digits, - and _, and none of ours")
        return peers
