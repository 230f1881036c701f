"""`pii calibrate`: learn from validation documents how far each find is to be believed.

    pii calibrate --config configs/mini/eval.yaml

Asks model and patterns about the recipe's validation documents, fits the weights of `serving.scoring` and
the thresholds of the operating points, and writes them into the model folder's manifest. `pii eval` does it
by itself where the folder has no calibration or one of other weights, data or detectors. Neither test
documents nor those of the foreign split are ever looked at.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from tqdm import tqdm

from configs import command
from configs.errors import StageError
from evaluation import fitting, gold, predictions, provenance
from evaluation.asking import PART, Opener
from evaluation.fitting import Fit, Labelled
from evaluation.recipe import CalibrationConfig, EvalConfig
from pii.model_folder import ModelManifest, read_manifest, write_manifest
from pii.taxonomy import shipped
from serving.candidates import VERSION
from serving.scoring import Calibration

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Calibrate the recipe's model; returns the exit code."""
    parser = command.parser("pii calibrate", "Learn scores and operating points.", "mini/eval.yaml")
    parser.add_argument("--force", action="store_true", help="also where the calibration is up to date")
    arguments = parser.parse_args(argv)

    def body() -> int:
        from serving.extractor import Extractor

        config = command.config_of(arguments, EvalConfig)
        if config.calibration is None:
            raise StageError("the recipe has no calibration section")
        if not config.calibration.file.exists():
            raise StageError(f"{config.calibration.file}: no such file; `make data` writes it")
        ensure(config, lambda: Extractor.open(config.extractor), force=arguments.force)
        return 0

    return command.run(body)


def ensure(config: EvalConfig, opener: Opener, *, force: bool = False) -> None:
    """Calibrate the recipe's model unless that is done already; says what it does.

    Where it cannot be done (no validation documents, too few finds, a folder that is read-only), the log says
    why, and the measurement goes on.

    Args:
        config: the recipe; without a `calibration`, or where only one detector looks, nothing is done.
        opener: starts the detector.
        force: calibrate even where it would not change anything.

    Raises ModelFolderError: the folder cannot be read.
    """
    wanted, folder = config.calibration, config.extractor.model
    if wanted is None or folder is None or config.extractor.detectors != "merged":
        return
    if not wanted.file.exists():
        logger.warning("%s: no such file; the model is not calibrated", wanted.file)
        return
    manifest = read_manifest(folder)
    made_from = _made_from(config, wanted, folder)
    if manifest.calibration.get("made_from") == made_from and not force:
        logger.info("%s is calibrated", folder)
        return
    why = "is calibrated from something else" if manifest.calibration else "is not calibrated yet"
    logger.info("%s %s: calibrating on %s", folder, why, wanted.file)
    found = fitting.fit(_ask(config, wanted, opener), config.seed)
    if found is None:
        logger.warning("too few finds to calibrate on; the model has no scores")
    else:
        _say(found)
    _keep(folder, manifest, _calibration(found, made_from) if found else None)


def _made_from(config: EvalConfig, wanted: CalibrationConfig, folder: Path) -> dict[str, str]:
    """What a calibration depends on. The manifest is left out, for the calibration stands in it."""
    weights = [p for p in folder.rglob("*") if p.is_file() and p.suffix in (".safetensors", ".json")]
    detecting = {"grounded", "max_new_tokens", "end_bias"}
    return {
        "model": provenance.tree_hash((p for p in weights if p.name != "manifest.json"), folder),
        "tagger": config.extractor.tagger_fingerprint,
        "data": gold.content_hash(wanted.file),
        "detectors": provenance.code_hash("pii/patterns", "pii/identifiers"),
        "recipe": predictions.key(
            {
                "calibration": wanted.model_dump(mode="json", exclude={"file"}),
                "seed": config.seed,
                "extractor": config.extractor.model_dump(mode="json", include=detecting),
                "features": VERSION,
            }
        ),
    }


def _ask(config: EvalConfig, wanted: CalibrationConfig, opener: Opener) -> list[Labelled]:
    """The candidates of an even sample of the validation documents."""
    read = gold.read(wanted.file, shipped(), wanted.card)
    if read.refused:
        # Rows of general chat hold no document.
        logger.info("%d rows without a document to score", len(read.refused))
    documents = gold.sample(read.documents, wanted.max_documents, config.seed)
    num_parts = -(-len(documents) // PART)
    asked: list[Labelled] = []
    detector = opener()
    began = time.monotonic()
    try:
        with tqdm(total=len(documents), unit="doc", desc="calibrating", mininterval=1.0) as bar:
            for part in range(num_parts):
                if asked and wanted.max_minutes and time.monotonic() - began > 60 * wanted.max_minutes:
                    logger.info("the time is up after %d of %d documents", len(asked), len(documents))
                    break
                # Every so-manieth, so that a part is an even sample too.
                share = documents[part::num_parts]
                for entry, extraction in predictions.extractions(detector, share, "merged"):
                    asked.append(Labelled(extraction.candidates, frozenset(entry.document.spans)))
                    bar.update()
    finally:
        detector.close()
    return asked


def _calibration(found: Fit, made_from: dict[str, str]) -> Calibration:
    return Calibration(
        version=VERSION,
        weights=found.weights,
        operating_points=found.operating_points,
        made_from=made_from,
        facts=found.facts,
    )


def _say(found: Fit) -> None:
    facts, points = found.facts, found.operating_points
    logger.info(
        "calibrated on %d documents: ECE %s, then %s; recall from %s, balanced from %s, precision from %s",
        facts["num_documents"], facts["before"]["ece"], facts["after"]["ece"],
        points.recall, points.balanced, points.precision,
    )  # fmt: skip
    f1 = facts["strict_f1"]
    logger.info(
        "strict F1 on held-out folds: merged %s (patterns alone %s, model alone %s)",
        f1["balanced"], f1["patterns"], f1["model"],
    )  # fmt: skip


def _keep(folder: Path, manifest: ModelManifest, calibration: Calibration | None) -> None:
    values = calibration.model_dump(mode="json") if calibration else {}
    if values == manifest.calibration:
        return
    try:
        write_manifest(folder, manifest.model_copy(update={"calibration": values}))
    except OSError as error:
        logger.warning("%s cannot be written (%s); its calibration stays", folder, type(error).__name__)


if __name__ == "__main__":
    sys.exit(main())
