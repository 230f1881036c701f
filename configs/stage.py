"""A stage reads a config and files, writes a folder and, last, ``manifest.json``.

A folder without a manifest is one that was cut off. A stage whose config and inputs are those of the
manifest is not run again. A folder that this product did not make is never written into.
"""

import hashlib
import json
import platform
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from configs.atomic import writing
from configs.errors import StageError
from configs.reader import StrictConfig, dump

MANIFEST = "manifest.json"
CONFIG = "config.yaml"


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each named file of a folder."""
    return {name: file_hash(folder / name) for name in names}


def versions(*distributions: str) -> dict[str, str]:
    """Versions of Python and of those named distributions that are installed."""
    found = {"python": platform.python_version()}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished stage. Raises StageError: no folder, cut off, or not JSON."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise StageError(f"{folder}: no such folder; run the stage before this one")
    if not path.is_file():
        raise StageError(f"{folder}: no {MANIFEST}; the stage that writes it was cut off, run it again")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise StageError(f"{path}: not JSON") from None
    if not isinstance(manifest, dict):
        raise StageError(f"{path}: expected a JSON object")
    return manifest


class Stage:
    """One run of a stage into one folder.

    Args:
        name: the stage's name, written into the manifest; a folder of another stage is refused.
        folder: where the outputs and the manifest go.
        config: the effective configuration; saved as ``config.yaml``.
        inputs: name → content hash of what the stage reads.
    """

    def __init__(self, name: str, folder: Path, config: StrictConfig, inputs: Mapping[str, str]) -> None:
        self.name, self.folder, self.config, self.inputs = name, folder, config, dict(inputs)
        self._started = time.monotonic()

    @property
    def identity(self) -> str:
        """Hash of the configuration and of the inputs: what decides whether to run again."""
        payload = json.dumps([self.name, dump(self.config), self.inputs], sort_keys=True)
        return hashlib.sha256(payload.encode()).hexdigest()

    def is_current(self) -> bool:
        """Whether the folder holds the finished output of exactly this configuration and input."""
        if not (self.folder / MANIFEST).is_file():
            return False
        manifest = read_manifest(self.folder)
        outputs = manifest.get("outputs", {})
        return manifest.get("identity") == self.identity and all(
            (self.folder / name).is_file() for name in outputs
        )

    def begin(self) -> None:
        """Make the folder ready: the old manifest goes first, so that a cut-off run is visible.

        Raises StageError where the folder holds files of something else.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        manifest, config = self.folder / MANIFEST, self.folder / CONFIG
        others = [p for p in self.folder.iterdir() if not p.name.startswith(".")]
        if manifest.is_file() and read_manifest(self.folder).get("stage") != self.name:
            raise StageError(f"{self.folder}: holds the output of another stage; name another folder")
        if others and not manifest.is_file() and not config.is_file():
            raise StageError(f"{self.folder}: holds files that no stage wrote; name an empty folder")
        manifest.unlink(missing_ok=True)
        with writing(config) as file:
            file.write(dump(self.config))

    def finish(self, outputs: Iterable[str], facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the manifest, last of all.

        Args:
            outputs: names of the files that the stage wrote, relative to the folder.
            facts: counts and whatever else the stage reports; JSON values.
        """
        manifest = {
            "stage": self.name,
            "identity": self.identity,
            "config": self.config.model_dump(mode="json"),
            "inputs": self.inputs,
            "outputs": folder_hash(self.folder, sorted(outputs)),
            "seconds": round(time.monotonic() - self._started, 1),
            **facts,
        }
        with writing(self.folder / MANIFEST) as file:
            json.dump(manifest, file, ensure_ascii=False, indent=2)
            file.write("\n")
        return manifest
