"""What the machine can do: device, number format, memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from shutil import which
from typing import Any

from configs.errors import ConfigError
from training.recipe import VIRTUAL_TOKENS, Precision, TrainRecipe


@dataclass(frozen=True, slots=True)
class Device:
    """Where and in which number format a run computes.

    Attributes:
        name: for people, such as ``cpu (2 threads)``.
        kind: ``cuda`` or ``cpu``.
        precision: ``bf16``, ``fp16`` (with loss scaling) or ``fp32``.
        reason: why this precision, in a few words.
    """

    name: str
    kind: str
    precision: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}, {self.precision} ({self.reason})"

    def autocast(self) -> AbstractContextManager[Any]:
        """Products in bf16 where that is the number format."""
        import torch

        return torch.autocast(self.kind, torch.bfloat16) if self.precision == "bf16" else nullcontext()


def can_compile() -> bool:
    """Whether there is the C++ compiler that torch's compiled code for CPUs needs, and its GPU code too."""
    return which(os.environ.get("CXX", "g++")) is not None


def choose(precision: Precision) -> Device:
    """Pick the device and the number format.

    Raises ConfigError: fp16 on a CPU, whose autocast has no loss scaling worth the name.
    """
    import torch

    # oneDNN keeps a compiled kernel for each of the last 1,024 shapes of a product, and batches have many
    # shapes: gigabytes over a run. 128 took the same time in a measurement; read at the first product.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
    cuda = torch.cuda.is_available()
    if not cuda:
        # DeepSpeed, where it is installed, would say on standard output that it found no GPU.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    name = torch.cuda.get_device_name() if cuda else f"cpu ({torch.get_num_threads()} threads)"
    kind = "cuda" if cuda else "cpu"
    if precision == "fp16" and not cuda:
        raise ConfigError("precision: fp16 needs a GPU; choose auto, bf16 or fp32")
    if precision != "auto":
        return Device(name, kind, precision, "as the recipe says")
    if cuda:
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return Device(name, kind, "bf16" if fast else "fp16", "what this GPU computes fast")
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    reason = "this CPU multiplies bf16 fast" if fast else "this CPU has no fast bf16"
    return Device(name, kind, "bf16" if fast else "fp32", reason)


def varlen_attention() -> str | None:
    """The attention that keeps the examples of one row apart at no cost, if it is installed; else None.

    Without such a kernel a packed row is right too, under a mask: attention is then computed between all of
    its tokens, which costs more than little padding does.
    """
    from transformers.utils import is_flash_attn_2_available

    return "flash_attention_2" if is_flash_attn_2_available() else None


def packs(recipe: TrainRecipe) -> bool:
    """Whether the examples of a batch stand in one row (`BatchRecipe.layout`)."""
    if recipe.batch.layout != "auto":
        return recipe.batch.layout == "packed"
    fits = not recipe.batch.short_first and recipe.method not in VIRTUAL_TOKENS and not recipe.compiled
    fits &= recipe.objective.kind in ("answers", "distill")
    return fits and varlen_attention() is not None


def num_processes() -> int:
    """Processes that train together, as the launcher says; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def peak_memory_gb() -> dict[str, float]:
    """Highest memory so far in GB (10⁹ bytes): of the process, and of the GPU where there is one."""
    import torch

    scale = 1 if sys.platform == "darwin" else 1024
    peak = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9}
    if torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated() / 1e9
    return {name: round(value, 2) for name, value in peak.items()}


def matrix_rate(where: Device) -> float:
    """Operations per second of a large product in the number format of the run, measured now."""
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(where.precision, torch.float32)
    size, repeats = 8192 if where.kind == "cuda" else 512, 10
    left, right = (torch.randn(size, size, device=where.kind).to(dtype) for _ in range(2))

    def now() -> float:
        if where.kind == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    left @ right
    started = now()
    for _ in range(repeats):
        left @ right
    return repeats * 2 * size**3 / (now() - started)
