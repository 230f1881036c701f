"""How near decoding comes to what the machine can do.

To write one token for each row of a batch, a decoder reads every weight once and multiplies each with each
row. So no engine can decode faster than

    steps a second  <=  bandwidth / bytes of the weights            (memory)
    tokens a second <=  multiplications a second / 2 per weight     (compute)

and the lower of the two, for the batch at hand, is the roof. Cache traffic of attention is left out, so the
true roof is a little lower. Source: Williams, Waterman and Patterson, Roofline, CACM 52 (2009).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SECONDS = 0.7
"""How long a copy and a multiplication are tried; the fastest counts, for a roof is what can be had."""
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine was measured to do, with the threads that the engine has.

    Attributes:
        device: ``cpu`` or ``cuda``.
        bytes_per_second: read from memory while copying a buffer of the model's size.
        flops_per_second: of a matrix product in the engine's number format; a product and a sum are two.
    """

    device: str
    bytes_per_second: float
    flops_per_second: float


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights that every step reads.

    Attributes:
        num: how many; an embedding table that is no head too is left out, for a step reads one row of it.
        bytes: their size in the engine's number format.
    """

    num: int
    bytes: int


def weights_of(folder: Path, dtype: str) -> Weights:
    """Count the weights of a model folder."""
    import json

    from safetensors import safe_open

    tied = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("tie_word_embeddings", False)
    num = 0
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                if tied or not name.endswith("embed_tokens.weight"):
                    size = 1
                    for extent in tensors.get_slice(name).get_shape():
                        size *= extent
                    num += size
    return Weights(num, num * _DTYPE_BYTES[dtype])


def _fastest(work: Callable[[], object], settle: Callable[[], object]) -> float:
    """Seconds of the fastest of many calls: on a shared machine most of them are held up by others."""
    best, ends = float("inf"), time.perf_counter() + _SECONDS
    while time.perf_counter() < ends:
        began = time.perf_counter()
        work()
        settle()
        best = min(best, time.perf_counter() - began)
    return best


def measure(weights: Weights, dtype: str) -> Machine:
    """Copy a buffer of the weights' size, and multiply matrices of the engine's number format.

    The copy has the size of the weights, so that a small model whose weights stay in the processor's cache is
    held to the cache's rate. A copy reads and writes, so its bandwidth is twice the bytes copied a second.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    settle = torch.cuda.synchronize if device == "cuda" else lambda: None
    source = torch.ones(max(weights.bytes, 4096) // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    copied = _fastest(lambda: target.copy_(source), settle)
    size = 4096 if device == "cuda" else 768
    left, right = (torch.randn(size, size, device=device).to(getattr(torch, dtype)) for _ in range(2))
    multiplied = _fastest(lambda: left @ right, settle)
    return Machine(device, 2 * source.nbytes / copied, 2 * size**3 / multiplied)


def share(weights: Weights, machine: Machine, *, rows: float, tokens_per_second: float) -> dict[str, Any]:
    """The roof for a batch, and how near a measured rate comes to it.

    Args:
        weights: read by every step.
        machine: as measured.
        rows: mean number of rows that are decoded together.
        tokens_per_second: measured, over all rows.
    """
    memory = rows * machine.bytes_per_second / weights.bytes
    compute = machine.flops_per_second / (2 * weights.num)
    return {
        "rows": round(rows, 2),
        "tokens_per_second": round(tokens_per_second, 1),
        "memory_limit": round(memory, 1),
        "compute_limit": round(compute, 1),
        "bound_by": "memory" if memory <= compute else "compute",
        "share": round(tokens_per_second / min(memory, compute), 4),
    }
