"""Where a base model comes from: a local folder first, then the hub or a mirror of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pii.errors import ModelFolderError
from pii.model_folder import find, fingerprint

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MODELSCOPE = "modelscope:"
"""Before a model's id: it comes from https://modelscope.cn, by its own client."""

_WANTED = ("*.json", "*.safetensors", "merges.txt", "*.jinja", "*.model")


@dataclass(frozen=True, slots=True)
class Base:
    """A base model on this machine.

    Attributes:
        name: as the recipe says it.
        revision: commit of the hub; empty for a local folder.
        folder: where the files lie.
    """

    name: str
    revision: str
    folder: Path

    def fingerprint(self) -> str:
        """SHA-256 over the weight files: two bases with the same one are the same weights."""
        return fingerprint(self.folder)


def resolve(name: str, revision: str | None = None, *, config_only: bool = False) -> Base:
    """Find a base model: a local folder, or else a hub id, which is downloaded unless it is cached.

    ``models/mini``, which comes with the program, is found from any working directory.

    ``HF_ENDPOINT`` names a mirror, ``HF_HUB_OFFLINE=1`` forbids the network; both are the hub client's own.
    `MODELSCOPE` before the id takes it from there.
    With `config_only` nothing but the few bytes of ``config.json`` is fetched.

    Raises ModelFolderError: nothing is there; the message names the three ways to get one.
    """
    folder = find(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelFolderError(f"{folder}: no config.json; not a model folder")
        return Base(name, "", folder)
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise ModelFolderError(f"{name}: no such folder, and not the form of a hub id (owner/model)")
    wanted = ["config.json"] if config_only else list(_WANTED)
    if name.startswith(MODELSCOPE):
        return Base(name, revision or "", _from_modelscope(name, revision, wanted))
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        found = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, OSError, httpx.HTTPError) as error:
        raise _unreachable(name, error) from None
    # A snapshot's folder is named by its commit.
    return Base(name, found.name, found)


def _from_modelscope(name: str, revision: str | None, wanted: list[str]) -> Path:
    """Download from ModelScope, whose client keeps a cache of its own (``MODELSCOPE_CACHE``)."""
    try:
        from modelscope import snapshot_download
    except ModuleNotFoundError:
        raise ModelFolderError(f"{name}: ModelScope's client is missing: pip install modelscope") from None
    chosen = {} if revision is None else {"revision": revision}
    offline = os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE")
    try:
        found = snapshot_download(
            name.removeprefix(MODELSCOPE), allow_patterns=wanted, local_files_only=offline, **chosen
        )
    except Exception as error:  # the client has errors of its own, of requests and of the system
        raise _unreachable(name, error) from None
    return Path(found)


def _unreachable(name: str, error: Exception) -> ModelFolderError:
    return ModelFolderError(
        f"{name}: not a local folder, and the hub did not give it ({type(error).__name__}). Three ways:"
        " set base to a local model folder; let this machine reach the hub or a mirror (HF_ENDPOINT, or"
        f" base {MODELSCOPE}owner/model); or fill the hub's cache elsewhere and set HF_HOME and"
        " HF_HUB_OFFLINE=1"
    )


def load_model(base: Base, dtype: torch.dtype, *, four_bit: bool = False) -> PreTrainedModel:
    """Load a base's weights.

    Args:
        base: where they lie.
        dtype: their number format; of the computation where they are quantised.
        four_bit: quantise to 4-bit NF4 with double quantisation, for QLoRA.

    Raises ModelFolderError: they cannot be read.
    """
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    options: dict[str, Any] = {"dtype": dtype}
    if four_bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(str(base.folder), **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelFolderError(
            f"{base.name}: the weights cannot be read ({type(error).__name__}); fetch the folder again"
        ) from None
    for module in model.modules():
        # On a CPU, the first measurement would repack the weights for inference, and training, which comes
        # after it, would then go through a kernel without gradients.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model
