"""The model folder: where training and serving meet.

``weights, tokenizer, generation config`` + ``manifest.json`` + ``README.md``. Whatever loads a model reads
the manifest first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from configs.atomic import writing
from configs.errors import ConfigError
from configs.reader import StrictConfig, parse
from configs.stage import file_hash
from pii import codec
from pii.errors import ModelFolderError

MANIFEST = "manifest.json"
CARD = "README.md"
BASE = "base.json"
"""In an adapter's folder: which base it belongs to. ``name``, ``revision``, ``fingerprint``."""
ADAPTER_CONFIG = "adapter_config.json"
"""In an adapter's folder: PEFT's description of it, which names the base's folder."""

_PROGRAM = Path(__file__).resolve().parents[1]
"""Where ``models/`` lies, in a checkout and in an installed wheel alike."""


def find(names: str | Path | Sequence[str | Path]) -> Path:
    """The first of some model folders that is there.

    A relative path that does not exist from the working directory is looked up beside the program, where
    ``models/mini`` comes with it.

    Returns:
        The folder; where none is there, the first name as it was given, for a message that names it.
    """
    paths = [Path(name) for name in ([names] if isinstance(names, str | Path) else names)]
    tried = (place for path in paths for place in (path, _PROGRAM / path))
    return next((place for place in tried if place.is_dir()), paths[0])


def _found(value: object) -> Path:
    """`find` for a field of a recipe. Raises ValueError: not names of folders."""
    names: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
    if not names or not all(isinstance(name, str | Path) for name in names):
        raise ValueError("expected a model folder, or a list of them")
    return find(names)


Found = Annotated[Path, PlainValidator(_found)]
"""A field of a recipe that names a model folder, or several of which the first that is there is taken."""


class ModelManifest(StrictConfig):
    """What a model is and how it was made. Every field is a fact of the run that wrote it."""

    kind: Literal["pii-model"] = "pii-model"
    codec_version: int
    codec_fingerprint: str
    answer_style: codec.AnswerStyle
    entity_types: tuple[str, ...]
    """Types that the training data labelled; a request for others is refused."""
    context_tokens: int = Field(gt=0)
    """Most tokens of prompt and answer together."""
    window_chars: int = Field(gt=0)
    """Most code points of one window, as in training."""
    window_margin: int = Field(ge=0)
    """Context on each side of a window's core, in code points; twice of it is less than a window."""
    base_model: str
    """Id or folder name of the base; ``config`` for one that was trained from nothing."""
    base_revision: str = ""
    method: str
    hyperparameters: dict[str, Any]
    data_identity: str
    """Identity of the data set, as its manifest says."""
    data_sources: dict[str, Any]
    """Source → licence and counts."""
    num_parameters: int
    training: dict[str, Any]
    """Measured facts of the run: steps, losses, seconds, peak memory."""
    evaluation: dict[str, Any] = Field(default_factory=dict)
    """Summary of the last evaluation; empty before one."""
    calibration: dict[str, Any] = Field(default_factory=dict)
    """Weights and thresholds of the scores (`serving.scoring.Calibration`); empty where none were fitted."""
    versions: dict[str, str]


def write_manifest(folder: Path, manifest: StrictConfig) -> None:
    """Write ``manifest.json``; do it last, for a folder without one counts as half-written."""
    with writing(folder / MANIFEST) as file:
        json.dump(manifest.model_dump(mode="json"), file, ensure_ascii=False, indent=2)
        file.write("\n")


def read_manifest(folder: Path) -> ModelManifest:
    """Read and check the manifest of a model folder.

    Raises ModelFolderError: the folder is missing, half-written or not a model's, or its format is not
    this codec's.
    """
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder; `make data train` makes one")
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelFolderError(f"{folder}: no {MANIFEST}; the folder is half-written or not a model of ours")
    values = values_of_kind(path, "pii-model", "a model folder")
    # The codec comes before the fields: a model of another version may well have other fields.
    version = values.get("codec_version")
    if version != codec.VERSION or values.get("codec_fingerprint") != codec.fingerprint():
        raise ModelFolderError(
            f"{folder}: trained on codec version {version!r}, this program speaks {codec.VERSION}"
            " (or the same version with another format); train again or use the matching release"
        )
    try:
        return parse(values, ModelManifest, str(path))
    except ConfigError as error:
        raise ModelFolderError(str(error)) from None


def values_of_kind(path: Path, kind: str, what: str) -> dict[str, Any]:
    """What a manifest holds that says of itself which kind it is of; unchecked beyond that.

    Args:
        path: of a file that is there.
        kind: what its ``kind`` has to be.
        what: its folder in words, for the message.

    Raises ModelFolderError: it is not JSON, or the manifest of something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise ModelFolderError(f"{path}: not JSON") from None
    if not isinstance(values, dict) or values.get("kind") != kind:
        raise ModelFolderError(f"{path.parent}: not {what}; it holds the {path.name} of something else")
    return values


def fingerprint(folder: Path) -> str:
    """SHA-256 over a folder's weight files: two folders with the same one hold the same weights."""
    files = sorted(folder.glob("*.safetensors"))
    return hashlib.sha256("".join(map(file_hash, files)).encode()).hexdigest()


def base_of(folder: Path) -> Path | None:
    """The folder of the base of an adapter; None for a folder with whole weights.

    Raises ModelFolderError: the adapter does not say, or nothing is there.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        return None
    named = _json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not named or not Path(named).is_dir():
        raise ModelFolderError(
            f"{folder}: its base is not at {named}; `pii merge` makes a folder without one"
        )
    return Path(named)


def check_base(folder: Path) -> None:
    """Check that an adapter's base holds the weights that it was trained on; other folders pass.

    Raises ModelFolderError: it does not, or is not there.
    """
    base = base_of(folder)
    if base is not None and _json(folder / BASE).get("fingerprint") != fingerprint(base):
        raise ModelFolderError(f"{folder}: its base at {base} holds other weights now; train or merge again")


def _json(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelFolderError(f"{path}: missing or not JSON; not an adapter of ours") from None
    return values
