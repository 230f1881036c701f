"""How likely a candidate is right: a logistic regression over named features, fitted by evaluation.

    P(right) = 1 / (1 + exp(-sum(weight * feature)))

The weights stand readably in the model folder's manifest. Fitting is `evaluation.calibrate`'s; here they are
only applied, in plain Python.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from configs.errors import ConfigError
from configs.reader import StrictConfig, parse
from pii.errors import ModelFolderError
from pii.model_folder import ModelManifest
from serving.candidates import VERSION, Candidate

logger = logging.getLogger(__name__)

OperatingPoint = Literal["recall", "balanced", "precision"]
"""A threshold by name: miss little, weigh both alike, or be sure."""

BIAS = "bias"
"""The name of the weight that every candidate has."""


class OperatingPoints(StrictConfig):
    """Thresholds that were chosen on validation documents; what each aims at stands in ``docs/scores.md``."""

    recall: float = Field(ge=0, le=1)
    """A missed span weighs as nine wrong ones."""
    balanced: float = Field(ge=0, le=1)
    """The highest strict F1."""
    precision: float = Field(ge=0, le=1)
    """A wrong span weighs as nine missed ones."""


class Calibration(StrictConfig):
    """What a manifest keeps under ``calibration``."""

    version: int
    """Of the features (`serving.candidates.VERSION`)."""
    weights: dict[str, float]
    """Feature → weight in log-odds; ``bias`` for all. A feature without a weight counts nothing."""
    operating_points: OperatingPoints
    """Name → threshold."""
    made_from: dict[str, str]
    """Hashes of what it depends on: weights, validation data, detectors, recipe."""
    facts: dict[str, Any]
    """What was measured while fitting: documents, candidates, calibration error before and after, scores."""


def read_calibration(manifest: ModelManifest, tagger: str = "") -> Calibration | None:
    """The calibration of a model folder; None where there is none, or (logged) one of other features.

    Args:
        manifest: the model folder's.
        tagger: fingerprint of the tagger that looks too; empty: none does.

    Raises ModelFolderError: it cannot be read.
    """
    if not manifest.calibration:
        return None
    if manifest.calibration.get("version") != VERSION:
        logger.warning(
            "the model's calibration is of another release: no scores until `pii calibrate` is run"
        )
        return None
    try:
        found = parse(manifest.calibration, Calibration, "calibration")
    except ConfigError as error:
        raise ModelFolderError(str(error)) from None
    if found.made_from.get("tagger", "") != tagger:
        # What a feature is worth depends on who else looks.
        logger.warning("the model was calibrated with another tagger: no scores until `pii calibrate` is run")
        return None
    return found


def contributions(weights: Mapping[str, float], features: Mapping[str, float]) -> dict[str, float]:
    """What each feature adds to the log-odds, the strongest first; features without a weight are left out."""
    parts = {BIAS: weights.get(BIAS, 0.0)}
    parts |= {name: weights[name] * value for name, value in features.items() if name in weights}
    return dict(sorted(parts.items(), key=lambda part: (-abs(part[1]), part[0])))


def probability(weights: Mapping[str, float], features: Mapping[str, float]) -> float:
    """P(right), from 0 to 1."""
    # Summed exactly, so that the order of the features cannot matter.
    terms = [weights[name] * value for name, value in features.items() if name in weights]
    odds = math.fsum([weights.get(BIAS, 0.0), *terms])
    # The branch keeps exp from overflowing.
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))


def scored(candidates: Iterable[Candidate], weights: Mapping[str, float]) -> tuple[Candidate, ...]:
    """The candidates with their spans' scores."""
    return tuple(
        replace(one, span=replace(one.span, score=probability(weights, one.features))) for one in candidates
    )
