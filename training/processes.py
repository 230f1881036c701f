"""The processes that train one model together: who writes, what all agree on, and what is really running.

`accelerate launch` (or torchrun) starts them; how they share the model is said in its YAML
(``configs/accelerate/``). Without a launcher there is one process, and nothing here does anything.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

from configs.errors import ConfigError, UserError
from training import device
from training.recipe import TrainRecipe

T = TypeVar("T")

ALONE = "one process"


def asked() -> str:
    """How the launcher's YAML says that the model is shared, in the words of `running`."""
    if device.num_processes() == 1:
        return ALONE
    said = os.environ.get
    if said("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        offload = said("ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE", "none") != "none"
        return f"zero-{said('ACCELERATE_DEEPSPEED_ZERO_STAGE', '2')}" + (" with offload" if offload else "")
    if said("ACCELERATE_USE_FSDP", "").lower() == "true":
        return f"fsdp{said('FSDP_VERSION', '1')}"
    return "ddp"


def running(model: Any) -> str:
    """How a model that was prepared for training is really shared: by its class, not by its configuration."""
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
    from torch.nn.parallel import DistributedDataParallel

    if isinstance(model, DistributedDataParallel):
        return "ddp"
    if isinstance(model, FSDPModule):
        return "fsdp2"
    if isinstance(model, FullyShardedDataParallel):
        return "fsdp1"
    if type(model).__name__ == "DeepSpeedEngine":
        # Without offload this is a section that names no device, or no section.
        place = getattr(model.zero_offload_optimizer(), "device", None)
        offload = place is not None and str(getattr(place, "value", place)) != "none"
        return f"zero-{model.zero_optimization_stage()}" + (" with offload" if offload else "")
    return ALONE


def check(model: Any) -> str:
    """What is running. Raises ConfigError where that is not what was asked for."""
    found, wanted = running(model), asked()
    if found != wanted:
        why = (
            " (FSDP needs GPUs: accelerate leaves it out without a word on a CPU)" if "fsdp" in wanted else ""
        )
        raise ConfigError(f"the launcher was asked for {wanted}, and {found} is running{why}")
    return found


def join(recipe: TrainRecipe) -> None:
    """Begin to work with the other processes, if a launcher started several.

    Raises ConfigError: the recipe cannot be trained so, or DeepSpeed is missing.
    """
    wanted = asked()
    if wanted == ALONE:
        return
    if "zero" in wanted and find_spec("deepspeed") is None:
        raise ConfigError("DeepSpeed is not installed: pip install 'pii-extraction[deepspeed]'")
    policy = recipe.guardian.policy
    if "zero" in wanted and policy in ("skip", "recover"):
        raise ConfigError(
            f"guardian.policy {policy}: DeepSpeed takes a step before it can be judged; set warn or stop"
        )
    if is_sharded(wanted) and recipe.method == "pissa":
        raise ConfigError(f"method pissa changes the base itself, which {wanted} cuts up; use lora, or DDP")
    if is_sharded(wanted) and policy == "recover":
        raise ConfigError(f"guardian.policy recover: {wanted} cuts checkpoints up; set skip, warn or stop")
    import torch
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())
    if not is_main():
        logging.getLogger().setLevel(logging.WARNING)


def is_main() -> bool:
    """Whether this process writes the files."""
    return os.environ.get("RANK", "0") == "0"


def on_main(work: Callable[[], T]) -> T:
    """What the first process finds, for all of them; a UserError of it is raised in all of them."""
    if device.num_processes() == 1:
        return work()
    from torch import distributed

    said: list[Any] = [None, None]
    if is_main():
        try:
            said[0] = work()
        except UserError as error:
            said[1] = error
    distributed.broadcast_object_list(said)
    if said[1] is not None:
        raise said[1]
    found: T = said[0]
    return found


def is_sharded(strategy: str) -> bool:
    """Whether each process holds a part of the weights alone."""
    return strategy.startswith(("zero-3", "fsdp"))


def whole_weights(trainer: Any) -> dict[str, Any]:
    """The weights of a sharded model, on the CPU; all processes have to call this."""
    gathered: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    # Whatever is loaded from now on is whole: transformers would go on cutting it up.
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
    return gathered
