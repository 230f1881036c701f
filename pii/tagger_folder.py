"""The folder of a character tagger: where its training and serving meet.

``tagger.onnx`` (https://onnx.ai), ``manifest.json``, ``README.md``. The network reads the numbers of a
window's characters, int64 (1, T), and gives the log-probability of every tag (`pii.tags`) for each of them,
float32 (1, T, N).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from configs.errors import ConfigError
from configs.reader import StrictConfig, parse
from configs.stage import file_hash
from pii.errors import ModelFolderError
from pii.model_folder import MANIFEST, values_of_kind

NETWORK = "tagger.onnx"
INPUT, OUTPUT = "characters", "log_probabilities"
"""Names in the network."""

VERSION = 1
"""Of the numbering and of the tags; a folder of another version is refused."""

PADDING = 0
_CLASSES = {"L": 2, "N": 3, "Z": 4, "C": 4, "P": 5}
"""First letter of a Unicode category → the number of such characters that are not known by themselves."""
_HAN, _OTHER = 1, 6
FIRST_KNOWN = 7
"""Number of the first character that is known by itself."""


class TaggerManifest(StrictConfig):
    """What a tagger is and how it was made. Every field is a fact of the run that wrote it."""

    kind: Literal["pii-tagger"] = "pii-tagger"
    version: int = VERSION
    characters: str
    """Those that are known by themselves, in the order of their numbers."""
    entity_types: tuple[str, ...]
    """Types, in the order of their tags."""
    window_chars: int = Field(gt=0)
    """Most code points that are read at once, as in training."""
    window_margin: int = Field(ge=0)
    """Context on each side of a window's core, in code points."""
    num_parameters: int
    hyperparameters: dict[str, Any]
    data_identity: str
    """Hash of the recipe of the data."""
    data_sources: dict[str, Any]
    """Source → licence."""
    training: dict[str, Any]
    """Measured facts of the run."""
    versions: dict[str, str]


class Numbering:
    """Characters as numbers. One that is not known by itself has the number of its class.

    Args:
        known: the characters that have numbers of their own.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self._numbers = {character: FIRST_KNOWN + place for place, character in enumerate(known)}
        self.size = FIRST_KNOWN + len(known)

    def numbers(self, text: str) -> list[int]:
        """The number of every character."""
        get = self._numbers.get
        return [get(character) or class_of(character) for character in text]


@lru_cache(maxsize=4096)
def class_of(character: str) -> int:
    """The number of the class of a character: Han, letter, number, space, punctuation, other."""
    if "㐀" <= character <= "鿿" or "\U00020000" <= character <= "\U0003ffff":
        return _HAN
    return _CLASSES.get(unicodedata.category(character)[0], _OTHER)


def read_tagger(folder: Path) -> TaggerManifest:
    """Read and check the manifest of a tagger's folder.

    Raises ModelFolderError: the folder is missing, half-written, of another version or something else's.
    """
    _check_whole(folder)
    path = folder / MANIFEST
    values = values_of_kind(path, "pii-tagger", "a tagger's folder")
    if values.get("version") != VERSION:
        raise ModelFolderError(f"{folder}: a tagger of another release; make it again")
    try:
        return parse(values, TaggerManifest, str(path))
    except ConfigError as error:
        raise ModelFolderError(str(error)) from None


def tagger_fingerprint(folder: Path) -> str:
    """SHA-256 of the network's file. Raises ModelFolderError: the folder is missing or half-written."""
    _check_whole(folder)
    return file_hash(folder / NETWORK)


def _check_whole(folder: Path) -> None:
    if not (folder / MANIFEST).is_file() or not (folder / NETWORK).is_file():
        raise ModelFolderError(
            f"{folder}: no tagger; `pii tagger` makes one, and `tagger: null` does without"
        )
