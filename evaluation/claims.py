"""What a model's card claims, and whether it still holds.

`pii eval --record` writes the headline's numbers into the model folder, each with the bound that its own
interval gives: a measurement that falls under it is worse than chance explains. Every later `pii eval` of the
folder judges them like thresholds of the recipe, on the same data; on other data they say nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.atomic import writing
from configs.errors import StageError
from pii.model_folder import read_manifest, write_manifest

logger = logging.getLogger(__name__)

CARD = "README.md"

AT_LEAST = ("strict.f1",)
AT_MOST = ("leakage.all.characters", "leakage.tier_direct.characters", "false_alarms.per_1000_characters")
"""What is claimed of each split's first system: dotted paths in its part of the report."""


def of(report: Mapping[str, Any]) -> dict[str, Any]:
    """The claims that a report supports: metric → ``value``, ``min`` or ``max``, and the hash of its data.

    The bound is the end of the 95 % interval; where there is none (too few documents), nothing is claimed.
    """
    claimed: dict[str, Any] = {}
    for name, split in report["splits"].items():
        system, part = next(iter(split["systems"].items()))
        for path in (*AT_LEAST, *AT_MOST):
            rate = _at(part, path)
            if rate is None or rate["value"] is None or rate["low"] is None:
                continue
            bound = {"min": rate["low"]} if path in AT_LEAST else {"max": rate["high"]}
            claimed[f"splits.{name}.systems.{system}.{path}"] = {
                "value": rate["value"],
                **bound,
                "data": split["sha256"],
            }
    return claimed


def _at(part: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    for name in path.split("."):
        part = part.get(name) or {}
    return part or None


def record(folder: Path, report: Mapping[str, Any]) -> dict[str, Any]:
    """Write a report's claims into the model's manifest and its card; returns them.

    Raises:
        StageError: the report supports no claim, or is one of patterns alone or of another model.
        ModelFolderError: the folder cannot be read.
    """
    from training import card

    claimed = of(report)
    if report["model"] is None or not claimed:
        raise StageError("nothing to record: no model was measured, or too few documents for an interval")
    manifest = read_manifest(folder)
    evaluation = {
        "measured_at": report["made"]["at"],
        "engine": report["made"]["engine"],
        "documents": {name: split["num_documents"] for name, split in report["splits"].items()},
        "claims": claimed,
    }
    manifest = manifest.model_copy(update={"evaluation": evaluation})
    write_manifest(folder, manifest)
    with writing(folder / CARD) as file:
        file.write(card.render(manifest))
    logger.info("%d claims recorded in %s", len(claimed), folder)
    return claimed


def judged(claims: Mapping[str, Any], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each claim beside what was measured now.

    Returns:
        Rows of ``metric``, ``claimed``, ``min``, ``max``, ``value`` and ``holds``, which is null where the
        report does not measure the same documents, or not this system.
    """
    rows = []
    for metric, claim in claims.items():
        value = _measured(metric, claim, report)
        low, high = claim.get("min"), claim.get("max")
        holds = None
        if value is not None:
            holds = (low is None or value >= low) and (high is None or value <= high)
        rows.append(
            {
                "metric": metric,
                "claimed": claim["value"],
                "min": low,
                "max": high,
                "value": value,
                "holds": holds,
            }
        )
    return rows


def _measured(metric: str, claim: Mapping[str, Any], report: Mapping[str, Any]) -> float | None:
    _, name, _, system, path = metric.split(".", 4)
    split = report["splits"].get(name)
    if split is None or split["sha256"] != claim["data"] or system not in split["systems"]:
        return None
    rate = _at(split["systems"][system], path)
    value: float | None = rate["value"] if rate else None
    return value
