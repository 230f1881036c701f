"""A stage reads a config and files, writes a folder and, last, ``manifest.json``.

A folder without a manifest is one that was cut off. A stage whose config and inputs are those of the
manifest is not run again. A folder that this stage did not make is never written into, and no two
processes write into one folder at a time.
"""

import fcntl
import hashlib
import json
import os
import platform
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from configs.atomic import writing
from configs.errors import StageError
from configs.reader import StrictConfig, dump

MANIFEST = "manifest.json"
CONFIG = "config.yaml"
LOCK = ".lock"
"""Held by the process that writes the folder; the kernel lets go of it when the process ends."""


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
        raise StageError(f"{path}: not JSON; remove the folder and run its stage again") from None
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
        self._unlock: Callable[[], object] | None = None

    @property
    def identity(self) -> str:
        """Hash of the configuration and of the inputs: what decides whether to run again."""
        payload = json.dumps([self.name, dump(self.config), self.inputs], sort_keys=True)
        return hashlib.sha256(payload.encode()).hexdigest()

    def is_current(self) -> bool:
        """Whether the folder holds the finished output of exactly this configuration and input.

        Outputs have to be there; their content is not hashed again, for later stages may add to them (an
        evaluation writes its summary into the model's manifest).
        """
        if not (self.folder / MANIFEST).is_file():
            return False
        manifest = read_manifest(self.folder)
        outputs = manifest.get("outputs", {})
        return manifest.get("identity") == self.identity and all(
            (self.folder / name).is_file() for name in outputs
        )

    def begin(self) -> None:
        """Make the folder ready: the old manifest goes first, so that a cut-off run is visible.

        The folder is locked until `finish`, or until this object or the process ends.

        Raises StageError where the folder holds files of something else, or another process writes it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise StageError(f"{self.folder}: is a file; name a folder") from None
        self._check_owner()
        if self._unlock is None:
            self._unlock = self._locked()
        (self.folder / MANIFEST).unlink(missing_ok=True)
        with writing(self.folder / CONFIG) as file:
            file.write(f"{self._headline}\n{dump(self.config)}")

    @property
    def _headline(self) -> str:
        """First line of ``config.yaml``: whose folder it is, even where the run was cut off."""
        return f"# The effective configuration of the stage: {self.name}"

    def _check_owner(self) -> None:
        manifest, config = self.folder / MANIFEST, self.folder / CONFIG
        if manifest.is_file():
            ours = read_manifest(self.folder).get("stage") == self.name
        elif config.is_file():
            ours = self._headline in config.read_text(encoding="utf-8", errors="replace").splitlines()[:1]
        else:
            ours = all(path.name.startswith(".") for path in self.folder.iterdir())
        if not ours:
            raise StageError(f"{self.folder}: holds files of something else; name another or an empty folder")

    def _locked(self) -> Callable[[], object]:
        descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StageError(f"{self.folder}: another process is writing here; wait for it") from None
        return weakref.finalize(self, _release, descriptor)

    def finish(self, outputs: Iterable[str], facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the manifest, last of all.

        Args:
            outputs: names of the files that the stage wrote, relative to the folder.
            facts: counts and whatever else the stage reports; JSON values under names of their own.
        """
        manifest = {
            "stage": self.name,
            "identity": self.identity,
            "config": self.config.model_dump(mode="json"),
            "inputs": self.inputs,
            "outputs": folder_hash(self.folder, sorted(outputs)),
            "seconds": round(time.monotonic() - self._started, 1),
        }
        assert not manifest.keys() & facts.keys(), "a fact may not take the place of the stage's own"
        manifest |= facts
        with writing(self.folder / MANIFEST) as file:
            json.dump(manifest, file, ensure_ascii=False, indent=2)
            file.write("\n")
        if self._unlock is not None:
            self._unlock()
            self._unlock = None
        return manifest


def _release(descriptor: int) -> None:
    # Explicitly, because a worker process that was forked meanwhile shares the lock.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
